"""The limits of the echo server, tested without waiting for them."""

from __future__ import annotations

from netguard.testing import connect

from echo import POLICY, Echo


def test_a_silent_peer_is_cut_after_five_seconds() -> None:
    """Just inside the limit it lives; one tick after it, it is gone."""
    peer = connect(POLICY, Echo)
    peer.feed(b"hello")
    assert peer.taken == b"hello"
    peer.advance(4.75)
    assert peer.events[-1].name == "opened"
    peer.advance(0.75)
    assert peer.events[-1].name == "cut"
    assert peer.events[-1].fields["option"] == "idle"


def test_a_peer_that_does_not_read_is_cut() -> None:
    """What waits for it is bounded."""
    peer = connect(POLICY, Echo)
    peer.takes(0)
    peer.feed(bytes(256 * 1024))
    assert not peer.lost
    peer.feed(b"x")
    assert peer.events[-1].fields["option"] == "max-queue"


# mypy: disable-error-code="import-not-found"
