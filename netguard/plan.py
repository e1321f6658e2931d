"""A condition on a connection, and what to do when it holds.

The watches of a connection are one tuple, its *plan*. Plans and watches are shared between the connections of a factory
(ten thousand idle connections have one plan), which is why ``do`` takes the connection as its argument.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

Do = Callable[[Any], object]
When = Callable[[Any, float], float]

_MOST = 4096
"""So many watches and plans are remembered for sharing; then the memory starts afresh."""


class Watch:
    """A condition on a connection, and what to do when it holds.

    Attributes:
        when: the moment at which the condition will hold, as far as is known now; for marks, never.
        limit: seconds, or bytes.
        do: what is called, with the connection.
        private: it is not shared, since what it calls may hold a connection.
    """

    __slots__ = ("do", "limit", "private", "when")

    def __init__(self, when: When, limit: float, do: Do, *, private: bool) -> None:
        self.when = when
        self.limit = limit
        self.do = do
        self.private = private


Plan = tuple[Watch, ...]


def age(connection: Any, limit: float) -> float:
    """A moment counted from the beginning of the connection."""
    return float(connection.opened + limit)


def moment(_connection: object, limit: float) -> float:
    """A moment by itself."""
    return limit


def silence(connection: Any, limit: float) -> float:
    """So long after the last activity; a peer that nobody listens to, and that owes us nothing, is not silent."""
    meter = connection.meter
    if connection.listening or meter.outgoing is not None:
        return float(meter.active + limit)
    return inf


def stall(connection: Any, limit: float) -> float:
    """So long after the peer last took some of what waits for it."""
    outgoing = connection.meter.outgoing
    return inf if outgoing is None else float(outgoing.took + limit)


def received(_connection: object, _limit: float) -> float:
    """A mark on the bytes that come: no moment, the meter compares."""
    return inf


def sent(_connection: object, _limit: float) -> float:
    """A mark on the bytes that are written: no moment, the meter compares."""
    return inf


class Memory:
    """What the connections of one factory share.

    Only what calls a method of an *owner* is shared: of a guard, or of what its ``install`` made. These live as long
    as the factory does; anything else may hold a connection, and to remember it would keep that connection in memory.
    """

    def __init__(self) -> None:
        self._owners: dict[int, object] = {}
        self._known: dict[Any, Any] = {}

    def own(self, thing: object) -> None:
        """Take something for an owner."""
        self._owners[id(thing)] = thing

    def lasting(self, do: Do) -> bool:
        """Whether ``do`` is a method of an owner."""
        return id(getattr(do, "__self__", None)) in self._owners

    def _first(self, key: Any, made: Any) -> Any:
        if len(self._known) >= _MOST:
            self._known.clear()
        return self._known.setdefault(key, made)

    def extend(self, plan: Plan, when: When, limit: float, do: Do) -> Plan:
        """A plan with one more watch, shared with every connection that has the same."""
        if not self.lasting(do):
            return (*plan, Watch(when, limit, do, private=True))
        known = self._known.get((when, limit, do))
        if known is None:
            known = self._first((when, limit, do), Watch(when, limit, do, private=False))
        return self.share((*plan, known))

    def share(self, plan: Plan) -> Plan:
        """The first plan that was equal to this one, unless a watch in it is one connection's own."""
        if any(each.private for each in plan):
            return plan
        found: Plan = self._first(plan, plan)
        return found

    def calls(self, before: tuple[Do, ...], do: Do) -> tuple[Do, ...]:
        """Calls and one more, shared when all of them are of owners."""
        together = (*before, do)
        if not all(map(self.lasting, together)):
            return together
        found: tuple[Do, ...] = self._first(together, together)
        return found
