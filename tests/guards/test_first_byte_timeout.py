"""What is promised of FirstByteTimeout: who never says a word is cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netguard.errors import NoFirstByte
from netguard.guards.first_byte_timeout import FirstByteTimeout

if TYPE_CHECKING:
    from tests.guards.conftest import Service


def test_a_peer_that_says_nothing_is_cut_within_a_tick_and_never_early(service: type[Service]) -> None:
    """Whatever it takes meanwhile."""
    house = service(FirstByteTimeout(10))
    peer = house.connect()
    peer.is_sent(b"welcome")
    peer.takes()
    assert 10 <= house.end_of(peer, 11) <= 10.31
    why = peer.why(NoFirstByte)
    assert why.limit == 10
    assert 10 <= why.observed <= 10.31


def test_one_byte_at_the_last_moment_is_a_word(service: type[Service]) -> None:
    """After it, this guard has nothing more to say."""
    house = service(FirstByteTimeout(10))
    peer = house.connect()
    house.wait(9.99)
    peer.sends(b"x")
    house.wait(100)
    assert peer.reason is None


def test_observing_says_once_what_it_would_have_done(service: type[Service], logged: Any) -> None:
    """And does nothing."""
    house = service(FirstByteTimeout(10, observe=True))
    peer = house.connect()
    house.wait(100)
    assert peer.reason is None
    (event,) = logged.named("would_cut")
    assert (event["guard"], event["option"], event["limit"]) == ("FirstByteTimeout", "first-byte", "10s")
