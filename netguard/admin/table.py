"""The connections that live, a page of them at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from heapq import nlargest, nsmallest
from typing import TYPE_CHECKING, Any

from attrs import frozen

from netguard.events import printable
from netguard.reports import claims, who

if TYPE_CHECKING:
    from netguard.service import Service

SIZE = 20
"""Rows of a page."""

FARTHEST = 50
"""Pages at most: who looks for one of more connections sorts the other way, or asks by another column."""

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
    """

    rows: tuple[Row, ...]
    total: int
    page: int
    pages: int
    sort: str
    down: bool


def view(house: Service, asked: Mapping[str, str]) -> View:
    """The page that was asked for; one that there is not is the nearest that there is.

    Args:
        house: whose connections.
        asked: ``sort``, a key of :data:`ORDERS`, with ``-`` before it for the largest first; and ``page``.
    """
    live = house.connections
    word = asked.get("sort", "-age")
    sort, down = word.removeprefix("-"), word.startswith("-")
    if sort not in ORDERS:
        sort, down = "age", True
    pages = min(FARTHEST, max(1, -(-len(live) // SIZE)))
    number = asked.get("page", "1")
    page = min(pages, max(1, int(number))) if number.isdecimal() and len(number) < 6 else 1  # noqa: PLR2004 - no more pages
    first = (nlargest if down else nsmallest)(page * SIZE, live, key=ORDERS[sort])
    return View(tuple(map(row, first[(page - 1) * SIZE :])), len(live), page, pages, sort, down)


def row(connection: Any) -> Row:
    """One connection as a page shows it.

    Args:
        connection: the connection.
    """
    known = who(connection)
    peer = str(known["client.address"]) + (f" port {known['client.port']}" if "client.port" in known else "")
    said = _said({**known, **({} if connection.known is None else claims(connection.known))})
    return Row(
        session=connection.number,
        peer=printable(peer, _LONGEST),
        about=said,
        state=connection.state,
        age=connection.age,
        silent=connection.silent,
        received=connection.received,
        sent=connection.sent,
        queued=connection.queued,
    )


_PLAIN = ("client.address", "client.port", "session")


def _said(known: Mapping[str, object]) -> str:
    others = {name: value for name, value in known.items() if name not in _PLAIN}
    return ", ".join(f"{name.removeprefix('client.')} {printable(value, _LONGEST)}" for name, value in others.items())
