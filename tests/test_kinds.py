"""What a word of the log is."""

from __future__ import annotations

import pytest
from attrs.exceptions import FrozenInstanceError
from twisted.logger import LogLevel

from netguard.kinds import Kind


def test_it_is_data() -> None:
    """Nobody changes a word while the service runs."""
    kind = Kind(LogLevel.info, "It happened.", {"count": 1})
    assert kind == Kind(LogLevel.info, "It happened.", {"count": 1})
    with pytest.raises(FrozenInstanceError):
        kind.meaning = "It did not."  # type: ignore[misc]
