"""One live connection as an operator sees it: every tally, and what each guard waits for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import inf
from typing import TYPE_CHECKING, Any

from netguard import plan
from netguard.events import printable
from netguard.reports import claims, who

if TYPE_CHECKING:
    from netguard.connection import Connection
    from netguard.plan import Do, Watch

_MOMENTS: Mapping[Any, str] = {plan.age: "age", plan.later: "time", plan.silence: "silence", plan.stall: "stall"}
_MARKS: Mapping[Any, tuple[str, Callable[[Connection], int]]] = {
    plan.received: ("received", lambda connection: connection.received),
    plan.sent: ("sent", lambda connection: connection.sent),
    plan.written: ("written", lambda connection: connection.written),
}

SORTS: Mapping[str, Callable[[Connection], Any]] = {
    "age": lambda connection: connection.age,
    "received": lambda connection: connection.received,
    "sent": lambda connection: connection.sent,
    "queued": lambda connection: connection.queued,
    "silent": lambda connection: connection.silent,
    "stalled": lambda connection: connection.stalled,
    "session": lambda connection: connection.number,
    "peer": lambda connection: (connection.host or "", connection.port or 0),
}
"""By what a list may be sorted."""


def rank(told: Mapping[str, Any], sort: str) -> tuple[Any, int]:
    """Where a connection stands in a list that is sorted; the younger of two that are equal has more.

    Args:
        told: its row.
        sort: a key of :data:`SORTS`.
    """
    peer = (told["client.address"], told.get("client.port") or 0)
    return (peer if sort == "peer" else told[sort], told["session"])


def row(connection: Connection) -> dict[str, object]:
    """Describe a connection; whatever could be foreign text in it is printable.

    Args:
        connection: one that lives.
    """
    about = {key: value if isinstance(value, int) else printable(value) for key, value in who(connection).items()}
    if connection.known is not None:
        about |= {key: printable(value) for key, value in claims(connection.known).items()}
    local = connection.local
    host = getattr(local, "host", None)
    return {
        **about,
        "server": None if local is None else f"{host}:{local.port}" if host is not None else "unix",  # type: ignore[attr-defined]
        "state": connection.state,
        "age": round(connection.age, 3),
        "settled": connection.settled_at is not None,
        "received": connection.received,
        "sent": connection.sent,
        "queued": connection.queued,
        "silent": round(connection.silent, 3),
        "stalled": round(connection.stalled, 3),
        "paused": sorted(f"{holder} {way}" for holder, way in connection.pauses),
        "waits": waits(connection),
    }


def waits(connection: Connection) -> list[dict[str, object]]:
    """What each guard waits for: ``left`` is seconds to a deadline, or bytes to a mark; None while nothing counts down.

    Args:
        connection: one that lives.
    """
    guards = [type(each) for each in getattr(connection.house, "guards", ())]
    return [_wait(connection, watch, _guard_of(watch.do, guards)) for watch in connection.watches]


def _wait(connection: Connection, watch: Watch, guard: str) -> dict[str, object]:
    if watch.when in _MARKS:
        what, passed = _MARKS[watch.when]
        return {"guard": guard, "for": what, "left": watch.limit - passed(connection)}
    moment = watch.when(connection, watch.limit)
    left = None if moment == inf else round(moment - connection.now, 3)
    return {"guard": guard, "for": _MOMENTS[watch.when], "left": left}


def _guard_of(do: Do, guards: list[type]) -> str:
    """Who is called: a guard, or something of the module in which a guard is; else it belongs to the opening."""
    owner = getattr(do, "__self__", None)
    if type(owner) in guards:
        return type(owner).__name__
    module = do.__module__ if owner is None else type(owner).__module__
    return next((each.__name__ for each in guards if each.__module__ == module), "opening")
