"""TLS on a native transport: Twisted's, of which only the ways of the bytes are other ones.

* What one read brings is decrypted whole, and delivered in one piece; what one turn writes is encrypted in one piece,
  and sent at its end. Twisted's own goes through 16 KiB at a time, and lets small writes wait for another turn.
* The application keeps the native transport, so nothing has to stand for it here.

When a handshake is over, how TLS ends, who is told what and in which order is Twisted's own
(:class:`twisted.protocols.tls.TLSMemoryBIOProtocol`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from OpenSSL.SSL import Error, WantReadError, ZeroReturnError
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure

if TYPE_CHECKING:
    from OpenSSL.SSL import Connection
    from twisted.internet.interfaces import IDelayedCall

TOGETHER = 64_000
"""More plain text than this does not wait for the end of the turn in which it is written."""

_RECORD = 16 * 1024
_SOME = 16 * 1024

_Layer: Any = TLSMemoryBIOProtocol  # it is not annotated


class Layer(_Layer):  # type: ignore[misc]
    """TLS between a native transport and who gets what is read.

    Args:
        factory: what Twisted's context factories look at, for the application's protocols (ALPN).
        upper: who gets what is read.
        server: the native transport itself.
        make: makes the connection of OpenSSL; an exception of its is the caller's.
        starts: whether the handshake is ours to start.

    Attributes:
        pieces: what was written, and is to be encrypted together.
    """

    wrappedProtocol: Any
    _lostTLSConnection: bool
    _reason: Failure | None
    _server: Any
    _make: Any

    def __init__(
        self, factory: Any, upper: Any, server: Any, make: Callable[[Layer], Connection], *, starts: bool
    ) -> None:
        # All that the classes above would do.
        self.factory = factory
        self.wrappedProtocol = upper
        self._server = server
        self._make = make
        self._starts = starts
        self._appSendBuffer: list[bytes] = []
        self.pieces: list[bytes] = []
        self._size = 0
        self._call: IDelayedCall | None = None

    def makeConnection(self, transport: Any) -> None:
        """Begin; a peer that has to speak first is waited for."""
        self._tlsConnection: Any = self._make(self)
        self.connected = 1
        self.transport = transport
        if self._starts:
            self._checkHandshakeStatus()

    def logPrefix(self) -> str:
        """The application's prefix."""
        return str(self.wrappedProtocol.logPrefix())

    # what comes

    def dataReceived(self, data: bytes) -> None:
        """Go on with the handshake, or decrypt."""
        self._tlsConnection.bio_write(data)
        if not self._handshakeDone:
            self._checkHandshakeStatus()
            if not self._handshakeDone:
                return
        if self._appSendBuffer:
            self._unbufferPendingWrites()
        self._flushReceiveBIO()

    def _flushReceiveBIO(self) -> None:
        """Decrypt all that has come, deliver it, and send what TLS itself has to answer."""
        come: list[bytes] = []
        closed, broken = False, None
        receive = self._tlsConnection.recv
        try:
            while not self._lostTLSConnection:
                come.append(receive(_RECORD))
        except WantReadError:
            pass
        except ZeroReturnError:
            closed = True
        except Error as why:
            broken = _of(why)
        if come and not self._aborted:
            self.wrappedProtocol.dataReceived(come[0] if len(come) == 1 else b"".join(come))
        if self._lostTLSConnection or not (closed or broken):
            if not self.pieces:  # else it is sent with them
                self._flushSendBIO()
        elif broken:
            self._tlsShutdownFinished(broken)
        else:
            self._close()

    def _close(self) -> None:
        """The peer has closed TLS: so do we, behind what was written."""
        self.flush()
        if self._lostTLSConnection:
            return
        try:  # noqa: SIM105 - suppress() takes three calls more
            self._tlsConnection.shutdown()
        except Error:
            pass
        self._lostTLSConnection = True
        self._flushSendBIO()
        self.transport.loseConnection()

    # what goes

    def write(self, data: bytes) -> None:
        """Encrypt and send this with what else is written in this turn."""
        self.pieces.append(data if type(data) is bytes else bytes(memoryview(data)))
        self._size += len(data)
        if self._size > TOGETHER:
            self.flush()
        elif not self._server.flushes_soon() and self._call is None:
            self._call = self._server.reactor.callLater(0, self._called)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """The same with several pieces."""
        self.write(b"".join(iovec))

    def _called(self) -> None:
        self._call = None
        self.flush()

    def flush(self) -> None:
        """Encrypt what waits."""
        pieces = self.pieces
        if pieces:
            self.pieces = []
            self._size = 0
            data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            if data and not (self.disconnecting and self._producer is None):
                self._write(data)

    def _write(self, data: bytes) -> None:
        if self._lostTLSConnection:
            return
        left: Any = data
        send = self._tlsConnection.send
        try:
            while (count := send(left)) < len(left):  # a context of somebody else's may have it sent in parts
                left = memoryview(left)[count:]
        except WantReadError:  # the handshake is not over
            self._flushSendBIO()
            self._bufferedWrite(bytes(left))
        except Error as why:
            self._tlsShutdownFinished(_of(why))
        else:
            self._flushSendBIO(_SOME + len(data))

    def _flushSendBIO(self, most: int = _SOME) -> None:
        """Send what is encrypted, past TLS, in pieces of so many bytes."""
        read, write = self._tlsConnection.bio_read, self._server.write_soon
        try:
            while len(data := read(most)) == most:
                write(data)
        except WantReadError:
            return
        write(data)

    # the ends

    def abandon(self) -> None:
        """The connection is aborted: deliver nothing more."""
        self._aborted = True

    def loseConnection(self) -> None:
        """Close TLS, and then the connection, behind what is written."""
        self.flush()
        super().loseConnection()

    def unregisterProducer(self) -> None:
        """Let the application's producer go; what it has written is not lost should that be the end."""
        self.flush()
        super().unregisterProducer()

    def connectionLost(self, reason: Failure) -> None:
        """It is over; what came before is delivered first."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if not self._lostTLSConnection:
            self._tlsConnection.bio_shutdown()
            self._flushReceiveBIO()
            self._lostTLSConnection = True
        why, self._reason = self._reason or reason, None
        self.connected = False
        try:
            self.wrappedProtocol.connectionLost(why)
        finally:
            self.wrappedProtocol = self._tlsConnection = self._make = self._server = None  # which all hold us


def _of(why: Error) -> Failure:
    """What OpenSSL says, without the frames in which it said so: those would hold it, and us, in turn."""
    return Failure(why.with_traceback(None))
