"""A TCP transport that counts by itself: what the application has for its transport, without a wrapper in between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.protocol import Protocol

from netguard.backlog import CLOSING
from netguard.meter import CLOSED
from netguard.native.secure import SecureServer
from netguard.over import OVER
from netguard.transport import APPLICATION
from netguard.writing import WritingMeter

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable

    from twisted.python.failure import Failure

    from netguard.connection import Connection


class _Gone(WritingMeter):
    """Stands for the meter of a connection that is over, so that transport and meter do not hold each other."""

    __slots__ = ()

    protocol = Protocol()


_GONE = _Gone(OVER, 0.0)
_GONE.sent_mark = CLOSED


class Server(SecureServer):
    """One accepted connection under guard; the contract of :mod:`netguard.wrapper` holds here, too.

    Its calls are the application's. What the guards do to it goes past them (:mod:`netguard.native.below`).

    Args:
        sock: its socket.
        protocol: its meter.
        client: the peer's address, as sockets have it.
        server: the port.
        sessionno: the number that the port gave it.
        reactor: who tells it what can be read and written.

    Attributes:
        meter: its tallies.
    """

    _host: Any = None
    _encrypting = False
    """TLS is being put below the application: what Twisted calls for that is not the application's call."""

    def __init__(
        self, sock: socket.socket, protocol: Any, client: tuple[Any, ...], server: Any, sessionno: int, reactor: Any
    ) -> None:
        self.meter = protocol
        sock.setblocking(False)
        super().__init__(sock, protocol, client, server, sessionno, reactor)

    # what the application does

    def write(self, data: bytes) -> None:
        """Count, and write."""
        meter = self.meter
        sent = meter.sent + len(data)
        if sent > meter.sent_mark:
            meter.write_slowly(data)
            return
        meter.sent = sent
        meter.answered = meter.received
        plain = (self._inside or self._wanted) and type(data) is bytes and not self.TLS
        over = self.disconnected or self._writeDisconnected
        if plain and not over and (self.producer is None or self._takes(data)):
            self.add(data)
        elif self.TLS and not self.disconnected:
            self.upper.write(data)
        else:
            super().write(data)

    def _takes(self, data: bytes) -> bool:
        """Whether that leaves the producer going on."""
        return bool(len(self.dataBuffer) + self._tempDataLen + len(data) <= self.bufferSize)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Count, and write; the pieces are joined, as Twisted's transport does later."""
        whole = b"".join(iovec)
        if whole:
            self.write(whole)
        elif iovec:  # pieces without a byte: a producer is resumed for them
            super().writeSequence(iovec)

    def loseConnection(self) -> None:
        """Close once everything written has gone."""
        if self.meter.later(self._close):
            self.meter.connection.pause(CLOSING)
        else:
            self._close()

    def leave(self) -> None:
        """Close once everything written has gone: if it has, before this returns."""
        if self.meter.backlog is None and self.meter.supply is None:
            super().leave()
        else:
            self.promptly(self.loseConnection)

    def _close(self) -> None:
        super().loseConnection()
        self.meter.connection.part()

    def loseWriteConnection(self) -> None:
        """Close our direction once everything written has gone."""
        close = super().loseWriteConnection
        if not self.meter.later(close):
            close()

    def pauseProducing(self) -> None:
        """Stop reading, on the application's own account."""
        self.meter.connection.pause(APPLICATION)

    def resumeProducing(self) -> None:
        """Read again, unless a guard holds the reading back."""
        connection = self.meter.connection
        if connection.paused("in"):
            connection.resume(APPLICATION)
        else:
            super().resumeProducing()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Take the application's producer."""
        if self._encrypting or self.disconnected:
            super().registerProducer(producer, streaming)
        else:
            self.meter.register(producer, streaming)

    def unregisterProducer(self) -> None:
        """Let the application's producer go."""
        if self._encrypting or self.disconnected:
            super().unregisterProducer()
        else:
            self.meter.unregister()

    def startTLS(self, ctx: Any, normal: bool = True) -> None:  # noqa: FBT002 - ITLSTransport's
        """Start TLS; from here on plain text is counted, and the handshake is timed."""
        self.meter.flush()
        self.secure_by(ctx, normal=normal)
        self.meter.connection.secure()

    def secure_by(self, context: Any, *, normal: bool = True) -> None:
        """Put TLS below the meter.

        Args:
            context: any context factory of Twisted's.
            normal: whether we are TLS's server.
        """
        self._encrypting = True
        try:
            super().startTLS(context, normal)
        finally:
            self._encrypting = False

    # what the application, and Twisted, look at

    @property
    def protocol(self) -> Any:
        """The application's protocol, or TLS in front of it; setting it puts another in the application's place."""
        return self.upper if self.TLS or self._encrypting else self.meter.protocol

    @protocol.setter
    def protocol(self, protocol: Any) -> None:
        if self._encrypting:
            self.upper = protocol
        elif not self.disconnected:
            self.meter.protocol = protocol

    @property
    def disconnecting(self) -> int:
        """Whether the connection is being closed, even if bytes that are held back, or TLS's end, come first."""
        if self._closing or (self.TLS and self.upper is not None and self.upper.disconnecting):
            return 1
        meter = self.meter
        return 0 if meter.backlog is None else int(meter.closing)

    @disconnecting.setter
    def disconnecting(self, closing: int) -> None:
        self._closing = closing

    @property
    def guarded_connection(self) -> Connection | None:
        """The connection, for :func:`netguard.application.connection_of`; None once it is over."""
        connection: Connection = self.meter.connection
        return connection

    def getPeer(self) -> Any:
        """The address that counts for the peer: a trusted proxy may have said who is behind it."""
        known = self.meter.connection.known
        return super().getPeer() if known is None or known.claimed is None else known.claimed

    def getHost(self) -> Any:
        """The address that the peer has connected to: a trusted proxy may have said which."""
        known = self.meter.connection.known
        if known is not None and known.destination is not None:
            return known.destination
        if self._host is None:  # HTTP asks for it with every request, and it stays what it is
            self._host = super().getHost()
        return self._host

    def _listener(self) -> Any:
        meter = self.meter
        return meter.protocol if self.upper is meter and meter.early is None else self.upper

    def connectionLost(self, reason: Failure) -> None:
        """It is over; whatever the application still calls does nothing."""
        try:
            super().connectionLost(reason)
        finally:
            self.meter = _GONE
