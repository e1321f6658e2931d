"""What is promised of all guards at once: bad peers are cut in time, and an honest slow one survives for an hour."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from netguard.application import settle
from netguard.errors import Idle, ItemTooLong, NoFirstByte, QueueTooLong, ReceivingTooSlow, TooMuchReceived
from netguard.guards.ident import Ident
from netguard.guards.verified_name import VerifiedName
from netguard.options import options_of
from netguard.policy import CATALOGUE, Policy, defaults, flags

if TYPE_CHECKING:
    from tests.guards.conftest import Peer, Service

EVERYTHING = {
    **defaults("guard"),
    **defaults("pop"),
    "min-rate-in": 100,
    "min-rate-out": 100,
    "max-in": "1MiB",
    "max-out": "10MiB",
    "rate-in": "10KiB",
    "rate-out": "10KiB",
    "connect-rate": "100/s",
    "connect-rate-per-peer": "10/s",
    "idle": "60s",
    "write-stall": "30s",
    "lifetime": "2h",
    "refusal": "reset",
    "shed-limit": "adaptive",
    "transport": "native",
    "proxy-from": "203.0.113.0/24",
    "rules": "deny 203.0.113.0/24,allow ALL",
    "access": str(Path(__file__).parent.parent / "everybody.rules"),
    "privileged-port": "allow",
}
ASKING = {Ident, VerifiedName}
"""Those that ask servers elsewhere, of whom there are none on a clock."""
HOUR = 3600.0


@pytest.fixture
def house(service: type[Service]) -> Service:
    """A service with every guard of the catalogue on."""
    policy = Policy.from_options(EVERYTHING)
    assert [type(each) for each in policy.guards] == [each for each in CATALOGUE if each not in ASKING]
    asking = {one.flag for each in ASKING for one in options_of(each)}
    deciding = {flag for flag, ones in flags().items() if not ones[0].qualifies}
    assert deciding - asking <= set(policy.options())
    return service(*policy.guards)


def _speaks(house: Service, peer: Peer, line: bytes) -> None:
    """A line at twice the minimum rate, in pieces; then our answer, which is read as slowly as allowed."""
    for at in range(0, len(line), 20):
        peer.sends(line[at : at + 20])
        house.wait(0.1)


def _reads(house: Service, peer: Peer) -> None:
    """Just as fast as the minimum rate for outgoing bytes."""
    while peer.connection.queued:
        house.wait(1)
        peer.takes(100)


def test_an_honest_slow_peer_survives_for_an_hour(house: Service, logged: Any) -> None:
    """Twice the minimum rate, pauses just shorter than the idle limit, reading as slowly as is allowed."""
    peer = house.connect()
    house.wait(29)
    _speaks(house, peer, b"USER " + b"x" * 500 + b"\r\n")
    peer.is_sent(b"+OK\r\n")
    _reads(house, peer)
    settle(peer.app.transport)
    rounds = 0
    while house.now < HOUR:
        house.wait(59)
        _speaks(house, peer, b"RETR " + b"9" * 400 + b"\r\n")
        peer.is_sent(b"+" * 5000)
        _reads(house, peer)
        rounds += 1
    assert peer.reason is None
    assert not peer.wire.aborted
    assert len(peer.wire.taken) == rounds * 5000 + 5
    assert not [each for each in logged.events if each["event"] in {"cut", "refused", "error"}]


def test_an_honest_downloader_survives_for_an_hour(house: Service) -> None:
    """Who asks once and then only takes, at the minimum rate, is neither idle nor stalled nor silent."""
    peer = house.connect()
    peer.sends(b"RETR 1\r\n")
    settle(peer.app.transport)
    peer.is_sent(b"x" * 400_000)
    while house.now < HOUR:
        house.wait(1)
        peer.takes(100)
    assert peer.reason is None
    assert len(peer.wire.taken) == 360_000


def test_an_honest_peer_that_takes_in_gulps_survives_for_an_hour(house: Service) -> None:
    """Nothing for most of the stall limit, then what it owes."""
    peer = house.connect()
    peer.sends(b"RETR 1\r\n")
    settle(peer.app.transport)
    peer.is_sent(b"x" * 400_000)
    peer.takes(2000)
    while house.now < HOUR:
        house.wait(9.5)
        peer.takes(1000)
    assert peer.reason is None


def test_a_silent_peer_is_cut_in_time(house: Service) -> None:
    """By the first limit that it meets."""
    peer = house.connect()
    assert 60 <= house.end_of(peer, 61, 0.25) <= 60.6
    assert type(peer.reason) in {NoFirstByte, Idle}


def test_a_trickler_is_cut_in_time(house: Service) -> None:
    """One byte a second."""
    peer = house.connect()
    while peer.reason is None and house.now < 60:
        peer.sends(b"x")
        house.wait(1)
    assert peer.why(ReceivingTooSlow)
    assert 10 <= house.now <= 12


def test_an_endless_line_is_cut_in_time(house: Service) -> None:
    """As fast as it likes, or as it may."""
    peer = house.connect()
    sent = 0
    while peer.reason is None and house.now < 60:
        if not peer.is_paused():
            peer.sends(b"x" * 1000)
            sent += 1000
        house.wait(0.01)
    assert peer.why(ItemTooLong)
    assert sent <= 17_000


def test_an_endless_stream_is_cut_in_time(house: Service) -> None:
    """Of the shortest lines, as fast as the bandwidth allows, answered all the time."""
    peer = house.connect()
    settle(peer.app.transport)
    while peer.reason is None and house.now < 200:
        if not peer.is_paused():
            peer.sends(b"\n" * 1000)
            peer.is_sent(b"+")
            peer.takes()
        house.wait(0.05)
    assert peer.why(TooMuchReceived)
    assert 100 <= house.now <= 104
    assert len(peer.app.got) <= 2**20


def test_a_non_reader_with_twenty_megabytes_queued_is_cut_at_once(house: Service) -> None:
    """So much must not even be kept."""
    peer = house.connect()
    peer.is_sent(b"x" * 20_000_000)
    house.wait(0)
    assert peer.why(QueueTooLong)


def test_a_non_reader_is_cut_in_time(house: Service) -> None:
    """By the first limit that it meets, though we hold most of it back ourselves."""
    peer = house.connect()
    peer.sends(b"RETR 1\r\n")
    settle(peer.app.transport)
    peer.is_sent(b"x" * 1_000_000)
    assert 10 <= house.end_of(peer, 31) <= 31
    assert peer.reason.option in {"min-rate-out", "write-stall"}
    assert peer.wire.aborted
