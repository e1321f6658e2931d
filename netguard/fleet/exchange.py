"""One machine's side of a fleet: twice within a given time it tells the ledger its news, and hears the others'.

Nothing waits for the ledger. What cannot be told in time is told later as a whole; what cannot be heard for a lease
does not count any more, and local limits are what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from random import random
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Protocol

from attrs import frozen
from twisted.internet.defer import Deferred, succeed

from netguard.fleet.entries import Entry
from netguard.fleet.ledger import BEGINNING, Answer, Engine, LedgerError, Letter
from netguard.fleet.others import Others

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime
    from twisted.python.failure import Failure

    from netguard.elsewhere.tally import Tally

NEWS, STATE = 3072, 8192
"""Peers in one news and in one state, over all tallies."""
EVERY = 20
"""News between two states."""
_BEATS = 4
_FIRST, _LONGEST_PAUSE = 1.0, 15.0
_PARTING = 1.0
_SHARE = 9


class House(Protocol):
    """What it has to know of the service."""

    tallies: list[Any]

    def tell(self, name: str, fields: Mapping[str, object]) -> None:
        """Tell an event of the service."""


@frozen
class Terms:
    """How quickly machines hear of each other, and for how long they are believed.

    Args:
        within: seconds within which what happens on one counts on all, while the ledger answers at once.
        lease: seconds of silence after which the connections of a machine do not count any more.
    """

    within: float = 0.5
    lease: float = 10.0


class Exchange:
    """Exchanges news with other machines.

    Args:
        house: the service.
        ledger: the engine.
        clock: the clock, whose moments nobody else has to know.
        terms: how quickly, and for how long.
        chance: answers a number from 0 to 1: machines that lost the ledger together are not to come back together.

    Attributes:
        machine: the name of this one, new with each start; None while it is stopped.
    """

    def __init__(
        self,
        house: House,
        ledger: Engine,
        clock: IReactorTime,
        terms: Terms = Terms(),
        chance: Callable[[], float] = random,
    ) -> None:
        self._house, self._ledger, self._clock, self._terms, self._chance = house, ledger, clock, terms, chance
        self.machine: str | None = None
        self._others = Others(self._tallies, terms.lease)
        self._call: IDelayedCall | None = None
        self._under_way: Deferred[Answer] | None = None
        self._number = self._since_state = self._failures = 0
        self._position = BEGINNING
        self._known: frozenset[str] = frozenset()
        self._began = self._due = self._told = self._round_trip = 0.0
        self._last = self._joined = -inf
        self._trouble: str | None = None

    def start(self) -> None:
        """Begin, at once."""
        self.machine = token_hex(8)
        self._number, self._position, self._due = 0, BEGINNING, -inf
        self._tick()

    def stop(self) -> Deferred[object]:
        """End: say so to the others, unless that takes long.

        Returns:
            Fires when that is done.
        """
        if self.machine is None or self._call is None:
            return succeed(None)
        self._call.cancel()
        self._call = None
        if self._joined == -inf or self._under_way is not None:
            self._end()
            return succeed(None)
        news = Entry(self._number + 1, leaving=True).encoded()
        last = self._ledger.exchange(Letter(self.machine, self._terms.lease, news=news, leaving=True))
        last.addTimeout(_PARTING, self._clock)
        return last.addErrback(lambda _: None).addCallback(lambda _: self._end())

    def _end(self) -> None:
        self.machine, self._joined = None, -inf
        under_way, self._under_way = self._under_way, None
        self._ledger.close()
        if under_way is not None:
            under_way.addErrback(lambda _: None)
        self._others.expire(inf)

    # one exchange after the other

    def _tallies(self) -> dict[str, Tally]:
        """By their flags; where several listeners have one of their own each, they are numbered."""
        found: dict[str, Tally] = {}
        for tally in self._house.tallies:
            others = sum(each.flag == tally.flag for each in found.values())
            found[f"{tally.flag}.{others + 1}" if others else tally.flag] = tally
        return found

    def _tick(self) -> None:
        self._call = self._clock.callLater(self._terms.within / 2, self._tick)
        now = self._clock.seconds()
        self._others.expire(now)
        if self._under_way is not None:
            if now - self._began >= self._terms.lease / 2:
                self._lose(f"it did not answer within {self._terms.lease / 2:g} s")
        elif now >= self._due:
            self._exchange(now)

    def _exchange(self, now: float) -> None:
        tallies = self._tallies()
        if tallies.keys() != self._known:
            self._known = frozenset(tallies)
            self._others.begin_anew()
        letter = self._letter(tallies, now, fresh=self._joined == -inf)
        self._began = now
        self._under_way = under_way = self._ledger.exchange(letter)
        under_way.addCallback(self._answered, under_way, letter).addErrback(self._failed, under_way)

    def _letter(self, tallies: Mapping[str, Tally], now: float, *, fresh: bool) -> Letter:
        state = None
        if fresh or self._since_state >= EVERY:
            most = STATE // max(1, len(tallies))
            parts = {flag: tally.state(most) for flag, tally in tallies.items()}
            state = Entry(self._number, parts, self._position).encoded()
        most = NEWS // max(1, len(tallies))
        parts = {flag: tally.news(most) for flag, tally in tallies.items()}
        told = any(parts.values()) or fresh or now - self._told >= self._terms.lease / _BEATS
        others = self._others
        return Letter(
            self.machine or "",
            self._terms.lease,
            state,
            Entry(self._number + 1, parts).encoded() if told else None,
            follow=others.follow,
            learn=others.learn(),
            gone=others.gone(),
        )

    def _answered(self, answer: Answer, exchange: object, letter: Letter) -> None:
        if exchange is not self._under_way:
            return  # it was given up
        now = self._clock.seconds()
        self._round_trip, self._last = now - self._began, now
        if letter.state is not None:
            self._since_state = 0
        if letter.news is not None:
            self._number += 1
            self._since_state += 1
            self._told = now
            self._position = answer.position or self._position
        self._others.hear(answer, now, letter.machine)
        self._under_way = None
        # Whatever comes from there, looking at it takes a tenth of the time at most.
        self._due = now + _SHARE * (self._clock.seconds() - now)
        self._failures = 0
        if self._joined == -inf:
            self._joined, self._trouble = now, None
            self._house.tell("ledger_joined", {"ledger": self._ledger.name, "option": "ledger"})

    def _failed(self, why: Failure, exchange: object) -> None:
        if exchange is self._under_way:
            if isinstance(why.value, LedgerError):
                self._lose(str(why.value))
            else:  # ours: nobody knows how much was heard
                self._others.begin_anew()
                self._lose(f"{type(why.value).__name__}: {why.value}")

    def _lose(self, reason: str) -> None:
        """The ledger cannot be used for now: say so once, and come back after a pause that grows."""
        self._under_way = None
        self._ledger.close()
        self._number += 2  # nobody knows whether the last news were kept: whoever follows has to learn the state
        for tally in self._house.tallies:
            tally.unheard()
        pause = min(_FIRST * 2**self._failures, _LONGEST_PAUSE)
        self._failures += 1
        self._due = self._clock.seconds() + pause * (0.5 + self._chance() / 2)
        if self._joined != -inf or self._trouble is None:
            about = {"ledger": self._ledger.name, "option": "ledger", "reason": reason}
            self._house.tell("ledger_lost", about)
        self._joined, self._trouble = -inf, reason

    # for the operator

    def reading(self) -> dict[str, object]:
        """How it is: whether the ledger answers, since when and how quickly, and what is known of others."""
        now, joined = self._clock.seconds(), self._joined != -inf
        return {
            "ledger": self._ledger.name,
            "joined": joined,
            "since": round(now - self._joined, 3) if joined else None,
            "last": None if self._last == -inf else round(now - self._last, 3),
            "round_trip": round(self._round_trip, 4),
            "machines": len(self._others.machines),
            "peers": sum(each.known for each in self._house.tallies),
            "unread": self._others.unread,
            "reason": self._trouble,
        }
