"""The contract of a ledger, as real Redis keeps it, and as the double of the other tests does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from attrs import define, evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater

from netguard.fleet.entries import Entry
from netguard.fleet.exchange import NEWS, STATE
from netguard.fleet.ledger import AT_ONCE, BEGINNING, KEPT, LONGEST, MACHINES, MOST, Answer, Engine, Letter
from netguard.fleet.redis import RedisLedger
from netguard.fleet.redis_url import RedisURL
from tests.fakeledger import FakeLedger, Place
from tests.programs import needs
from tests.redisserver import redis

LEASE = 1.0
PATIENCE = 20


@define
class Bench:
    """A place, and ways to it."""

    make: Callable[[], Engine]
    pass_by: Callable[[float], object]
    empty: Callable[[], object]

    async def tell(self, ledger: Engine, letter: Letter) -> Answer:
        """One exchange."""
        answer: Deferred[Answer] = ledger.exchange(letter)
        self.pass_by(0)
        return await answer.addTimeout(PATIENCE, _reactor())

    async def wait(self, seconds: float) -> None:
        """Let a lease end."""
        self.pass_by(seconds)
        await deferLater(_reactor(), seconds)


def _reactor() -> Any:
    from twisted.internet import reactor

    return cast("Any", reactor)


@pytest.fixture(params=["double", pytest.param("redis", marks=needs("redis-server"))])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """Both."""
    if request.param == "double":
        place = Place(Clock())
        yield Bench(lambda: FakeLedger(place), place.clock.advance, place.forget)
        return
    with redis(tmp_path) as server:
        made: list[RedisLedger] = []

        def make() -> RedisLedger:
            made.append(RedisLedger(RedisURL.parse(server.url("name=contract")), _reactor()))
            return made[-1]

        yield Bench(make, lambda _: None, lambda: server.ask("FLUSHALL"))
        for each in made:
            each.close()


ONE = Letter("aa", LEASE, state=b"state", news=b"first")


async def test_news_and_states_are_found_by_others(bench: Bench) -> None:
    """In order, a few at a time, from where one has read."""
    here, there = bench.make(), bench.make()
    first = await bench.tell(here, ONE)
    assert first.position is not None
    later = [await bench.tell(here, Letter("aa", LEASE * 9, news=b"%d" % number)) for number in range(4)]
    answer = await bench.tell(there, Letter("bb", LEASE, learn=["aa", "cc"], follow={"aa": BEGINNING, "dd": "5-0"}))
    assert answer.machines == ["aa"]
    assert answer.states == {"aa": b"state"}
    assert answer.position is None
    assert answer.news == {"aa": [(first.position, b"first"), (later[0].position, b"0")]}
    assert len(answer.news["aa"]) == AT_ONCE
    answer = await bench.tell(there, Letter("bb", LEASE, follow={"aa": cast("str", later[2].position)}))
    assert answer.news == {"aa": [(later[3].position, b"3")]}
    answer = await bench.tell(there, Letter("bb", LEASE, follow={"aa": cast("str", later[3].position)}))
    assert answer.news == {}


async def test_positions_begin_at_the_beginning(bench: Bench) -> None:
    """And grow, also behind what was forgotten meanwhile."""
    here, there = bench.make(), bench.make()
    first = await bench.tell(here, ONE)
    bench.empty()
    await bench.tell(here, evolve(ONE, news=b"second"))
    answer = await bench.tell(there, Letter("bb", LEASE, follow={"aa": cast("str", first.position)}))
    assert [octets for _, octets in answer.news["aa"]] == [b"second"]


async def test_old_news_are_forgotten_when_there_are_many(bench: Bench) -> None:
    """Whoever has read too little finds that some are missing."""
    here, there = bench.make(), bench.make()
    for number in range(KEPT + 10):
        await bench.tell(here, Letter("aa", 60.0, news=b"%d" % number))
    answer = await bench.tell(there, Letter("bb", LEASE, follow={"aa": BEGINNING}))
    assert answer.news["aa"][0][1] == b"10"


async def test_everything_ends_with_its_lease_and_news_renew_it(bench: Bench) -> None:
    """Its state, its news, and what was not renewed; its name goes when somebody says so."""
    here, there = bench.make(), bench.make()
    await bench.tell(here, ONE)
    for number in range(8):
        await bench.wait(LEASE / 5)
        await bench.tell(here, Letter("aa", LEASE, news=b"%d" % number))
    ask = Letter("bb", LEASE, learn=["aa"], follow={"aa": BEGINNING})
    assert (await bench.tell(there, ask)).states == {"aa": b"state"}
    await bench.wait(LEASE * 1.2)
    answer = await bench.tell(there, ask)
    assert (answer.states, answer.news) == ({}, {})
    answer = await bench.tell(there, evolve(ask, gone=["aa"]))
    assert answer.machines == []
    assert (await bench.tell(there, Letter("bb", LEASE))).machines == []


async def test_who_leaves_is_no_machine_any_more(bench: Bench) -> None:
    """Its last news can still be read. What is told and who is gone can go in one letter."""
    here, there = bench.make(), bench.make()
    first = await bench.tell(here, ONE)
    await bench.tell(here, Letter("aa", LEASE, news=b"last", leaving=True))
    answer = await bench.tell(
        there, Letter("bb", LEASE, b"s", b"n", gone=["xx"], follow={"aa": cast("str", first.position)})
    )
    assert [octets for _, octets in answer.news["aa"]] == [b"last"]
    assert answer.machines == ["bb"]
    assert answer.position is not None


async def test_an_empty_ledger_says_nothing(bench: Bench) -> None:
    """It is no mistake."""
    here = bench.make()
    answer = await bench.tell(here, Letter("aa", LEASE, learn=["bb"], follow={"cc": BEGINNING}))
    assert (answer.machines, answer.news, answer.states) == ([], {}, {})
    bench.empty()
    assert (await bench.tell(here, ONE)).machines == ["aa"]


def test_what_the_largest_fleet_says_at_its_busiest_is_less_than_what_is_taken() -> None:
    """Else it would be refused for ever, again and again."""
    address = "2001:db8:aaaa:bbbb:cccc:dddd:eeee:{:04x}"
    penalty = (86399.999, 32, "k" * 40)
    third = NEWS // 3
    news = Entry(
        2**53 - 1,
        {
            "max-per-peer": {address.format(each): 1_000_000 for each in range(third)},
            "connect-rate-per-peer": {address.format(each): 1_000_000 for each in range(third)},
            "penalty": {address.format(each): penalty for each in range(third)},
        },
    ).encoded()
    state = Entry(2**53 - 1, {"penalty": {address.format(each): penalty for each in range(STATE)}}, "1" * 39).encoded()
    assert len(news) <= LONGEST
    assert len(state) <= LONGEST
    assert MACHINES * AT_ONCE * (len(news) + 100) + AT_ONCE * len(state) < MOST
