"""What a proxy costs a client of netguard: the CPU of connecting, the round trips, and the chunks afterwards.

``python tests/bench/run.py tunnels``; the client is a process of its own (``python tests/bench/tunnels.py``), and so is
what it connects to: a proxy that says what proxies say, and then is the target itself. Nothing is asserted.

All of it is measured twice. With the proxy on the client's own core, the client is charged for what it does. With the
proxy on another, as users have it, it is also charged for waking that core and for going on where it slept itself. What
that costs is the machine's, most of all a virtual one's: so the same words are said by plain sockets, too, and by the
barest client that Twisted can have, which checks nothing and has no deadline.
"""

from __future__ import annotations

import gc
import os
import selectors
import signal
import socket
import statistics
import struct
import subprocess
import sys
import time
import timeit
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from functools import partial
from typing import Any, cast

from attrs import define
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import react

from netguard.clients.socks import SOCKSEndpoint

ROUNDS, CONNECTS, CHUNKS = 21, 150, 1_500
CHUNK = b"x" * 1024
_METHOD, _YES = b"\5\0", b"\5\0\0\1\0\0\0\0\0\0"
_WORDS = b"\5\1\0", b"\5\1\0\1\xc0\0\2\1\0\x6e"
"""What a client says to be led to port 110 of 192.0.2.1."""
PLACES = {"own": "the client's own core", "other": "another core"}
"""Where the proxy runs."""


@define(eq=False)
class Served:
    """One connection to the pretended proxy.

    Args:
        wire: its socket.

        open: whether it is the target's already.
    """

    wire: socket.socket
    open: bool = False

    def come(self) -> bool:
        """Answer what has come; False at the end."""
        try:
            data = self.wire.recv(65536)
        except ConnectionError:
            return False
        if self.open:
            self.wire.sendall(data)
        elif data:
            self._negotiate(data)
        return bool(data)

    def _negotiate(self, data: bytes) -> None:
        if data == b"\5\1\0":
            self.wire.sendall(_METHOD)
            return
        self.open = True
        self.wire.sendall(
            {5: b"\5\0\0\1\0\0\0\0\0\0", 4: b"\0\x5a\0\0\0\0\0\0"}.get(data[0], b"HTTP/1.1 200 OK\r\n\r\n")
        )


def serve(proxy: socket.socket, target: socket.socket) -> None:
    """Be the proxy, and the target, until the end of the process."""
    with selectors.DefaultSelector() as selector:
        for listening in (proxy, target):
            selector.register(listening, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.data is None:
                    listening = proxy if key.fileobj is proxy else target
                    wire, _ = listening.accept()
                    wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    selector.register(wire, selectors.EVENT_READ, Served(wire, open=listening is target))
                elif not key.data.come():
                    selector.unregister(key.data.wire)
                    key.data.wire.close()


class Client(Protocol):
    """Connects, and sends what it gets as often as it is told."""

    def __init__(self) -> None:
        self.left = 0
        self.done: Deferred[None] = Deferred()
        self.ended: Deferred[None] = Deferred()
        self.wire: Any = None

    def connectionMade(self) -> None:
        """Remember the transport."""
        self.wire = self.transport

    def echo(self, times: int) -> Deferred[None]:
        """A chunk there and back, so many times."""
        self.left, self.done = times, Deferred()
        self.wire.write(CHUNK)
        return self.done

    def dataReceived(self, data: bytes) -> None:
        """Once more; a chunk is a segment, here."""
        self.left -= 1
        if self.left > 0:
            self.wire.write(CHUNK)
        else:
            self.done.callback(None)

    def connectionLost(self, reason: object = connectionDone) -> None:
        """Tell."""
        self.ended.callback(None)


class Barest(Protocol):
    """Says the words, takes any answers, and steps out: what Twisted itself takes for a negotiation.

    Args:
        client: has the connection then.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self.left = list(_WORDS)
        self.done: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        """Say the first."""
        cast("Any", self.transport).writeSomeData(self.left.pop(0))

    def dataReceived(self, data: bytes) -> None:
        """Say the next, or step out."""
        if self.left:
            self.connectionMade()
        else:
            wire: Any = self.transport
            wire.protocol = self.client
            self.client.transport = wire
            self.client.connectionMade()
            self.done.callback(None)


Way = Callable[[], Any]
Run = Callable[[], Awaitable[float]]


def ways(reactor: Any, proxy: int, target: int) -> dict[str, Way]:
    """The ways, the direct one first: makes an endpoint each."""

    def straight(port: int) -> TCP4ClientEndpoint:
        return TCP4ClientEndpoint(reactor, "127.0.0.1", port)

    def through(version: str, way: Callable[[], Any]) -> SOCKSEndpoint:
        return SOCKSEndpoint(way(), "192.0.2.1", 110, version, reactor=reactor)

    def by_proxy() -> TCP4ClientEndpoint:
        return straight(proxy)

    return {
        "direct": lambda: straight(target),
        "SOCKS 5": lambda: through("5", by_proxy),
        "SOCKS 4": lambda: through("4", by_proxy),
        "HTTP": lambda: through("http", by_proxy),
    }


async def connects(way: Way, *, barest: bool = False) -> float:
    """Microseconds of CPU of one connection that is made, and closed by us."""
    began = time.process_time()
    for _ in range(CONNECTS):
        client = Client()
        if barest:
            first = Barest(client)
            await connectProtocol(way(), first)
            await first.done
        else:
            await connectProtocol(way(), client)
        client.wire.abortConnection()
        await client.ended
    return (time.process_time() - began) / CONNECTS * 1e6


async def plainly(port: int, words: tuple[bytes, ...] = ()) -> float:
    """The same with a socket that blocks, and what is said on it."""
    began = time.process_time()
    for _ in range(CONNECTS):
        with socket.create_connection(("127.0.0.1", port)) as wire:
            for each in words:
                wire.sendall(each)
                wire.recv(65536)
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # as by an abort
    return (time.process_time() - began) / CONNECTS * 1e6


async def chunks(client: Client) -> float:
    """Microseconds of CPU of a chunk that is sent, comes back, and is delivered."""
    began = time.process_time()
    await client.echo(CHUNKS)
    return (time.process_time() - began) / CHUNKS * 1e6


@define
class InMemory:
    """A way whose proxy answers in no time."""

    tunnel: Any = None
    protocol: Any = None
    disconnecting: bool = False

    def connect(self, factory: Any) -> Deferred[Any]:
        """As an endpoint; as a transport, it has the tunnel's protocol."""
        self.protocol = factory.buildProtocol(None)
        self.protocol.makeConnection(self)
        return succeed(self.protocol)

    def write(self, data: bytes) -> None:
        """Sent."""


def our_part(reactor: Any) -> float:
    """Microseconds of making an endpoint, connecting and negotiating, without a kernel: what is netguard's."""
    factory = Factory.forProtocol(Protocol)
    factory.noisy = False

    def once() -> None:
        way: Any = InMemory()
        SOCKSEndpoint(way, "mail.example", 110, reactor=reactor).connect(cast("Any", factory))
        for each in (_METHOD, _YES):
            way.protocol.dataReceived(each)

    return min(timeit.repeat(once, number=500, repeat=9)) / 500 * 1e6


async def clean(run: Run) -> float:
    """A run that is not charged for what runs before it left behind."""
    gc.collect()
    return await run()


async def measure(reactor: Any, place: str, proxy: int, target: int) -> None:
    """Measure in turns, and print."""
    print(f"SOCKS 5 without a kernel: {our_part(reactor):.1f} µs for endpoint, attempt and negotiation    bar: <= 150")
    known = ways(reactor, proxy, target)
    direct, barest = known["direct"], lambda: TCP4ClientEndpoint(reactor, "127.0.0.1", proxy)
    runs: dict[str, tuple[Run, Run]] = {
        name: (partial(connects, direct), partial(connects, way)) for name, way in known.items() if way is not direct
    }
    runs["SOCKS 5, the barest client"] = partial(connects, direct), partial(connects, barest, barest=True)
    runs["SOCKS 5, a plain socket"] = partial(plainly, target), partial(plainly, proxy, _WORDS)
    costs: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for _ in range(ROUNDS):
        for name, pair in runs.items():
            costs[name].append((await clean(pair[0]), await clean(pair[1])))
    print(f"connecting, the proxy on {PLACES[place]}: CPU of the client, µs (median of {ROUNDS} pairs)")
    print(f"  {'':28}  direct  through     added    bar: SOCKS 5 adds <= 150")
    for name, each in costs.items():
        one, other = (statistics.median(values) for values in zip(*each, strict=True))
        print(f"  {name:28} {one:7.1f}  {other:7.1f}  {statistics.median(b - a for a, b in each):+8.1f}")
    await measure_chunks(known)


async def measure_chunks(known: dict[str, Way]) -> None:
    """The same for what goes through the tunnel."""
    clients = {name: Client() for name in known}
    for name, way in known.items():
        await connectProtocol(way(), clients[name])
    costs: dict[str, list[float]] = {name: [] for name in known}
    for _ in range(ROUNDS):
        for name, client in clients.items():
            costs[name].append(await chunks(client))
    print(f"a chunk of 1 KiB there and back: CPU of the client, µs (median of {ROUNDS} pairs)    bar: <= 1.03 x direct")
    for name, each in costs.items():
        ratio = statistics.median(one / first for one, first in zip(each, costs["direct"], strict=True))
        print(f"  {name:28} {statistics.median(each):7.2f}   {ratio:6.3f}")
    for client in clients.values():
        client.wire.abortConnection()
        await client.ended


def main(place: str) -> None:
    """Start what is connected to, and measure."""
    os.sched_setaffinity(0, range(os.cpu_count() or 1))  # run.py keeps to one core
    *others, own = sorted(os.sched_getaffinity(0))
    if place == "other" and not others:
        print("tunnels: there is no other core")
        return
    with ExitStack() as stack:
        proxy, target = (stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=512)) for _ in range(2))
        child = os.fork()
        if not child:
            os.sched_setaffinity(0, {own if place == "own" else others[0]})
            serve(proxy, target)
        os.sched_setaffinity(0, {own})
        ports = proxy.getsockname()[1], target.getsockname()[1]
        try:
            react(lambda reactor: Deferred.fromCoroutine(measure(reactor, place, *ports)))
        finally:
            os.kill(child, signal.SIGTERM)
            os.waitpid(child, 0)


def tunnels() -> None:
    """What a proxy costs a client; in a process of its own, for each place of the proxy."""
    for place in PLACES:
        subprocess.run([sys.executable, __file__, place], check=True)


BENCHES = {"tunnels": tunnels}

if __name__ == "__main__":
    main(*sys.argv[1:] or ("own",))
