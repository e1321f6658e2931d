"""What is promised of Lifetime: everything ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netguard.application import settle
from netguard.errors import LifetimeOver
from netguard.guards.lifetime import Lifetime

if TYPE_CHECKING:
    from tests.guards.conftest import Service


def test_the_busiest_connection_is_cut_at_its_age_and_never_early(service: type[Service]) -> None:
    """Whatever it does."""
    house = service(Lifetime(10))
    peer = house.connect()
    settle(peer.app.transport)
    while peer.reason is None:
        peer.sends(b"x")
        peer.is_sent(b"y")
        peer.takes()
        house.wait(0.05)
    assert 10 <= house.now <= 10.31
    why = peer.why(LifetimeOver)
    assert why.limit == 10
    assert 10 <= why.observed <= 10.31


def test_each_connection_has_its_own_age(service: type[Service]) -> None:
    """It begins when the connection does."""
    house = service(Lifetime(10))
    first = house.connect()
    house.wait(5)
    second = house.connect()
    house.end_of(first, 6)
    assert second.reason is None
    assert 15 <= house.end_of(second, 6) <= 15.31


def test_observing_says_once_what_it_would_have_done(service: type[Service], logged: Any) -> None:
    """And does nothing."""
    house = service(Lifetime(10, observe=True))
    peer = house.connect()
    house.wait(100)
    assert peer.reason is None
    (event,) = logged.named("would_cut")
    assert (event["guard"], event["option"], event["limit"]) == ("Lifetime", "lifetime", "10s")
