"""Relays without a network, where clients are dialogues and backends do what the test says; and one with sockets."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, cast

import pytest
import pytest_twisted
from attrs import define, field
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.error import ConnectionRefusedError as RefusedError
from twisted.internet.interfaces import ISSLTransport, IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import alsoProvides, implementer

from netguard.guards.write_stall import WriteStall
from netguard.native.client import PromptEndpoint
from netguard.policy import Policy
from netguard.relay.back import Back
from netguard.relay.front import Front, RelayFactory
from netguard.relay.pool import Backend, Pool
from netguard.relay.service import Relay
from netguard.testing import MemoryTransport, NativeMemoryTransport, connect
from tests.native.conftest import Ground, ground, until

STALL = 60.0

__all__ = ["ground"]  # a fixture, here too


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


@define
class Pair:
    """One connection through a relay on real sockets, neither of which blocks.

    Attributes:
        relay: the relay.
        client: the client's socket.
        backend: the backend's.
        front: the relay's end towards the client.
    """

    relay: Relay
    client: socket.socket
    backend: socket.socket
    front: Front

    @property
    def meter(self) -> Any:
        """The tallies of the client."""
        return self.front.transport.meter

    @property
    def back(self) -> Back:
        """The relay's end towards the backend."""
        return cast("Back", self.front.other)

    @property
    def pipe(self) -> Any:
        """The pipe in which bytes wait for the client, or None."""
        return cast("Any", self.front.inflow)._pipe


class _Remembering(RelayFactory):
    def __init__(self, relay: Relay, fronts: list[Front]) -> None:
        super().__init__(relay)
        self._fronts = fronts

    def buildProtocol(self, addr: Any) -> Front:
        """Make one, and remember it."""
        self._fronts.append(super().buildProtocol(addr))
        return self._fronts[-1]


@define
class Street:
    """A relay on loopback, in this process's reactor, with one backend, which is a listening socket.

    Attributes:
        ground: where its port, and all clients, are closed.
        listening: the backend.
        relay: the relay.
        port: its port.
    """

    ground: Ground
    listening: socket.socket
    relay: Relay
    port: Any
    fronts: list[Front]

    @classmethod
    def laid(cls, ground: Ground, policy: Policy | None = None) -> Street:
        """One with these guards."""
        from twisted.internet import reactor

        listening = socket.create_server(("127.0.0.1", 0))
        listening.setblocking(False)
        ground.clients.append(listening)
        endpoint = PromptEndpoint(reactor, "127.0.0.1", listening.getsockname()[1])
        relay = Relay(Pool([Backend("it", endpoint)]), cast("Any", reactor), stall=STALL)
        fronts: list[Front] = []
        factory = _Remembering(relay, fronts)
        port = ground.listen(factory, policy or Policy(WriteStall(STALL)))
        return cls(ground, listening, relay, port, fronts)

    def is_empty(self) -> bool:
        """Whether no connection is left, on either side."""
        return not (self.port.factory.connections or self.relay.pool.backends[0].live)

    async def pair(self, most: int | None = None) -> Pair:
        """Connect.

        Args:
            most: how much the kernel may keep for each end, about.
        """
        if most is not None:
            self.listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, most)
        client, came = self.ground.dial(self.port), list[socket.socket]()
        if most is not None:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, most)

        def accepted() -> bool:
            with suppress(BlockingIOError):
                came.append(self.listening.accept()[0])
            return len(came) > 0 and len(self.fronts) > 0 and self.fronts[-1].other is not None

        await until(accepted)
        came[0].setblocking(False)
        self.ground.clients.append(came[0])
        return Pair(self.relay, client, came[0], self.fronts[-1])


Lay = Callable[..., Street]


@pytest.fixture
def lay(ground: Ground) -> Iterator[Lay]:
    """Lays a street; in the end no pipe is in use, and none stays open."""
    streets: list[Street] = []

    def made(policy: Policy | None = None) -> Street:
        streets.append(Street.laid(ground, policy))
        return streets[-1]

    yield made
    for client in ground.clients:
        client.close()
    for each in streets:
        for front in each.fronts:
            if front.transport.connected:
                front.transport.abortConnection()
        pytest_twisted.blockon(ensureDeferred(until(each.is_empty)))
        assert each.relay.pipes.used == 0
        each.relay.pipes.close()
