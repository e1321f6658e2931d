"""CPU of connections that are refused, beside HAProxy's: ``python tests/bench/refusals.py [load ...] [server ...]``.

The figures are those of :mod:`relays`. Every refusal is a reset, which is what HAProxy's ``tcp-request connection
reject`` answers: it asks the kernel for one (``SO_LINGER``) and closes, as *raw* and netguard-relay do with
``--refusal reset``; netguard-relay asks once, for its listening socket. No bytes are read or written, and no backend
is reached. Twisted's own transport (*stock*) has to shut the socket down and look whether it may write before that.

The servers share one core, the client has another. A client that is slower than a server lets it fall asleep, and to
be woken up costs the server CPU, too: the more so, the fewer come at once.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import choosing
import clients
import relays

ROUNDS = 9
_TIMES = 3_000


def flood(port: int, at_once: int) -> float:
    """Connections that are refused, so many at once; in millions."""
    return clients.flood(port, _TIMES, at_once) / relays.MILLION


LOADS: dict[str, tuple[str, Callable[[int], float], str]] = {
    "together": ("CPU µs a refusal, 64 at once", partial(flood, at_once=64), "bar: CPU <= 1.05"),
    "few": ("CPU µs a refusal, 8 at once", partial(flood, at_once=8), ""),
    "one-by-one": ("CPU µs a refusal, one after the other", partial(flood, at_once=1), ""),
}


def haproxy(folder: Path, port: int, to: int) -> list[str]:
    """HAProxy, in one thread: tcp-request connection reject, by address."""
    command = relays.haproxy(folder, port, to)
    config = folder / "haproxy.cfg"
    bind = f"bind 127.0.0.1:{port}\n"
    config.write_text(
        config.read_text().replace(bind, bind + "    tcp-request connection reject if { src 127.0.0.0/8 }\n")
    )
    return command


def denied(_: Path, port: int, to: int, *words: str) -> list[str]:
    """netguard-relay with all its defaults: --deny, by address."""
    return relay(port, to, "--deny", "127.0.0.0/8", *words)


def full(_: Path, port: int, to: int) -> list[str]:
    """netguard-relay with all its defaults: --max-connections, one of which is there."""
    return relay(port, to, "--max-connections", "1")


def relay(port: int, to: int, *words: str) -> list[str]:
    """netguard-relay, which resets whom it refuses; the kernel has room for all who wait."""
    listen = f"tcp:{port}:interface=127.0.0.1:backlog=1024"
    words = ("--listen", listen, "--to", f"tcp:127.0.0.1:{to}", "--refusal", "reset", *words)
    return [relays.TWISTD, "-n", "--pidfile=", "--logfile=/dev/null", "netguard-relay", *words]


def stock(folder: Path, port: int, to: int) -> list[str]:
    """As denied, on Twisted's own transport."""
    return denied(folder, port, to, "--transport", "stock")


def raw(_: Path, port: int, _to: int) -> list[str]:
    """The least that Python can do: accept, and close."""
    return relays.python("raw_refusal.py", port)


SERVERS: dict[str, Callable[[Path, int, int], list[str]]] = {
    each.__name__: each for each in (haproxy, denied, full, stock, raw)
}


def come_in(port: int) -> socket.socket:
    """A connection that is there; whoever has only looked whether the server listens may be in its place still."""
    end = time.monotonic() + relays.STARTING
    while time.monotonic() < end:
        made = socket.socket()
        try:
            made.connect(("127.0.0.1", port))
            made.sendall(clients.LINE)
            if made.recv(4096) == clients.LINE:
                return made
        except ConnectionError:
            pass
        made.close()
    message = "nobody is let in"
    raise RuntimeError(message)


def measure(load: str, names: list[str]) -> None:
    """One load, all servers in turns."""
    title, work, bar = LOADS[load]
    runs: dict[str, list[relays.Run]] = {name: [] for name in names}
    os.sched_setaffinity(0, {relays.CORES[-1]})
    with ExitStack() as stack:
        to = stack.enter_context(relays.served())
        running = {name: stack.enter_context(relays.started(SERVERS[name], to)) for name in names}
        for name, (process, port) in running.items():
            relays.pin(process)
            if name == "full":
                stack.enter_context(come_in(port))
        for turn in range(ROUNDS + 1):
            for name, (process, port) in running.items():
                one = relays.run(process, port, work)
                time.sleep(relays.REST)
                if turn:  # the first one warms up
                    runs[name].append(one)
    print(f"{title}, its ratio to {names[0]}; refusals a second, their ratio; how busy the server's core was, and the")
    print(f"client's (median of {ROUNDS} pairs)    {bar}")
    for name in names:
        print(f"  {name:13} {relays.told(runs[name], runs[names[0]], relays.MILLION)}", flush=True)


if __name__ == "__main__":
    loads, servers = choosing.chosen(
        __doc__, {name: load[0] for name, load in LOADS.items()}, choosing.told_by(SERVERS)
    )
    for each in loads:
        measure(each, servers)
