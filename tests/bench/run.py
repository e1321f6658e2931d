"""Benchmarks of the guards, as ratios from one run: ``python tests/bench/run.py [NAME ...]``.

Server and client run on separate cores, in turns (bare, stack, guarded, bare, ...), so that a machine whose speed
drifts does not favour one of them. Nothing here is asserted; the bars are in the words that are printed.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import time
import timeit
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import admin
import choosing
import clients
import idents
import ledger
import login_timing
import logs
import names
import pop
import pop_beside
import tables
import tunnels
import watching
from attrs import define
from options import GENEROUS
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.tcp import Server as Transport
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from netguard.native.meter import NativeMeter
from netguard.native.server import Server
from netguard.policy import Policy
from netguard.wrapper import Wrapper

HERE = Path(__file__).parent
ROUNDS = 21
CORES = sorted(os.sched_getaffinity(0))


@define
class Process:
    """A server process, pinned to the first core."""

    process: subprocess.Popen[str]
    port: int

    @classmethod
    def start(cls, kind: str) -> Process:
        """Start one and wait for its port."""
        process = subprocess.Popen(
            [sys.executable, str(HERE / "server.py"), kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        os.sched_setaffinity(process.pid, {CORES[0]})
        assert process.stdout is not None
        return cls(process, int(process.stdout.readline()))

    def ask(self, word: str) -> float:
        """A figure of it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(word, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())

    def stop(self) -> None:
        """End it."""
        self.process.communicate(timeout=30)


SERVERS = ("bare", "stack", "one", "guarded", "verbose", "defaults", "wrapper")


def cpu_ratios(
    title: str, load: Callable[[int], int], bars: str, kinds: tuple[str, ...] = SERVERS, settled: tuple[str, ...] = ()
) -> None:
    """CPU microseconds of the server for one unit of a load, and its ratio to the first server, pair by pair.

    Beside it, the rate of the whole, server and client, to the first server's.

    Args:
        title: what it is.
        load: loads a port; how many units it was.
        bars: what is to be reached, in words.
        kinds: the servers, the one that is compared with first.
        settled: those of them that have a connection before.
    """
    servers = {kind: Process.start(kind) for kind in kinds}
    sockets = [clients.connect(servers[kind].port) for kind in settled]
    costs: dict[str, list[float]] = {kind: [] for kind in kinds}
    times: dict[str, list[float]] = {kind: [] for kind in kinds}
    for kind in kinds:
        load(servers[kind].port)
    for _ in range(ROUNDS):
        for kind in kinds:
            before, began = servers[kind].ask("cpu"), time.perf_counter()
            units = load(servers[kind].port)
            times[kind].append((time.perf_counter() - began) / units)
            costs[kind].append((servers[kind].ask("cpu") - before) / units * 1e6)
    print(f"{title}: CPU of the server, µs, its ratio to {kinds[0]}, and that of the rates (median of {ROUNDS} pairs)")
    print(f"  {bars}")
    for kind in kinds:
        ratio, slower = (_ratio(figures[kind], figures[kinds[0]]) for figures in (costs, times))
        print(f"  {kind:13} {statistics.median(costs[kind]):8.2f}   {ratio:5.3f}   {1 / slower:5.3f}")
        servers[kind].stop()
    for each in sockets:
        each.close()


def _ratio(some: list[float], first: list[float]) -> float:
    return statistics.median(one / other for one, other in zip(some, first, strict=True))


def echo() -> None:
    """Echo of 32-byte lines, with fifty connections."""
    cpu_ratios("echo, 50 connections", lambda port: clients.echo(port, 50, 6_000), "bar: guarded <= 1.06, stack 1.19")


def echo_alone() -> None:
    """Echo of 32-byte lines, with one connection."""
    cpu_ratios("echo, 1 connection", lambda port: clients.echo(port, 1, 3_000), "bars: guarded <= 0.83, wrapper 1.06")


def web() -> None:
    """GETs of a small page from twisted.web, with ten connections."""
    kinds = ("web", "web-guarded", "web-wrapper")
    cpu_ratios("GET, 10 connections", lambda port: clients.get(port, 10, 600), "bar: guarded <= 0.935", kinds)


def churn() -> None:
    """Connections that come and go."""
    cpu_ratios("connect-line-close", lambda port: clients.churn(port, 500), "bar: guarded <= 1.15, stack 1.74")


def churn_together() -> None:
    """Connections that come and go, 50 at a time."""
    bars = "bar: guarded's rate >= 1.1"
    cpu_ratios("connect-line-close, 50 at once", lambda port: clients.churn_together(port, 1_000), bars)


def reject() -> None:
    """A flood of connections that are refused, since the one that may be there is there."""
    kinds = ("none", "reset", "close", "rate", "per-peer", "penalty", "rules", "wrapper-close")
    with_one = tuple(each for each in kinds if each not in ("none", "penalty", "rules"))
    cpu_ratios("refused connection", lambda port: clients.flood(port, 1_500), "bar: reset <= 1.15", kinds, with_one)


def flood() -> None:
    """The round trips of a settled client, before a flood of refused connections and while it lasts.

    Who is refused: everybody but the client, for the service sheds load; or since it is full.
    """
    many = 20_000
    print(f"round trip of a settled client while {many} are refused: µs, median and 99th of 100    bar: < 5 x quiet")
    for kind in ("shed", "reset", "close", "wrapper-close"):
        server = Process.start(kind)
        quiet, loaded, seconds = clients.beside_a_flood(server.port, many)
        median, most = (statistics.median, lambda all_of: statistics.quantiles(all_of, n=100)[98])
        figures = " ".join(f"{of(each) * 1e6:8.0f}" for each in (quiet, loaded) for of in (median, most))
        ratios = f"{median(loaded) / median(quiet):5.2f} {most(loaded) / most(quiet):5.2f}"
        print(f"  {kind:13} quiet, loaded {figures}   ratios {ratios}   {many / seconds:6.0f} refused/s")
        server.stop()


def idle() -> None:
    """Memory of idle connections, and the sweep of ten thousand."""
    many = 10_000
    print(f"{many} idle connections: KiB each; milliseconds of one sweep    bars: <= 1.6 KiB; <= 2 ms")
    for kind in SERVERS:
        server = Process.start(kind)
        clients.churn(server.port, 200)
        before = server.ask("memory")
        # Loopback has 28,000 ports for one pair of addresses: enough.
        sockets = [clients.connect(server.port) for _ in range(many)]
        clients.churn(server.port, 1)
        each = (server.ask("memory") - before) / many
        swept = f"{server.ask('sweep'):6.2f} ms" if kind not in ("bare", "stack") else ""
        print(f"  {kind:13} {each:6.2f} KiB  {swept}")
        for one in sockets:
            one.close()
        server.stop()


class Sink(Protocol):
    """Takes what comes."""

    def dataReceived(self, data: bytes) -> None:
        """Take it."""


def chunk() -> None:
    """The cost of one chunk of 1 KiB, with one guard and with all: read from a socket, and delivered in memory."""
    one, every = Policy.from_options({"idle": "1h"}), Policy.from_options(GENEROUS)
    pairs = [(_chunk_costs(one), _chunk_costs(every)) for _ in range(ROUNDS)]
    print(f"a chunk of 1 KiB: ns with one guard, with all, and the ratio (median of {ROUNDS} pairs)    bar: <= 1.15")
    for place, what in enumerate(("read by our own transport", "read by Twisted's, under the wrapper", "in memory")):
        some, all_of = (statistics.median(each[place] for each in side) for side in zip(*pairs, strict=True))
        ratio = statistics.median(more[place] / less[place] for less, more in pairs)
        print(f"  {what:37} {some:6.0f} {all_of:6.0f}   {ratio:5.3f}")


def _chunk_costs(policy: Policy) -> tuple[float, float, float]:
    """Nanoseconds of a chunk: through the doRead of either transport, and through a meter alone."""
    reactor: Any = MemoryReactorClock()
    factory, data = policy.wrap(Factory.forProtocol(Sink), reactor), b"x" * 1022 + b"\r\n"
    spent = []
    port: Any = None
    for kind, meters in ((Server, NativeMeter), (Transport, Wrapper)):
        meter: Any = factory.admit(None, meters)
        ours, theirs = socket.socketpair()
        transport: Any = kind(ours, meter, ("127.0.0.1", 1), port, 0, reactor)
        meter.makeConnection(transport)
        spent.append(_read_costs(transport, theirs, data))
        alone = min(timeit.repeat(partial(meter.dataReceived, data), number=2_000, repeat=3)) / 2_000
        theirs.close()
        transport.connectionLost(Failure(ConnectionDone()))
    return spent[0], spent[1], alone * 1e9


def _read_costs(transport: Any, peer: socket.socket, data: bytes) -> float:
    times, spent = 2_000, 0.0
    for _ in range(times):
        peer.send(data)
        began = time.perf_counter()
        transport.doRead()
        spent += time.perf_counter() - began
    return spent / times * 1e9


def fleet() -> None:
    """What it costs to count together with other machines, and how soon one hears of the other."""
    ledger.ledger(Process.start, cpu_ratios, lambda port: clients.churn(port, 500))
    ledger.drift(Process.start)


BENCHES = (
    {each.__name__: each for each in (chunk, echo, echo_alone, web, churn, churn_together, reject, flood, idle, fleet)}
    | admin.BENCHES
    | idents.BENCHES
    | names.BENCHES
    | pop.BENCHES
    | login_timing.BENCHES
    | logs.BENCHES
    | pop_beside.BENCHES
    | tables.BENCHES
    | tunnels.BENCHES
    | watching.BENCHES
)


def main() -> None:
    """Run those that are named on the command line, or all."""
    import resource

    (wanted,) = choosing.chosen(__doc__, choosing.told_by(BENCHES))

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    os.sched_setaffinity(0, {CORES[-1]})
    for name in wanted:
        BENCHES[name]()


if __name__ == "__main__":
    main()
