"""What is promised of time limits while a service is strained: a tenth for peers that are not settled, none for others.

The reason names the limit that was in force, so that a log is not a riddle.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from netguard.errors import (
    HandshakeTooSlow,
    Idle,
    LifetimeOver,
    LoginTooSlow,
    NoFirstByte,
    ReceivingTooSlow,
    SendingTooSlow,
    WriteStalled,
)
from netguard.guards.bandwidth import Bandwidth
from netguard.guards.first_byte_timeout import FirstByteTimeout
from netguard.guards.handshake_timeout import HandshakeTimeout
from netguard.guards.idle_timeout import IdleTimeout
from netguard.guards.lifetime import Lifetime
from netguard.guards.login_timeout import LoginTimeout
from netguard.guards.minimum_rate import MinimumRate
from netguard.guards.write_stall import WriteStall

if TYPE_CHECKING:
    from netguard.guard import Guard
    from tests.guards.conftest import Peer, Service


def _nothing(_: Peer) -> None:
    pass


def _has_something_to_take(peer: Peer) -> None:
    peer.is_sent(b"x")


def _has_begun(peer: Peer) -> None:
    peer.sends(b"x")


def _shakes_hands(peer: Peer) -> None:
    peer.connection.secure()


def _settles(peer: Peer) -> None:
    peer.connection.settle()


LIMITS: list[tuple[Guard, Any, Any]] = [
    (IdleTimeout("30s"), _nothing, Idle),
    (FirstByteTimeout("30s"), _nothing, NoFirstByte),
    (LoginTimeout("30s"), _nothing, LoginTooSlow),
    (HandshakeTimeout("30s"), _shakes_hands, HandshakeTooSlow),
    (WriteStall("30s"), _has_something_to_take, WriteStalled),
]


@pytest.mark.parametrize(("guard", "does", "kind"), LIMITS)
def test_a_newcomer_has_a_tenth_of_the_time(service: type[Service], guard: Guard, does: Any, kind: Any) -> None:
    """Not less; and the reason names the limit that it had."""
    house = service(guard)
    house.factory.service.tighten(0.1)
    peer = house.connect()
    does(peer)
    assert 3.0 <= house.end_of(peer, 4) <= 3.6
    assert peer.why(kind).limit == 3
    assert "limit 3s" in str(peer.why(kind))


@pytest.mark.parametrize(("guard", "does", "kind"), LIMITS)
def test_who_is_there_already_has_no_more_than_that_either(
    service: type[Service], guard: Guard, does: Any, kind: Any
) -> None:
    """Who has used up more than a tenth goes at once."""
    house = service(guard)
    peer = house.connect()
    does(peer)
    house.wait(10)
    house.factory.service.tighten(0.1)
    assert house.end_of(peer, 2) <= 10.6
    assert peer.why(kind).limit == 3


@pytest.mark.parametrize(("guard", "does", "kind"), LIMITS)
def test_afterwards_all_have_their_time_again(service: type[Service], guard: Guard, does: Any, kind: Any) -> None:
    """As if nothing had been."""
    house = service(guard)
    house.factory.service.tighten(0.1)
    peer = house.connect()
    does(peer)
    house.wait(1)
    house.factory.service.tighten(1.0)
    assert 29.5 <= house.end_of(peer, 40) <= 31
    assert peer.why(kind).limit == 30


@pytest.mark.parametrize(("guard", "does", "kind"), LIMITS)
def test_who_is_settled_is_left_alone(service: type[Service], guard: Guard, does: Any, kind: Any) -> None:
    """All of its time is its own, however strained the service is; a login it has had."""
    house = service(guard)
    peer = house.connect()
    does(peer)
    _settles(peer)
    house.factory.service.tighten(0.1)
    house.wait(29)
    assert peer.reason is None
    if kind is not LoginTooSlow:
        assert 29.5 <= house.end_of(peer, 3) <= 31
        assert peer.why(kind).limit == 30


def test_a_handshake_that_begins_later_is_held_to_it_too(service: type[Service]) -> None:
    """As STLS does, long after the connection was made and also after the strain began."""
    house = service(HandshakeTimeout("30s"))
    peer = house.connect()
    house.wait(35)
    house.factory.service.tighten(0.1)
    house.wait(4)
    _shakes_hands(peer)
    assert 42.0 <= house.end_of(peer, 10) <= 42.6
    assert peer.why(HandshakeTooSlow).limit == 3


@pytest.mark.parametrize(
    ("guard", "does", "kind"),
    [
        (MinimumRate(received="1000B/s", grace="20s"), _has_begun, ReceivingTooSlow),
        (MinimumRate(sent="1000B/s", grace="20s"), _has_something_to_take, SendingTooSlow),
    ],
)
def test_the_grace_of_a_minimum_rate_is_a_tenth_and_the_rate_what_it_was(
    service: type[Service], guard: Guard, does: Any, kind: Any
) -> None:
    """Also for an exchange that has begun before."""
    house = service(guard)
    peer = house.connect()
    does(peer)
    house.wait(15)
    house.factory.service.tighten(0.1)
    assert house.end_of(peer, 2) <= 15.6
    assert peer.why(kind).limit == 1000
    late = house.connect()
    does(late)
    assert 17 <= house.end_of(late, 4) <= 18.1


def test_an_honest_rate_is_enough_in_a_strain_too(service: type[Service]) -> None:
    """A peer that brings what it has to bring is not cut."""
    house = service(MinimumRate(received="1000B/s", grace="20s"))
    house.factory.service.tighten(0.1)
    peer = house.connect()
    for _ in range(100):
        peer.sends(b"x" * 600)
        house.wait(0.5)
    assert peer.reason is None


def test_a_lifetime_is_what_it_was(service: type[Service]) -> None:
    """It ends nobody for being slow; where applications settle nobody, a tenth of it would end those at work."""
    house = service(Lifetime("100s"))
    before = house.connect()
    house.wait(50)
    house.factory.service.tighten(0.1)
    later = house.connect()
    assert 99.9 <= house.end_of(before, 60) <= 100.6
    assert before.why(LifetimeOver).limit == 100
    house.factory.service.tighten(1.0)
    assert 149.9 <= house.end_of(later, 60) <= 150.6


def test_a_bandwidth_is_what_it_was(service: type[Service]) -> None:
    """It is no time limit."""
    house = service(Bandwidth(received="1000B/s"))
    house.factory.service.tighten(0.1)
    peer = house.connect()
    while house.now < 20:
        if not peer.is_paused():
            peer.sends(b"x" * 100)
        house.wait(0.05)
    assert 19_000 <= len(peer.app.got) <= 22_000
