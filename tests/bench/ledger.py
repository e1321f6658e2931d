"""What a ledger costs: ``python tests/bench/run.py fleet``.

The server is one of three machines that share a real Redis; both others hold connections of many peers, so that there
is something to hear. Redis and the others run on the client's core.
"""

from __future__ import annotations

import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

PEERS = 1_000
WITHIN = 0.5


@contextmanager
def redis() -> Iterator[str]:
    """A Redis on loopback, and its URL."""
    with socket.socket() as free, tempfile.TemporaryDirectory() as folder:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        words = ("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder)
        command = [shutil.which("redis-server") or "/usr/bin/redis-server", *words]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
            for _ in range(500):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.02)
            try:
                yield f"redis://127.0.0.1:{port}/0?within={WITHIN}s"
            finally:
                process.terminate()


def hold(port: int, count: int, network: int) -> list[socket.socket]:
    """Connections that stay, each of a peer of its own."""
    held = []
    for number in range(count):
        each = socket.socket()
        each.bind((f"127.{network}.{number // 250}.{number % 250 + 1}", 0))
        each.connect(("127.0.0.1", port))
        held.append(each)
    return held


def ledger(start: Callable[[str], Any], compare: Callable[..., None], churn: Callable[[int], int]) -> None:
    """Connect, line, close, with and without a ledger; what it costs a service in which nothing happens."""
    with redis() as url:
        os.environ["NETGUARD_BENCH_LEDGER"] = url
        others = [start("ledger") for _ in range(2)]
        for each in others:
            os.sched_setaffinity(each.process.pid, {max(os.sched_getaffinity(0))})
        held = [one for place, each in enumerate(others) for one in hold(each.port, PEERS, 10 + place)]
        compare("connect-line-close, one of three machines", churn, "bar: ledger <= 1.03", ("guarded", "ledger"))
        quiet = start("ledger")
        time.sleep(3)
        before, began = quiet.ask("cpu"), time.monotonic()
        time.sleep(5)
        spent = (quiet.ask("cpu") - before) / (time.monotonic() - began)
        print(f"  one that is at rest, with {2 * PEERS} peers elsewhere: {spent * 1000:5.2f} ms of CPU a second")
        for one in held:
            one.close()
        for each in (*others, quiet):
            each.stop()


def drift(start: Callable[[str], Any]) -> None:
    """How long it takes until a connection to one machine counts on another."""
    print(
        f"from a connection on one machine until it counts on another, ms    bar: < {WITHIN * 1e3:.0f} and a round trip"
    )
    with redis() as url:
        os.environ["NETGUARD_BENCH_LEDGER"] = url
        here, there = start("ledger"), start("ledger")
        time.sleep(3)
        took = []
        for number in range(60):
            time.sleep(0.0137 * (number % 19))
            began = time.monotonic()
            (held,) = hold(here.port, 1, 20)
            while not there.ask("elsewhere"):
                pass
            took.append(time.monotonic() - began)
            held.close()
            while there.ask("elsewhere"):
                pass
        figures = (statistics.median(took), sorted(took)[54], max(took))
        print("  median, 90th of 100 and worst: " + " ".join(f"{each * 1000:4.0f}" for each in figures))
        for each in (here, there):
            each.stop()
