"""What attacks get: a guarded service on a real loopback socket, and peers that behave badly on raw sockets."""

from __future__ import annotations

import socket
from contextlib import ExitStack, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, cast

import pytest
import trustme
from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater

from netguard.before_tls import BeforeTls
from netguard.guarded_endpoints import announce
from netguard.guards.transport import Transport
from netguard.policy import Policy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from twisted.python.failure import Failure

    from netguard.guard import Guard

BOUND = 60.0
"""Seconds after which a test gives up waiting."""
QUEUE = "backlog=1000"
"""So many may wait to be accepted: a peer that connects when more do waits for the reactor, which waits for it."""


def _now() -> float:
    from twisted.internet import reactor

    return cast("Any", reactor).seconds()  # type: ignore[no-any-return]


async def _pause(seconds: float) -> None:
    """Let the reactor turn for so long."""
    from twisted.internet import reactor

    await deferLater(cast("Any", reactor), seconds)


class Subject(Protocol):
    """The application under attack: keeps what comes, and says when and why its connection ended."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.got = bytearray()
        self.pieces = 0
        self.ended: Deferred[tuple[float, BaseException]] = Deferred()
        # From the peer's connect: the guards' clock began later, and the application's connectionMade later still.
        began = site.began[len(site.subjects) :]
        self.began = began[0] if began else _now()

    def connectionMade(self) -> None:
        """Do what the test wants of an application."""
        self.site.made(self)

    def dataReceived(self, data: bytes) -> None:
        """Keep."""
        self.got += data
        self.pieces += 1
        self.site.came(self, data)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """Tell."""
        assert not self.ended.called
        self.ended.callback((_now() - self.began, cast("BaseException", reason.value)))


@define(eq=False)
class Site:
    """A guarded service that listens.

    Attributes:
        made: called with each application that has got its connection.
        came: called with what comes.
        subjects: the applications that were built.
        peers: our sockets of the other side.
        began: when each of them began to connect.
    """

    made: Callable[[Subject], object]
    came: Callable[[Subject, bytes], object]
    address: Any = None
    port: Any = None
    factory: Any = None
    subjects: list[Subject] = field(factory=list)
    peers: ExitStack = field(factory=ExitStack)
    began: list[float] = field(factory=list)

    def build(self, _: object) -> Subject:
        """One more application."""
        self.subjects.append(Subject(self))
        return self.subjects[-1]

    def connect(self, source: str = "", buffer: int = 0) -> socket.socket:
        """A peer that has connected.

        Args:
            source: the address that it connects from.
            buffer: bytes that its kernel keeps for it; few, and a slow reader is felt at once.
        """
        if isinstance(self.address, str):
            peer = socket.socket(socket.AF_UNIX)
        else:
            peer = socket.socket(socket.AF_INET6 if ":" in self.address[0] else socket.AF_INET)
        self.peers.enter_context(peer)
        if buffer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        if source:
            peer.bind((source, 0))
        self.began.append(_now())
        peer.settimeout(BOUND)  # rather than for ever: the reactor that would accept it is this process's own
        peer.connect(self.address)
        peer.setblocking(False)
        return peer

    async def subject(self, number: int = 0) -> Subject:
        """The application of the connection of that number, once it is there."""
        for _ in range(int(BOUND / 0.01)):
            if len(self.subjects) > number:
                return self.subjects[number]
            await _pause(0.01)
        pytest.fail("no connection came")

    async def end(self, number: int = 0) -> tuple[float, BaseException]:
        """Seconds that connection lived, and why it ended."""
        from twisted.internet import reactor

        subject = await self.subject(number)
        return await subject.ended.addTimeout(BOUND, cast("Any", reactor))


async def _trickle(peer: socket.socket, data: bytes, every: float, until: Deferred[Any]) -> int:
    """Send some bytes again and again until the connection is over; say how often."""
    count = 0
    while not until.called:
        with suppress(BlockingIOError):
            try:
                peer.send(data)
            except ConnectionError:
                break
            count += 1
        await _pause(every)
    return count


async def _read(peer: socket.socket) -> bytes:
    """What the peer gets until the end of its connection."""
    got = b""
    for _ in range(int(BOUND / 0.01)):
        try:
            piece = peer.recv(65536)
        except BlockingIOError:
            await _pause(0.01)
        except ConnectionError:
            return got
        else:
            if not piece:
                return got
            got += piece
    pytest.fail("the connection did not end")


def _ignore(*_: object) -> None:
    pass


@pytest.fixture(params=["native", "stock"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., AbstractAsyncContextManager[Site]]:
    """Makes guarded services, to be used as ``async with``; ``where`` is tcp, tcp6, ssl, unix, or before-tls.

    They listen as every service of netguard's does, on our own transport where that can be, or on Twisted's.
    """

    def endpoint(where: str) -> str:
        if where in ("ssl", "before-tls"):
            pem = tmp_path / "server.pem"
            trustme.CA().issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(pem))
            return f"ssl:0:interface=127.0.0.1:privateKey={pem}:{QUEUE}"
        kinds = {"unix": f"unix:{tmp_path}/socket:{QUEUE}", "tcp6": rf"tcp6:0:interface=\:\::{QUEUE}"}
        return kinds.get(where, f"tcp:0:interface=127.0.0.1:{QUEUE}")

    @asynccontextmanager
    async def serve(
        *guards: Guard,
        made: Callable[[Subject], object] = _ignore,
        came: Callable[[Subject, bytes], object] = _ignore,
        where: str = "tcp",
        tick: float = 0.05,
    ) -> AsyncIterator[Site]:
        from twisted.internet import reactor

        here = Site(made, came)
        inner: Any = Factory()
        inner.buildProtocol = here.build
        here.factory = Policy(*guards, Transport(request.param)).wrap(inner, tick=tick)
        listening = BeforeTls(reactor) if where == "before-tls" else reactor
        here.port = port = cast("Any", await serverFromString(listening, endpoint(where)).listen(here.factory))
        announce(port, here.factory)
        assert here.factory.service.carriers == {"stock" if where == "unix" else request.param: 1}
        host = port.getHost()
        here.address = f"{tmp_path}/socket" if where == "unix" else (host.host, host.port)
        try:
            with here.peers:
                yield here
        finally:
            await port.stopListening()
            here.factory.abort_all()
            await here.factory.when_empty().addTimeout(BOUND, cast("Any", reactor))

    return serve


@pytest.fixture
def pause() -> Callable[[float], Awaitable[None]]:
    """Lets the reactor turn for some seconds."""
    return _pause


@pytest.fixture
def trickle() -> Callable[..., Awaitable[int]]:
    """Sends some bytes again and again until the connection is over."""
    return _trickle


@pytest.fixture
def read() -> Callable[[socket.socket], Awaitable[bytes]]:
    """Reads what a peer gets until the end of its connection."""
    return _read
