"""The names of an accepted connection."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.protocol import Protocol

from netguard.native.naming import Named


class Called(Protocol):
    """Has a name of its own for the log."""

    def logPrefix(self) -> str:
        """That name."""
        return "mine"


@pytest.mark.parametrize(("protocol", "prefix"), [(Protocol(), "Protocol"), (Called(), "mine")])
def test_its_names_are_twisted_s(protocol: Protocol, prefix: str) -> None:
    """The application's prefix, the session, the host; and the prefix is made once."""
    it = Named()
    it.protocol, it.client, it.sessionno = protocol, ("192.0.2.1", 1234), 7
    it._getLogPrefix = lambda application: application.logPrefix()
    it.server = SimpleNamespace(_realPortNumber=110)
    assert it.logPrefix() == f"{prefix},7,192.0.2.1"
    unused: Any = None
    it.protocol = unused
    assert it.logPrefix() == f"{prefix},7,192.0.2.1"
    it.protocol = protocol
    assert it.hostname == "192.0.2.1"
    assert repr(it) == f"<guarded {type(protocol).__name__} #7 on 110>"
