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
from twisted.internet.protocol import Protocol
from twisted.protocols.tls import TLSMemoryBIOProtocol
from twisted.python.failure import Failure

if TYPE_CHECKING:
    from OpenSSL.SSL import Connection
    from twisted.internet.interfaces import IDelayedCall

TOGETHER = 64_000
"""More plain text than this does not wait for the end of the turn in which it is written."""

_RECORD = 16 * 1024
_SOME = 72 * 1024

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
        super().__init__(factory, upper, False)
        self._server = server
        self._make = make
        self._starts = starts
        self.pieces: list[bytes] = []
        self._size = 0
        self._call: IDelayedCall | None = None

    def makeConnection(self, transport: Any) -> None:
        """Begin; a peer that has to speak first is waited for."""
        self._tlsConnection: Any = self._make(self)
        self._appSendBuffer: list[bytes] = []
        Protocol.makeConnection(self, transport)
        if self._starts:
            self._checkHandshakeStatus()

    def logPrefix(self) -> str:
        """The application's prefix."""
        return str(self.wrappedProtocol.logPrefix())

    # what comes

    def _flushReceiveBIO(self) -> None:
        """Decrypt all that has come, deliver it, and send what TLS itself has to answer."""
        come, closed, broken = [], False, None
        try:
            receive = self._tlsConnection.recv
            while not self._lostTLSConnection:
                come.append(receive(_RECORD))
        except WantReadError:
            pass
        except ZeroReturnError:
            closed = True
        except Error:
            broken = Failure()
        if come and not self._aborted:
            self.wrappedProtocol.dataReceived(come[0] if len(come) == 1 else b"".join(come))
        if self._lostTLSConnection or not (closed or broken):
            self._flushSendBIO()
        elif broken:
            self._tlsShutdownFinished(broken)
        else:
            self.flush()
            self._shutdownTLS()
            self._tlsShutdownFinished(None)

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
            super().write(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def _write(self, data: bytes) -> None:
        if self._lostTLSConnection:
            return
        left, send = memoryview(data), self._tlsConnection.send
        try:
            while left:
                left = left[send(left) :]
        except WantReadError:  # the handshake is not over
            self._flushSendBIO()
            self._bufferedWrite(bytes(left))
        except Error:
            self._tlsShutdownFinished(Failure())
        else:
            self._flushSendBIO(_SOME + len(data))

    def _flushSendBIO(self, most: int = _SOME) -> None:
        """Send what is encrypted, in pieces of so many bytes."""
        read = self._tlsConnection.bio_read
        try:
            while len(data := read(most)) == most:
                self.transport.write(data)
        except WantReadError:
            return
        self.transport.write(data)

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
