"""What is promised of intervals: a connection without any shares what says so, and one at its end goes on."""

from __future__ import annotations

from typing import Any

from netguard.guards.lifetime import Lifetime
from netguard.intervals import NO_PAUSES, Handshake, Pauses
from netguard.testing import connect


def test_most_connections_have_none() -> None:
    """Of ten thousand that are idle, each would be some memory."""
    one, other = (connect(Lifetime("1h")).connection for _ in range(2))
    assert one is not None
    assert other is not None
    assert one._pauses is other._pauses is NO_PAUSES == Pauses()
    assert one.handshake is other.handshake is None
    one.pause("somebody")
    assert one.pauses == frozenset([("somebody", "in")])
    assert not one.listening
    one.resume("somebody")
    assert one._pauses is NO_PAUSES


def test_the_handshake_at_the_end_is_not_over_with_the_one_at_the_beginning() -> None:
    """An application may close before the first is over: the peer's consent is waited for all the same."""
    peer = connect(Lifetime("1h"))
    found: Any = peer.connection
    found.secure()
    assert found.handshake == Handshake(found.now)
    found.handshaken()
    assert found.handshaking is None
    found.handshake = Handshake(found.now, parting=True)
    peer.advance(2)
    found.handshaken()
    assert found.parting
    assert found.handshake.since == found.now - 2
