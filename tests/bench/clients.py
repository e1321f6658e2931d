"""The loads of the benchmarks: blocking sockets and one epoll, in the benchmark's own process."""

from __future__ import annotations

import select
import socket

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
