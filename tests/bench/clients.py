"""The loads of the benchmarks: blocking sockets and one epoll, in the benchmark's own process."""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress

LINE = b"x" * 30 + b"\r\n"


def connect(port: int) -> socket.socket:
    """A connection to a server on loopback."""
    made = socket.create_connection(("127.0.0.1", port))
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def echo(port: int, connections: int, requests: int) -> int:
    """So many lines of 32 bytes, each sent when the last one of its connection came back."""
    sockets = {each.fileno(): each for each in (connect(port) for _ in range(connections))}
    poll = select.epoll()
    for number, each in sockets.items():
        poll.register(number, select.EPOLLIN)
        each.send(LINE)
    done = 0
    while done < requests:
        for number, _ in poll.poll(10):
            got = sockets[number].recv(4096)
            if len(got) != len(LINE):
                message = f"an echo of {len(got)} bytes"
                raise RuntimeError(message)
            done += 1
            sockets[number].send(LINE)
    for each in sockets.values():
        each.close()
    return done


def get(port: int, connections: int, requests: int) -> int:
    """So many GETs, each sent when the last answer of its connection is there."""
    return _in_turns(port, connections, requests, b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n", b"</html>")


def _in_turns(port: int, connections: int, requests: int, asked: bytes, last: bytes) -> int:
    sockets = {each.fileno(): each for each in (connect(port) for _ in range(connections))}
    poll, done = select.epoll(), 0
    for number, each in sockets.items():
        poll.register(number, select.EPOLLIN)
        each.send(asked)
    while done < requests:
        for number, _ in poll.poll(10):
            if sockets[number].recv(65_536).endswith(last):
                done += 1
                sockets[number].send(asked)
    for each in sockets.values():
        each.close()
    return done


def churn(port: int, times: int) -> int:
    """Connect, send a line, read it, close; so many times."""
    for _ in range(times):
        each = connect(port)
        each.sendall(LINE)
        if each.recv(4096) != LINE:
            message = "no echo"
            raise RuntimeError(message)
        each.close()
    return times


def churn_together(port: int, times: int, window: int = 50) -> int:
    """The same with so many at once."""
    poll, open_ones = select.epoll(), dict[int, socket.socket]()
    begun = ended = 0
    while ended < times:
        while begun < times and len(open_ones) < window:
            each = connect(port)
            each.send(LINE)
            open_ones[each.fileno()] = each
            poll.register(each.fileno(), select.EPOLLIN)
            begun += 1
        for number, _ in poll.poll(10):
            each = open_ones.pop(number)
            if each.recv(4096) != LINE:
                message = "no echo"
                raise RuntimeError(message)
            each.close()
            ended += 1
    return times


def flood(port: int, times: int, window: int = 64) -> int:
    """Connect so many times, so many at once, to a server that refuses; each waits for its end."""
    poll, waiting = select.epoll(), dict[int, socket.socket]()
    begun = ended = 0
    while ended < times:
        while begun < times and len(waiting) < window:
            each = socket.socket()
            each.setblocking(False)
            each.bind((f"127.0.{begun // 200 % 250 + 1}.{begun % 200 + 1}", 0))
            if each.connect_ex(("127.0.0.1", port)) not in (0, errno.EINPROGRESS):
                message = "the kernel refuses to connect"
                raise RuntimeError(message)
            waiting[each.fileno()] = each
            poll.register(each.fileno(), select.EPOLLIN)
            begun += 1
        for number, _ in poll.poll(10):
            each = waiting.pop(number)
            try:
                if each.recv(1):
                    message = "a connection that is not refused"
                    raise RuntimeError(message)
            except ConnectionResetError:
                pass
            each.close()
            ended += 1
    return times


def round_trips(port: int, go_on: Callable[[int], bool]) -> list[float]:
    """Seconds of each round trip of a line, one after the other, with a rest of 1 ms between them."""
    with connect(port) as each:
        found: list[float] = []
        while go_on(len(found)):
            began = time.perf_counter()
            each.sendall(LINE)
            if each.recv(4096) != LINE:
                message = "no echo"
                raise RuntimeError(message)
            found.append(time.perf_counter() - began)
            time.sleep(0.001)
    return found


def beside_a_flood(port: int, times: int) -> tuple[list[float], list[float], float]:
    """The round trips of a client, quiet ones and those while so many others are refused; and how long that took.

    The client is the process that calls, and goes first on its processor where that is allowed; the flood is another.
    """
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    child, began = 0, 0.0

    def go_on(count: int) -> bool:
        nonlocal child, began
        if count < 1_000:
            return True
        if not child:
            began, child = time.perf_counter(), os.fork()
            if not child:
                with suppress(OSError):
                    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
                flood(port, times)
                os._exit(0)
        return os.waitpid(child, os.WNOHANG) == (0, 0)

    found = round_trips(port, go_on)
    seconds = time.perf_counter() - began
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return found[100:1_000], found[1_000:-1], seconds
