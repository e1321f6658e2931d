"""What is promised of ConnectionRate: it recovers by itself, its table is bounded, a flood hurts only its sender."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from twisted.internet.address import UNIXAddress

from netguard.errors import ConnectingTooFast, PeerConnectingTooFast
from netguard.guards import connection_rate
from netguard.guards.connection_rate import MOST_PEERS, Arrivals, ConnectionRate
from netguard.peer import Caller
from netguard.units import Frequency

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.guards.conftest import Service


def _let_in(house: Service, count: int, host: str | None = "192.0.2.1") -> int:
    return sum(house.knock(host) is not None for _ in range(count))


@pytest.mark.parametrize("start", [0.0, 1.8e9])
@pytest.mark.parametrize(("rate", "period"), [("10/s", 1), ("600/min", 60), ("7/h", 3600), ("1/s", 1), ("3/10s", 10)])
@pytest.mark.parametrize("field", ["total", "per_peer"])
def test_exactly_as_many_as_the_rate_may_come_at_once(
    service: type[Service], field: str, rate: str, period: float, start: float
) -> None:
    """Then one for each share of the period that passes; after a period of rest all may come again."""
    house = service(ConnectionRate(**{field: rate}), start=start)
    events = int(rate.partition("/")[0])
    assert _let_in(house, events + 5) == events
    house.clock.advance(period / events * 0.9)
    assert _let_in(house, 3) == 0
    house.clock.advance(period / events * 0.11)
    assert _let_in(house, 3) == 1
    house.clock.advance(period * 1.01)
    assert _let_in(house, events + 5) == events


@pytest.mark.parametrize("field", ["total", "per_peer"])
def test_the_average_is_kept_and_refusals_use_nothing_up(service: type[Service], field: str) -> None:
    """However hard one knocks, the rate comes in: no more, and no less."""
    house = service(ConnectionRate(**{field: "10/s"}))
    let_in = 0
    for _ in range(6000):
        let_in += _let_in(house, 3)
        house.clock.advance(0.01)
    assert 600 <= let_in <= 611


def test_a_peer_that_floods_does_not_use_up_what_others_may(service: type[Service]) -> None:
    """What is refused for its peer's sake does not count for the total."""
    house = service(ConnectionRate(total="20/s", per_peer="5/s"))
    assert _let_in(house, 1000, "192.0.2.1") == 5
    assert _let_in(house, 5, "192.0.2.2") == 5
    assert _let_in(house, 1000, "192.0.2.3") == 5


def test_what_is_refused_for_all_does_not_count_for_the_peer(service: type[Service]) -> None:
    """Once there is room again, a peer has all of its own allowance."""
    house = service(ConnectionRate(total="5/s", per_peer="3/min"))
    assert _let_in(house, 5, "192.0.2.1") == 3
    assert _let_in(house, 5, "192.0.2.2") == 2
    assert _let_in(house, 100, "192.0.2.3") == 0
    house.clock.advance(1)
    assert _let_in(house, 5, "192.0.2.3") == 3


@pytest.mark.parametrize(
    ("guard", "kind", "option"),
    [
        (ConnectionRate(total="2/min"), ConnectingTooFast, "connect-rate"),
        (ConnectionRate(per_peer="2/min"), PeerConnectingTooFast, "connect-rate-per-peer"),
        (ConnectionRate(total="2/min", per_peer="2/min"), ConnectingTooFast, "connect-rate"),
    ],
)
def test_the_refusal_names_what_would_have_to_change(
    service: type[Service], logged: Any, guard: ConnectionRate, kind: Any, option: str
) -> None:
    """The option, the limit as it was given, and one more than it."""
    house = service(guard)
    assert _let_in(house, 3) == 2
    (event,) = logged.named("refused")
    assert (event["guard"], event["option"]) == ("ConnectionRate", option)
    assert (event["limit"], event["observed"]) == ("2/min", "3/min")
    assert event["reason"] == str(kind(Frequency(2, 60), Frequency(3, 60)))


def test_peers_are_told_apart_by_prefix(service: type[Service]) -> None:
    """IPv6 by /64 unless told otherwise; IPv4-mapped ones are IPv4."""
    house = service(ConnectionRate(per_peer="1/h"))
    assert _let_in(house, 1, "2001:db8::1") == 1
    assert _let_in(house, 1, "2001:db8::2") == 0
    assert _let_in(house, 1, "2001:db8:0:1::1") == 1
    assert _let_in(house, 1, "192.0.2.1") == 1
    assert _let_in(house, 1, "::ffff:192.0.2.1") == 0
    house = service(ConnectionRate(per_peer="1/h", prefix="24,56"))
    assert _let_in(house, 1, "192.0.2.1") == 1
    assert _let_in(house, 1, "192.0.2.2") == 0


@pytest.mark.parametrize("address", [None, UNIXAddress(b"/run/x")])
def test_peers_without_an_address_have_only_the_total_rate(service: type[Service], address: Any) -> None:
    """They cannot be told apart."""
    house = service(ConnectionRate(total="5/s", per_peer="1/h"))
    assert _let_in(house, 10, address) == 5


def test_a_clock_that_leaps_ahead_only_makes_everything_whole(service: type[Service]) -> None:
    """By years; nobody is let in more often for it than the rate."""
    house = service(ConnectionRate(total="5/s", per_peer="5/s"))
    for _ in range(3):
        assert _let_in(house, 100) == 5
        house.clock.advance(1e9)
    house.clock.advance(1e15)
    assert _let_in(house, 100) >= 1


@pytest.mark.parametrize("field", ["total", "per_peer"])
def test_a_clock_that_is_set_back_locks_nobody_out(service: type[Service], field: str) -> None:
    """The reactor's clock is the machine's: an hour back must not be an hour of refusals."""
    house = service(ConnectionRate(**{field: "5/min"}), start=1e6)
    assert _let_in(house, 100) == 5
    house.clock.rightNow -= 3600
    assert _let_in(house, 100) == 5
    house.clock.rightNow -= 30
    house.clock.advance(120)
    assert _let_in(house, 100) == 5


def test_observing_says_once_a_connection_what_it_would_have_done(service: type[Service], logged: Any) -> None:
    """And lets everybody in; who would have been refused uses nothing up."""
    house = service(ConnectionRate(total="3/min", per_peer="2/min", observe=True))
    assert _let_in(house, 5, "192.0.2.1") == 5
    assert _let_in(house, 5, "192.0.2.2") == 5
    options = [each["option"] for each in logged.named("would_refuse")]
    assert options == ["connect-rate-per-peer"] * 3 + ["connect-rate"] * 4


# the table


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> list[Arrivals]:
    """What was remembered, by every ConnectionRate that was installed."""
    made: list[Arrivals] = []
    begin = Arrivals.__init__

    def remember(self: Arrivals, *given: Any) -> None:
        begin(self, *given)
        made.append(self)

    monkeypatch.setattr(Arrivals, "__init__", remember)
    return made


def _hosts(first: int, count: int) -> Iterator[str]:
    for number in range(first, first + count):
        yield f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::1"


def _knocks(table: Arrivals, host: str) -> None:
    """A connection as the guard sees it, without all the rest: a hundred thousand of them are made here."""
    caller: Any = Caller(host, 1, table.house.reactor.seconds())
    if table.are_many_of_one(caller) is None:
        table.come(caller)


def test_the_table_is_bounded_and_says_what_happens_when_it_is_full(
    service: type[Service], tables: list[Arrivals], logged: Any
) -> None:
    """Newcomers are let in by the total rate alone, those who are known are held to theirs; told once a minute."""
    house = service(ConnectionRate(per_peer="2/h"))
    (table,) = tables
    for host in _hosts(0, MOST_PEERS + 1000):
        _knocks(table, host)
    assert len(table.peers) == MOST_PEERS
    (event,) = logged.named("full")
    assert (event["guard"], event["option"], event["limit"]) == ("ConnectionRate", "connect-rate-per-peer", MOST_PEERS)
    assert "newcomers are held to connect-rate alone" in event["reason"]
    known, newcomer = next(_hosts(0, 1)), next(_hosts(MOST_PEERS, 1))
    assert _let_in(house, 5, known) == 1
    assert _let_in(house, 5, newcomer) == 5
    house.clock.advance(59.9)
    assert _let_in(house, 1, newcomer) == 1
    assert len(logged.named("full")) == 1
    house.clock.advance(0.2)
    assert _let_in(house, 3, newcomer) == 3
    assert len(logged.named("full")) == 2
    house.clock.rightNow -= 600  # set back: it must not be silent until it catches up
    assert _let_in(house, 1, newcomer) == 1
    assert len(logged.named("full")) == 3
    house.clock.rightNow -= 10_000
    for host in _hosts(200_000, 3):
        _knocks(table, host)
    house.clock.advance(20_000)
    assert _let_in(house, 5, newcomer) == 2  # there is room again
    assert len(table.peers) < MOST_PEERS


def test_who_is_whole_again_is_forgotten_one_by_one(
    service: type[Service], tables: list[Arrivals], monkeypatch: pytest.MonkeyPatch, logged: Any
) -> None:
    """Room is made from those who came longest ago; nobody is told that it is full while it is not."""
    monkeypatch.setattr(connection_rate, "MOST_PEERS", 100)
    house = service(ConnectionRate(per_peer="1/min"))
    (table,) = tables
    for host in _hosts(0, 1000):
        house.clock.advance(0.61)
        _knocks(table, host)
        assert len(table.peers) <= 100
    assert not logged.named("full")


def test_a_full_table_costs_little_memory(service: type[Service], tables: list[Arrivals]) -> None:
    """Less than 20 MB for all of it."""
    service(ConnectionRate(total="1000000/s", per_peer="2/h"))
    (table,) = tables
    tracemalloc.start()
    for host in _hosts(0, MOST_PEERS):
        _knocks(table, host)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(table.peers) == MOST_PEERS
    assert used < 20_000_000


def test_who_comes_again_does_not_keep_others_remembered(
    service: type[Service], monkeypatch: pytest.MonkeyPatch, logged: Any
) -> None:
    """The table is in the order of who was let in last."""
    monkeypatch.setattr(connection_rate, "MOST_PEERS", 100)
    house = service(ConnectionRate(per_peer="2/h"))
    for host in _hosts(0, 100):
        assert _let_in(house, 1, host) == 1
    house.clock.advance(1700)
    assert _let_in(house, 1, next(_hosts(0, 1))) == 1
    house.clock.advance(200)
    for host in _hosts(500, 50):
        assert _let_in(house, 1, host) == 1
    assert not logged.named("full")


def test_no_decision_has_to_forget_many(service: type[Service], tables: list[Arrivals]) -> None:
    """The table shrinks with each who comes, a few at a time, so that none of them waits for all the others."""
    house = service(ConnectionRate(per_peer="2/h"))
    (table,) = tables
    for host in _hosts(0, 1000):
        _knocks(table, host)
    house.clock.advance(10_000)
    sizes = [1000]
    while sizes[-1] > 140:
        assert _let_in(house, 1, next(_hosts(5000 + len(sizes), 1))) == 1
        sizes.append(len(table.peers))
    assert {before - after for before, after in pairwise(sizes)} == {7}


# other machines


def test_arrivals_at_other_machines_use_up_what_is_allowed(service: type[Service]) -> None:
    """And recover as those of here do; those of here are told once somebody asks."""
    house = service(ConnectionRate(per_peer="10/s"))
    (tally,) = house.factory.service.tallies
    assert tally.flag == "connect-rate-per-peer"
    tally.news(9)
    assert _let_in(house, 3) == 3
    assert tally.news(9) == {"192.0.2.1": 3}
    tally.hear("aa", {"192.0.2.1": 4, "192.0.2.2": 10})
    assert _let_in(house, 9) == 3
    assert _let_in(house, 9, "192.0.2.2") == 0
    assert tally.news(9) == {"192.0.2.1": 3}
    house.clock.advance(0.11)
    assert _let_in(house, 9) == 1
    house.clock.advance(1.01)
    assert _let_in(house, 19) == 10


def test_however_many_came_elsewhere_one_is_whole_again_in_a_period(service: type[Service]) -> None:
    """A machine that says millions locks nobody out for longer."""
    house = service(ConnectionRate(per_peer="10/s"))
    (tally,) = house.factory.service.tallies
    tally.hear("aa", {"192.0.2.1": 10**9})
    tally.hear("bb", {"192.0.2.1": 10**9})
    assert _let_in(house, 9) == 0
    house.clock.advance(1.01)
    assert _let_in(house, 19) == 10


def test_arrivals_at_other_machines_have_the_same_table(
    service: type[Service], tables: list[Arrivals], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays bounded."""
    monkeypatch.setattr(connection_rate, "MOST_PEERS", 20)
    house = service(ConnectionRate(per_peer="10/min"))
    (tally,) = house.factory.service.tallies
    tally.hear("aa", {f"192.0.2.{each}": 1 for each in range(100)})
    assert len(tables[0].peers) == 20


def test_a_total_rate_is_not_shared(service: type[Service]) -> None:
    """It is there for this machine's sake."""
    assert service(ConnectionRate(total="10/s")).factory.service.tallies == []
