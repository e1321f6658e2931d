"""Two workers against one: ``python -m tests.bench.crews`` in the repository's root.

Echo at 50 connections, each from an address of its own. Where there is no processor for each worker and one for the
client, they take each other's time. So what is compared is what the busiest worker has spent: lines a second of its
processor time, as if it had one to itself.
"""

from __future__ import annotations

import os
import select
import socket
import statistics
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.crewserver import crew, pids

LINE = b"x" * 30 + b"\r\n"
CONNECTIONS, LINES, ROUNDS = 50, 15_000, 7
_TICK = os.sysconf("SC_CLK_TCK")


def cpu(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / _TICK


def load(port: int) -> None:
    """So many lines, each sent when the last one of its connection has come back."""
    with ExitStack() as stack:
        poll, sockets = select.epoll(), dict[int, socket.socket]()
        for number in range(CONNECTIONS):
            made = socket.create_connection(("127.0.0.1", port), 30, (f"127.0.0.{number + 1}", 0))
            stack.enter_context(made)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sockets[made.fileno()] = made
            poll.register(made, select.EPOLLIN)
            made.send(LINE)
        done = 0
        while done < LINES:
            for number, _ in poll.poll(10):
                done += bool(sockets[number].recv(4096))
                sockets[number].send(LINE)


def main() -> None:
    """Print the ratio."""
    options = ("--max-per-peer", "off", "--max-connections", "off")
    with ExitStack() as stack:
        services = []
        for workers in (1, 2):
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            server = stack.enter_context(crew(*options, cwd=folder, workers=workers))
            serving = [server.process.pid] if workers == 1 else [*pids(server).values()]
            services.append((server.ports()[0], serving))
        costs: list[list[float]] = [[], []]
        for turn in range(ROUNDS + 1):
            for (port, serving), cost in zip(services, costs, strict=True):
                before = [cpu(each) for each in serving]
                load(port)
                spent = [cpu(each) - then for each, then in zip(serving, before, strict=True)]
                if turn:  # the first is to warm up
                    cost.append(max(spent) / LINES * 1e6)
        ratio = statistics.median(one / two for one, two in zip(*costs, strict=True))
        print(f"echo, {CONNECTIONS} connections: processor time of the busiest worker for one line, µs")
        print("  one process  " + f"{statistics.median(costs[0]):6.2f}")
        print("  two workers  " + f"{statistics.median(costs[1]):6.2f}   ratio {ratio:4.2f}    bar: >= 1.7")


if __name__ == "__main__":
    main()
