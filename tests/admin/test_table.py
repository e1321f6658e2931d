"""Of ten thousand connections a page shows a few, in the order that was asked for, and lets nobody's words do harm."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock

from netguard.admin.table import FARTHEST, ORDERS, SIZE, row, view
from netguard.policy import Policy
from netguard.service import Service
from netguard.testing import connect
from netguard.verdict import Verified
from netguard.wire.ident import UserId


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


def test_what_others_say_is_bounded_and_printable() -> None:
    """A name, an ident claim, and where the socket comes from."""
    there = connect(Policy.from_options({"idle": "1h"}))
    connection: Any = there.connection
    connection.learn(
        name=Verified("<b>host</b>.example"),
        ident=UserId("UNIX", "UTF-8", b"<script>\x1b[2J\n" + b"a" * 5000),
        claimed=IPv4Address("TCP", "203.0.113.9", 999),
    )
    found = row(connection)
    assert found.about.startswith("network.peer.address 192.0.2.1")
    assert "name <b>host</b>.example" in found.about
    assert "\\x1b" in found.about
    assert found.about.isprintable()
    assert len(found.about) < 600


def test_a_peer_without_a_port_has_none() -> None:
    """Such as one on a UNIX socket."""
    there = connect(Policy.from_options({"idle": "1h"}), address=UNIXAddress(b"/run/x"))
    assert row(there.connection).peer == "unix"
    there.advance(3)
    there.feed(b"hello")
    there.advance(2)
    found = row(there.connection)
    assert (found.state, found.received, found.sent, found.queued, round(found.age)) == ("open", 5, 5, 0, 5)
    assert found.waits is not None
    assert found.waits[0] == "IdleTimeout"
    assert 3596 < found.waits[1] < 3600


def test_where_nobody_waits_for_anything_that_is_said() -> None:
    """A mark of bytes is no moment."""
    there = connect(Policy.from_options({"max-in": "1MiB"}))
    assert row(there.connection).waits is None
