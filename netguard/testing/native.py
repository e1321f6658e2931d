"""Our own TCP transport on a socket that is none, turned by a clock."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import ISSLTransport
from twisted.python.failure import Failure
from zope.interface import alsoProvides

from netguard.native.meter import NativeMeter
from netguard.native.secure import SecureServer
from netguard.native.server import Server

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress, IDelayedCall
    from twisted.internet.task import Clock

    from netguard.factory import GuardedFactory

_NUMBER = 7
"""The descriptor of every socket that is none."""


class MemorySocket:
    """What a transport can do to a socket, for a peer in the hands of a test.

    Attributes:
        taken: the bytes that the peer has taken.
        room: how many more the peer takes; None for as many as come.
        unread: what the peer has sent and nobody has read.
        peer_finished: whether the peer has closed its direction, and nobody has read that.
        finished: whether our direction was closed.
        changes: every change of what the peer or the kernel could see, in order, for comparing.
    """

    family = None

    def __init__(self) -> None:
        self.taken = bytearray()
        self.room: int | None = None
        self.unread = bytearray()
        self.peer_finished = self.finished = False
        self.changes: list[tuple[Any, ...]] = []

    def changed(self, name: str, *about: Any) -> None:
        """Write down a change."""
        if name == "taken" and self.changes and self.changes[-1][0] == "taken":
            self.changes[-1] = ("taken", self.changes[-1][1] + about[0])
        else:
            self.changes.append((name, *about))

    def recv(self, size: int) -> bytes:
        """Read."""
        data = bytes(self.unread[:size])
        del self.unread[: len(data)]
        if not data:
            if not self.peer_finished:
                raise BlockingIOError
            self.peer_finished = False
        return data

    def send(self, data: bytes) -> int:
        """Give the peer what it takes."""
        count = len(data) if self.room is None else min(self.room, len(data))
        if not count and data:
            raise BlockingIOError
        if self.room is not None:
            self.room -= count
        self.taken += data[:count]
        if count:
            self.changed("taken", bytes(data[:count]))
        return count

    def shutdown(self, how: int) -> None:
        """Close our direction, or both, which is about to be the end."""
        if how == 1:
            self.finished = True
            self.changed("finished")

    def close(self) -> None:
        """The end."""
        self.changed("lost")
        self.unread.clear()

    def fileno(self) -> int:
        """A number."""
        return _NUMBER

    def setblocking(self, _flag: bool) -> None:
        """Nothing blocks."""

    def setsockopt(self, *_about: object) -> None:
        """There is nothing to set."""

    def getsockopt(self, *_about: object) -> int:
        """Everything is off."""
        return 0


class Turns:
    """A reactor of one transport: reads and writes in turns of a clock, as Twisted's do.

    Args:
        clock: its turns.
        sock: the socket.
    """

    def __init__(self, clock: Clock, sock: MemorySocket) -> None:
        self.clock = clock
        self.callLater = clock.callLater
        self.seconds = clock.seconds
        self.sock = sock
        self.transport: Any = None
        self.reading: bool | None = None
        self.writing = False
        self._turn: IDelayedCall | None = None

    def addReader(self, transport: Any) -> None:
        """Read from now on."""
        if self.reading is False:
            self.sock.changed("reading")
        self.transport, self.reading = transport, True
        self.schedule()

    def removeReader(self, _transport: Any) -> None:
        """Read no more."""
        if self.reading:
            self.sock.changed("not reading")
        self.reading = False

    def addWriter(self, _transport: Any) -> None:
        """Write from now on."""
        self.writing = True
        self.schedule()

    def removeWriter(self, _transport: Any) -> None:
        """Write no more."""
        self.writing = False

    def schedule(self) -> None:
        """Have a turn, if there is something to do in it."""
        readable = self.reading and (len(self.sock.unread) > 0 or self.sock.peer_finished)
        writable = self.writing and self.sock.room != 0
        if (readable or writable) and self._turn is None and not self.transport.disconnected:
            self._turn = self.clock.callLater(0, self._act)

    def _act(self) -> None:
        self._turn = None
        transport = self.transport
        if transport.disconnected:
            return
        try:
            why = transport.doRead() if self.reading else None
            half = why is not None
            if why is None and self.writing and not transport.disconnected and self.sock.room != 0:
                why = transport.doWrite()
            if why is not None:
                self._disconnect(why, half=half)
        except BaseException:
            transport.connectionLost(Failure())
            raise
        self.schedule()

    def _disconnect(self, why: Exception, *, half: bool) -> None:
        self.removeReader(self.transport)
        if half and type(why) is ConnectionDone:
            self.transport.readConnectionLost(Failure(why))
        elif not self.transport.disconnected:
            self.removeWriter(self.transport)
            self.transport.connectionLost(Failure(why))


class _Recording(SecureServer):
    """What lies below the application's calls, written down."""

    kept: MemorySocket
    peer: IAddress | None
    host: IAddress | None

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Register a producer."""
        self.kept.changed("producer", producer, streaming)
        super().registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """Let it go."""
        self.kept.changed("no producer")
        super().unregisterProducer()

    def startTLS(self, _context: object, _normal: bool = True) -> None:  # noqa: FBT002 - ITLSTransport's
        """From now on this pretends to be encrypted."""
        self.kept.changed("tls")
        alsoProvides(self, ISSLTransport)

    def getPeer(self) -> Any:
        """The peer's address."""
        return self.peer

    def getHost(self) -> Any:
        """Our own address."""
        return self.host


class NativeMemoryTransport(Server, _Recording):
    """Our own transport, with the same handles for tests as :class:`netguard.testing.MemoryTransport`.

    Args:
        clock: its turns.
        meter: its meter (see :meth:`admit`).
        peer: what ``getPeer`` answers.
        host: what ``getHost`` answers.
    """

    def __init__(self, clock: Clock, meter: Any, peer: IAddress | None, host: IAddress | None = None) -> None:
        self.kept = MemorySocket()
        self.turns = Turns(clock, self.kept)
        self.peer, self.host = peer, host
        client = (str(getattr(peer, "host", "-")), getattr(peer, "port", 0))
        sock: Any = self.kept
        super().__init__(sock, meter, client, None, 0, self.turns)

    @staticmethod
    def admit(factory: GuardedFactory, address: IAddress | None) -> Any:
        """What a port asks the factory for.

        Args:
            factory: the guarded factory.
            address: the peer's.

        Returns:
            The meter for a transport of this class; None for a connection that is refused.
        """
        return factory.admit(address, NativeMeter)

    def _broken(self) -> None:
        """What the application raised comes out of the call that turned the clock."""
        raise  # noqa: PLE0704 - we are called where it was caught

    # what the peer does

    def deliver(self, data: bytes) -> None:
        """The peer sends; it is read in the clock's next turn, or once nobody holds the reading back."""
        self.kept.unread += data
        self.turns.schedule()

    def finish(self) -> None:
        """The peer closes its direction (FIN)."""
        self.kept.peer_finished = True
        self.turns.schedule()

    def vanish(self) -> None:
        """The peer resets the connection (RST)."""
        self.connectionLost(Failure(ConnectionLost()))

    def takes(self, count: int | None) -> None:
        """From now on the peer takes so many bytes more; None for all."""
        self.kept.room = count
        self.turns.schedule()

    # what can be seen

    @property
    def taken(self) -> bytearray:
        """The bytes that the peer has taken."""
        return self.kept.taken

    @property
    def changes(self) -> list[tuple[Any, ...]]:
        """Every change of what the peer or the kernel could see, in order."""
        return self.kept.changes

    @property
    def reading(self) -> bool:
        """Whether nobody holds the reading back."""
        return bool(self.turns.reading)

    @property
    def finished(self) -> bool:
        """Whether our direction was closed."""
        return self.kept.finished

    @property
    def aborted(self) -> bool:
        """Whether the connection was aborted from our side."""
        return bool(self._aborting)
