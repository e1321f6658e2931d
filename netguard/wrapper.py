"""The first meter: what the transport has for its protocol.

What the application has for its transport is a second object (:mod:`netguard.transport`), since one that is both has
name collisions.

The hot path is ``Wrapper.dataReceived`` and ``GuardedTransport.write``: add, compare, deliver. Everything else goes the
slow way.

The contract (why each item is there is in the documentation's design page): what the transport asks of its protocol is
answered as the application's protocol would answer, and what the application asks of its transport is answered as the
transport would answer, both at the moment of asking.
"""

from __future__ import annotations

import os
from functools import cache
from math import inf
from typing import TYPE_CHECKING, Any
from typing import Protocol as Shape

from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import (
    IFileDescriptorReceiver,
    IHalfCloseableProtocol,
    IHandshakeListener,
    ILoggingContext,
    IProtocol,
)
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import implementer, providedBy
from zope.interface.declarations import Declaration

from netguard.connection import Connection
from netguard.meter import CLOSED
from netguard.over import OVER
from netguard.transport import GuardedTransport
from netguard.writing import WritingMeter

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress

    from netguard.early import Early
    from netguard.facts import House
    from netguard.peer import Caller

_GONE = Protocol()
"""What stands in the place of an application's protocol that has heard of its end: it lets nothing happen."""


class Owner(Shape):
    """What a wrapper needs of its factory."""

    def connected(self, wrapper: Wrapper) -> None:
        """The transport is there; go on with the opening."""

    def disconnected(self, wrapper: Wrapper, reason: Failure) -> None:
        """The transport is gone: give every place back."""

    def hear(self, wrapper: Wrapper, data: bytes) -> None:
        """Bytes came that a guard reads itself."""

    def abandoned(self, wrapper: Wrapper) -> None:
        """It is closed, and there never was a transport that could say that it is gone."""

    def left(self) -> None:
        """The application has heard of it, too."""


@implementer(IProtocol, ILoggingContext)
class Wrapper(WritingMeter):
    """What the transport has for its protocol.

    Args:
        house: the factory, for the connection's events and clock.
        address: the peer's address, or None.
        number: the session's number.
        caller: the peer, where it was met before.
    """

    __slots__ = ("early", "protocol")

    connection: Connection
    protocol: Any

    def __init__(self, house: House, address: IAddress | None, number: int, caller: Caller | None = None) -> None:
        connection = Connection(house, self, address, number, caller)
        super().__init__(connection, connection.opened)
        self.protocol = None
        self.early: Early | None = None

    # toward the transport

    def dataReceived(self, data: bytes) -> None:
        """Count, and deliver."""
        size = len(data)
        received = self.received = self.received + size
        if received > self.received_mark and not self._may_pass(data):
            return
        tap = self.tap
        if tap is not None and (size > tap.longest or not data.endswith(tap.ends)):
            tap.show(self.connection, data)
            if self.received_mark < 0:  # CLOSED
                return
        self.protocol.dataReceived(data)

    def _may_pass(self, data: bytes) -> bool:
        if self.early is not None:
            if self.early.reader is not None:
                self._owner.hear(self, data)
            else:
                self.early.keep(self.connection, "dataReceived", data)
            return False
        if self.connection.state == "open":
            self.connection.cross("in")
        return self.received_mark != CLOSED

    def makeConnection(self, transport: Any) -> None:
        """The transport is there: tell the factory, which builds or has built the application's protocol."""
        self.transport = transport
        connection = self.connection
        if connection.state != "opening":
            self.close()
            return
        connection.met(transport)
        if not connection.listening:
            self.hold_reading()
        connection.house.connected(self)  # type: ignore[attr-defined]  # as _owner

    def close(self) -> None:
        """Let nothing pass any more, and abort the transport if there is one."""
        super().close()
        if self.transport is None:
            self._owner.abandoned(self)

    @property
    def _owner(self) -> Owner:
        return self.connection.house  # type: ignore[return-value]

    def wait(self, early: Early) -> None:
        """A guard needs time: keep what comes."""
        self.early = early
        self.received_mark = CLOSED

    def start(self) -> None:
        """Let the application have the connection, and what came early."""
        self.connection.state = "open"
        early = self.early
        if early is not None:
            self.early = None
            self.received = 0  # it comes, and counts, once more
            self.connection.rearm()  # nothing was to pass before
        self.protocol.makeConnection(self.outside())
        if early is not None:
            early.replay(self)

    def outside(self) -> Any:
        """What the application gets for its transport."""
        return GuardedTransport(self, self.transport)

    def connectionLost(self, reason: Failure) -> None:
        """The connection is over: places are given back first, then the application hears of it, once."""
        connection = self.connection
        house = connection.house
        if connection.state == "ended":
            return
        if type(reason.value) is ConnectionLost and connection.state == "open":
            house.service.lost(connection)
        state = connection.state
        why = reason if connection.reason is None else Failure(connection.reason)
        self.received_mark = self.sent_mark = CLOSED
        house.disconnected(self, reason)  # type: ignore[attr-defined]  # as _owner
        try:
            if self.supply is not None and self.supply.aside:
                self.supply.producer.stopProducing()
        finally:
            try:
                if state in ("open", "cut"):
                    self.protocol.connectionLost(why)
            finally:
                self.let_go()
                house.left()  # type: ignore[attr-defined]  # as _owner

    def let_go(self) -> None:
        """It is over: hold nothing that holds us, so that nothing waits for the garbage collector."""
        if self.early is not None:
            self.early.forget()
        self.protocol = _GONE
        self.connection = OVER
        self.tap = self.early = self.backlog = self.supply = None
        self.due = inf

    def connectionMade(self) -> None:
        """Twisted calls makeConnection; this is here for IProtocol."""

    def readConnectionLost(self) -> None:
        """The peer will send no more."""
        reading = self.early is not None and self.early.reader is not None
        if reading or not self._tell(IHalfCloseableProtocol, "readConnectionLost"):
            self.below.loseConnection()  # as it would have done by itself, had we not had to wait

    def writeConnectionLost(self) -> None:
        """The peer will take no more."""
        self._tell(IHalfCloseableProtocol, "writeConnectionLost")

    def fileDescriptorReceived(self, descriptor: int) -> None:
        """A file descriptor came with the bytes."""
        if not self._tell(IFileDescriptorReceiver, "fileDescriptorReceived", descriptor):
            os.close(descriptor)

    def handshakeCompleted(self) -> None:
        """The TLS handshake is over."""
        self.connection.handshaken()
        self._tell(IHandshakeListener, "handshakeCompleted")

    def _tell(self, interface: Any, name: str, *arguments: Any) -> bool:
        """Pass a call on to an application that listens to such, now or once it is there."""
        if self.early is not None:
            self.early.keep(self.connection, name, *arguments)
            return True
        if not interface.providedBy(self.protocol):
            return False
        getattr(self.protocol, name)(*arguments)
        return True

    def logPrefix(self) -> str:
        """The application's own prefix, unchanged."""
        if ILoggingContext.providedBy(self.protocol):
            return str(self.protocol.logPrefix())
        return type(self.protocol).__name__ if self.protocol is not None else "opening"

    @property
    def __providedBy__(self) -> Any:
        """What the application's protocol provides of what transports ask for; all of it while that is not known."""
        if self.early is not None:
            return _provides(_ASKED_FOR)
        provided = providedBy(self.protocol)
        return _answers.get(provided) or _answer(provided)

    @property
    def wrappedProtocol(self) -> Any:
        """The application's protocol; None while the guards still decide."""
        return self.protocol

    @property
    def factory(self) -> Any:
        """The guarded factory."""
        return self.connection.house


_ASKED_FOR = (IHalfCloseableProtocol, IFileDescriptorReceiver, IHandshakeListener)


_MOST_ANSWERS = 1024
_answers: dict[Any, Any] = {}


def _answer(provided: Any) -> Any:
    """What transports are told about a protocol that provides this; asked several times for each connection."""
    if len(_answers) >= _MOST_ANSWERS:
        _answers.clear()
    found = _answers[provided] = _provides(tuple(each for each in _ASKED_FOR if provided.isOrExtends(each)))
    return found


@cache
def _provides(some: tuple[Any, ...]) -> Any:
    return Declaration(IProtocol, ILoggingContext, *some)
