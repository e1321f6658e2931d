"""What an application has for its transport: the real one, with everything that passes counted.

Nothing is copied from the real transport: its interfaces, its state and its methods are asked for at the moment they
are wanted, since startTLS, an abort or a lost connection change them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from zope.interface import providedBy

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
        self.write(b"".join(data))

    def loseConnection(self, *args: Any, **kwargs: Any) -> None:
        """Close once everything written has been passed on."""
        self._close("loseConnection", *args, **kwargs)

    def loseWriteConnection(self) -> None:
        """Close our direction once everything written has been passed on."""
        self._close("loseWriteConnection")

    def _close(self, name: str, *args: Any, **kwargs: Any) -> None:
        backlog = self._meter.backlog
        if backlog is not None and backlog.size:
            backlog.then.append(name)
        else:
            getattr(self._transport, name)(*args, **kwargs)

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
        self._transport.registerProducer(producer, streaming)
        self._meter.producer = producer if streaming else None

    def unregisterProducer(self) -> None:
        """Take the producer from the transport."""
        self._meter.producer = None
        self._transport.unregisterProducer()

    def startTLS(self, *args: Any, **kwargs: Any) -> None:
        """Start TLS below us; from here on plain text is counted, and the handshake is timed."""
        self._transport.startTLS(*args, **kwargs)
        self._meter.connection.secure()

    @property
    def guarded_connection(self) -> Connection:
        """The connection, for :func:`netguard.connection.connection_of`."""
        return cast("Connection", self._meter.connection)

    @property
    def disconnecting(self) -> Any:
        """Whether the connection is being closed, by the transport's own word or because bytes held back come first."""
        backlog = self._meter.backlog
        return bool(backlog is not None and backlog.then) or self._transport.disconnecting

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
            self._meter.adopt(value)
        else:
            setattr(self._transport, name, value)

    def __repr__(self) -> str:
        """Name both."""
        return f"<guarded {self._transport!r}>"
