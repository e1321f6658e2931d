"""Of ten thousand connections a page shows a few, in the order that was asked for, and lets nobody's words do harm."""

from __future__ import annotations

from heapq import nlargest, nsmallest
from typing import TYPE_CHECKING, Any

import pytest
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock

from netguard.admin import table
from netguard.admin.table import FARTHEST, ORDERS, SIZE, WITHIN, View, row
from netguard.policy import Policy
from netguard.process import rows
from netguard.service import Service
from netguard.testing import connect
from netguard.verdict import Verified
from netguard.wire.ident import UserId
from tests.coroutines import at_once

if TYPE_CHECKING:
    from netguard.testing.dialogue import Dialogue


def crowd(count: int) -> tuple[Service, list[Any]]:
    """So many connections; each later one is younger, and has sent more."""
    clock = Clock()
    factory = Policy.from_options({"idle": "1h"}).wrap(Factory.forProtocol(Protocol), clock, verbose=False)
    connections = []
    for number in range(count):
        wrapper: Any = factory.buildProtocol(IPv4Address("TCP", f"10.{number // 65536}.0.{number % 250}", number))
        wrapper.received, wrapper.sent = number, 2 * number
        connections.append(wrapper.connection)
        clock.advance(0.05)
    return factory.service, connections


def view(house: Service, asked: dict[str, str]) -> View:
    """A page of them."""
    return at_once(table.view(house, asked))


@pytest.mark.parametrize("sort", list(ORDERS))
def test_every_order_is_one(sort: str) -> None:
    """The largest first with a minus."""
    house, connections = crowd(SIZE)
    up, down = view(house, {"sort": sort}), view(house, {"sort": f"-{sort}"})
    assert [each.session for each in up.rows] == [each.number for each in sorted(connections, key=ORDERS[sort])]
    assert {each.session for each in up.rows} == {each.session for each in down.rows}
    assert (up.sort, up.down, down.down) == (sort, False, True)


def test_pages_follow_each_other() -> None:
    """Every connection is on one of them."""
    house, connections = crowd(2 * SIZE + 3)
    pages = [view(house, {"sort": "session", "page": str(page)}) for page in (1, 2, 3)]
    assert [len(each.rows) for each in pages] == [SIZE, SIZE, 3]
    assert [one.session for each in pages for one in each.rows] == [each.number for each in connections]
    assert {(each.total, each.pages) for each in pages} == {(2 * SIZE + 3, 3)}


@pytest.mark.parametrize("page", ["0", "-1", "", "x", "99", "9" * 400, "²", "1e3"])
def test_a_page_that_there_is_not_is_one_that_there_is(page: str) -> None:
    """Whatever is asked for."""
    house, _ = crowd(3)
    assert view(house, {"page": page}).page == 1
    assert view(house, {"page": page, "sort": "nonsense"}).sort == "age"


def test_there_are_not_more_pages_than_anybody_reads() -> None:
    """However many connections there are."""
    house, _ = crowd((FARTHEST + 1) * SIZE)
    assert view(house, {"page": "99999"}).page == FARTHEST


def test_nobody_is_a_page_too() -> None:
    """An empty one."""
    assert view(Service(Clock), {}).rows == ()


class Crew:
    """Workers who have each some of the connections, and others who do not answer.

    Args:
        shares: the connections of each.
        troubles: why others have not answered.
    """

    def __init__(self, shares: list[list[Any]], *troubles: str) -> None:
        self._shares = shares
        self._troubles = list(troubles)
        self.asked = ""

    async def gather(self, command: str, within: float) -> tuple[list[Any], list[str]]:
        """Answer as operators are answered."""
        assert within == WITHIN
        self.asked = command
        (_, order, many) = command.split()
        sort, (which, count) = order.removeprefix("sort="), many.split("=")
        pick = {"most": nlargest, "least": nsmallest}[which]
        parts = [pick(int(count), each, key=rows.SORTS[sort]) for each in self._shares]
        told = [{"total": len(each), "connections": list(map(rows.row, each))} for each in parts]
        for part, each in zip(told, self._shares, strict=True):
            part["total"] = len(each)
        return told, self._troubles


def with_workers(connections: list[Any], *troubles: str) -> Any:
    """A service that has these at two of its workers."""
    house: Any = Service(Clock)
    house.crew = Crew([connections[::2], connections[1::2]], *troubles)
    return house


@pytest.mark.parametrize("word", [*ORDERS, *(f"-{each}" for each in ORDERS)])
def test_workers_tell_what_one_process_would_show(word: str) -> None:
    """Whatever the order, on every page, whoever has which; of two that are equal, the younger has more."""
    house, connections = crowd(2 * SIZE + 3)
    theirs = with_workers(connections)
    sort, down = word.removeprefix("-"), word.startswith("-")
    connections.sort(key=lambda each: (rows.SORTS[sort](each), each.number), reverse=down)
    for page, shown in ("1", 1), ("2", 2), ("3", 3), ("7", 3):
        asked = {"sort": word, "page": page}
        ours, gathered = view(house, asked), view(theirs, asked)
        expected = connections[(shown - 1) * SIZE : shown * SIZE]
        assert [each.session for each in gathered.rows] == [each.number for each in expected]
        assert (gathered.page, gathered.pages, gathered.total) == (ours.page, ours.pages, ours.total)
    assert theirs.crew.asked.split()[1] == f"sort={sort}"


def test_no_more_is_asked_of_a_worker_than_the_page_needs() -> None:
    """However many connections it has, and whatever page is asked for."""
    _, connections = crowd(SIZE)
    theirs = with_workers(connections)
    view(theirs, {"page": "2"})
    assert theirs.crew.asked == f"connections sort=age most={2 * SIZE}"
    view(theirs, {"page": "99999", "sort": "peer"})
    assert theirs.crew.asked == f"connections sort=peer least={FARTHEST * SIZE}"


def test_a_worker_that_does_not_answer_is_told_of() -> None:
    """The others' connections are there."""
    _, connections = crowd(3)
    found = view(with_workers(connections, "worker 3: no answer within 2s"), {})
    assert (len(found.rows), found.unheard) == (3, ("worker 3: no answer within 2s",))


def of(there: Dialogue) -> Any:
    """The connection of somebody."""
    return there.connection


def test_what_others_say_is_bounded_and_printable() -> None:
    """A name, an ident claim, and where the socket comes from."""
    there = connect(Policy.from_options({"idle": "1h"}))
    connection: Any = there.connection
    connection.learn(
        name=Verified("<b>host</b>.example"),
        ident=UserId("UNIX", "UTF-8", b"<script>\x1b[2J\n" + b"a" * 5000),
        claimed=IPv4Address("TCP", "203.0.113.9", 999),
    )
    found = row(rows.row(connection))
    assert found.about.startswith("network.peer.address 192.0.2.1")
    assert "name <b>host</b>.example" in found.about
    assert "\\x1b" in found.about
    assert found.about.isprintable()
    assert len(found.about) < 600


def test_a_peer_without_a_port_has_none() -> None:
    """Such as one on a UNIX socket."""
    there = connect(Policy.from_options({"idle": "1h"}), address=UNIXAddress(b"/run/x"))
    assert row(rows.row(of(there))).peer == "unix"
    there.advance(3)
    there.feed(b"hello")
    there.advance(2)
    found = row(rows.row(of(there)))
    assert (found.state, found.received, found.sent, found.queued, round(found.age)) == ("open", 5, 5, 0, 5)
    assert found.waits is not None
    assert found.waits[0] == "IdleTimeout"
    assert 3596 < found.waits[1] < 3600


def test_where_nobody_waits_for_anything_that_is_said() -> None:
    """A mark of bytes is no moment."""
    there = connect(Policy.from_options({"max-in": "1MiB"}))
    assert row(rows.row(of(there))).waits is None
