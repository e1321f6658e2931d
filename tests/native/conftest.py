"""What tests of the native transport get: a service on a real port, and blocking clients."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from attrs import define, field
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater

from netguard.guards.lifetime import Lifetime
from netguard.native import port as ports
from netguard.native.group import group_for
from netguard.native.port import take_over
from netguard.policy import Policy
from netguard.testing import Application

WITHIN = 5.0
"""Seconds that anything here may take."""


async def until(condition: Callable[[], Any]) -> None:
    """Wait for something to become true."""
    from twisted.internet import reactor

    clock: Any = reactor
    end = clock.seconds() + WITHIN
    while not condition():
        assert clock.seconds() < end, "it does not happen"
        await deferLater(clock, 0.002)


@define
class Ground:
    """Ports and clients of a test."""

    ports: list[Any] = field(factory=list)
    clients: list[socket.socket] = field(factory=list)
    applications: list[Any] = field(factory=list)

    def listen(self, application: Any = Application, policy: Policy | None = None, interface: str = "127.0.0.1") -> Any:
        """Listen, by a native port, for a class of applications or a factory."""
        from twisted.internet import reactor

        listening: Any = reactor
        factory = application
        if not isinstance(application, Factory):
            factory = Factory()
            factory.protocol = lambda: self._made(application())
        guarded = (policy or Policy(Lifetime("1h"))).wrap(factory)
        port = listening.listenTCP(0, guarded, interface=interface)
        assert take_over(port)
        self.ports.append(port)
        return port

    def _made(self, application: Any) -> Any:
        self.applications.append(application)
        return application

    def dial(self, port: Any) -> socket.socket:
        """Connect; what the client does never blocks the reactor."""
        at = port.getHost()
        made = socket.create_connection((at.host, at.port))
        made.setblocking(False)
        self.clients.append(made)
        return made

    async def connect(self, port: Any) -> tuple[socket.socket, Any]:
        """Connect, and wait for the application."""
        before = len(self.applications)
        client = self.dial(port)
        await until(lambda: len(self.applications) > before and self.applications[-1].transport)
        return client, self.applications[-1]

    async def read(self, client: socket.socket, count: int) -> bytes:
        """So many bytes, or all up to the end."""
        found = bytearray()

        def some() -> bool:
            try:
                data = client.recv(1 << 20)
            except BlockingIOError:
                return False
            found.extend(data)
            return not data or len(found) >= count

        await until(some)
        return bytes(found)


@pytest.fixture(params=[lambda reactor: reactor, group_for], ids=["alone", "grouped"])
def ground(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ground]:
    """A place for ports and clients, watched by the reactor itself and as a group; all are closed in the end."""
    from pytest_twisted import blockon

    monkeypatch.setattr(ports, "group_for", request.param)

    made = Ground()
    yield made
    for each in made.clients:
        each.close()
    for port in made.ports:
        for connection in port.factory.connections:
            connection.meter.close()
        blockon(port.stopListening())


def _housed(kind: str, ground: Ground) -> Iterator[Any]:
    from pytest_twisted import blockon
    from twisted.internet.defer import ensureDeferred

    from tests.native.house import House

    made = House(ground, secure="tls" in kind, bare="bare" in kind)
    yield made
    blockon(ensureDeferred(made.end()))


@pytest.fixture(params=["plain", "tls", "bare plain", "bare tls"])
def house(request: pytest.FixtureRequest, ground: Ground) -> Iterator[Any]:
    """A service on our transport, or, to see that it does the same, on Twisted's without guards."""
    yield from _housed(request.param, ground)


@pytest.fixture(params=["plain", "bare plain"])
def plain_house(request: pytest.FixtureRequest, ground: Ground) -> Iterator[Any]:
    """The same without TLS."""
    yield from _housed(request.param, ground)


@pytest.fixture(params=["plain", "tls"])
def guarded_house(request: pytest.FixtureRequest, ground: Ground) -> Iterator[Any]:
    """The same with guards."""
    yield from _housed(request.param, ground)
