"""What is promised of LoginTimeout: who is not past its login in time is cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netguard.application import settle
from netguard.errors import LoginTooSlow
from netguard.guards.login_timeout import LoginTimeout

if TYPE_CHECKING:
    from tests.guards.conftest import Service


def test_a_peer_that_only_talks_is_cut_within_a_tick_and_never_early(service: type[Service]) -> None:
    """Activity is no login."""
    house = service(LoginTimeout(10))
    peer = house.connect()
    while house.now < 9.9:
        peer.sends(b"x")
        house.wait(0.1)
    assert 10 <= house.end_of(peer, 2) <= 10.31
    why = peer.why(LoginTooSlow)
    assert why.limit == 10
    assert 10 <= why.observed <= 10.31


def test_a_login_at_the_last_moment_is_one(service: type[Service]) -> None:
    """After it, this guard has nothing more to say."""
    house = service(LoginTimeout(10))
    peer = house.connect()
    house.wait(9.99)
    settle(peer.app.transport)
    house.wait(100)
    assert peer.reason is None


def test_observing_says_once_what_it_would_have_done(service: type[Service], logged: Any) -> None:
    """And does nothing."""
    house = service(LoginTimeout(10, observe=True))
    peer = house.connect()
    house.wait(100)
    assert peer.reason is None
    (event,) = logged.named("would_cut")
    assert (event["guard"], event["option"], event["limit"]) == ("LoginTimeout", "login", "10s")
