"""What is promised of IdleTimeout: silence ends a connection, and nothing else does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from netguard.errors import Idle
from netguard.guards.idle_timeout import IdleTimeout

if TYPE_CHECKING:
    from tests.guards.conftest import Service


@pytest.mark.parametrize("silence", [0.1, 1.0, 10.0])
def test_a_silent_peer_is_cut_within_a_tick_and_never_early(service: type[Service], silence: float) -> None:
    """The reason names the option, the limit and how long it was."""
    house = service(IdleTimeout(silence))
    peer = house.connect()
    assert silence <= house.end_of(peer, silence + 1) <= silence + 0.25 + 0.06
    why = peer.why(Idle)
    assert why.limit == silence
    assert silence <= why.observed <= silence + 0.3
    assert peer.wire.aborted


def test_every_byte_that_comes_begins_the_silence_anew(service: type[Service]) -> None:
    """One byte, just inside the limit, is enough, for as long as one likes."""
    house = service(IdleTimeout(10))
    peer = house.connect()
    for _ in range(100):
        house.wait(9.9)
        peer.sends(b"x")
    assert peer.reason is None
    last = house.now
    assert 10 <= house.end_of(peer, 11) - last <= 10.31


def test_what_the_application_writes_is_no_activity(service: type[Service]) -> None:
    """Whoever takes nothing is silent, however much is written to it."""
    house = service(IdleTimeout(10))
    peer = house.connect()
    for _ in range(30):
        peer.is_sent(b"x" * 1000)
        house.wait(0.5)
    assert peer.why(Idle)


def test_a_peer_that_only_downloads_is_not_idle_while_it_takes_bytes(service: type[Service]) -> None:
    """One byte taken now and then, from a queue that stays full; but when it takes no more, it is idle."""
    house = service(IdleTimeout(10))
    peer = house.connect()
    peer.is_sent(b"x" * 10_000)
    for _ in range(50):
        house.wait(9)
        peer.takes(1)
    assert peer.reason is None
    last = house.now
    assert 10 <= house.end_of(peer, 11) - last <= 10.6
    assert peer.why(Idle)


def test_a_peer_that_takes_all_of_a_short_answer_is_active(service: type[Service]) -> None:
    """Also when it was taken between two looks."""
    house = service(IdleTimeout(10))
    peer = house.connect()
    house.wait(9)
    peer.is_sent(b"x")
    peer.takes()
    house.wait(9)
    assert peer.reason is None


def test_nobody_is_silent_while_nobody_listens(service: type[Service]) -> None:
    """While the application has paused the reading, and owes its peer nothing, the peer cannot speak."""
    house = service(IdleTimeout(10))
    peer = house.connect()
    transport: Any = peer.app.transport
    transport.pauseProducing()
    house.wait(100)
    assert peer.reason is None
    transport.resumeProducing()
    last = house.now
    assert 10 <= house.end_of(peer, 11) - last <= 10.31


def test_observing_says_once_what_it_would_have_done(service: type[Service], logged: Any) -> None:
    """And does nothing."""
    house = service(IdleTimeout(10, observe=True))
    peer = house.connect()
    house.wait(100)
    assert peer.reason is None
    assert not peer.wire.aborted
    (event,) = logged.named("would_cut")
    assert (event["guard"], event["option"], event["limit"]) == ("IdleTimeout", "idle", "10s")
