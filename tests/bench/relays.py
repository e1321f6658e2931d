"""CPU and rate of relays, beside HAProxy's: ``python tests/bench/relays.py [load ...] [relay ...]``.

CPU is the time that the relay's process was on a processor, as the kernel counts it, so that it does not matter what
else the machine does. The rate is that of the whole: the relay on one core, client and backend on another; it says
something about the relay only where that was busy all the time, which is why that is printed, too. Who shares the
machine with others may give this one the right of way (``chrt -f 1``). Nothing here is asserted.
"""

from __future__ import annotations

import os
import select
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path

import choosing
import clients
from attrs import frozen
from relay_load import Load

ROUNDS = 7
GIB = 1024**3
MILLION = 1_000_000
REST = 0.05
"""Seconds between two runs: who has the right of way is stopped by the kernel when he uses it without a pause."""
_BULK = GIB // 4
_PIECE = 256 * 1024
CORES = sorted(os.sched_getaffinity(0))
STARTING = 30.0
"""Seconds that a relay has for beginning to listen."""
TWISTD = str(Path(sys.executable).with_name("twistd"))


def serve(listening: socket.socket) -> None:
    """Echo; but who begins with D gets many bytes, and who begins with U is answered when it has sent as many."""
    poll = select.epoll()
    poll.register(listening, select.EPOLLIN)
    live: dict[int, socket.socket] = {}
    while True:
        for number, _ in poll.poll():
            if number == listening.fileno():
                made, _ = listening.accept()
                live[made.fileno()] = made
                poll.register(made, select.EPOLLIN)
                continue
            if not answer(live[number]):
                live.pop(number).close()


def answer(each: socket.socket) -> bool:
    """One turn of a connection; whether it goes on."""
    try:
        got = each.recv(65_536)
        if got[:1] == b"D":
            for _ in range(_BULK // _PIECE):
                each.sendall(bytes(_PIECE))
        elif got[:1] == b"U":
            count = len(got)
            while count < _BULK and (got := each.recv(_PIECE)):
                count += len(got)
            each.sendall(b"all")
        else:
            return bool(got and each.send(got))
    except OSError:  # somebody has only looked whether we are there
        pass
    return False


@contextmanager
def served() -> Iterator[int]:
    """The server, in a process of its own."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listening:
        child = os.fork()
        if not child:
            serve(listening)
        port: int = listening.getsockname()[1]
    try:
        yield port
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)


def bulk(port: int) -> float:
    """Half of it down, half of it up; in GiB."""
    with clients.connect(port) as down:
        down.sendall(b"D")
        got, into = 0, bytearray(_PIECE)
        while count := down.recv_into(into):
            got += count
    with clients.connect(port) as up:
        for _ in range(_BULK // _PIECE):
            up.sendall(b"U" * _PIECE)
        heard = up.recv(3)
    if (got, heard) != (_BULK, b"all"):
        message = f"{got} bytes down, and {heard!r} for those up"
        raise RuntimeError(message)
    return 2 * _BULK / GIB


Ends = tuple[int, Callable[[int], float], Callable[[int], None]]
"""Where the backend is, what loads a relay's port, and what forgets so many who have only looked at that."""


@contextmanager
def apart() -> Iterator[Ends]:
    """A client and a backend that are two processes."""
    with served() as port:
        yield port, bulk, lambda _: None


@contextmanager
def together(kind: Callable[[Load, int, int, int], int], at_once: int, times: int) -> Iterator[Ends]:
    """Both in this process; what they do is counted in millions."""
    load = Load()
    yield load.port, lambda port: kind(load, port, at_once, times) / MILLION, load.forget


LOADS: dict[str, tuple[str, int, str, Callable[[], AbstractContextManager[Ends]], str]] = {
    "bulk": ("GiB", 1, "CPU seconds a GiB, half of it down", apart, "bar: CPU <= 0.45"),
    "requests": (
        "requests",
        MILLION,
        "CPU µs a request, 50 connections",
        partial(together, Load.requests, 50, 20_000),
        "bar: rate >= 0.85",
    ),
    "connections": (
        "connections",
        MILLION,
        "CPU µs a connection, 8 at once",
        partial(together, Load.connections, 8, 2_000),
        "bar: rate >= 0.75",
    ),
    "one-by-one": (
        "connections",
        MILLION,
        "CPU µs a connection, one after the other",
        partial(together, Load.connections, 1, 1_000),
        "bar: rate >= 0.75",
    ),
}


def haproxy(folder: Path, port: int, to: int) -> list[str]:
    """HAProxy, in one thread."""
    config = folder / "haproxy.cfg"
    config.write_text(f"""
global
    nbthread 1
defaults
    mode tcp
    timeout connect 10s
    timeout client 60s
    timeout server 60s
listen it
    bind 127.0.0.1:{port}
    server ours 127.0.0.1:{to}
""")
    return [shutil.which("haproxy") or "/usr/sbin/haproxy", "-db", "-f", str(config)]


def portforward(_: Path, port: int, to: int) -> list[str]:
    """Twisted's own, twistd portforward."""
    return [TWISTD, "-n", "--pidfile=", "portforward", "--port", f"tcp:{port}", "--host", "127.0.0.1", "-d", str(to)]


def relay(_: Path, port: int, to: int, *words: str) -> list[str]:
    """netguard-relay, with all its defaults."""
    words = ("--listen", f"tcp:{port}:interface=127.0.0.1", "--to", f"tcp:127.0.0.1:{to}", *words)
    return [TWISTD, "-n", "--pidfile=", "--logfile=/dev/null", "netguard-relay", *words]


def stock(folder: Path, port: int, to: int) -> list[str]:
    """netguard-relay on Twisted's own transport."""
    return relay(folder, port, to, "--transport", "stock")


def raw(_: Path, port: int, to: int, *words: str) -> list[str]:
    """The least that a relay in Python can do; it has no bulk."""
    return python("raw_relay.py", port, to, *words)


def python(script: str, *words: object) -> list[str]:
    """A script of this folder."""
    return [sys.executable, str(Path(__file__).with_name(script)), *map(str, words)]


RELAYS: dict[str, Callable[[Path, int, int], list[str]]] = {
    each.__name__: each for each in (haproxy, relay, stock, portforward, raw)
}


def wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    """Until a relay takes connections; one that has ended, or takes too long, never will."""
    end = time.monotonic() + STARTING
    while process.poll() is None and time.monotonic() < end:
        try:
            clients.connect(port).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        except ConnectionResetError:  # it takes them, and refuses
            return
        else:
            return
    message = f"{process.args!r} does not listen; it ended with {process.poll()}"
    raise RuntimeError(message)


@contextmanager
def started(command: Callable[[Path, int, int], list[str]], to: int) -> Iterator[tuple[int, int]]:
    """A relay: its process, and its port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory() as name:
        process = subprocess.Popen(
            command(Path(name), port, to), cwd=name, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            wait_for(process, port)
            yield process.pid, port
        finally:
            process.kill()
            process.wait()


def on_processor(process: int) -> float:
    """Seconds that a process was running, its threads' not counted."""
    return int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1e9


@frozen
class Run:
    """What a unit of work has cost in one run: seconds of the relay, of the load, and of the clock."""

    relay: float
    load: float
    clock: float


def run(process: int, port: int, work: Callable[[int], float]) -> Run:
    """Load a relay once."""
    before = on_processor(process), time.process_time(), time.perf_counter()
    units = work(port)
    after = on_processor(process), time.process_time(), time.perf_counter()
    return Run(*((end - begin) / units for begin, end in zip(before, after, strict=True)))


def measure(load: str, names: list[str]) -> None:
    """One load, all relays in turns."""
    unit, many, title, ends, bar = LOADS[load]
    runs: dict[str, list[Run]] = {name: [] for name in names}
    os.sched_setaffinity(0, {CORES[-1]})
    with ExitStack() as stack:
        to, work, forget = stack.enter_context(ends())
        running = {name: stack.enter_context(started(RELAYS[name], to)) for name in names}
        forget(len(names))
        for process, _ in running.values():
            pin(process)
        for turn in range(ROUNDS + 1):
            for name, (process, port) in running.items():
                one = run(process, port, work)
                time.sleep(REST)
                if turn:  # the first one warms up
                    runs[name].append(one)
    print(f"{title}, its ratio to {names[0]}; {unit} a second, their ratio; how busy the relay's core was,")
    print(f"and that of client and backend, where these are one process (median of {ROUNDS} pairs)    {bar}")
    for name in names:
        print(f"  {name:13} {told(runs[name], runs[names[0]], many)}", flush=True)


def told(ours: list[Run], first: list[Run], many: int = 1) -> str:
    """The figures of one relay; ``many`` is how much of what is counted makes a unit of work."""
    median = statistics.median
    cpu = median(one.relay / other.relay for one, other in zip(ours, first, strict=True))
    rate = median(other.clock / one.clock for one, other in zip(ours, first, strict=True))
    busy, loads = median(it.relay / it.clock for it in ours), median(it.load / it.clock for it in ours)
    costs, rates = median(it.relay for it in ours), many / median(it.clock for it in ours)
    return f"{costs:8.2f} {cpu:6.3f}   {rates:9.5g} {rate:6.3f}   {busy:4.2f} {loads:4.2f}"


def pin(process: int) -> None:
    """Have a relay on the first core, with all its threads."""
    for thread in Path(f"/proc/{process}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {CORES[0]})


if __name__ == "__main__":
    loads, relaying = choosing.chosen(
        __doc__, {name: load[2] for name, load in LOADS.items()}, choosing.told_by(RELAYS)
    )
    for each in loads:
        measure(each, [name for name in relaying if (each, name) != ("bulk", "raw")])
