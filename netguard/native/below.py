"""A native transport as its meter uses it: past what the application's calls have to pass."""

from __future__ import annotations

from typing import Any

from netguard.native.server import Server


class Below:
    """The way past the guards: the calls of a transport as Twisted has them, uncounted and never held.

    One is made for something that few connections ever need, and thrown away at once.

    Args:
        server: the transport.
    """

    __slots__ = ("_transport",)

    def __init__(self, server: Server) -> None:
        self._transport = server

    def write(self, data: bytes) -> None:
        """Write what has been counted."""
        super(Server, self._transport).write(data)

    def loseConnection(self) -> None:
        """Close once what is written has gone."""
        super(Server, self._transport).loseConnection()

    def pauseProducing(self) -> None:
        """Stop reading."""
        super(Server, self._transport).pauseProducing()

    def resumeProducing(self) -> None:
        """Read again."""
        super(Server, self._transport).resumeProducing()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Take the application's producer."""
        super(Server, self._transport).registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """Let the application's producer go."""
        super(Server, self._transport).unregisterProducer()

    def __getattr__(self, name: str) -> Any:
        """Everything else is the transport's own."""
        return getattr(self._transport, name)
