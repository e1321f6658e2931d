"""An ident server for tests, and peers on its port that are none. netguard has only the client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

from attrs import define, field
from twisted.internet.defer import DeferredList
from twisted.internet.endpoints import TCP4ServerEndpoint, TCP6ServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import LoopingCall

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.python.failure import Failure

Behaviour = Callable[["Answering", bytes], object]


class Answering(Protocol):
    """One connection to the server.

    Attributes:
        asked: what has come.
        sent: bytes that were written to the client, taken or not.
        drip: what is sent again and again until the end.
    """

    def __init__(self, server: IdentServer) -> None:
        self.server = server
        self.asked = bytearray()
        self.sent = 0
        self.drip: LoopingCall | None = None

    def connectionMade(self) -> None:
        """One more."""
        self.server.live.add(self)
        self.server.all.append(self)
        self.server.most = max(self.server.most, len(self.server.live))

    def dataReceived(self, data: bytes) -> None:
        """Once the question is there, do what the test wants."""
        self.asked += data
        if self.asked.endswith(b"\n"):
            self.server.asked.append((self.peer.host, bytes(self.asked)))
            self.server.behaviour(self, bytes(self.asked).strip())

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """One less."""
        self.server.live.discard(self)
        if self.drip is not None and self.drip.running:
            self.drip.stop()

    @property
    def peer(self) -> Any:
        """Who asks."""
        assert self.transport is not None
        return self.transport.getPeer()

    def write(self, data: bytes) -> None:
        """Send something."""
        assert self.transport is not None
        self.sent += len(data)
        self.transport.write(data)

    def every(self, seconds: float, data: bytes) -> None:
        """Send something again and again."""
        from twisted.internet import reactor

        self.drip = LoopingCall(self.write, data)
        self.drip.clock = reactor
        self.drip.start(seconds)


def names(user: bytes) -> Behaviour:
    """The server names this user for every connection."""
    return lambda to, ports: to.write(ports + b" : USERID : UNIX :" + user + b"\r\n")


def says(line: bytes) -> Behaviour:
    """The server says this, whatever it is asked."""
    return lambda to, _: to.write(line)


def silent(to: Answering, ports: bytes) -> None:
    """The server says nothing."""


@define(eq=False)
class IdentServer:
    """A server that listens.

    Attributes:
        behaviour: what it does when it was asked.
        port: where it listens.
        asked: who asked, and what.
        live: the connections.
        all: those that are over, too.
        most: how many there were at once.
    """

    behaviour: Behaviour
    port: int = 0
    asked: list[tuple[str, bytes]] = field(factory=list)
    live: set[Answering] = field(factory=set)
    all: list[Answering] = field(factory=list)
    most: int = 0


@asynccontextmanager
async def answering(behaviour: Behaviour, host: str = "127.0.0.1") -> AsyncIterator[IdentServer]:
    """A server on loopback; at the end it has no connection left, or it is the client's fault."""
    from twisted.internet import reactor

    server = IdentServer(behaviour)
    factory: Any = Factory()
    factory.noisy = False
    factory.buildProtocol = lambda _: Answering(server)
    kind: Any = TCP6ServerEndpoint if ":" in host else TCP4ServerEndpoint
    listening: Any = await kind(reactor, 0, interface=host).listen(factory)
    server.port = listening.getHost().port
    try:
        yield server
    finally:
        await listening.stopListening()
        for each in server.live:
            cast("Any", each.transport).abortConnection()


def together(queries: list[Deferred[Any]]) -> Deferred[Any]:
    """The results of several, once all are there."""
    return DeferredList(queries, fireOnOneErrback=True).addCallback(lambda found: [each for _, each in found])
