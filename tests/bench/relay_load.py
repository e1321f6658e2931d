"""A load for relays, as lean as Python can be: both ends of all connections in one process, and one epoll.

Each end does one ``recv`` and one ``send`` for a line, which is what the relay between them has to do, too; so it is
the relay, or both alike, that has to be waited for.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from typing import Any

import clients

WAIT = 10.0
"""Seconds without anything from a relay after which it is given up."""


class Load:
    """Both ends.

    Attributes:
        port: where a relay finds its backend.
    """

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._listening.settimeout(WAIT)
        self.port: int = self._listening.getsockname()[1]

    def forget(self, count: int) -> None:
        """Let those go who have only looked whether a relay listens.

        Args:
            count: how many those were.
        """
        for _ in range(count):
            self._accept().close()

    def _accept(self) -> socket.socket:
        made, _ = self._listening.accept()
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def requests(self, port: int, connections: int, times: int) -> int:
        """Lines there and back, each sent when the last one of its connection has come back.

        Args:
            port: the relay's.
            connections: how many there are.
            times: how many lines there are to be, all together.
        """
        ends = [each for _ in range(connections) for each in (clients.connect(port), self._accept())]
        calls: dict[int, tuple[Callable[[int], bytes], Callable[[bytes], int]]] = {}
        poll, done = select.epoll(), 0
        for each in ends:
            poll.register(each, select.EPOLLIN)
            calls[each.fileno()] = each.recv, each.send
        for each in ends[::2]:
            each.send(clients.LINE)
        while done < 2 * times:
            ready = _some(poll.poll(WAIT))
            for number, _ in ready:
                receive, send = calls[number]
                if send(receive(4096)) != len(clients.LINE):
                    message = "what came is not a line"
                    raise RuntimeError(message)
            done += len(ready)
        for each in ends:
            each.close()
        return done // 2

    def connections(self, port: int, at_once: int, times: int) -> int:
        """Connections that are made, have one line answered, and are closed.

        Args:
            port: the relay's.
            at_once: so many there are at any moment.
            times: how many there are to be.
        """
        poll, listening = select.epoll(), self._listening.fileno()
        poll.register(listening, select.EPOLLIN)
        here, there = dict[int, socket.socket](), dict[int, socket.socket]()
        begun = done = 0
        while done < times or there:
            while begun < min(times, done + at_once):
                begun += 1
                each = _watched(clients.connect(port), poll, here)
                each.send(clients.LINE)
            for number, _ in _some(poll.poll(WAIT)):
                if number == listening:
                    _watched(self._accept(), poll, there)
                elif number in there:
                    _echo(there, number)
                else:
                    _check(here.pop(number))
                    done += 1
        return done


def _some(ready: list[Any]) -> list[Any]:
    if not ready:
        message = f"nothing has come for {WAIT:g} s"
        raise RuntimeError(message)
    return ready


def _watched(each: socket.socket, poll: select.epoll, among: dict[int, socket.socket]) -> socket.socket:
    poll.register(each, select.EPOLLIN)
    among[each.fileno()] = each
    return each


def _echo(among: dict[int, socket.socket], number: int) -> None:
    line = among[number].recv(4096)
    if line:
        among[number].send(line)
    else:
        among.pop(number).close()


def _check(each: socket.socket) -> None:
    if each.recv(4096) != clients.LINE:
        message = "no echo"
        raise RuntimeError(message)
    each.close()
