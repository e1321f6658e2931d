"""Tests for netguard.process.rows: one connection as an operator sees it."""

from __future__ import annotations

import json
from typing import Any

from twisted.internet.address import IPv4Address, UNIXAddress

from netguard.guards.bandwidth import Bandwidth
from netguard.guards.byte_limit import ByteLimit
from netguard.guards.first_byte_timeout import FirstByteTimeout
from netguard.guards.idle_timeout import IdleTimeout
from netguard.guards.write_stall import WriteStall
from netguard.policy import Policy
from netguard.process.rows import SORTS, rank, row, waits
from netguard.testing import connect
from netguard.verdict import Verified
from netguard.wire.ident import UserId


def row_of(peer: Any) -> dict[str, Any]:
    """As it is answered."""
    found: dict[str, Any] = json.loads(json.dumps(row(peer.connection)))
    return found


def test_every_tally_and_what_each_guard_waits_for() -> None:
    """Deadlines by the seconds that are left, marks by the bytes."""
    limits = ByteLimit(received="1kB", sent="2kB")
    peer = connect(Policy(FirstByteTimeout("1h"), IdleTimeout("5m"), WriteStall("10s"), limits))
    peer.feed(b"12345")
    peer.advance(2.5)
    peer.takes(0)
    peer.feed(b"123")
    peer.advance(1.5)
    shown = row_of(peer)
    assert (shown["client.address"], shown["client.port"], shown["state"]) == ("192.0.2.1", 40000, "open")
    assert (shown["received"], shown["sent"], shown["queued"], shown["age"]) == (8, 8, 3, 4.0)
    assert (shown["silent"], shown["stalled"], shown["settled"]) == (1.25, 1.25, False)
    assert {(each["guard"], each["for"]): each["left"] for each in shown["waits"]} == {
        ("FirstByteTimeout", "age"): 3596.0,
        ("IdleTimeout", "silence"): 298.75,
        ("WriteStall", "stall"): 8.75,
        ("ByteLimit", "received"): 992,
        ("ByteLimit", "sent"): 1992,
    }


def test_what_does_not_count_down_has_nothing_left() -> None:
    """Nobody stalls while nothing waits."""
    peer: Any = connect(WriteStall("10s"))
    assert waits(peer.connection) == [{"guard": "WriteStall", "for": "stall", "left": None}]


def test_who_holds_a_connection_back_is_named() -> None:
    """And so is the guard of a part of it that waits."""
    peer = connect(Bandwidth(received="10B/s"))
    peer.feed(b"x" * 100)
    shown = row_of(peer)
    assert shown["paused"] == ["Bandwidth in"]
    assert [each["guard"] for each in shown["waits"]] == ["Bandwidth"]


def test_a_watch_of_nobodys_is_the_openings() -> None:
    """As those that the factory itself sets."""
    peer: Any = connect(IdleTimeout("5m"))
    peer.connection.after(5, lambda _: None)
    assert [each["guard"] for each in waits(peer.connection)] == ["IdleTimeout", "opening"]


def test_foreign_text_is_printable() -> None:
    """A name from the DNS, and an ident claim, whoever chose them."""
    peer: Any = connect(IdleTimeout("5m"))
    peer.connection.learn(name=Verified("mail.example"), ident=UserId("UNIX", "US-ASCII", b"\x1b[2J\n"))
    peer.connection.learn(claimed=IPv4Address("TCP", "198.51.100.9", 7))
    shown = row_of(peer)
    assert shown["client.name"] == "mail.example"
    assert shown["client.ident.claim"] == "\\x1b[2J\\x0a"
    assert shown["network.peer.address"] == "192.0.2.1"
    assert all(each.isprintable() for each in shown.values() if isinstance(each, str))


def test_a_unix_peer_and_one_without_a_transport_are_shown() -> None:
    """Neither has an address."""
    peer = connect(IdleTimeout("5m"), address=UNIXAddress(b"/run/x"))
    assert row_of(peer)["client.address"] == "unix"
    wrapper: Any = peer.factory.admit(IPv4Address("TCP", "192.0.2.7", 7))
    assert row(wrapper.connection)["server"] is None
    wrapper.close()


def test_every_key_sorts() -> None:
    """Rows stand in the same order as the connections that they tell of."""
    peers: list[Any] = [connect(IdleTimeout("5m"), address=IPv4Address("TCP", "192.0.2.7", n)) for n in (9, 10)]
    first, second = (each.connection for each in peers)
    for name, key in SORTS.items():
        ranks = [rank(row(each), name) for each in (first, second)]
        assert (ranks[0] < ranks[1]) == ((key(first), first.number) < (key(second), second.number))


def test_a_peer_without_a_port_has_a_rank() -> None:
    """One on a UNIX socket."""
    peer = connect(IdleTimeout("5m"), address=UNIXAddress(b"/run/x"))
    connection: Any = peer.connection
    assert rank(row(connection), "peer") == (("unix", 0), connection.number)
    assert SORTS["peer"](connection) == ("", 0)
