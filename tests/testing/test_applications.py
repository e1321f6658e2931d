"""Tests for netguard.testing.applications."""

from __future__ import annotations

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from netguard.testing import Application, Echo, HalfCloseable


def test_an_application_remembers_what_happens() -> None:
    """Calls, bytes, and the reason of its end."""
    application = Application()
    application.makeConnection(StringTransport())
    application.dataReceived(b"a")
    application.dataReceived(b"b")
    application.connectionLost(Failure(ConnectionDone()))
    assert application.calls == [("made",), ("data", b"a"), ("data", b"b"), ("lost", ConnectionDone)]
    assert application.received == b"ab"
    assert isinstance(application.reason, ConnectionDone)


def test_a_reaction_happens_once() -> None:
    """In the next call of its name."""
    application, done = Application(), []
    application.reactions["data"] = lambda: done.append(1)
    application.makeConnection(StringTransport())
    application.dataReceived(b"a")
    application.dataReceived(b"b")
    assert done == [1]


def test_echo_answers() -> None:
    """With what came."""
    application, transport = Echo(), StringTransport()
    application.makeConnection(transport)
    application.dataReceived(b"a")
    assert transport.value() == b"a"


def test_half_closeable_is_told_of_both_directions() -> None:
    """And says so by its interface."""
    application = HalfCloseable()
    application.readConnectionLost()
    application.writeConnectionLost()
    assert application.calls == [("read lost",), ("write lost",)]
    assert IHalfCloseableProtocol.providedBy(application)
    assert not IHalfCloseableProtocol.providedBy(Application())
