"""Benchmark of ident queries, as a ratio from one run: ``python tests/bench/run.py ident``, or this file by itself.

The same 3,000 connections of as many machines, whose ident server is a process of its own, are asked about fifty at a
time: by bare Twisted (connect from an address, write a line, take what comes, abort), and by the client, in turns.
Nothing here is asserted.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, ensureDeferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import react

from netguard.clients.ident import IdentClient
from netguard.wire.ident import UserId

ROUNDS, AT_ONCE, MANY = 7, 50, 3000
HOST = "127.0.0.1"
LOCAL = IPv4Address("TCP", HOST, 995)
PEERS = [IPv4Address("TCP", f"10.{number >> 8}.{number & 255}.1", 2000 + number) for number in range(MANY)]

Ask = Callable[[IPv4Address], Awaitable[None]]


class Once(Protocol):
    """Asks, takes what comes, and goes."""

    def __init__(self) -> None:
        self.answer: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        """Here it is."""
        cast("Any", self.transport).abortConnection()
        self.answer.callback(data)


async def at_once(ask: Ask) -> tuple[float, float]:
    """Ask about all, so many at a time; how many in a second, and the CPU microseconds of one."""
    left = iter(PEERS)

    async def work() -> None:
        for each in left:
            await ask(each)

    began, used = time.perf_counter(), time.process_time()
    await gatherResults([ensureDeferred(work()) for _ in range(AT_ONCE)])
    return MANY / (time.perf_counter() - began), (time.process_time() - used) / MANY * 1e6


async def measure(reactor: Any, port: int) -> None:
    """Measure, and print."""

    def connect(_: str, port: int, local: str) -> Any:
        return TCP4ClientEndpoint(reactor, HOST, port, bindAddress=(local, 0))

    client = IdentClient(reactor, port, 30, connect=connect)
    factory = Factory.forProtocol(Once)
    factory.noisy = False

    async def barely(peer: IPv4Address) -> None:
        protocol = cast("Any", await connect(peer.host, port, HOST).connect(factory))
        protocol.transport.write(b"%d,%d\r\n" % (peer.port, LOCAL.port))
        assert b"USERID" in await protocol.answer

    async def asked(peer: IPv4Address) -> None:
        assert isinstance(await client.query((LOCAL, peer)), UserId)

    figures = [(await at_once(barely), await at_once(asked)) for _ in range(ROUNDS)]
    bare, ours = (
        [statistics.median(column) for column in zip(*side, strict=True)] for side in zip(*figures, strict=True)
    )
    ratio = statistics.median(own[1] / other[1] for other, own in figures)
    print(f"ident queries, {AT_ONCE} at a time    bar: 1,500/s")
    print(f"  bare Twisted {bare[0]:8,.0f}/s {bare[1]:6.0f} µs of CPU")
    print(f"  client       {ours[0]:8,.0f}/s {ours[1]:6.0f} µs of CPU, {ratio:.2f} times bare")


def main(reactor: Any) -> Deferred[None]:
    """Run under ``react``, beside a server."""
    command = [sys.executable, str(Path(__file__).parent / "server.py"), "ident"]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    port = int(server.stdout.readline())

    def end(result: Any) -> Any:
        server.communicate(timeout=30)
        return result

    return ensureDeferred(measure(reactor, port)).addBoth(end)


def ident() -> None:
    """Ident queries, beside bare Twisted's; in a process of its own, since it has a reactor of its own."""
    subprocess.run([sys.executable, __file__], check=True)


BENCHES = {"ident": ident}

if __name__ == "__main__":
    os.sched_setaffinity(0, range(os.cpu_count() or 1))  # run.py keeps to one core; the server shall have another
    react(main)
