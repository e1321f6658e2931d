"""The first meter: what the transport has for its protocol.

What the application has for its transport is a second object (:mod:`netguard.transport`), since one that is both has
name collisions.

The hot path is ``Wrapper.dataReceived`` and ``GuardedTransport.write``: add, stamp, compare, deliver. Everything else
goes the slow way.

The contract (why each item is there is in the documentation's design page): what the transport asks of its protocol is
answered as the application's protocol would answer, and what the application asks of its transport is answered as the
transport would answer, both at the moment of asking.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.interfaces import (
    IFileDescriptorReceiver,
    IHalfCloseableProtocol,
    IHandshakeListener,
    ILoggingContext,
    IProtocol,
)
from twisted.python.failure import Failure
from zope.interface import classImplements, implementer, providedBy

from netguard.backlog import Backlog
from netguard.connection import Connection
from netguard.errors import TooEarly
from netguard.meter import CLOSED, Meter, Tick
from netguard.transport import GuardedTransport

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress

    from netguard.facts import House

EARLY = 64 * 1024
"""So much of what comes is kept while the guards still decide; reading is paused, so it is what one read may bring."""


class Owner(Protocol):
    """What a wrapper needs of its factory."""

    def connected(self, wrapper: Wrapper) -> None:
        """The transport is there; go on with the opening."""

    def disconnected(self, wrapper: Wrapper, reason: Failure) -> None:
        """The transport is gone."""


@implementer(IProtocol, ILoggingContext)
class Wrapper(Meter):
    """What the transport has for its protocol.

    Args:
        house: the factory, for the connection's events and clock.
        tick: the coarse clock.
        address: the peer's address, or None.
        number: the session's number.
    """

    __slots__ = ("__weakref__", "backlog", "early", "producer", "protocol")

    connection: Connection
    protocol: Any

    def __init__(self, house: House, tick: Tick, address: IAddress | None, number: int) -> None:
        super().__init__(tick, Connection(house, self, address, number))
        self.protocol = None
        self.producer: Any = None
        self.backlog: Backlog | None = None
        self.early: list[bytes] | None = None

    # toward the transport

    def dataReceived(self, data: bytes) -> None:
        """Count, and deliver."""
        received = self.received = self.received + len(data)
        self.active = self.tick.stamp
        if received > self.received_mark and not self._may_pass(data):
            return
        if self.tap is not None:
            self.tap(data)
            if self.received_mark == CLOSED:
                return
        self.protocol.dataReceived(data)

    def _may_pass(self, data: bytes) -> bool:
        connection = self.connection
        if connection.state == "open":
            connection.cross("in")
        elif connection.state == "opening":
            self._keep(data)
        return self.received_mark != CLOSED

    def _keep(self, data: bytes) -> None:
        self.early = [*(self.early or ()), data]
        if self.received > EARLY:
            self.early = None
            self.connection.refuse(TooEarly(EARLY, self.received))

    def makeConnection(self, transport: Any) -> None:
        """The transport is there: tell the factory, which builds or has built the application's protocol."""
        self.transport = transport
        self.connection.met(transport)
        self._owner.connected(self)

    @property
    def _owner(self) -> Owner:
        return self.connection.house  # type: ignore[return-value]

    def adopt(self, protocol: Any) -> None:
        """Take the application's protocol, and answer the transport as it would."""
        self.protocol = protocol
        wanted = _answering_as(protocol)
        if wanted is not type(self):
            self.__class__ = wanted

    def start(self) -> None:
        """Let the application have the connection, and what came early."""
        self.connection.start()
        self.protocol.makeConnection(GuardedTransport(self, self.transport))
        early, self.early = self.early, None
        for data in early or ():
            self.received -= len(data)
            if self.received_mark != CLOSED:
                self.dataReceived(data)

    def connectionLost(self, reason: Failure) -> None:
        """The connection is over: places are given back first, then the application hears of it, once."""
        connection = self.connection
        state = connection.state
        if state == "ended":
            return
        why = reason if connection.reason is None else Failure(connection.reason)
        self.received_mark = self.sent_mark = CLOSED
        self._owner.disconnected(self, reason)
        if state in ("open", "cut"):
            self.protocol.connectionLost(why)

    def connectionMade(self) -> None:
        """Twisted calls makeConnection; this is here for IProtocol."""

    def readConnectionLost(self) -> None:
        """The peer will send no more."""
        self.protocol.readConnectionLost()

    def writeConnectionLost(self) -> None:
        """The peer will take no more."""
        self.protocol.writeConnectionLost()

    def fileDescriptorReceived(self, descriptor: int) -> None:
        """A file descriptor came with the bytes."""
        self.protocol.fileDescriptorReceived(descriptor)

    def handshakeCompleted(self) -> None:
        """The TLS handshake is over."""
        self.protocol.handshakeCompleted()

    def logPrefix(self) -> str:
        """The application's own prefix, unchanged."""
        if ILoggingContext.providedBy(self.protocol):
            return str(self.protocol.logPrefix())
        return type(self.protocol).__name__

    @property
    def wrappedProtocol(self) -> Any:
        """The application's protocol; None while the guards still decide."""
        return self.protocol

    @property
    def factory(self) -> Any:
        """The guarded factory."""
        return self.connection.house

    # what the application writes

    def held_back(self) -> int:
        """Bytes written that have not reached the transport."""
        return self.backlog.size if self.backlog else 0

    def write_slowly(self, data: bytes) -> None:
        """A mark is crossed, or the way is held or closed: split the bytes at the marks, keep what has to wait."""
        backlog = self.backlog
        rest = memoryview(data) if backlog is not None and backlog.size else self._pass_on(memoryview(data))
        if rest and self.connection.state == "open":
            if backlog is None:
                backlog = self.backlog = Backlog()
            backlog.add(rest, self.producer)

    def _pass_on(self, data: memoryview) -> memoryview:
        """Write up to the marks, calling those whose marks they are; return what has to wait."""
        while data and self.connection.state == "open" and not self.connection.paused("out"):
            room = self.sent_mark - self.sent
            if room <= 0:
                self.connection.cross("out")
                continue
            now = data[: int(min(room, len(data)))]
            data = data[len(now) :]
            self.sent += len(now)
            self.answered = self.received
            self.transport.write(bytes(now))
        return data

    def release_writing(self) -> None:
        """Pass on what was held back, until it is held back again."""
        backlog = self.backlog
        while backlog is not None and backlog.size:
            rest = self._pass_on(backlog.take())
            if rest:
                backlog.put_back(rest)
                return
        if backlog is not None:
            backlog.drained(self.transport, self.producer)


_provide: Any = classImplements  # mypy's plugin for interfaces knows only classes that stand in the source
_PASSED_ON = (IHalfCloseableProtocol, IFileDescriptorReceiver, IHandshakeListener)
_MOST_CLASSES = 1024
_classes: dict[Any, type[Wrapper]] = {}


def _answering_as(protocol: Any) -> type[Wrapper]:
    """The wrapper class that provides toward the transport exactly what the application's protocol provides."""
    provided = providedBy(protocol)
    found = _classes.get(provided)
    if found is None:
        if len(_classes) >= _MOST_CLASSES:
            _classes.clear()
        found = _classes[provided] = _class_providing(tuple(each for each in _PASSED_ON if each in provided))
    return found


@cache
def _class_providing(wanted: tuple[Any, ...]) -> type[Wrapper]:
    if not wanted:
        return Wrapper
    made = type("Wrapper", (Wrapper,), {"__slots__": (), "__doc__": Wrapper.__doc__})
    _provide(made, *wanted)
    return made
