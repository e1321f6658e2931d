"""A transport without a socket, that does what TCP's does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol, ISSLTransport, ITCPTransport, ITLSTransport
from twisted.python.failure import Failure
from zope.interface import alsoProvides, implementer

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress, IDelayedCall
    from twisted.internet.task import Clock


@implementer(ITCPTransport, ITLSTransport)
class MemoryTransport(FileDescriptor):
    """A transport without a socket: buffers, producers, closing and pausing are those of Twisted's own class.

    It reads and writes in turns of its clock, as a reactor would. What the protocol raises ends the connection, as in
    a reactor, and then comes out of the call that turned the clock.

    Args:
        clock: its turns.
        protocol: who is called.
        peer: what ``getPeer`` answers.
        host: what ``getHost`` answers.

    Attributes:
        taken: the bytes that the peer has taken.
        room: how many more the peer takes; None for as many as come.
        unread: what the peer has sent and nobody has read.
        aborted: whether the connection was aborted from our side.
        finished: whether our direction was closed.
        changes: every change of what the peer or the kernel could see, in order, for comparing.
    """

    def __init__(self, clock: Clock, protocol: Any, peer: IAddress | None, host: IAddress | None = None) -> None:
        super().__init__(reactor=clock)  # type: ignore[arg-type]  # nothing of IReactorFDSet is used
        self.clock = clock
        self.protocol = protocol
        self.peer, self.host = peer, host
        self.connected = 1
        self.taken = bytearray()
        self.room: int | None = None
        self.unread = bytearray()
        self.aborted = self.finished = False
        self.changes: list[tuple[Any, ...]] = []
        self._peer_finished = False
        self._reading = True
        self._writing = False
        self._turn: IDelayedCall | None = None
        self._base: Any = super()  # it has no annotations

    @staticmethod
    def admit(factory: Any, address: IAddress | None) -> Any:
        """What a port asks a factory for.

        Args:
            factory: any factory.
            address: the peer's.

        Returns:
            The protocol for a transport of this class; None for a connection that is refused.
        """
        return factory.buildProtocol(address)

    # what the peer does

    def deliver(self, data: bytes) -> None:
        """The peer sends; it is read in the clock's next turn, or once nobody holds the reading back."""
        self.unread += data
        self._schedule()

    def finish(self) -> None:
        """The peer closes its direction (FIN)."""
        self._peer_finished = True
        self._schedule()

    def vanish(self) -> None:
        """The peer resets the connection (RST)."""
        if not self.disconnected:
            self.connectionLost(Failure(ConnectionLost()))

    def takes(self, count: int | None) -> None:
        """From now on the peer takes so many bytes more; None for all."""
        self.room = count
        self._schedule()

    # the turns

    @property
    def reading(self) -> bool:
        """Whether nobody holds the reading back."""
        return self._reading

    def _schedule(self) -> None:
        readable = self._reading and (len(self.unread) > 0 or self._peer_finished)
        writable = self._writing and self.room != 0
        if (readable or writable) and self._turn is None and not self.disconnected:
            self._turn = self.clock.callLater(0, self._act)

    def _act(self) -> None:
        self._turn = None
        if self.disconnected or self.aborted:
            return
        try:
            if self._reading:
                self.doRead()
            why: Any = None
            if self._writing and self.connected and self.room != 0 and not self.aborted:
                why = self._base.doWrite()
        except BaseException:
            self.connectionLost(Failure())
            raise
        if isinstance(why, BaseException) and not self.disconnected:
            self.connectionLost(Failure(why))
        self._schedule()

    def doRead(self) -> None:
        """Read what one call of recv would bring."""
        if self.unread:
            data = bytes(self.unread[: self.bufferSize])
            del self.unread[: len(data)]
            self.protocol.dataReceived(data)
        elif self._peer_finished:
            self._peer_finished = False
            self.stopReading()
            self.readConnectionLost(Failure(ConnectionDone()))

    def writeSomeData(self, data: bytes) -> int:
        """Give the peer what it takes."""
        count = len(data) if self.room is None else min(self.room, len(data))
        if self.room is not None:
            self.room -= count
        self.taken += data[:count]
        if count:
            self._changed("taken", bytes(data[:count]))
        return count

    def _changed(self, name: str, *about: Any) -> None:
        if name == "taken" and self.changes and self.changes[-1][0] == "taken":
            self.changes[-1] = ("taken", self.changes[-1][1] + about[0])
        else:
            self.changes.append((name, *about))

    # what TCP's transport does

    def startReading(self) -> None:
        """Read from now on."""
        if not self._reading:
            self._changed("reading")
        self._reading = True
        self._schedule()

    def stopReading(self) -> None:
        """Read no more."""
        if self._reading:
            self._changed("not reading")
        self._reading = False

    def startWriting(self) -> None:
        """Write from now on."""
        self._writing = True
        self._schedule()

    def stopWriting(self) -> None:
        """Write no more."""
        self._writing = False

    def abortConnection(self) -> None:
        """End the connection in the clock's next turn."""
        if not (self.disconnected or self.aborted):
            self.aborted = True
            self.stopReading()
            self.stopWriting()
            self.clock.callLater(0, self.connectionLost, Failure(ConnectionAborted()))

    def _closeWriteConnection(self) -> None:
        self.finished = True
        self._changed("finished")
        half: Any = IHalfCloseableProtocol(self.protocol, None)
        if half is not None:
            half.writeConnectionLost()

    def readConnectionLost(self, reason: Failure) -> None:
        """The peer has closed its direction."""
        half: Any = IHalfCloseableProtocol(self.protocol, None)
        if half is not None:
            half.readConnectionLost()
        else:
            self.connectionLost(reason)

    def connectionLost(self, reason: Failure) -> None:
        """It is over, for whatever reason: tell the protocol, once."""
        if self.disconnected:
            return
        self._base.connectionLost(reason)
        self._changed("lost")
        self.unread.clear()
        protocol, self.protocol = self.protocol, None  # as a socket's transport lets go of it
        protocol.connectionLost(reason)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Register a producer."""
        self._changed("producer", producer, streaming)
        super().registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """Let it go."""
        self._changed("no producer")
        super().unregisterProducer()

    def startTLS(self, contextFactory: object, normal: bool = True) -> None:  # noqa: FBT002 - ITLSTransport's
        """From now on this pretends to be encrypted."""
        self._changed("tls")
        alsoProvides(self, ISSLTransport)

    def getPeerCertificate(self) -> None:
        """The peer has none."""

    def getPeer(self) -> Any:
        """The peer's address."""
        return self.peer

    def getHost(self) -> Any:
        """Our own address."""
        return self.host

    def getHandle(self) -> None:
        """There is no socket."""

    def getTcpNoDelay(self) -> bool:
        """Nothing is delayed."""
        return True

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Nothing is delayed."""

    def getTcpKeepAlive(self) -> bool:
        """Nothing has to be kept alive."""
        return False

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """Nothing has to be kept alive."""
