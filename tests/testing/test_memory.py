"""Tests for netguard.testing.memory: the double does what TCP's transport does."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IConsumer, IPushProducer, ISSLTransport, ITCPTransport, ITLSTransport
from twisted.internet.task import Clock
from zope.interface import providedBy
from zope.interface.verify import verifyObject

from netguard.testing import Application, Echo, HalfCloseable, MemoryTransport

PEER = IPv4Address("TCP", "192.0.2.1", 1)


class Line:
    """A transport, its application and its clock."""

    def __init__(self, application: type[Application] = Application) -> None:
        self.clock = Clock()
        self.application: Any = application()
        self.transport: Any = MemoryTransport(self.clock, self.application, PEER)
        self.application.makeConnection(self.transport)

    def turn(self) -> None:
        """One turn of the reactor."""
        self.clock.advance(0)


def test_it_is_a_transport() -> None:
    """All that an application may ask of one is there."""
    line = Line()
    for each in (ITCPTransport, IConsumer, IPushProducer):
        assert verifyObject(each, line.transport)
    assert ITLSTransport in providedBy(line.transport)
    assert line.transport.getPeer() == PEER
    assert line.transport.getHost() is None
    assert line.transport.getHandle() is None
    assert line.transport.getPeerCertificate() is None
    line.transport.setTcpNoDelay(True)
    line.transport.setTcpKeepAlive(True)
    assert (line.transport.getTcpNoDelay(), line.transport.getTcpKeepAlive()) == (True, False)


def test_bytes_come_and_go_in_the_clocks_turns() -> None:
    """Not while the application is still writing them."""
    line = Line(Echo)
    line.transport.deliver(b"hello")
    assert line.application.received == b""
    line.turn()
    assert line.transport.taken == b"hello"


def test_what_is_sent_while_nobody_reads_waits() -> None:
    """In the kernel, as it were."""
    line = Line()
    line.transport.pauseProducing()
    line.transport.deliver(b"hello")
    line.turn()
    assert line.transport.unread == b"hello"
    assert not line.transport.reading
    line.transport.resumeProducing()
    line.turn()
    assert line.application.received == b"hello"


def test_much_is_read_in_pieces() -> None:
    """As large as a transport's own."""
    line = Line()
    line.transport.deliver(b"x" * 100_000)
    line.turn()
    assert [len(each[1]) for each in line.application.calls[1:]] == [65536, 34464]


def test_the_peer_takes_what_it_takes() -> None:
    """And the rest waits in the transport's buffer."""
    line = Line()
    line.transport.takes(3)
    line.transport.write(b"abcdef")
    line.turn()
    assert (line.transport.taken, line.transport.room) == (b"abc", 0)
    line.transport.takes(1)
    line.turn()
    assert line.transport.taken == b"abcd"
    line.transport.takes(None)
    line.turn()
    assert line.transport.taken == b"abcdef"


def test_closing_waits_for_the_peer_and_aborting_does_not() -> None:
    """The application hears of it in the next turn."""
    line: Any = Line()
    line.transport.takes(0)
    line.transport.write(b"x")
    line.transport.loseConnection()
    line.turn()
    assert [line.application.reason] == [None]
    line.transport.abortConnection()
    line.transport.abortConnection()
    assert [line.application.reason] == [None]
    line.turn()
    assert type(line.application.reason) is ConnectionAborted
    line.transport.abortConnection()
    line = Line()
    line.transport.write(b"x")
    line.transport.loseConnection()
    line.turn()
    assert (line.transport.taken, type(line.application.reason)) == (b"x", ConnectionDone)


@pytest.mark.parametrize("application", [Application, HalfCloseable])
def test_half_closes_are_for_those_who_understand_them(application: Any) -> None:
    """Others lose the connection when the peer closes its direction, and hear nothing of ours."""
    line = Line(application)
    line.transport.loseWriteConnection()
    line.turn()
    assert line.transport.finished
    line.transport.deliver(b"last")
    line.transport.finish()
    line.turn()
    names = [each[0] for each in line.application.calls]
    if application is HalfCloseable:
        assert names == ["made", "write lost", "data", "read lost"]
    else:
        assert names == ["made", "data", "lost"]


def test_what_the_application_raises_ends_the_connection_and_comes_out() -> None:
    """As a reactor would log it."""
    line = Line()
    line.application.reactions["data"] = lambda: 1 / 0
    line.transport.deliver(b"x")
    with pytest.raises(ZeroDivisionError):
        line.turn()
    assert type(line.application.reason) is ZeroDivisionError


def test_it_is_lost_once() -> None:
    """However it comes about; nothing comes or goes afterwards."""
    line = Line()
    line.transport.abortConnection()
    line.transport.vanish()
    line.transport.vanish()
    line.transport.deliver(b"x")
    line.transport.write(b"x")
    line.turn()
    assert [each[0] for each in line.application.calls] == ["made", "lost"]
    assert type(line.application.reason) is ConnectionLost
    assert not line.transport.connected


def test_an_abort_in_the_middle_of_a_turn_stops_it() -> None:
    """What was to be written is not."""
    line = Line(Echo)
    line.application.reactions["data"] = line.transport.abortConnection
    line.transport.deliver(b"x" * 70_000)
    line.turn()
    assert line.transport.taken == b""
    assert len(line.application.received) == 65536


def test_producers_are_the_transports_own() -> None:
    """Paused when its buffer is full, resumed when it is empty, stopped at the end."""
    told: list[str] = []

    class Producer:
        """Remembers."""

        def __getattr__(self, name: str) -> Any:
            """Every method."""
            return lambda: told.append(name)

    line = Line()
    line.transport.takes(0)
    line.transport.registerProducer(Producer(), True)
    line.transport.write(b"x" * 70_000)
    line.transport.takes(None)
    line.turn()
    line.transport.vanish()
    assert told == ["pauseProducing", "resumeProducing", "stopProducing"]
    line.transport.unregisterProducer()


def test_it_pretends_to_be_encrypted_when_it_is_told_to() -> None:
    """It provides what TLS provides."""
    line = Line()
    line.transport.startTLS(None)
    assert ISSLTransport.providedBy(line.transport)
    assert ITCPTransport.providedBy(line.transport)


def test_changes_are_kept_in_order() -> None:
    """Bytes next to each other as one; what changes nothing is no change."""
    line = Line()
    line.transport.write(b"1")
    line.turn()
    line.transport.write(b"2")
    line.turn()
    line.transport.pauseProducing()
    line.transport.pauseProducing()
    line.transport.resumeProducing()
    line.transport.resumeProducing()
    line.transport.vanish()
    assert line.transport.changes == [
        ("taken", b"12"),
        ("not reading",),
        ("reading",),
        ("not reading",),
        ("lost",),
    ]
