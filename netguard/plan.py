"""A condition on a connection, and what to do when it holds.

The watches of a connection are one tuple, its *plan*. Plans and watches are shared between connections (ten thousand
idle connections have one plan), which is why ``do`` takes the connection as its argument.
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
        private: it cannot be shared, since a closure may hold its connection.
    """

    __slots__ = ("do", "limit", "private", "when")

    def __init__(self, when: When, limit: float, do: Do) -> None:
        self.when = when
        self.limit = limit
        self.do = do
        self.private = bool(getattr(do, "__closure__", None))


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


_memory: dict[Any, Any] = {}


def shared(key: Any, made: Any) -> Any:
    """The first object that was made for an equal key."""
    if len(_memory) >= _MOST:
        _memory.clear()
    return _memory.setdefault(key, made)


def extend(plan: Plan, when: When, limit: float, do: Do) -> Plan:
    """A plan with one more watch, shared with every connection that has the same."""
    watch = Watch(when, limit, do)
    if watch.private:
        return (*plan, watch)
    return share((*plan, shared((when, limit, do), watch)))


def share(plan: Plan) -> Plan:
    """The first plan that was equal to this one, unless a watch in it is one connection's own."""
    if any(each.private for each in plan):
        return plan
    found: Plan = shared(plan, plan)
    return found
