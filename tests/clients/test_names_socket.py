"""A UDP socket for one name server: it hears that server only, and it never raises out of the reactor."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from netguard.clients import names_socket
from netguard.clients.names_socket import LARGEST, Datagrams
from tests.nameserver import Hand


class Server:
    """The other side, with what our side hears."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.reactor = Hand()
        self.heard: list[bytes] = []
        self.lost = 0
        self.socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((host, 0))
        self.socket.settimeout(5)
        self.ours = Datagrams(self.reactor, self.socket.getsockname()[:2], self.heard.append, self.lose)

    def lose(self) -> None:
        """Count."""
        self.lost += 1

    def close(self) -> None:
        """Both ends."""
        self.ours.close()
        self.socket.close()


@pytest.fixture
def server() -> Any:
    """A server."""
    made = Server()
    yield made
    made.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_there_and_back(host: str) -> None:
    """Over both kinds of addresses."""
    server = Server(host)
    server.ours.send(b"question")
    data, source = server.socket.recvfrom(100)
    server.socket.sendto(b"answer", source)
    server.reactor.read()
    assert (data, server.heard) == (b"question", [b"answer"])
    server.close()
    assert server.reactor.idle


def test_it_is_what_a_reactor_reads(server: Server) -> None:
    """IReadDescriptor, all of it."""
    assert verifyObject(IReadDescriptor, server.ours)
    assert server.ours.logPrefix() == "netguard names"
    assert server.reactor.getReaders() == [server.ours]


def test_nobody_else_is_heard(server: Server) -> None:
    """The kernel keeps away whatever comes from another address or port."""
    server.ours.send(b"question")
    _, source = server.socket.recvfrom(100)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.sendto(b"forged", source)
    server.socket.sendto(b"answer", source)
    server.reactor.read()
    assert server.heard == [b"answer"]


def test_what_is_too_large_is_not_heard(server: Server) -> None:
    """The largest is."""
    server.ours.send(b"question")
    _, source = server.socket.recvfrom(100)
    server.socket.sendto(b"x" * (LARGEST + 1), source)
    server.socket.sendto(b"y" * LARGEST, source)
    server.reactor.read()
    assert server.heard == [b"y" * LARGEST]


def test_a_flood_is_read_in_portions(server: Server) -> None:
    """So that the rest of the process has its turn."""
    server.ours.send(b"question")
    _, source = server.socket.recvfrom(100)
    for _ in range(20):
        server.socket.sendto(b"x", source)
    server.reactor.read()
    assert len(server.heard) == names_socket._AT_ONCE
    server.reactor.read()
    assert len(server.heard) == 20


def test_nothing_is_heard_after_the_end(server: Server) -> None:
    """Also not what the kernel has already, when the end came in the middle of reading."""

    def hear_and_close(data: bytes) -> None:
        server.heard.append(data)
        server.ours.close()

    server.ours._heard = hear_and_close
    server.ours.send(b"question")
    _, source = server.socket.recvfrom(100)
    server.socket.sendto(b"1", source)
    server.socket.sendto(b"2", source)
    server.reactor.read()
    assert server.heard == [b"1"]
    assert server.ours.fileno() == -1
    server.ours.send(b"nowhere")
    server.ours.doRead()
    server.ours.connectionLost(Failure(ConnectionLost()))
    server.ours.close()
    assert server.lost == 0
    assert server.reactor.idle


def test_a_port_where_nobody_listens_is_told(server: Server) -> None:
    """When reading, when writing, or by a reactor that takes the error for an end: always once, at the most."""
    server.socket.close()
    server.ours.send(b"question")
    server.ours.doRead()
    assert server.lost == 1
    with pytest.raises(ConnectionRefusedError):
        _send_on(server.ours)
    server.ours.connectionLost(Failure(ConnectionLost()))
    assert server.lost == 2
    assert server.reactor.idle


def _send_on(ours: Datagrams) -> None:
    """The kernel says so with the second datagram, or the third."""
    for _ in range(50):
        ours.send(b"question")


class Broken:
    """A socket of which the kernel says something."""

    def __init__(self, number: int) -> None:
        self.number = number

    def send(self, data: bytes) -> int:
        """Say it."""
        raise OSError(self.number, "no")

    def recv(self, size: int) -> bytes:
        """Say it."""
        raise OSError(self.number, "no")

    def close(self) -> None:
        """Nothing."""


@pytest.mark.parametrize("number", [errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ECONNREFUSED, errno.EIO])
def test_what_the_network_says_is_told_and_never_raised(server: Server, number: int) -> None:
    """Twisted's own port raises, into the log, for all but one of them."""
    server.ours.close()
    server.ours._socket = Broken(number)  # type: ignore[assignment]
    server.ours.doRead()
    assert server.lost == 1
    with pytest.raises(OSError, match="no"):
        server.ours.send(b"question")
    server.ours._socket = None


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EINTR, errno.ENOBUFS])
def test_a_kernel_that_is_busy_is_no_trouble(server: Server, number: int) -> None:
    """Nothing is lost that would not be sent again."""
    server.ours.close()
    server.ours._socket = Broken(number)  # type: ignore[assignment]
    server.ours.doRead()
    server.ours.send(b"question")
    assert server.lost == 0
    server.ours._socket = None


def test_no_way_is_told_when_it_is_made() -> None:
    """And no socket is left."""
    reactor = Hand()
    with pytest.raises(OSError):  # noqa: PT011 - its text is the system's
        Datagrams(reactor, ("fe80::1%nosuchdevice", 53), lambda _: None, lambda: None)
    assert reactor.idle


def ports(count: int) -> list[int]:
    """Ports of sockets that are made one after another."""
    found = []
    for _ in range(count):
        made = names_socket._connected("127.0.0.1", 53)
        found.append(made.getsockname()[1])
        made.close()
    return found


def test_ports_cannot_be_guessed() -> None:
    """All over the range, and hardly ever one twice."""
    found = ports(200)
    assert len(set(found)) > 190
    assert min(found) >= names_socket._FIRST_PORT
    assert max(found) - min(found) > 40_000


def choosing(*numbers: int) -> Callable[[int], int]:
    """Chance that is none."""
    chosen = iter(numbers)
    return lambda _: next(chosen) - names_socket._FIRST_PORT


def test_a_port_that_is_taken_is_passed_over() -> None:
    """And if many are, the kernel chooses."""
    with socket.socket(type=socket.SOCK_DGRAM) as taken, socket.socket(type=socket.SOCK_DGRAM) as made:
        taken.bind(("", 0))
        number = taken.getsockname()[1]
        with socket.socket(type=socket.SOCK_DGRAM) as other:
            other.bind(("", 0))
            free = other.getsockname()[1]
        names_socket._bind(made, choosing(number, number, free))
        assert made.getsockname()[1] == free
        with socket.socket(type=socket.SOCK_DGRAM) as last:
            names_socket._bind(last, choosing(*[number] * names_socket._TRIES))
            assert last.getsockname()[1] not in {0, number}


def test_other_trouble_with_ports_is_told() -> None:
    """Say, that the socket has one already."""
    with socket.socket(type=socket.SOCK_DGRAM) as made:
        made.bind(("", 0))
        with pytest.raises(OSError, match="Invalid"):
            names_socket._bind(made)
