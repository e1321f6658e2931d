"""What is promised of WriteStall: a peer that takes nothing of what waits for it is cut, by abort."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectionLost

from netguard.errors import WriteStalled
from netguard.guards.write_stall import WriteStall

if TYPE_CHECKING:
    from tests.guards.conftest import Service


def test_a_peer_that_takes_nothing_is_cut_and_never_early(service: type[Service]) -> None:
    """However much it sends, and however often the application writes more."""
    house = service(WriteStall(10))
    peer = house.connect()
    peer.is_sent(b"x" * 20_000_000)
    while peer.reason is None:
        peer.sends(b"more")
        peer.is_sent(b"y")
        house.wait(0.05)
    assert 10 <= house.now <= 10.6  # what waits is seen within one tick, its limit within another
    why = peer.why(WriteStalled)
    assert why.limit == 10
    assert 10 <= why.observed <= 10.31
    assert peer.wire.aborted


def test_a_polite_close_does_not_save_the_peer(service: type[Service]) -> None:
    """``loseConnection`` waits for the queue, and so for ever; this does not."""
    house = service(WriteStall(10))
    peer = house.connect()
    peer.is_sent(b"x" * 1000)
    assert peer.app.transport is not None
    peer.app.transport.loseConnection()
    house.end_of(peer, 11)
    assert peer.why(WriteStalled)


def test_one_byte_taken_just_inside_the_limit_is_enough(service: type[Service]) -> None:
    """Progress is progress; how fast it is, MinimumRate says."""
    house = service(WriteStall(10))
    peer = house.connect()
    peer.is_sent(b"x" * 1000)
    for _ in range(50):
        house.wait(9.7)
        peer.takes(1)
    assert peer.reason is None


def test_a_peer_that_has_taken_everything_may_rest(service: type[Service]) -> None:
    """No write, no stall; and the next write has the whole limit again."""
    house = service(WriteStall(10))
    peer = house.connect()
    peer.is_sent(b"x" * 1000)
    peer.takes()
    house.wait(100)
    assert peer.reason is None
    peer.is_sent(b"x")
    last = house.now
    assert 10 <= house.end_of(peer, 12) - last <= 10.6


def test_observing_says_once_what_it_would_have_done(service: type[Service], logged: Any) -> None:
    """And does nothing."""
    house = service(WriteStall(10, observe=True))
    peer = house.connect()
    peer.is_sent(b"x")
    house.wait(100)
    assert peer.reason is None
    (event,) = logged.named("would_cut")
    assert (event["guard"], event["option"], event["limit"]) == ("WriteStall", "write-stall", "10s")


def test_the_kernel_stands_behind_it(service: type[Service]) -> None:
    """At twice the time, so that it is never the first; where the guard only observes, it has nobody ended."""
    assert service(WriteStall(10)).factory.service.given_up_after == 20
    assert service(WriteStall(10, observe=True)).factory.service.given_up_after == float("inf")


def test_one_that_the_kernel_gives_up_is_told_for_what_it_is(service: type[Service]) -> None:
    """We were busy for longer than both limits, and hear that it is lost before we look for ourselves."""
    for seconds, kind in ((3, ConnectionLost), (30, WriteStalled)):
        house = service(WriteStall(10))
        peer = house.connect()
        peer.is_sent(b"x" * 1000)
        house.wait(5)
        house.clock.callLater(0.01, peer.wire.lost, ConnectionLost())
        house.clock.advance(seconds)
        assert type(peer.reason) is kind
    assert (peer.reason.limit, peer.reason.observed) == (10, 34.75)
