"""What an application has for its transport: the real one, with everything that passes counted.

Nothing is copied from the real transport: its interfaces, its state and its methods are asked for at the moment they
are wanted, since startTLS, an abort or a lost connection change them.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from zope.interface import alsoProvides, providedBy

from netguard.backlog import CLOSING

if TYPE_CHECKING:
    from netguard.connection import Connection

APPLICATION = "application"
"""The holder of the application's own pauses."""


class GuardedTransport:
    """What the application has for its transport: the real one, with everything that passes counted.

    Args:
        meter: the tallies.
        transport: the real transport.
    """

    __slots__ = ("__weakref__", "_meter", "_transport")

    def __init__(self, meter: Any, transport: Any) -> None:
        object.__setattr__(self, "_meter", meter)
        object.__setattr__(self, "_transport", transport)

    def write(self, data: bytes) -> None:
        """Count, and write."""
        meter = self._meter
        sent = meter.sent + len(data)
        if sent > meter.sent_mark:
            meter.write_slowly(data)
            return
        meter.sent = sent
        meter.answered = meter.received
        self._transport.write(data)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        """Count, and write; the pieces are joined, as every transport of Twisted does sooner or later."""
        whole = b"".join(data)
        if whole:
            self.write(whole)
        elif data:  # pieces without a byte: a transport may have a producer resumed for them
            self._transport.writeSequence(data)

    def loseConnection(self, *args: Any, **kwargs: Any) -> None:
        """Close once everything written has been passed on."""
        self._close("loseConnection", *args, **kwargs)

    def stopProducing(self) -> None:
        """Close, as a producer's consumer asks for it."""
        self._close("stopProducing")

    def stopConsuming(self) -> None:
        """Close, as a consumer's producer asks for it."""
        self._close("stopConsuming")

    def loseWriteConnection(self) -> None:
        """Close our direction once everything written has been passed on."""
        close = self._transport.loseWriteConnection
        if not self._meter.later(close):
            close()

    def _close(self, name: str, *args: Any, **kwargs: Any) -> None:
        connection, close_transport = self._meter.connection, partial(getattr(self._transport, name), *args, **kwargs)

        def close() -> None:
            close_transport()
            connection.part()

        if self._meter.later(close):
            connection.pause(CLOSING)
        else:
            close()

    def getPeer(self) -> Any:
        """The address that counts for the peer: a trusted proxy may have said who is behind it."""
        known = self._meter.connection.known
        return self._transport.getPeer() if known is None or known.claimed is None else known.claimed

    def getHost(self) -> Any:
        """The address that the peer has connected to: a trusted proxy may have said which."""
        known = self._meter.connection.known
        return self._transport.getHost() if known is None or known.destination is None else known.destination

    def pauseProducing(self) -> None:
        """Stop reading, on the application's own account."""
        self._meter.connection.pause(APPLICATION)

    def resumeProducing(self) -> None:
        """Read again, unless a guard holds the reading back."""
        connection = self._meter.connection
        if connection.paused("in"):
            connection.resume(APPLICATION)
        else:
            self._transport.resumeProducing()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Hand the producer to the transport as it is."""
        self._meter.register(producer, streaming)

    def unregisterProducer(self) -> None:
        """Take the producer from the transport."""
        self._meter.unregister()

    def startTLS(self, *args: Any, **kwargs: Any) -> None:
        """Start TLS below us; from here on plain text is counted, and the handshake is timed."""
        self._meter.flush()
        self._transport.startTLS(*args, **kwargs)
        self._meter.connection.secure()

    @property
    def guarded_connection(self) -> Connection | None:
        """The connection, for :func:`netguard.application.connection_of`; None once it is over."""
        connection: Connection = self._meter.connection
        return connection

    @property
    def disconnecting(self) -> Any:
        """Whether the connection is being closed, by the transport's own word or because bytes held back come first."""
        if self._meter.backlog is None:
            return self._transport.disconnecting
        return self._meter.closing or self._transport.disconnecting

    @property
    def protocol(self) -> Any:
        """The application's protocol; setting it puts another in its place."""
        return self._meter.protocol

    @property
    def __providedBy__(self) -> Any:
        """What the real transport provides now; it gains ISSLTransport when TLS is started."""
        return providedBy(self._transport)

    def __getattr__(self, name: str) -> Any:
        """Everything else is the transport's own."""
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        return getattr(self._transport, name)

    def __setattr__(self, name: str, value: Any) -> None:
        """What an application sets on its transport is set on the transport, its protocol excepted."""
        if name == "protocol":
            self._meter.protocol = value
        elif name == "__provides__":  # zope's way to say that an object provides more than its class does
            alsoProvides(self._transport, *value)
        else:
            setattr(self._transport, name, value)

    def __repr__(self) -> str:
        """Name both."""
        return f"<guarded {self._transport!r}>"
