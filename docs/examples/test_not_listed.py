"""Tests of the guard `NotListed`, without a network; a pretended thread answers when the test says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from netguard.testing import connect
from twisted.internet.defer import Deferred

import not_listed
from not_listed import NotListed


@pytest.mark.parametrize(("text", "refused"), [("192.0.2.1\n", True), ("198.51.100.7\n", False)])
def test_the_decision_is_waited_for(text: str, refused: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The application is built, and hears of what came meanwhile, only when the list has been read."""
    reading: Deferred[str] = Deferred()
    monkeypatch.setattr(not_listed, "deferToThread", lambda _: reading)
    peer = connect(NotListed(Path("list")))  # it connects from 192.0.2.1
    peer.feed(b"hello")
    assert peer.application is None
    reading.callback(text)
    peer.advance()
    assert peer.refused is refused
    assert refused or peer.taken == b"hello"


# mypy: disable-error-code="import-not-found"
