"""A relay without a network: clients are dialogues, and backends do what the test says."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import define, field
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError as RefusedError
from twisted.internet.interfaces import ISSLTransport, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import alsoProvides, implementer

from netguard.guards.write_stall import WriteStall
from netguard.policy import Policy
from netguard.relay.front import RelayFactory
from netguard.relay.pool import Backend, Pool
from netguard.relay.service import Relay
from netguard.testing import MemoryTransport, NativeMemoryTransport, connect

STALL = 60.0


@implementer(IStreamClientEndpoint)
@define(eq=False)
class Server:
    """A backend in the hands of a test, which is its endpoint, too.

    Attributes:
        asked: who waits to be connected.
        cancelled: how many lost patience.
        came: our ends of the connections that it took.
    """

    clock: Clock
    asked: list[tuple[Any, Deferred[Any]]] = field(factory=list)
    cancelled: int = 0
    came: list[MemoryTransport] = field(factory=list)
    refuses: bool = False

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        """Somebody wants to connect."""
        if self.refuses:
            raise RefusedError
        waiting: Deferred[Any] = Deferred(self._cancelled)
        self.asked.append((protocolFactory, waiting))
        return waiting

    def _cancelled(self, _: Deferred[Any]) -> None:
        self.cancelled += 1

    def accept(self, *, tls: bool = False) -> MemoryTransport:
        """Take the first connection that waits; what is returned has what the backend takes, and sends for it."""
        factory, waiting = self.asked.pop(0)
        protocol = factory.buildProtocol(None)
        transport = MemoryTransport(self.clock, protocol, IPv4Address("TCP", "192.0.2.9", 80))
        if tls:
            alsoProvides(transport, ISSLTransport)
        self.came.append(transport)
        protocol.makeConnection(transport)
        waiting.callback(protocol)
        self.clock.advance(0)
        return transport

    def refuse(self) -> None:
        """Refuse it."""
        _, waiting = self.asked.pop(0)
        waiting.errback(Failure(RefusedError()))


@define
class Site:
    """A relay with backends.

    Attributes:
        clock: its time.
        servers: the backends.
        relay: the relay.
        carrier: the transport of its clients.
    """

    clock: Clock
    servers: list[Server]
    relay: Relay
    carrier: Any = MemoryTransport

    def client(self, policy: Policy | None = None) -> Any:
        """A client that connects: a dialogue."""
        return connect(
            policy or Policy(WriteStall(STALL)), RelayFactory(self.relay), clock=self.clock, carrier=self.carrier
        )

    def pair(self) -> tuple[Any, Any]:
        """A client, and the backend that has its connection."""
        client = self.client()
        return client, self.servers[0].accept()

    @property
    def timers(self) -> int:
        """What waits for its time."""
        return len(self.clock.getDelayedCalls())


def site(count: int = 1, balance: str = "round-robin", carrier: Any = MemoryTransport, **options: Any) -> Site:
    """A relay with so many backends."""
    clock = Clock()
    servers = [Server(clock) for _ in range(count)]
    backends = [Backend(f"tcp:b{number}:80", server) for number, server in enumerate(servers)]
    return Site(clock, servers, Relay(Pool(backends, balance), clock, stall=STALL, **options), carrier)


@pytest.fixture(params=[MemoryTransport, NativeMemoryTransport], ids=["stock", "native"])
def alone(request: pytest.FixtureRequest) -> Site:
    """A relay with one backend, over each kind of transport."""
    return site(carrier=request.param)
