"""The sockets of one port."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest

from netguard.units import Prefix
from netguard.workers.sockets import NotSteeredError, family_of, opened, steer
from netguard.workers.steering import program

HERE = "127.0.0.1"


def port_of(sock: socket.socket) -> int:
    """The number."""
    number: int = sock.getsockname()[1]
    return number


def close(*sockets: socket.socket) -> None:
    """All of them."""
    for each in sockets:
        each.close()


def test_all_are_one_port_that_never_blocks() -> None:
    """Of whichever number is free."""
    group = opened(HERE, 0, 7, 3)
    assert len({each.getsockname() for each in group}) == 1
    assert [each.getblocking() for each in group] == [False] * 3
    close(*group)


def test_the_family_is_the_addresses() -> None:
    """As Twisted has it."""
    assert family_of("") == family_of(HERE) == socket.AF_INET
    assert family_of("::1") == socket.AF_INET6


@pytest.mark.parametrize("shares", [False, True])
def test_a_port_that_somebody_has_is_not_had(shares: bool) -> None:
    """Not even one whose owner would share it, as two instances of ours would."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, shares)
        other.bind((HERE, 0))
        other.listen()
        with pytest.raises(OSError, match="in use"):
            opened(HERE, port_of(other), 50, 2)


def test_a_second_that_fails_leaves_none() -> None:
    """An address that is not ours: nothing stays open."""
    with pytest.raises(OSError, match=r"."):
        opened("192.0.2.1", 0, 50, 2)


@pytest.mark.parametrize(("before", "now"), [(2, 2), (2, 3), (1, 2), (3, 2)])
def test_what_was_handed_over_is_used_first(before: int, now: int) -> None:
    """Whoever waits there is served by a worker, on all that there are; a plain one becomes one of a group."""
    if before == 1:
        plain = socket.socket()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Twisted's ports have it
        plain.bind((HERE, 0))
        plain.listen()
        old = [plain]
    else:
        old = opened(HERE, 0, 50, before)
    with socket.create_connection(old[0].getsockname()) as caller:
        queues = [each.dup() for each in old]
        group = opened(HERE, port_of(old[0]), 50, now, [each.detach() for each in queues])
        steer(group, program(now, Prefix()))
        assert len({each.getsockname() for each in group}) == 1
        assert len(group) == max(before, now)
        found = []
        for each in group:
            try:
                accepted, who = each.accept()
            except BlockingIOError:
                continue
            accepted.close()
            found.append(who)
        assert found == [caller.getsockname()]
    close(*group, *old)


def test_a_place_that_is_gone_meanwhile_is_an_error() -> None:
    """The sockets that were handed over are closed: nobody else would."""
    handed = socket.socket()
    handed.bind((HERE, 0))
    handed.listen()
    number = handed.detach()
    with pytest.raises(OSError, match="Cannot assign"):
        opened("192.0.2.1", 0, 50, 2, [number])
    with pytest.raises(OSError, match="Bad file"):
        socket.socket(fileno=number)


class Refusing:
    """A socket of a kernel that does not steer."""

    def __init__(self, number: int) -> None:
        self.number = number

    def setsockopt(self, *_: object) -> None:
        """Refuse."""
        raise OSError(self.number, "Not done")


@pytest.mark.parametrize(
    ("number", "why"), [(errno.ENOPROTOOPT, "this kernel has no SO_ATTACH_REUSEPORT_CBPF"), (errno.EPERM, "Not done")]
)
def test_a_kernel_that_does_not_steer_says_why(number: int, why: str) -> None:
    """In a line for the operator."""
    sock: Any = Refusing(number)
    with pytest.raises(NotSteeredError, match=why):
        steer([sock], program(2, Prefix()))
