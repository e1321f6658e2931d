"""A ledger in memory that obeys the contract, on a test's clock; and machines that share it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from attrs import define, field
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock

from netguard.fleet.exchange import Exchange, Terms
from netguard.fleet.ledger import AT_ONCE, KEPT, Answer, LedgerError, Letter


@define
class Place:
    """What all connections to one ledger see; everything has its lease.

    Attributes:
        down: why nobody can use it, or empty.
        silent: it takes what is told, and never answers.
        deaf: it neither takes what is told nor answers.
    """

    clock: Clock
    machines: dict[str, float] = field(factory=dict)
    news: dict[str, list[tuple[str, bytes]]] = field(factory=dict)
    states: dict[str, bytes] = field(factory=dict)
    leases: dict[tuple[str, str], float] = field(factory=dict)
    letters: list[Letter] = field(factory=list)
    down: str = ""
    silent: bool = False
    deaf: bool = False
    last: int = 0

    def forget(self) -> None:
        """It is empty, as one that was started again."""
        for each in (self.machines, self.news, self.states, self.leases):
            each.clear()

    def take(self, letter: Letter) -> Answer:
        """Do what a letter says."""
        self._expire()
        self.letters.append(letter)
        me, until, position = letter.machine, self.clock.seconds() + letter.lease, None
        if letter.state is not None:
            self.states[me] = letter.state
            self.leases["state", me] = until
        if letter.news is not None:
            self.last += 1
            position = f"{self.last}-0"
            self.news.setdefault(me, []).append((position, letter.news))
            del self.news[me][:-KEPT]
            self.leases["news", me] = until
            if me in self.states:
                self.leases["state", me] = until
            self.machines[me] = until
        for each in [*letter.gone, *([me] if letter.leaving else [])]:
            self.machines.pop(each, None)
        news = {name: self._behind(name, position) for name, position in letter.follow.items()}
        states = {each: self.states[each] for each in letter.learn if each in self.states}
        return Answer([*self.machines], position, {name: each for name, each in news.items() if each}, states)

    def _behind(self, name: str, position: str) -> list[tuple[str, bytes]]:
        number = int(position.partition("-")[0])
        return [each for each in self.news.get(name, []) if int(each[0].partition("-")[0]) > number][:AT_ONCE]

    def _expire(self) -> None:
        now = self.clock.seconds()
        for (kind, name), until in list(self.leases.items()):
            if until <= now:
                (self.news if kind == "news" else self.states).pop(name, None)
                del self.leases[kind, name]


@define(slots=False)
class FakeLedger:
    """One machine's connection to it."""

    place: Place
    name: str = "fake://ledger"
    delay: float = 0.0
    closed: int = 0
    waiting: Deferred[Answer] | None = None

    def exchange(self, letter: Letter) -> Deferred[Answer]:
        """As the contract has it."""
        assert self.waiting is None, "one exchange at a time"
        if self.place.down:
            return fail(LedgerError(self.place.down))
        waiting: Deferred[Answer] = Deferred()
        self.waiting = waiting
        if not self.place.deaf:
            answer = self.place.take(letter)
            if not self.place.silent:
                self.place.clock.callLater(self.delay, self._answer, waiting, answer)
        return waiting

    def _answer(self, waiting: Deferred[Answer], answer: Answer) -> None:
        if self.waiting is waiting:
            self.waiting = None
            waiting.callback(answer)

    def close(self) -> None:
        """As the contract has it."""
        self.closed += 1
        waiting, self.waiting = self.waiting, None
        if waiting is not None:
            waiting.errback(LedgerError("closed"))


@define
class House:
    """What an exchange knows of a service."""

    tallies: list[Any] = field(factory=list)
    told: list[tuple[str, Mapping[str, object]]] = field(factory=list)

    def tell(self, name: str, fields: Mapping[str, object]) -> None:
        """Remember."""
        self.told.append((name, fields))

    def names(self) -> list[str]:
        """What was told."""
        return [name for name, _ in self.told]


class Recorder:
    """A tally that remembers what it was asked and told.

    Attributes:
        values: what is so here.
        fresh: what is to be told next.
        others: by machine, what is so there.
    """

    known = 0

    def __init__(self, flag: str = "max-per-peer") -> None:
        self.flag = flag
        self.values: dict[str, Any] = {}
        self.fresh: dict[str, Any] = {}
        self.others: dict[str, dict[str, Any]] = {}
        self.learned = self.missed = 0
        self.most: list[int] = []

    def put(self, **values: Any) -> None:
        """Something happens here."""
        self.values |= values
        self.fresh |= values

    def news(self, most: int) -> dict[str, Any]:
        """As the contract has it."""
        self.most.append(most)
        fresh, self.fresh = self.fresh, {}
        return fresh

    def state(self, most: int) -> dict[str, Any]:
        """As the contract has it."""
        return dict(self.values)

    def unheard(self) -> None:
        """As the contract has it."""
        self.missed += 1

    def hear(self, machine: str, news: Mapping[str, Any]) -> None:
        """As the contract has it."""
        self.others.setdefault(machine, {}).update(news)

    def learn(self, machine: str, state: Mapping[str, Any]) -> None:
        """As the contract has it."""
        self.learned += 1
        self.others[machine] = dict(state)

    def forget(self, machine: str) -> None:
        """As the contract has it."""
        self.others.pop(machine, None)

    @property
    def elsewhere(self) -> list[dict[str, Any]]:
        """What is so on the other machines, whichever they are."""
        return sorted(self.others.values(), key=len)


TERMS = Terms(within=0.5, lease=10.0)


class Machine:
    """A machine on a test's clock."""

    def __init__(self, place: Place, terms: Terms = TERMS) -> None:
        self.clock = place.clock
        self.ledger = FakeLedger(place)
        self.tally = Recorder()
        self.house = House([self.tally])
        self.exchange = Exchange(self.house, self.ledger, cast("Any", place.clock), terms, lambda: 1.0)

    def start(self) -> Machine:
        """Begin."""
        self.exchange.start()
        return self

    def kill(self) -> None:
        """It is gone, and has no time to say so."""
        assert self.exchange._call is not None
        self.exchange._call.cancel()


def wait(clock: Clock, seconds: float, step: float = 0.05) -> None:
    """Let time pass."""
    end = clock.seconds() + seconds
    while clock.seconds() < end - 1e-9:
        clock.advance(min(step, end - clock.seconds()))
