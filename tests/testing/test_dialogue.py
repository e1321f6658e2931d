"""Tests for netguard.testing.dialogue."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from twisted.internet.address import IPv6Address
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from netguard.errors import Idle
from netguard.events import emit
from netguard.guards.connection_limit import ConnectionLimit
from netguard.guards.idle_timeout import IdleTimeout
from netguard.guards.lifetime import Lifetime
from netguard.policy import Policy
from netguard.testing import Application, Echo, HalfCloseable, connect


def test_a_peer_talks_to_an_echo_unless_told_otherwise() -> None:
    """And everything of the connection can be looked at."""
    peer = connect(IdleTimeout("5s"))
    peer.feed(b"hello")
    assert peer.taken == b"hello"
    assert isinstance(peer.application, Echo)
    assert peer.connection is not None
    assert peer.connection.received == 5
    assert not peer.lost
    assert not peer.refused


@pytest.mark.parametrize(
    ("split", "pieces"),
    [
        (None, [b"abcdef"]),
        (1, [b"a", b"b", b"c", b"d", b"e", b"f"]),
        (4, [b"abcd", b"ef"]),
        ([2, 5], [b"ab", b"cde", b"f"]),
        ([5, 2, 2, 0, 6, 99], [b"ab", b"cde", b"f"]),
    ],
)
def test_bytes_are_fed_in_any_pieces(split: Any, pieces: list[bytes]) -> None:
    """Each is read by itself."""
    peer = connect(Lifetime("1h"), Application)
    peer.feed(b"abcdef", split=split)
    assert [each[1] for each in peer.application.calls[1:]] == pieces


def test_time_passes_in_ticks() -> None:
    """So that deadlines fire as they do in a reactor."""
    peer = connect(IdleTimeout("5s"))
    peer.advance(4.9)
    assert not peer.lost
    peer.advance(0.2)
    assert type(peer.application.reason) is Idle
    assert peer.clock.seconds() == pytest.approx(5.1)


def test_a_factory_or_a_class_makes_the_application() -> None:
    """With whatever address the peer has."""
    address = IPv6Address("TCP", "2001:db8::1", 5)
    for application in (HalfCloseable, Factory.forProtocol(HalfCloseable)):
        peer = connect(Policy(Lifetime("1h")), application, address=address)
        assert isinstance(peer.application, HalfCloseable)
        assert peer.application.transport is not None
        assert peer.application.transport.getPeer() == address


def test_a_second_connection_shares_the_factory() -> None:
    """And its clock; each hears of its own events."""
    clock = Clock()
    first = connect(ConnectionLimit(total=2), clock=clock)
    second = connect(first.factory)
    third = connect(first.factory)
    assert first.clock is second.clock is clock
    assert [each.name for each in first.events] == ["accepted", "opened"]
    assert [each.name for each in third.events] == ["refused"]
    second.vanish()
    assert [each.name for each in second.events] == ["accepted", "opened", "closed"]
    assert len(first.events) == 2


def test_a_refused_peer_can_do_nothing() -> None:
    """The kit says why."""
    first = connect(ConnectionLimit(total=1))
    refused = connect(first.factory)
    assert refused.refused
    assert refused.lost
    for act in (lambda: refused.feed(b"x"), refused.finish, refused.vanish, lambda: refused.takes(1)):
        with pytest.raises(AssertionError, match="the connection was refused: refused client"):
            act()
    refused.events.clear()
    with pytest.raises(AssertionError, match="without an event"):
        _ = refused.taken


def test_the_peer_closes_resets_and_reads_as_it_is_told() -> None:
    """FIN, RST, and so many bytes."""
    peer = connect(Lifetime("1h"), HalfCloseable)
    peer.takes(2)
    peer.application.transport.write(b"abc")
    peer.finish()
    assert (peer.taken, peer.lost) == (b"ab", False)
    peer.vanish()
    assert peer.lost


def test_a_dialogue_that_is_over_hears_nothing() -> None:
    """It leaves no observer behind, and is not kept alive."""
    connect(Lifetime("1h"))
    gc.collect()
    before = len(globalLogPublisher._observers)
    peer: Any = connect(Lifetime("1h"))
    held = weakref.ref(peer)
    peer.vanish()
    del peer
    gc.collect()
    assert held() is None
    assert len(globalLogPublisher._observers) == before


def test_a_dialogue_that_goes_in_the_middle_of_an_event_hides_it_from_nobody(logged: Any) -> None:
    """The garbage collector comes when it likes: also while the observers are told, one after the other."""
    peers: list[Any] = [connect(Lifetime("1h"))]
    after: list[Any] = []

    def forget(event: Any) -> None:
        peers.clear()
        gc.collect()

    try:
        globalLogPublisher.addObserver(forget)  # type: ignore[arg-type]
        globalLogPublisher.addObserver(after.append)  # type: ignore[arg-type]
        emit("settled", {"session": 0})
    finally:
        globalLogPublisher.removeObserver(forget)  # type: ignore[arg-type]
        globalLogPublisher.removeObserver(after.append)  # type: ignore[arg-type]
    assert len(after) == len(logged.named("settled")) == 1
