"""What tests of guards get: a guarded service on a clock, with peers that do what a test lets them do.

The connections are real ones, the transport is a double: it keeps what the application writes until the peer takes it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from netguard.application import connection_of
from netguard.policy import Policy

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress

    from netguard.connection import Connection
    from netguard.errors import Reason
    from netguard.guard import Guard

TICK = 0.25


class Application(Protocol):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.got = bytearray()
        self.ends: list[Failure] = []

    def dataReceived(self, data: bytes) -> None:
        """Remember."""
        self.got += data

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """Remember."""
        self.ends.append(reason)


class Wire(StringTransport):
    """A transport whose peer takes only what a test lets it take."""

    def __init__(self, clock: Clock, address: IAddress | None) -> None:
        super().__init__(peerAddress=address)
        self.clock = clock
        self.dataBuffer = bytearray()
        self.taken = bytearray()
        self.aborted = False
        self.protocol: Any = None

    def write(self, data: bytes) -> None:
        """Queue."""
        if not self.aborted:
            self.dataBuffer += data

    def take(self, count: int) -> None:
        """The peer takes some of it; once it has all, a polite close goes through and a producer goes on."""
        self.taken += self.dataBuffer[:count]
        del self.dataBuffer[:count]
        if not self.dataBuffer and self.disconnecting and self.connected:
            self.lost(ConnectionDone())

    def loseConnection(self) -> None:
        """Close once everything is taken."""
        self.disconnecting = True
        self.clock.callLater(0, self.take, 0)

    def resumeProducing(self) -> None:
        """Read again; after the end, nothing (StringTransport would raise, real transports do not)."""
        if self.connected and not self.disconnecting:
            super().resumeProducing()

    def abortConnection(self) -> None:
        """Close at once; the protocol hears of it in the next turn, as with a real transport."""
        if not self.aborted:
            self.aborted = True
            self.clock.callLater(0, self.lost, ConnectionAborted())

    def lost(self, why: Exception) -> None:
        """The connection is over."""
        if self.connected:
            self.connected = False
            self.protocol.connectionLost(Failure(why))


class Peer:
    """One connection: the peer's side of it, and what the application of our side saw."""

    def __init__(self, service: Service, protocol: Any, address: IAddress | None) -> None:
        self.service = service
        self.protocol = protocol
        self.wire = service.wire(address)
        self.wire.protocol = protocol
        protocol.makeConnection(self.wire)
        self.app: Application = service.built[-1]
        self.connection = cast("Connection", connection_of(self.app.transport))

    def sends(self, data: bytes) -> None:
        """The peer sends something, and we read it unless we have stopped reading."""
        self.protocol.dataReceived(data)

    def takes(self, count: int = 2**60) -> None:
        """The peer takes what waits for it."""
        self.wire.take(count)

    def is_sent(self, data: bytes) -> None:
        """The application writes."""
        assert self.app.transport is not None
        self.app.transport.write(data)

    def is_paused(self) -> bool:
        """Whether we have stopped reading."""
        return bool(self.wire.producerState == "paused")

    @property
    def reason(self) -> Any:
        """Why the connection ended, as the application heard it; None while it lives."""
        assert len(self.app.ends) <= 1
        return self.app.ends[0].value if self.app.ends else None

    def why(self, kind: type[Reason]) -> Any:
        """The reason of a connection that ended for a reason of this kind, and no other."""
        assert type(self.reason) is kind
        return self.reason


class Service:
    """A guarded factory, its clock and its connections."""

    def __init__(self, *guards: Guard, tick: float = TICK, start: float = 0.0) -> None:
        self.clock = Clock()
        self.clock.advance(start)
        self.built: list[Application] = []
        self.inner = Factory()
        self.inner.buildProtocol = self.build  # type: ignore[method-assign]
        self.factory = Policy(*guards).wrap(cast("Any", self.inner), cast("Any", self.clock), tick=tick)
        self.began = self.clock.seconds()

    def build(self, addr: object) -> Protocol | None:
        """The application."""
        self.built.append(Application())
        return self.built[-1]

    def wire(self, address: IAddress | None) -> Wire:
        """A transport."""
        return Wire(self.clock, address)

    @property
    def now(self) -> float:
        """Seconds since the beginning."""
        return self.clock.seconds() - self.began

    def knock(self, host: str | IAddress | None = "192.0.2.1") -> Peer | None:
        """A connection comes; None when it is refused."""
        address: Any = host
        if isinstance(host, str):
            address = (IPv6Address if ":" in host else IPv4Address)("TCP", host, 54321)
        protocol = self.factory.buildProtocol(address)
        return None if protocol is None else Peer(self, protocol, address)

    def connect(self, host: str | IAddress | None = "192.0.2.1") -> Peer:
        """A connection comes and is let in."""
        peer = self.knock(host)
        assert peer is not None
        return peer

    def wait(self, seconds: float, step: float = 0.05) -> None:
        """Let time pass, in small steps."""
        end = self.clock.seconds() + seconds
        while end - self.clock.seconds() > step:
            self.clock.advance(step)
        self.clock.advance(max(0.0, end - self.clock.seconds()))

    def end_of(self, peer: Peer, within: float, step: float = 0.05) -> float:
        """Wait for the end of a connection; say when it was."""
        for _ in range(int(within / step) + 1):
            if peer.reason is not None:
                return self.now
            self.clock.advance(step)
        pytest.fail(f"not cut within {within} s")


@pytest.fixture
def service() -> type[Service]:
    """Makes guarded services."""
    return Service
