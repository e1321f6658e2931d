"""Tests for netguard.facts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import ISSLTransport
from zope.interface import alsoProvides

from netguard.guards.lifetime import Lifetime
from netguard.testing import Application, Dialogue, connect


@pytest.fixture
def peer() -> Dialogue:
    """A connection under a guard that strikes nobody."""
    return connect(Lifetime("24h"), Application)


def there(peer: Dialogue) -> Any:
    """The connection."""
    assert peer.connection is not None
    return peer.connection


@pytest.mark.parametrize(
    ("address", "host", "port", "kind", "seen"),
    [
        (IPv4Address("TCP", "192.0.2.7", 7), "192.0.2.7", 7, "-", IPv4Address("TCP", "192.0.2.7", 7)),
        (IPv6Address("TCP", "2001:db8::1", 7), "2001:db8::1", 7, "-", IPv6Address("TCP", "2001:db8::1", 7)),
        (IPv6Address("TCP", "::ffff:192.0.2.7", 7), "192.0.2.7", 7, "-", IPv4Address("TCP", "192.0.2.7", 7)),
        (UNIXAddress("/x"), None, 0, "unix", UNIXAddress("/x")),
        (HostnameAddress(b"x.example", 7), "x.example", 7, "unix", HostnameAddress(b"x.example", 7)),
        (None, None, 0, "-", None),
    ],
    ids=str,
)
def test_the_peer_is_who_the_socket_says(address: Any, host: Any, port: int, kind: str, seen: Any) -> None:
    """Mapped addresses are IPv4, a name will do where a proxy has resolved it; what has no host is kept as it is."""
    found = there(connect(Lifetime("1h"), address=address))
    assert (found.host, found.port, found.address_kind) == (host, port, kind)
    assert found.address == found.peer.seen == found.peer.effective == seen
    assert found.peer.claimed is None


def test_tallies_are_the_meters(peer: Dialogue) -> None:
    """Received, sent, written, queued, age."""
    peer.takes(1)
    peer.feed(b"12345")
    peer.application.transport.write(b"123")
    peer.advance(2)
    found = there(peer)
    assert (found.received, found.sent, found.written, found.queued, found.age) == (5, 3, 3, 2, 2.0)


def test_silence_begins_with_the_last_byte(peer: Dialogue) -> None:
    """A byte that the sweep has not seen yet counts."""
    peer.advance(3)
    assert there(peer).silent == 3
    peer.clock.advance(0.1)
    peer.feed(b"x")
    assert there(peer).silent == 0
    peer.advance(3)
    assert 2.7 <= there(peer).silent <= 3


def test_silence_goes_on_while_bytes_wait_although_nobody_listens(peer: Dialogue) -> None:
    """The peer owes us something then."""
    peer.takes(0)
    peer.application.transport.write(b"x")
    there(peer).pause("a guard")
    peer.advance(5)
    assert there(peer).silent >= 4


def test_exchanges_have_a_length_and_an_age(peer: Dialogue) -> None:
    """In until the answer, out until everything is taken."""
    found = there(peer)
    assert found.exchange("in") is found.exchange("out") is None
    peer.feed(b"12")
    peer.advance(2)
    lasted, count = found.exchange("in")
    assert (1.5 < lasted <= 2, count) == (True, 2)
    peer.takes(0)
    peer.application.transport.write(b"12345")
    assert found.exchange("in") is None
    peer.advance(2)
    peer.takes(3)
    peer.advance(0.25)
    lasted, count = found.exchange("out")
    assert (1.5 < lasted <= 2.25, count) == (True, 3)
    peer.takes(None)
    peer.advance(0.25)
    assert found.exchange("out") is None


def test_a_handshake_lasts_until_the_peer_has_finished(peer: Dialogue) -> None:
    """As OpenSSL says; where nobody says, until the first byte of plain text."""
    found: Any = there(peer)
    assert [found.handshaking] == [None]
    found.secure()
    peer.advance(2)
    assert found.handshaking == 2
    finished: list[bytes] = []
    handle = SimpleNamespace(get_peer_finished=lambda: finished[0] if finished else None)
    found.meter.transport.getHandle = lambda: handle
    peer.feed(b"x")
    assert found.handshaking == 2
    finished.append(b"finished")
    assert [found.handshaking, found.handshake] == [None, None]
    found.secure()
    found.meter.transport.getHandle = lambda: None
    assert found.handshaking is None


def test_what_waits_for_a_handshake_is_not_taken_slowly(peer: Dialogue) -> None:
    """A server that speaks first has a greeting ready, which nobody can take before TLS is there."""
    found: Any = there(peer)
    finished: list[bytes] = []
    handle = SimpleNamespace(get_peer_finished=lambda: finished[0] if finished else None)
    found.meter.transport.getHandle = lambda: handle
    found.secure()
    peer.takes(0)
    peer.application.transport.write(b"+OK ready")
    peer.advance(20)
    assert found.exchange("out") == (0, 0)
    finished.append(b"finished")
    peer.advance(3)
    lasted, count = found.exchange("out")
    assert (lasted, count) == (3, 0)


def test_parting_is_a_handshake_that_begins_when_nothing_waits_any_more(peer: Dialogue) -> None:
    """Closing TLS needs the peer's consent; what it still has to read is not held against it."""
    found: Any = there(peer)
    found.part()
    assert [found.handshaking] == [None]  # plain text needs nobody's consent
    alsoProvides(found.meter.transport, ISSLTransport)
    peer.takes(0)
    peer.application.transport.write(b"12345")
    peer.advance(1)
    found.part()
    peer.advance(5)
    assert found.handshaking == 0
    peer.takes(None)
    peer.advance(3)
    assert 2.5 <= found.handshaking <= 3


def test_the_opening_is_a_handshake() -> None:
    """From the beginning, while guards decide."""
    from twisted.internet.protocol import Factory
    from twisted.internet.task import Clock

    clock = Clock()
    wrapper: Any = Lifetime("1h").wrap(Factory.forProtocol(Application), clock).buildProtocol(None)
    clock.advance(3)
    assert wrapper.connection.handshaking == 3
    assert wrapper.connection.admitted
