"""A TCP transport that sends an answer at the end of the read that it answers.

It can be told from Twisted's by nothing but the time it takes:

* what is written while bytes are delivered is sent at once when all are delivered, where Twisted's would first ask
  the kernel whether it may write: one turn of the reactor and two system calls less for each request. A connection
  that is to be closed with it is closed then. Whatever is not plain (bytes that wait already, a producer that waits
  for its turn) goes Twisted's way. This needs TCP_NODELAY: an answer in two parts would wait for the peer's
  acknowledgement of the first;
* an application that answers at another moment can have the same by :meth:`PromptServer.promptly`;
* its names for logs are made when somebody wants them (:mod:`netguard.native.naming`);
* what the reactor knows already it is not told again when the connection ends (:mod:`netguard.native.ends`);
* as long as nothing waits, it has no list of what does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet import tcp
from twisted.internet.abstract import FileDescriptor
from twisted.internet.address import IPv6Address
from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST
from twisted.python import log
from twisted.python.failure import Failure

from netguard.native.ends import DONE, Ends
from netguard.native.group import Group
from netguard.native.member import Member
from netguard.native.naming import Named

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable

TOGETHER = 256 * 1024
"""So much may be written in one turn before a producer is held for what the kernel has not been asked to take yet."""

_Server: Any = tcp.Server  # half of it is not annotated
_Descriptor: Any = FileDescriptor
_NOTHING: Any = ()
_HOST_AND_PORT = 2


class PromptServer(Ends, Named, Member, _Server):  # type: ignore[misc]
    """One accepted connection, made like any of Twisted's (:attr:`twisted.internet.tcp.Port.transport`).

    Args:
        sock: its socket, which does not block.
        protocol: who gets what is read.
        client: the peer's address, as sockets have it.
        server: the port.
        sessionno: the number that the port gave it.
        reactor: who tells it what can be read and written.

    Attributes:
        upper: who gets what is read: the protocol, or TLS on the way to it.
        most: bytes that one read may bring.
    """

    producer: Any
    dataBuffer: bytes
    most: int = tcp.Server.bufferSize
    _waits = False

    def __init__(
        self, sock: socket.socket, protocol: Any, client: tuple[Any, ...], server: Any, sessionno: int, reactor: Any
    ) -> None:
        # All that the classes above would do, but for the two names.
        self.reactor = reactor
        self._tempDataBuffer: list[bytes] = _NOTHING
        self._tempDataLen = 0
        self.socket = sock
        self.upper = protocol
        self.server = server
        self.client = client
        self.sessionno = sessionno
        if len(client) != _HOST_AND_PORT:
            self._addressType = IPv6Address
        if not isinstance(reactor, Group):  # who asks several times for each event
            self.fileno = sock.fileno  # type: ignore[method-assign]
        reactor.addReader(self)

    # what is read, and sent in answer

    def doRead(self) -> Any:
        """Read what is there, deliver it, and send what was written meanwhile."""
        try:
            data = self.socket.recv(self.most)
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        if not data:
            return CONNECTION_DONE
        if self._inside:
            self.upper.dataReceived(data)
        else:
            self.promptly(self.upper.dataReceived, data)
        return None

    def promptly(self, do: Callable[..., object], *args: object) -> None:
        """Call something; what it writes is sent when it returns, in the same turn of the reactor.

        Args:
            do: what to call.
            args: with what.
        """
        if self._inside:  # whoever is outside will send it
            do(*args)
            return
        self._inside = True
        try:
            do(*args)
        except BaseException:
            self._inside = False
            if self._wanted and not self.disconnected:
                self._write_later()  # unless that is the end of the connection
            raise
        self._inside = False
        if self._wanted:
            self.send_now()

    def send_now(self) -> None:
        """Send what was written in this turn, unless somebody outside will do it."""
        if self._wanted and not self._inside:
            self._wanted = False
            if not self.disconnected:
                self._send()

    def read_at_once(self) -> None:
        """Read what has come already, as the reactor would do in its next turn; nothing, if nobody wants to read."""
        if not self._reads:
            return
        try:
            why = self.doRead()
        except BaseException as raised:  # noqa: BLE001 - as the reactor does
            log.err()
            why = raised
        if why is not None:
            self.reactor.removeReader(self)
            if why is CONNECTION_DONE:
                self.readConnectionLost(DONE)
            else:
                self.connectionLost(Failure(why))

    def write_soon(self, data: bytes) -> None:
        """Send at the end of this turn; a producer is held for what is left then, and for very much before.

        Args:
            data: any number of bytes.
        """
        inside = self._inside or self._wanted
        if inside and not (self.disconnected or self._writeDisconnected) and self._tempDataLen <= TOGETHER:
            self.add(data)
        else:
            self._tempDataBuffer = self._tempDataBuffer or []
            _Descriptor.write(self, data)

    def add(self, data: bytes) -> None:
        """Have this sent at the end of the turn, which is to come."""
        if data:
            if self._tempDataBuffer:
                self._tempDataBuffer.append(data)
            else:
                self._tempDataBuffer = [data]
            self._tempDataLen += len(data)
            self._wanted = True

    def write(self, data: bytes) -> None:
        """Write, as Twisted does."""
        self._tempDataBuffer = self._tempDataBuffer or []
        super().write(data)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Write several pieces, as Twisted does."""
        self._tempDataBuffer = self._tempDataBuffer or []
        super().writeSequence(iovec)

    def startTLS(self, ctx: Any, normal: bool = True) -> None:  # noqa: FBT002 - ITLSTransport's
        """Start TLS, as Twisted does."""
        self._tempDataBuffer = self._tempDataBuffer or []
        super().startTLS(ctx, normal)

    def _send(self) -> None:
        """Send what was written at once, if nothing else has to be thought of."""
        if self.TLS:
            self._encrypt()
        # A push producer has to be told only when it was paused; a pull producer, whenever all was written.
        minds = self.producer and (self.producerPaused or not self.streamingProducer)
        if not (self.dataBuffer or minds or self._writeDisconnecting or self._aborting) and self._sent():
            if not self._closing:
                return
            if not self._waits:  # else the reactor may be about to call doWrite
                self.connectionLost(DONE)
                return
        self._write_later()
        if not self.producerPaused:
            self._maybePauseProducer()

    def _encrypt(self) -> None:
        """Write what TLS has kept for the end of the turn."""

    def _sent(self) -> bool:
        """Whether the kernel has taken all that was written; what it has not is left to doWrite."""
        pieces = self._tempDataBuffer
        if not pieces:
            return True
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        try:
            sent = self.socket.send(data)
        except OSError:  # doWrite will find what it is, after what can still be read has been
            return False
        self._tempDataBuffer = _NOTHING
        self._tempDataLen = 0
        if self.TLS or sent < len(data):
            self._tempDataBuffer = []
            self.dataBuffer = bytes(memoryview(data)[sent:])
        return sent == len(data)

    def _write_later(self) -> None:
        self._wanted = False
        self._waits = True
        self.reactor.addWriter(self)

    def startWriting(self) -> None:
        """Write as soon as the kernel takes something; while bytes are delivered, when that is done."""
        if self._inside:
            self._wanted = True
        elif not self._wanted:
            self._write_later()

    def stopWriting(self) -> None:
        """Write no more."""
        self._wanted = False
        if self._waits:
            self._waits = False
            self.reactor.removeWriter(self)

    def startReading(self) -> None:
        """Read from now on."""
        if self._reads and isinstance(self.reactor, Group):  # nobody but us speaks to that
            return
        self._reads = True
        self.reactor.addReader(self)

    def stopReading(self) -> None:
        """Read no more."""
        self._reads = False
        self.reactor.removeReader(self)

    # what it is

    def fileno(self) -> int:
        """Its descriptor, -1 when it is over. Whoever asks may turn to the reactor, so that watches it from now on."""
        if isinstance(self.reactor, Group):
            self.reactor.dismiss(self)
        try:
            return int(self.socket.fileno())
        except AttributeError:
            return -1
