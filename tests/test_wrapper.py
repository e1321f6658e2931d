"""Tests for netguard.wrapper; its contract is held item by item in `test_wrapper_contract.py`."""

from __future__ import annotations

import os
from contextlib import nullcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IFileDescriptorReceiver,
    IHalfCloseableProtocol,
    IHandshakeListener,
    ILoggingContext,
    IProtocol,
)
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer
from zope.interface.verify import verifyObject

from netguard import wrapper as module
from netguard.errors import Expelled
from netguard.guard import Guard, frozen
from netguard.guards.lifetime import Lifetime
from netguard.meter import CLOSED
from netguard.taps import EVERY, Tap
from netguard.testing import Application, Dialogue, connect


def wrapper_of(peer: Dialogue) -> Any:
    """What the transport has for its protocol."""
    assert peer.transport is not None
    return peer.transport.protocol


def bare(application: Any = Application) -> Any:
    """A wrapper without a transport."""
    return Lifetime("1h").wrap(Factory.forProtocol(application), Clock()).buildProtocol(None)


@given(chunks=st.lists(st.binary(max_size=50)))
def test_bytes_are_delivered_as_they_come_and_counted(chunks: list[bytes]) -> None:
    """Chunk for chunk."""
    peer = connect(Lifetime("1h"), Application)
    for each in chunks:
        wrapper_of(peer).dataReceived(each)
    assert [each for _, *each in peer.application.calls[1:]] == [[chunk] for chunk in chunks]
    assert peer.connection is not None
    assert peer.connection.received == sum(map(len, chunks))


def test_it_is_a_protocol() -> None:
    """All that Twisted calls on protocols is there."""
    wrapper = bare()
    assert verifyObject(IProtocol, wrapper)
    assert verifyObject(ILoggingContext, wrapper)
    wrapper.connectionMade()
    assert wrapper.factory is wrapper.connection.house


def test_a_transport_that_comes_after_a_refusal_is_closed() -> None:
    """No application hears of it."""
    wrapper = bare()
    application = wrapper.wrappedProtocol
    wrapper.connection.cut(Expelled())
    transport = StringTransport()
    wrapper.makeConnection(transport)
    assert transport.disconnected
    assert application.calls == []


def test_a_loss_before_the_start_is_not_the_applications() -> None:
    """It never had the connection."""
    wrapper = bare()
    application, house = wrapper.wrappedProtocol, wrapper.factory
    wrapper.connectionLost(Failure(ConnectionDone()))
    assert application.calls == []
    assert house.connections == []


def test_nothing_is_held_when_it_is_over() -> None:
    """Whatever it still has is inert."""
    peer = connect(Lifetime("1h"), Application)
    wrapper = wrapper_of(peer)
    wrapper.tap = Tap(((print, EVERY),))
    peer.vanish()
    assert wrapper.wrappedProtocol is not peer.application
    assert (wrapper.tap, wrapper.early, wrapper.backlog, wrapper.supply) == (None, None, None, None)
    assert (wrapper.received_mark, wrapper.sent_mark) == (CLOSED, CLOSED)
    assert wrapper.factory is None
    assert wrapper.logPrefix() == "Protocol"


@implementer(IFileDescriptorReceiver, IHandshakeListener, IHalfCloseableProtocol)
class Everything(Application):
    """Hears of everything."""

    def fileDescriptorReceived(self, descriptor: int) -> None:
        """Remember."""
        self._called("descriptor", descriptor)

    def handshakeCompleted(self) -> None:
        """Remember."""
        self._called("handshake")

    def readConnectionLost(self) -> None:
        """Remember."""
        self._called("read lost")

    def writeConnectionLost(self) -> None:
        """Remember."""
        self._called("write lost")


def test_what_the_transport_tells_is_passed_on() -> None:
    """To an application that listens to it."""
    peer = connect(Lifetime("1h"), Everything)
    wrapper = wrapper_of(peer)
    wrapper.fileDescriptorReceived(5)
    wrapper.handshakeCompleted()
    wrapper.readConnectionLost()
    wrapper.writeConnectionLost()
    assert [name for name, *_ in peer.application.calls[1:]] == ["descriptor", "handshake", "read lost", "write lost"]


def test_what_nobody_listens_to_is_dealt_with() -> None:
    """A descriptor is closed, a half-close closes."""
    peer = connect(Lifetime("1h"), Application)
    wrapper, descriptor = wrapper_of(peer), os.open(os.devnull, os.O_RDONLY)
    wrapper.fileDescriptorReceived(descriptor)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
    wrapper.handshakeCompleted()
    wrapper.writeConnectionLost()
    assert not peer.lost
    wrapper.readConnectionLost()
    peer.advance()
    assert peer.lost


@frozen
class Waits(Guard):
    """Waits for what it is given."""

    answer: Any = None

    def open(self, connection: Any) -> Any:
        """Wait."""
        return self.answer


def test_while_guards_decide_it_provides_everything() -> None:
    """What comes is kept; what is not wanted in the end is dropped with the connection."""
    answer: Deferred[None] = Deferred()
    peer = connect(Waits(answer), Everything)
    wrapper = wrapper_of(peer)
    for each in (IFileDescriptorReceiver, IHandshakeListener, IHalfCloseableProtocol, IProtocol):
        assert each.providedBy(wrapper)
    assert wrapper.logPrefix() == "opening"
    descriptor = os.open(os.devnull, os.O_RDONLY)
    wrapper.dataReceived(b"early")
    wrapper.fileDescriptorReceived(descriptor)
    peer.vanish()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
    answer.callback(None)
    assert peer.application is None


def test_what_comes_early_counts_once() -> None:
    """The application may look at it in connectionMade, and answer it."""
    answer: Deferred[None] = Deferred()
    peer = connect(Waits(answer), Application)
    wrapper_of(peer).dataReceived(b"12345")
    assert peer.connection is not None
    assert peer.connection.received == 5
    answer.callback(None)
    peer.advance()
    assert peer.connection.received == 5
    assert peer.application.received == b"12345"


def test_a_cut_in_connection_made_drops_what_came_early() -> None:
    """It is not delivered to an application whose connection is over."""
    answer: Deferred[None] = Deferred()
    peer = connect(Waits(answer), Application)

    class Cuts(Factory):
        """Cuts in connectionMade."""

        def buildProtocol(self, addr: object) -> Any:
            """Build."""
            made = Application()
            assert peer.connection is not None
            made.reactions["made"] = lambda: peer.connection.cut(Expelled())  # type: ignore[union-attr]
            return made

    peer.factory.wrapped = Cuts()
    wrapper_of(peer).dataReceived(b"early")
    answer.callback(None)
    peer.advance()
    assert [name for name, *_ in peer.application.calls] == ["made", "lost"]


def test_a_tap_sees_what_is_delivered_and_may_end_it() -> None:
    """What it has seen when it cuts, is not delivered."""
    peer = connect(Lifetime("1h"), Application)
    seen: list[bytes] = []

    def look(connection: Any, data: bytes) -> None:
        seen.append(data)
        if data == b"bad":
            connection.cut(Expelled())

    wrapper_of(peer).tap = Tap(((look, EVERY),))
    peer.feed(b"good")
    peer.feed(b"bad")
    assert seen == [b"good", b"bad"]
    assert peer.application.received == b"good"


def test_a_mark_is_crossed_before_delivery() -> None:
    """And a cut there keeps the chunk back."""
    peer = connect(Lifetime("1h"), Application)
    assert peer.connection is not None
    peer.connection.when_received(3, lambda c: c.cut(Expelled()))
    peer.feed(b"123")
    peer.feed(b"4")
    assert peer.application.received == b"123"


def test_a_pause_before_the_transport_holds() -> None:
    """It is passed on as soon as there is one."""
    wrapper = bare()
    wrapper.connection.pause("a guard")
    transport = StringTransport()
    wrapper.makeConnection(transport)
    assert transport.producerState == "paused"


@pytest.mark.parametrize("raises", [False, True])
def test_an_end_is_told_once_and_to_a_producer_that_was_set_aside(raises: bool) -> None:
    """Places first, then the producer, then the application, whatever the producer does."""
    peer = connect(Lifetime("1h"), Application)
    assert peer.connection is not None
    wrapper = wrapper_of(peer)
    told: list[str] = []

    class Producer:
        """Has to be asked."""

        def resumeProducing(self) -> None:
            """Write."""
            peer.application.transport.write(b"x")

        def stopProducing(self) -> None:
            """Remember."""
            told.append("stopped")
            if raises:
                raise ZeroDivisionError

    peer.connection.pause("a guard", "out")
    peer.application.transport.registerProducer(Producer(), False)
    peer.application.reactions["lost"] = lambda: told.append("lost")
    with pytest.raises(ZeroDivisionError) if raises else nullcontext():
        peer.vanish()
    wrapper.connectionLost(Failure(ConnectionDone()))
    assert told == ["stopped", "lost"]


def test_what_a_class_provides_is_remembered_under_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many kinds of protocols start it afresh."""
    monkeypatch.setattr(module, "_MOST_ANSWERS", 3)
    module._answers.clear()
    for _ in range(10):
        kind = type("Kind", (Application,), {})
        assert not IHalfCloseableProtocol.providedBy(bare(kind))
    assert len(module._answers) <= 3
