"""The admin pages of a service with ten thousand connections: how long they take, and how long they let others wait."""

from __future__ import annotations

import http.client
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import clients

HERE = Path(__file__).parent
FIRST = min(os.sched_getaffinity(0))
TIMES = 40
PATHS = (
    "/metrics",
    "/healthz",
    "/readyz",
    "/",
    "/figures.json",
    "/figures.json?live&since=0&sort=-received",
    "/?sort=peer&page=50",
)


def pages() -> None:
    """Each page, over one connection that stays; and with nobody connected, for comparison."""
    many = 10_000
    print(
        f"admin pages, nobody and {many} connected: ms to the answer (median and worst of {TIMES}), and the most CPU"
        " time of one answer, while which the loop did nothing else    bars: < 50 ms; < 10 ms for /metrics"
    )
    process = subprocess.Popen(
        [sys.executable, str(HERE / "admin_server.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    os.sched_setaffinity(process.pid, {FIRST})
    assert process.stdout is not None
    port, admin = map(int, process.stdout.readline().split())
    for count in (0, many):
        sockets = [clients.connect(port) for _ in range(count)]
        for path in PATHS:
            _measure(process, admin, path, count)
        for one in sockets:
            one.close()
    process.communicate(timeout=30)


def _measure(process: subprocess.Popen[str], admin: int, path: str, count: int) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    connection = http.client.HTTPConnection("127.0.0.1", admin)
    took = []
    for _ in range(TIMES + 2):
        began = time.perf_counter()
        connection.request("GET", path)
        answer = connection.getresponse()
        size = len(answer.read())
        took.append((time.perf_counter() - began) * 1000)
        if len(took) == 2:
            print("x", file=process.stdin, flush=True)
            process.stdout.readline()
    connection.close()
    print("x", file=process.stdin, flush=True)
    longest = float(process.stdout.readline())
    took = took[2:]
    figures = f"{statistics.median(took):7.2f} {max(took):7.2f}   {longest:7.2f}"
    print(f"  {count:6} {path:42} {figures}   {size / 1024:6.1f} KiB")


BENCHES = {"admin": pages}
