"""What is promised of MinimumRate: who drags out an exchange is cut, who thinks between exchanges is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from netguard.errors import ReceivingTooSlow, SendingTooSlow
from netguard.guards.minimum_rate import MinimumRate

if TYPE_CHECKING:
    from tests.guards.conftest import Peer, Service


def _trickles(house: Service, peer: Peer, seconds: float, count: int, every: float = 1.0) -> None:
    """Some bytes each second, until it is cut or the time is over."""
    end = house.now + seconds
    while house.now < end and peer.reason is None:
        peer.sends(b"x" * count)
        house.wait(every)


def test_a_trickler_is_cut_soon_after_the_grace(service: type[Service]) -> None:
    """One byte a second is no conversation; each byte earns only the time it takes at the minimum rate."""
    house = service(MinimumRate(received=500))
    peer = house.connect()
    _trickles(house, peer, 60, 1)
    assert 10 <= house.now <= 11.5
    why = peer.why(ReceivingTooSlow)
    assert why.limit == 500
    assert 0.5 <= why.observed <= 2


@pytest.mark.parametrize("begins", [0, 4, 9.9, 10.1, 300])
def test_an_exchange_has_its_grace_whenever_it_begins(service: type[Service], begins: float) -> None:
    """Never early, and within a tick after its moment (another passes until it is seen)."""
    house = service(MinimumRate(received=100, grace=20))
    peer = house.connect()
    house.wait(begins)
    peer.sends(b"x" * 100)  # earns one second
    assert 21 <= house.end_of(peer, 23) - begins <= 21.6


def test_just_the_minimum_rate_is_enough_for_ever(service: type[Service]) -> None:
    """And a little less is not."""
    house = service(MinimumRate(received=100))
    peer, slower = house.connect(), house.connect()
    for _ in range(600):
        peer.sends(b"x" * 100)
        if slower.reason is None:
            slower.sends(b"x" * 90)
        house.wait(1)
    assert peer.reason is None
    assert 80 <= slower.why(ReceivingTooSlow).observed <= 100


def test_between_exchanges_no_time_runs(service: type[Service]) -> None:
    """A peer that was answered may think for as long as other limits allow; its next exchange starts anew."""
    house = service(MinimumRate(received=100))
    peer = house.connect()
    for _ in range(5):
        peer.sends(b"x")
        house.wait(9.5)
        peer.is_sent(b"answer")
        peer.takes()
        house.wait(500)
    assert peer.reason is None


def test_a_long_credit_does_not_hide_the_next_exchange(service: type[Service]) -> None:
    """What one exchange earned by its many bytes is not the next one's."""
    house = service(MinimumRate(received=100))
    peer = house.connect()
    peer.sends(b"x" * 1_000_000)
    house.wait(11)  # looked at while there was credit for hours
    peer.is_sent(b"answer")
    house.wait(1)
    last = house.now
    peer.sends(b"x")
    assert 10 <= house.end_of(peer, 12) - last <= 10.6
    assert peer.why(ReceivingTooSlow)


def test_a_peer_that_reads_too_slowly_is_cut(service: type[Service]) -> None:
    """However much is written after; taking one byte a second is not enough."""
    house = service(MinimumRate(sent=100))
    peer = house.connect()
    peer.is_sent(b"x" * 20_000_000)
    while peer.reason is None and house.now < 60:
        peer.takes(1)
        peer.is_sent(b"y")
        house.wait(1)
    assert 10 <= house.now <= 11.6
    why = peer.why(SendingTooSlow)
    assert why.limit == 100
    assert 0.5 <= why.observed <= 2


def test_a_peer_that_reads_just_fast_enough_is_left_alone(service: type[Service]) -> None:
    """For as long as there is something to read."""
    house = service(MinimumRate(sent=100))
    peer = house.connect()
    peer.is_sent(b"x" * 100_000)
    for _ in range(900):
        house.wait(1)
        peer.takes(100)
    assert peer.reason is None


def test_a_long_credit_of_reading_does_not_hide_the_next_answer(service: type[Service]) -> None:
    """Whoever took much quickly has no more time for what comes later."""
    house = service(MinimumRate(sent=100))
    peer = house.connect()
    peer.is_sent(b"x" * 1_000_001)
    house.wait(1)
    peer.takes(1_000_000)
    house.wait(11)
    peer.takes()
    house.wait(1)
    peer.is_sent(b"x")
    last = house.now
    assert 10 <= house.end_of(peer, 12) - last <= 10.6


def test_one_direction_has_no_say_in_the_other(service: type[Service]) -> None:
    """Only what is asked for is judged."""
    house = service(MinimumRate(sent=100))
    peer = house.connect()
    _trickles(house, peer, 60, 1)
    assert peer.reason is None
    house = service(MinimumRate(received=100))
    peer = house.connect()
    peer.is_sent(b"x" * 1000)
    house.wait(60)
    assert peer.reason is None


@pytest.mark.parametrize(("way", "option"), [("received", "min-rate-in"), ("sent", "min-rate-out")])
def test_observing_says_once_what_it_would_have_done(
    service: type[Service], logged: Any, way: str, option: str
) -> None:
    """And does nothing."""
    house = service(MinimumRate(observe=True, **{way: 100}))
    peer = house.connect()
    peer.sends(b"x")
    peer.is_sent(b"y")
    _trickles(house, peer, 100, 1)
    assert peer.reason is None
    (event,) = logged.named("would_cut")
    assert (event["guard"], event["option"], event["limit"]) == ("MinimumRate", option, "100B/s")
