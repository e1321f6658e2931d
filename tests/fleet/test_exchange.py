"""What is promised of an exchange: everybody hears in time, nobody waits, and a ledger that is lost is found again."""

from __future__ import annotations

import itertools
from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from netguard.fleet.entries import Entry
from netguard.fleet.exchange import EVERY, NEWS, Exchange, Terms
from netguard.fleet.ledger import MACHINES, Answer, Letter
from tests.fakeledger import TERMS, FakeLedger, House, Machine, Place, Recorder, wait

STEP = 0.05
WITHIN, LEASE = TERMS.within + STEP, TERMS.lease  # the double answers in the next step of the clock


@pytest.fixture
def place() -> Place:
    """A ledger."""
    return Place(Clock())


def fleet(place: Place, count: int = 3) -> list[Machine]:
    """Machines that know of each other; they start one after the other, as machines do."""
    found = []
    for _ in range(count):
        found.append(Machine(place).start())
        wait(place.clock, 0.07)
    wait(place.clock, 4 * WITHIN)
    assert all(each.exchange.reading()["machines"] == count - 1 for each in found)
    return found


def test_what_happens_on_one_machine_is_known_on_all_within_the_time(place: Place) -> None:
    """Twice in it, each tells and hears: the worst that can be is just in time."""
    first, second, third = fleet(place)
    for moment in range(20):
        wait(place.clock, 0.013 * moment, 0.013)
        first.tally.put(a=moment)
        wait(place.clock, WITHIN)
        assert second.tally.elsewhere == third.tally.elsewhere == [{}, {"a": moment}]
        assert first.tally.elsewhere == [{}, {}]


def test_nobody_waits_for_the_ledger_and_one_exchange_is_under_way_at_a_time(place: Place) -> None:
    """A slow one is asked again when it has answered (the double would complain); what happened meanwhile goes then."""
    first, second = fleet(place, 2)
    first.ledger.delay = 1.75
    first.tally.put(a=1)
    wait(place.clock, WITHIN)
    first.tally.put(b=2)
    wait(place.clock, 2 * WITHIN + 2 * 1.75)
    assert second.tally.elsewhere == [{"a": 1, "b": 2}]
    assert first.exchange.reading()["round_trip"] == pytest.approx(1.75, abs=2 * STEP)
    assert first.house.names() == ["ledger_joined"]


def test_one_that_comes_later_learns_what_is_so(place: Place) -> None:
    """Not what happened before; and then it hears what happens."""
    (first,) = fleet(place, 1)
    first.tally.put(a=1)
    wait(place.clock, 3 * LEASE)
    del first.tally.values["a"]
    first.tally.put(b=2)
    wait(place.clock, 3 * LEASE)
    late = Machine(place).start()
    wait(place.clock, 2 * WITHIN)
    assert late.tally.elsewhere == [{"b": 2}]
    first.tally.put(c=3)
    wait(place.clock, WITHIN)
    assert late.tally.elsewhere == [{"b": 2, "c": 3}]
    assert late.tally.learned == 1


def test_a_quiet_fleet_says_little_and_keeps_its_leases(place: Place) -> None:
    """A beat four times in a lease; nobody is given up, and nothing is learned twice."""
    first, second = fleet(place, 2)
    first.tally.put(a=1)
    wait(place.clock, 10 * LEASE)
    place.letters.clear()
    wait(place.clock, 10 * LEASE)
    news = [each for each in place.letters if each.news is not None]
    assert 2 * 4 * 10 * 0.85 <= len(news) <= 2 * 4 * 10
    assert second.tally.elsewhere == [{"a": 1}]
    assert second.tally.learned == 1
    assert len([each for each in place.letters if each.state is not None]) <= len(news) / EVERY + 2


def test_a_machine_that_dies_is_given_up_when_its_lease_ends(place: Place) -> None:
    """By whoever knew it, at its own clock; its name goes from the ledger, and what it had from the tallies."""
    first, second, third = fleet(place)
    first.tally.put(a=1)
    wait(place.clock, WITHIN)
    name = first.exchange.machine
    first.kill()
    wait(place.clock, LEASE * 0.7)
    assert {"a": 1} in second.tally.elsewhere
    wait(place.clock, LEASE * 0.3 + WITHIN)
    assert second.tally.elsewhere == third.tally.elsewhere == [{}]
    assert name not in place.machines
    assert second.exchange.reading()["machines"] == 1


def test_one_that_leaves_says_so(place: Place) -> None:
    """Its connections do not count from then on, not only from the end of its lease; it can come back as another."""
    first, second = fleet(place, 2)
    first.tally.put(a=1)
    wait(place.clock, WITHIN)
    done = first.exchange.stop()
    wait(place.clock, WITHIN)
    assert done.called
    assert (second.tally.elsewhere, first.tally.elsewhere) == ([], [])
    assert first.exchange.machine is None
    assert first.ledger.closed
    first.start()
    wait(place.clock, 2 * WITHIN)
    assert second.tally.elsewhere == [{"a": 1}]
    assert first.house.names() == ["ledger_joined"] * 2


@pytest.mark.parametrize("trouble", ["silent", "deaf", "down"])
def test_leaving_takes_a_second_at_most(place: Place, trouble: str) -> None:
    """Whatever the ledger does; and nothing is left on the clock."""
    (first,) = fleet(place, 1)
    setattr(place, trouble, trouble)
    done = first.exchange.stop()
    wait(place.clock, 1.01)
    assert done.called
    wait(place.clock, 60)
    assert place.clock.getDelayedCalls() == []
    assert first.exchange.stop().called


def test_leaving_while_an_exchange_is_under_way(place: Place) -> None:
    """It is given up; nothing is left."""
    (first,) = fleet(place, 1)
    place.deaf = True
    wait(place.clock, WITHIN)
    assert first.ledger.waiting is not None
    assert first.exchange.stop().called
    assert place.clock.getDelayedCalls() == []
    assert first.ledger.waiting is None


def test_one_that_never_started_has_nothing_to_end(place: Place) -> None:
    """Nothing happens."""
    machine = Machine(place)
    assert machine.exchange.stop().called
    assert machine.ledger.closed == 0


# a ledger that cannot be used


@pytest.mark.parametrize("trouble", ["silent", "deaf", "down"])
def test_a_ledger_that_is_lost_is_told_once_and_found_again(place: Place, trouble: str) -> None:
    """Local limits hold meanwhile: what was known of others ends with its lease. What happened meanwhile is learned."""
    first, second = fleet(place, 2)
    first.tally.put(a=1)
    wait(place.clock, WITHIN)
    setattr(place, trouble, "it is on fire")
    wait(place.clock, LEASE / 2 + WITHIN)
    assert first.house.names() == ["ledger_joined", "ledger_lost"]
    reason = "it is on fire" if trouble == "down" else "it did not answer within 5 s"
    assert first.house.told[-1][1] == {"ledger": "fake://ledger", "option": "ledger", "reason": reason}
    reading = first.exchange.reading()
    assert (reading["joined"], reading["since"], reading["reason"]) == (False, None, reason)
    wait(place.clock, LEASE)
    assert first.tally.elsewhere == second.tally.elsewhere == []
    first.tally.put(b=2)
    wait(place.clock, 6 * LEASE)
    assert first.house.names() == ["ledger_joined", "ledger_lost"]
    setattr(place, trouble, "")
    wait(place.clock, 15 + LEASE + WITHIN)
    assert first.house.names() == ["ledger_joined", "ledger_lost", "ledger_joined"]
    assert second.tally.elsewhere == [{"a": 1, "b": 2}]
    assert first.exchange.reading()["reason"] is None


def test_a_ledger_that_is_not_there_at_the_start_is_told_once(place: Place) -> None:
    """And joined when it comes."""
    place.down = "not yet"
    machine = Machine(place).start()
    wait(place.clock, 100)
    assert machine.house.names() == ["ledger_lost"]
    assert machine.exchange.reading()["last"] is None
    place.down = ""
    wait(place.clock, 16)
    assert machine.house.names() == ["ledger_lost", "ledger_joined"]


def test_pauses_grow_up_to_fifteen_seconds(place: Place) -> None:
    """So that a ledger that comes back is not overrun."""
    machine = Machine(place)
    tries: list[float] = []
    ask = machine.ledger.exchange

    def noting(letter: Letter) -> Deferred[Answer]:
        tries.append(place.clock.seconds())
        return ask(letter)

    machine.ledger.exchange = noting  # type: ignore[method-assign]
    place.down = "no"
    machine.start()
    wait(place.clock, 100)
    pauses = [later - sooner for sooner, later in itertools.pairwise(tries)]
    assert [round(each) for each in pauses] == [1, 2, 4, 8, 15, 15, 15, 15, 15]


def test_whoever_did_not_answer_in_time_is_not_heard_later(place: Place) -> None:
    """An answer that comes after it was given up changes nothing."""
    (first,) = fleet(place, 1)
    asked: list[Deferred[Answer]] = []

    def hold(_: Letter) -> Deferred[Answer]:
        asked.append(Deferred())
        return asked[-1]

    first.ledger.exchange = hold  # type: ignore[method-assign,assignment]
    wait(place.clock, LEASE / 2 + 2 * WITHIN)
    assert first.house.names()[-1] == "ledger_lost"
    asked[0].callback(Answer(["aa"]))
    assert first.exchange.reading()["machines"] == 0
    asked.append(Deferred())
    first.exchange._failed(cast("Any", None), asked[-1])
    assert first.house.names() == ["ledger_joined", "ledger_lost"]


def test_a_mistake_of_ours_is_told_and_does_not_end_it(place: Place) -> None:
    """It goes on after a pause, as with any trouble."""
    first, second = fleet(place, 2)

    def fails(machine: str, news: object) -> None:
        raise KeyError(machine)

    first.tally.hear = fails  # type: ignore[method-assign]
    second.tally.put(a=1)
    wait(place.clock, WITHIN)
    assert first.house.told[-1][1]["reason"] == f"KeyError: '{second.exchange.machine}'"
    del first.tally.hear
    wait(place.clock, 2 + WITHIN)
    assert first.tally.elsewhere == [{"a": 1}]


@pytest.mark.parametrize("kept", [True, False])
def test_news_of_which_nobody_knows_whether_they_were_kept_are_made_good(place: Place, kept: bool) -> None:
    """Whoever follows learns the state."""
    first, second = fleet(place, 2)
    setattr(place, "silent" if kept else "deaf", True)
    first.tally.put(a=1)
    wait(place.clock, WITHIN)
    place.silent = place.deaf = False
    first.ledger.close()
    wait(place.clock, LEASE)
    assert first.tally.missed == 1
    assert second.tally.elsewhere == [{"a": 1}]
    assert second.tally.learned >= 2


def test_an_empty_ledger_heals(place: Place) -> None:
    """Somebody has cleared it, or it was started again: with the next states everything is there."""
    first, second = fleet(place, 2)
    first.tally.put(a=1)
    wait(place.clock, WITHIN)
    place.forget()
    wait(place.clock, LEASE / 4 + WITHIN)
    assert first.exchange.machine in place.machines
    first.tally.put(b=2)
    wait(place.clock, WITHIN)
    assert second.tally.elsewhere == [{"a": 1, "b": 2}]
    for _ in range(EVERY):
        first.tally.put(b=2)
        wait(place.clock, WITHIN)
    late = Machine(place).start()
    wait(place.clock, 3 * WITHIN)
    assert {"a": 1, "b": 2} in late.tally.elsewhere


def test_one_that_was_away_for_too_long_learns_anew(place: Place) -> None:
    """More happened than the ledger keeps."""
    first, second = fleet(place, 2)
    second.ledger.delay = LEASE / 2 - 0.1
    for number in range(400):
        first.tally.put(a=number)
        wait(place.clock, WITHIN / 2)
    second.ledger.delay = 0.0
    wait(place.clock, LEASE)
    assert second.tally.elsewhere == [{"a": 399}]
    assert second.house.names() == ["ledger_joined"]


# several tallies


def test_tallies_of_several_listeners_are_told_apart(place: Place) -> None:
    """By their number; one that comes later is learned, too, and all of them share the room."""
    first, second = fleet(place, 2)
    for machine in (first, second):
        machine.house.tallies += [Recorder(), Recorder("penalty")]
    wait(place.clock, 2 * WITHIN)
    first.house.tallies[1].put(b=2)
    first.house.tallies[2].put(c=3)
    wait(place.clock, WITHIN)
    assert [each.elsewhere for each in second.house.tallies] == [[{}], [{"b": 2}], [{"c": 3}]]
    assert first.tally.most[0] == NEWS
    assert first.tally.most[-1] == NEWS // 3


def test_a_tally_that_only_one_of_them_has_is_left_alone(place: Place) -> None:
    """As while options are changed, one machine after the other."""
    first, second = fleet(place, 2)
    first.house.tallies.append(Recorder("penalty"))
    first.house.tallies[1].put(a=1)
    first.tally.put(b=2)
    wait(place.clock, 2 * WITHIN)
    assert second.tally.elsewhere == [{"b": 2}]


# a ledger that lies


class Liar(FakeLedger):
    """Answers what a test wants."""

    def __init__(self, place: Place, answers: list[Answer]) -> None:
        super().__init__(place)
        self.answers = answers

    def exchange(self, letter: Letter) -> Deferred[Answer]:
        """Lie."""
        self.place.letters.append(letter)
        waiting: Deferred[Answer] = Deferred()
        self.place.clock.callLater(0, waiting.callback, self.answers.pop(0) if self.answers else Answer([]))
        return waiting


def lied_to(place: Place, *answers: Answer) -> tuple[Exchange, House, Recorder]:
    """A machine with such a ledger."""
    tally = Recorder()
    house = House([tally])
    exchange = Exchange(house, Liar(place, [*answers]), cast("Any", place.clock), Terms())
    exchange.start()
    wait(place.clock, 0.3 * len(answers) + 0.3)
    return exchange, house, tally


def test_more_machines_than_may_be_are_not_listened_to(place: Place) -> None:
    """Nor any with names that are none."""
    names = [f"{number:04x}" for number in range(5000)]
    exchange, house, _ = lied_to(place, Answer(["a" * 33, "", "ä", "a b", *names]), Answer(names))
    assert exchange.reading()["machines"] == MACHINES
    assert house.names() == ["ledger_joined"]


def test_what_a_ledger_says_of_machines_that_nobody_asked_for_is_passed_over(place: Place) -> None:
    """News of strangers, of one who was not learned, and of ourselves."""
    one = Entry(1, {"max-per-peer": {"192.0.2.1": 3}}).encoded()
    state = Entry(0, {"max-per-peer": {"192.0.2.1": 3}}, "0-0").encoded()
    exchange, _, tally = lied_to(
        place, Answer(["aa"]), Answer([], None, {"aa": [("1-1", one)], "bb": [("1-1", one)]}, {"cc": state})
    )
    assert tally.others == {}
    assert exchange.reading()["machines"] == 1


def test_what_cannot_be_understood_is_counted_and_learned_anew(place: Place) -> None:
    """Such as what a later version writes."""
    state = Entry(0, {"max-per-peer": {"192.0.2.1": 3}}, "0-0").encoded()
    exchange, _, tally = lied_to(
        place,
        Answer(["aa"]),
        Answer([], None, {}, {"aa": b"{"}),
        Answer([], None, {}, {"aa": state}),
        Answer([], None, {"aa": [("1-1", b'{"v":2}'), ("1-2", b"")]}),
    )
    assert tally.others == {"aa": {"192.0.2.1": 3}}
    assert exchange.reading()["unread"] == 2
    assert exchange.reading()["machines"] == 1
    assert place.letters[-1].learn == ["aa"]


def test_looking_at_what_a_ledger_says_takes_a_tenth_of_the_time_at_most(place: Place) -> None:
    """A hostile one would have us look at megabytes four times a second."""
    first, second = fleet(place, 2)
    hear = first.tally.hear

    def slowly(machine: str, news: Any) -> None:
        place.clock.rightNow += 1.0
        hear(machine, news)

    first.tally.hear = slowly  # type: ignore[method-assign]
    second.tally.put(a=1)
    wait(place.clock, WITHIN)
    assert first.tally.elsewhere == [{"a": 1}]
    second.tally.put(b=2)
    wait(place.clock, 6)  # of the ten, it looked for one
    assert first.tally.elsewhere == [{"a": 1}]
    wait(place.clock, 4)
    assert first.tally.elsewhere == [{"a": 1, "b": 2}]
