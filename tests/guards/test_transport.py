"""What is promised of Transport: it says which transport is wanted, and nothing more."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock

from netguard.errors import OptionError
from netguard.guards.lifetime import Lifetime
from netguard.guards.transport import Transport
from netguard.policy import Policy
from netguard.testing import check_transparent


@pytest.mark.parametrize(("kind", "native"), [(None, True), ("native", True), (" Stock", False)])
def test_the_service_knows_which_is_wanted(kind: str | None, native: bool) -> None:
    """Our own, unless another is asked for."""
    guards = [] if kind is None else [Transport(kind)]
    factory: Any = Policy(Lifetime("1h"), *guards).wrap(Factory(), Clock())
    assert factory.service.native is native
    assert all(each is not Transport for each, _ in factory.opening.questions)


@pytest.mark.parametrize("kind", ["", "tcp", "own", None])
def test_there_are_two(kind: str | None) -> None:
    """Everything else is a mistake."""
    with pytest.raises(OptionError):
        Transport(kind)


def test_a_connection_is_not_touched() -> None:
    """It sets no mark and no deadline."""
    check_transparent(Transport("stock"))
