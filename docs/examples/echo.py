"""The same echo server behind guards: python echo.py [PORT]."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from netguard import ByteLimit, ConnectionLimit, IdleTimeout, Policy, WriteStall
from netguard.events import as_text, line_observer
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import react
from twisted.logger import globalLogBeginner

if TYPE_CHECKING:
    from twisted.internet.interfaces import ITransport


class Echo(Protocol):
    """Says what it hears."""

    transport: ITransport

    def dataReceived(self, data: bytes) -> None:
        """Say it."""
        self.transport.write(data)


POLICY = Policy(
    IdleTimeout("5s"),
    WriteStall("10s"),
    ByteLimit(queue="256KiB"),
    ConnectionLimit(per_peer=20),
)


async def main(reactor: Any, port: str = "8007") -> None:
    """Serve until interrupted, and show the log."""
    globalLogBeginner.beginLoggingTo([line_observer(sys.stdout, as_text)], redirectStandardIO=False)
    factory = POLICY.wrap(Factory.forProtocol(Echo))
    listening = await serverFromString(reactor, f"tcp:{port}:interface=127.0.0.1").listen(factory)
    print(f"listening on port {listening.getHost().port}", flush=True)
    await Deferred()


if __name__ == "__main__":
    react(main, sys.argv[1:])
