"""An echo server as Twisted alone makes it: python bare_echo.py [PORT]."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import react

if TYPE_CHECKING:
    from twisted.internet.interfaces import ITransport


class Echo(Protocol):
    """Says what it hears."""

    transport: ITransport

    def dataReceived(self, data: bytes) -> None:
        """Say it."""
        self.transport.write(data)


async def main(reactor: Any, port: str = "8007") -> None:
    """Serve until interrupted."""
    factory = Factory.forProtocol(Echo)
    listening = await serverFromString(reactor, f"tcp:{port}:interface=127.0.0.1").listen(factory)
    print(f"listening on port {listening.getHost().port}", flush=True)
    await Deferred()


if __name__ == "__main__":
    react(main, sys.argv[1:])
