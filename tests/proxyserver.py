"""Proxies for tests: one that does its work, for every kind that netguard's client speaks; and peers that act as told.

netguard has only the client side. The peers of tests/identserver.py wait for a line; those here act on any bytes.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol, serverFromString
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import LoopingCall
from zope.interface import implementer

if TYPE_CHECKING:
    from twisted.python.failure import Failure

USER, SECRET = b"joe", b"correct horse"


@implementer(IHalfCloseableProtocol)
class Half(Protocol):
    """One of two connections that are joined: what comes on one goes out on the other, ends included."""

    def __init__(self) -> None:
        self.other: Half | None = None
        self.kept = bytearray()
        self.wanted: Deferred[None] | None = None
        self.wire: Any = None
        self.gone = False

    def connectionMade(self) -> None:
        """Remember the transport."""
        self.wire = self.transport

    def dataReceived(self, data: bytes) -> None:
        """Pass on; before there is another, keep."""
        if self.other is not None:
            self.other.wire.write(data)
            return
        self.kept += data
        if self.wanted is not None:
            wanted, self.wanted = self.wanted, None
            wanted.callback(None)

    def readConnectionLost(self) -> None:
        """Pass on a half-close."""
        (self.wire if self.other is None else self.other.wire).loseWriteConnection()

    def writeConnectionLost(self) -> None:
        """Nothing to pass on."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Pass on the end."""
        self.gone = True
        if self.other is not None:
            self.other.wire.loseConnection()

    async def read(self, size: int) -> bytes:
        """So many bytes."""
        while len(self.kept) < size:
            self.wanted = Deferred()
            await self.wanted
        taken = bytes(self.kept[:size])
        del self.kept[:size]
        return taken

    async def line(self, end: bytes) -> bytes:
        """What stands before an end."""
        while end not in self.kept:
            self.wanted = Deferred()
            await self.wanted
        return (await self.read(self.kept.index(end) + len(end))).removesuffix(end)


class Proxying(Half):
    """One connection to a proxy that does its work."""

    def __init__(self, server: Proxy) -> None:
        super().__init__()
        self.server = server

    def connectionMade(self) -> None:
        """Serve."""
        super().connectionMade()
        kind = {"4": self.socks4, "4a": self.socks4, "5": self.socks5, "http": self.http}[self.server.version]
        Deferred.fromCoroutine(kind()).addErrback(lambda _: self.wire.abortConnection())

    async def socks4(self) -> None:
        """SOCKS 4 and 4a."""
        head = await self.read(8)
        self.server.users.append((await self.line(b"\0"), b""))
        host = str(ip_address(head[4:]))
        if head[4:7] == b"\0\0\0":
            host = (await self.line(b"\0")).decode()
        good = await self.join(host, int.from_bytes(head[2:4], "big"), b"\0\x5a" + head[2:])
        if not good:
            self.wire.write(b"\0\x5b" + head[2:])

    async def socks5(self) -> None:
        """SOCKS 5."""
        offered = await self.read((await self.read(2))[1])
        method = 2 if self.server.login else 0
        if method not in offered:
            self.wire.write(b"\5\xff")
            self.wire.loseConnection()
            return
        self.wire.write(bytes([5, method]))
        if self.server.login:
            await self.read(1)
            user, secret = [await self.read((await self.read(1))[0]) for _ in range(2)]
            self.server.users.append((user, secret))
            good = (user, secret) == (USER, SECRET)
            self.wire.write(b"\1\0" if good else b"\1\1")
        kind = (await self.read(4))[3]
        if kind == 3:
            host = (await self.read((await self.read(1))[0])).decode()
        else:
            host = str(ip_address(await self.read(4 if kind == 1 else 16)))
        port = int.from_bytes(await self.read(2), "big")
        if not await self.join(host, port, b"\5\0\0\3\5proxy\0\7"):
            self.wire.write(b"\5\5\0\1\0\0\0\0\0\0")

    async def http(self) -> None:
        """HTTP CONNECT."""
        head = await self.line(b"\r\n\r\n")
        if self.server.login and b"Basic " + b64encode(USER + b":" + SECRET) not in head:
            self.wire.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
            return
        host, _, port = head.split()[1].decode().rpartition(":")
        if not await self.join(host.strip("[]"), int(port), b"HTTP/1.1 200 OK\r\nVia: test\r\n\r\n"):
            self.wire.write(b"HTTP/1.1 502 Bad Gateway\r\n\r\n")

    async def join(self, host: str, port: int, reply: bytes) -> bool:
        """Connect to the target, and join the two."""
        from twisted.internet import reactor

        self.server.targets.append((host, port))
        host = {"target.example": "127.0.0.1"}.get(host, host)
        far = Half()
        try:
            await connectProtocol(HostnameEndpoint(reactor, host, port), far)
        except Exception:  # noqa: BLE001 - whatever it is, the client is told no
            return False
        if self.server.together:  # the target's first words in one segment with the reply
            reply += await far.read(self.server.together)
        self.wire.write(reply)
        far.other, self.other = self, far
        for one, other in ((far, self), (self, far)):
            other.wire.write(bytes(one.kept))
        self.server.tunnels += 1
        return True


@define(eq=False)
class Proxy:
    """A proxy that does its work.

    Attributes:
        version: which kind.
        login: whether it wants `USER` and `SECRET`.
        together: how many bytes of the target are sent in one segment with the reply.
        port: where it listens.
        targets: where it was asked to connect to.
        users: who told it a name and a secret.
        tunnels: how many it made.
    """

    version: str = "5"
    login: bool = False
    together: int = 0
    port: int = 0
    targets: list[tuple[str, int]] = field(factory=list)
    users: list[tuple[bytes, bytes]] = field(factory=list)
    tunnels: int = 0


Behaviour = Callable[["Peer", bytes], object]


class Peer(Protocol):
    """One connection to a peer that does what a test says.

    Attributes:
        got: what has come.
        sent: bytes that were written, taken or not.
        ended: fires with the time at which the connection ended.
    """

    def __init__(self, made: Behaviour, came: Behaviour) -> None:
        self.made = made
        self.came = came
        self.got = bytearray()
        self.sent = 0
        self.loop: LoopingCall | None = None
        self.wire: Any = None
        self.gone = False
        self.ended: Deferred[float] = Deferred()

    def connectionMade(self) -> None:
        """Act."""
        self.wire = self.transport
        self.made(self, b"")

    def dataReceived(self, data: bytes) -> None:
        """Act."""
        self.got += data
        self.came(self, data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Stop."""
        from twisted.internet import reactor

        if self.loop is not None and self.loop.running:
            self.loop.stop()
        self.gone = True
        self.ended.callback(reactor.seconds())

    def write(self, data: bytes) -> None:
        """Send something."""
        self.sent += len(data)
        self.wire.write(data)

    def every(self, seconds: float, what: Callable[[], bytes]) -> None:
        """Send something again and again; with 0, as fast as the other side takes it."""
        from twisted.internet import reactor

        self.loop = LoopingCall(lambda: self.write(what()))
        self.loop.clock = reactor
        self.loop.start(seconds)

    def pour(self, data: bytes) -> None:
        """Send something for as long as the other side takes it."""
        peer = self

        class Source:
            def resumeProducing(self) -> None:
                peer.write(data)

            def stopProducing(self) -> None:
                pass

        self.wire.registerProducer(Source(), False)


def nothing(to: Peer, data: bytes) -> None:
    """A peer that does nothing."""


@asynccontextmanager
async def listening(build: Callable[[], Any], where: str = "tcp:0:interface=127.0.0.1") -> AsyncIterator[int]:
    """A port on loopback; at its end the connections that are left are aborted."""
    from twisted.internet import reactor

    built: list[Any] = []

    def one(_: object) -> Any:
        built.append(build())
        return built[-1]

    factory: Any = Factory()
    factory.noisy = False
    factory.buildProtocol = one
    port: Any = await serverFromString(reactor, where).listen(factory)
    try:
        yield getattr(port.getHost(), "port", 0)
    finally:
        await port.stopListening()
        for each in built:
            if each.transport is not None and not getattr(each, "gone", False):
                each.transport.abortConnection()


@asynccontextmanager
async def proxying(proxy: Proxy, where: str = "tcp:0:interface=127.0.0.1") -> AsyncIterator[Proxy]:
    """A proxy that does its work."""
    async with listening(lambda: Proxying(proxy), where) as proxy.port:
        yield proxy


@asynccontextmanager
async def peering(made: Behaviour = nothing, came: Behaviour = nothing) -> AsyncIterator[tuple[int, list[Peer]]]:
    """A peer that does what a test says: its port, and its connections."""
    peers: list[Peer] = []

    def build() -> Peer:
        peers.append(Peer(made, came))
        return peers[-1]

    async with listening(build) as port:
        yield port, peers
