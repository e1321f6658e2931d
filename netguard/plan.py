"""A condition on a connection, and what to do when it holds.

The watches of a connection are its *plan*. Plans and watches are shared between the connections of a factory (ten
thousand idle connections have one plan), which is why ``do`` takes the connection as its argument. What a plan says of
every connection that has it, such as its lowest marks, is worked out once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import reduce
from math import inf
from typing import Any, cast

from netguard.taps import Look, Tap, Whole, one_less, one_more

Do = Callable[[Any], object]
When = Callable[[Any, Any], float]

_MOST = 4096
"""So many watches and plans are remembered for sharing; then the memory starts afresh."""


class Watch:
    """A condition on a connection, and what to do when it holds.

    Attributes:
        when: the moment at which the condition will hold, as far as is known now; for marks, never.
        limit: seconds, or bytes; of some, a moment and the seconds after it.
        do: what is called, with the connection.
        private: it is not shared, since what it calls may hold a connection.
    """

    __slots__ = ("do", "limit", "private", "when")

    def __init__(self, when: When, limit: Any, do: Do, *, private: bool) -> None:
        self.when = when
        self.limit = limit
        self.do = do
        self.private = private


def age(connection: Any, limit: float) -> float:
    """A moment counted from the beginning of the connection."""
    return float(connection.opened + limit * connection.patience)


def later(connection: Any, limit: tuple[float, float]) -> float:
    """So long after a moment: both are the limit."""
    since, seconds = limit
    return float(since + seconds * connection.patience)


def silence(connection: Any, limit: float) -> float:
    """So long after the last activity; a peer that nobody listens to, and that owes us nothing, is not silent."""
    meter = connection.meter
    if connection.listening or meter.outgoing is not None:
        return float(meter.active + limit * connection.patience)
    return inf


def stall(connection: Any, limit: float) -> float:
    """So long after the peer last took some of what waits for it."""
    outgoing = connection.meter.outgoing
    return inf if outgoing is None else float(outgoing.took + limit * connection.patience)


def received(_connection: object, _limit: float) -> float:
    """A mark on the bytes that come: no moment, the meter compares."""
    return inf


def sent(_connection: object, _limit: float) -> float:
    """A mark on the bytes that are written: no moment, the meter compares."""
    return inf


def written(_connection: object, _limit: float) -> float:
    """A mark on the bytes that are written, those that are held back, too: no moment, the meter compares."""
    return inf


class Plan:
    """The watches of a connection, and what follows from them.

    Args:
        watches: the watches, in the order in which they were set.

    Attributes:
        received, sent, written: those that are marks, the lowest first.
        received_mark, sent_mark: the lowest marks; more bytes than that, and the connection has to think.
        private: a watch is one connection's own, so the plan is, too.
        less: plans that came of this one when watches were done with.
    """

    __slots__ = ("less", "private", "received", "received_mark", "sent", "sent_mark", "watches", "written")

    def __init__(self, watches: tuple[Watch, ...] = ()) -> None:
        self.watches = watches
        self.received = _marks(watches, received)
        self.sent = _marks(watches, sent)
        self.received_mark = self.received[0].limit if self.received else inf
        self.written = _marks(watches, written)
        self.sent_mark = min((each.limit for each in (*self.sent[:1], *self.written[:1])), default=inf)
        self.private = any(each.private for each in watches)
        self.less: dict[tuple[Watch, ...], Plan] = {}

    def due(self, connection: Any, now: float) -> tuple[Watch, ...]:
        """The watches whose moment has come."""
        return tuple(each for each in self.watches if each.when(connection, each.limit) <= now)

    def next(self, connection: Any) -> float:
        """The moment of the next watch, as far as is known now."""
        return min((each.when(connection, each.limit) for each in self.watches), default=inf)


def _marks(watches: tuple[Watch, ...], kind: When) -> tuple[Watch, ...]:
    return tuple(sorted((each for each in watches if each.when is kind), key=_limit))


def _limit(watch: Watch) -> float:
    return float(watch.limit)


EMPTY = Plan()


class Calls:
    """What is to be called at a certain moment, in order.

    Attributes:
        all: what.
        more: the same and one more, by that one; None for calls of which one is one connection's own.
    """

    __slots__ = ("all", "more")

    def __init__(self, all_of: tuple[Do, ...] = (), *, shared: bool = False) -> None:
        self.all = all_of
        self.more: dict[Do, Calls] | None = {} if shared else None


NOTHING = Calls()


class Hooks:
    """What is to be called at two moments of a connection.

    Attributes:
        settlers: when the application says that it is past its login.
        ends: when it has ended.
    """

    __slots__ = ("ends", "settlers")

    def __init__(self, settlers: Calls = NOTHING, ends: Calls = NOTHING) -> None:
        self.settlers = settlers
        self.ends = ends


NO_HOOKS = Hooks()


class Memory:
    """What the connections of one factory share.

    Only what calls a method of an *owner* is shared: of a guard, or of what its ``install`` made. These live as long
    as the factory does; anything else may hold a connection, and to remember it would keep that connection in memory.
    """

    def __init__(self) -> None:
        self._owners: dict[int, object] = {}
        self._known: dict[Any, Any] = {}
        self._more: dict[tuple[Tap | None, Look], Tap] = {}
        self._less: dict[tuple[Tap | None, Look], Tap | None] = {}
        self.nothing = Calls(shared=True)

    def own(self, thing: object) -> None:
        """Take something for an owner."""
        self._owners[id(thing)] = thing

    def lasting(self, do: Callable[..., object]) -> bool:
        """Whether ``do`` is a method of an owner."""
        return id(getattr(do, "__self__", None)) in self._owners

    def _first(self, key: Any, made: Any) -> Any:
        if len(self._known) >= _MOST:
            self._known.clear()
        return self._known.setdefault(key, made)

    def extend(self, plan: Plan, when: When, limit: Any, do: Do) -> Plan:
        """A plan with one more watch, shared with every connection that has the same."""
        if not self.lasting(do):
            return Plan((*plan.watches, Watch(when, limit, do, private=True)))
        known = self._known.get((when, limit, do))
        if known is None:
            known = self._first((when, limit, do), Watch(when, limit, do, private=False))
        return self._plan((*plan.watches, known))

    def without(self, plan: Plan, done: tuple[Watch, ...]) -> Plan:
        """A plan without the watches that are done with."""
        found = plan.less.get(done)
        if found is None:
            found = self._plan(tuple(each for each in plan.watches if each not in done))
            if not plan.private and len(plan.less) < _MOST:
                plan.less[done] = found
        return found

    def _plan(self, watches: tuple[Watch, ...]) -> Plan:
        """The first plan that was made of these watches, unless one of them is one connection's own."""
        known = self._known.get(watches)
        if known is None:
            known = Plan(watches)
            if not known.private:
                self._first(watches, known)
        return cast("Plan", known)

    def with_look(self, tap: Tap | None, look: Look, unless: Whole) -> Tap:
        """What shows chunks to one more, shared when all of them are of owners."""
        try:
            return self._more[tap, look]
        except (KeyError, TypeError):  # it is new, or cannot be hashed and so is no method
            made = one_more(tap, look, unless)
            if self._shares(made):
                self._more[tap, look] = made
            return made

    def without_look(self, tap: Tap | None, look: Look) -> Tap | None:
        """What shows chunks to one less; None when that was the last."""
        try:
            return self._less[tap, look]
        except (KeyError, TypeError):
            left = one_less(tap, look)
            if tap is None or self._shares(tap):
                self._less[tap, look] = left
            return left

    def _shares(self, tap: Tap) -> bool:
        return len(self._more) + len(self._less) < _MOST and all(self.lasting(look) for look, _ in tap.looks)

    def calls(self, before: Calls, do: Do) -> Calls:
        """Calls and one more, shared when all of them are of owners."""
        more = before.more
        try:
            known = None if more is None else more.get(do)
        except TypeError:  # what cannot be hashed is no method
            more = known = None
        if known is None:
            known = Calls((*before.all, do), shared=more is not None and len(more) < _MOST and self.lasting(do))
            if more is not None and known.more is not None:
                more[do] = known
        return known

    def fewer(self, before: Hooks, settlers: Iterable[Do | None], ends: Iterable[Do | None]) -> Hooks:
        """What is called later without some of it, each taken out once."""
        return Hooks(self._fewer(before.settlers, settlers), self._fewer(before.ends, ends))

    def _fewer(self, before: Calls, done: Iterable[Do | None]) -> Calls:
        left = [*before.all]
        for each in done:
            if each in left:
                left.remove(each)
        return reduce(self.calls, left, self.nothing)
