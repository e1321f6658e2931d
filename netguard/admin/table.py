"""The connections that live, a page of them at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from heapq import nlargest, nsmallest
from typing import TYPE_CHECKING, Any

from attrs import fields, frozen

from netguard.process import rows

if TYPE_CHECKING:
    from netguard.service import Service

SIZE = 20
"""Rows of a page."""

FARTHEST = 50
"""Pages at most: who looks for one of more connections sorts the other way, or asks by another column."""

WITHIN = 2.0
"""Seconds in which a worker has to tell its connections, so that a page comes that somebody waits for."""

_LONGEST = 120
"""Characters of what somebody else says."""

ORDERS: Mapping[str, Callable[[Any], Any]] = {
    "session": lambda each: each.number,
    "age": lambda each: -each.opened,
    "silent": lambda each: -each.meter.active,
    "received": lambda each: each.meter.received,
    "sent": lambda each: each.meter.sent,
    "peer": lambda each: (each.host or "", each.port),
}
"""What connections are sorted by; none of it takes more than a look."""


@frozen
class Row:
    """One connection.

    Args:
        session: its number, which its events in the log have, too.
        peer: the address that counts for it, and its port.
        about: what else is known of the peer: its verified name, what its ident server claims, or who it is by its
            socket. Somebody else's words are among it.
        state: ``opening``, ``open`` or how it ends.
        age: seconds since it began.
        silent: seconds since a byte came or was taken.
        received, sent, queued: bytes.
        waits: the guard that acts first if nothing happens, and in how many seconds; None when none would.
    """

    session: int
    peer: str
    about: str
    state: str
    age: float
    silent: float
    received: int
    sent: int
    queued: int
    waits: tuple[str, float] | None


@frozen
class View:
    """A page of connections.

    Args:
        rows: these.
        total: how many live.
        page: which page it is, from 1.
        pages: how many there are to be had.
        sort: what they are sorted by.
        down: whether the largest stand first.
        unheard: why connections of some workers are not among them.
    """

    rows: tuple[Row, ...]
    total: int
    page: int
    pages: int
    sort: str
    down: bool
    unheard: tuple[str, ...] = ()


async def view(house: Service, asked: Mapping[str, str]) -> View:
    """The page that was asked for; one that there is not is the nearest that there is.

    Args:
        house: whose connections, or its workers'.
        asked: ``sort``, a key of :data:`ORDERS`, with ``-`` before it for the largest first; and ``page``.
    """
    word = asked.get("sort", "-age")
    sort, down = word.removeprefix("-"), word.startswith("-")
    if sort not in ORDERS:
        sort, down = "age", True
    if house.crew is not None:
        return await _gathered(house.crew, asked, sort, down=down)
    live = house.connections
    page, pages = _page(asked, len(live))
    first = (nlargest if down else nsmallest)(page * SIZE, live, key=ORDERS[sort])
    shown = tuple(row(rows.row(each)) for each in first[(page - 1) * SIZE :])
    return View(shown, len(live), page, pages, sort, down)


async def _gathered(crew: Any, asked: Mapping[str, str], sort: str, *, down: bool) -> View:
    """Each worker tells those of its connections that would stand on the page, or before it, if it had them alone."""
    page, _ = _page(asked, FARTHEST * SIZE)
    which = "most" if down else "least"
    answers, unheard = await crew.gather(f"connections sort={sort} {which}={page * SIZE}", WITHIN)
    total = sum(each["total"] for each in answers)
    page, pages = _page(asked, total)
    told = [one for each in answers for one in each["connections"]]
    told.sort(key=lambda each: rows.rank(each, sort), reverse=down)
    shown = tuple(row(each) for each in told[(page - 1) * SIZE : page * SIZE])
    return View(shown, total, page, pages, sort, down, tuple(unheard))


def _page(asked: Mapping[str, str], total: int) -> tuple[int, int]:
    """Which page is to be shown, and how many there are."""
    pages = min(FARTHEST, max(1, -(-total // SIZE)))
    number = asked.get("page", "1")
    known = number.isdecimal() and len(number) < 6  # noqa: PLR2004 - there are not more pages
    return min(pages, max(1, int(number))) if known else 1, pages


def row(told: Mapping[str, Any]) -> Row:
    """One connection as a page shows it, in fewer words than operators are told.

    Args:
        told: what :mod:`netguard.process.rows` tells of it.
    """
    host, port = told["client.address"], told.get("client.port")
    others = {name.removeprefix("client."): value for name, value in told.items() if "." in name}
    about = (f"{name} {str(value)[:_LONGEST]}" for name, value in others.items() if name not in ("address", "port"))
    same = {each.name: told[each.name] for each in fields(Row) if each.name in told and each.name != "waits"}
    return Row(
        peer=str(host)[:_LONGEST] + ("" if port is None else f" port {port}"),
        about=", ".join(about),
        waits=_soonest(told["waits"]),
        **same,
    )


def _soonest(waits: Any) -> tuple[str, float] | None:
    """The guard that acts first if nothing happens, and in how many seconds."""
    deadlines = [(each["left"], each["guard"]) for each in waits if each["left"] is not None and each["for"] in _TIMES]
    left, guard = min(deadlines, default=(None, ""))
    return None if left is None else (guard, max(0.0, left))


_TIMES = ("age", "time", "silence", "stall")
