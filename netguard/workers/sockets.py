"""The sockets of one port: at least one for each worker, all open in the parent for as long as it lives.

So a worker that dies changes nothing about which socket a peer's connections go to, and what waits in the queue of its
socket is served by its successor.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Sequence
from contextlib import closing

from netguard.workers.steering import Instruction, attach


class NotSteeredError(Exception):
    """The kernel takes no steering program; the text says why."""


def family_of(interface: str) -> socket.AddressFamily:
    """The family of an address to listen on, as Twisted chooses it.

    Args:
        interface: the address; empty for every IPv4 address.
    """
    return socket.AF_INET6 if ":" in interface else socket.AF_INET


def opened(interface: str, port: int, backlog: int, workers: int, inherited: Sequence[int] = ()) -> list[socket.socket]:
    """Open them, in the order of the workers. They listen, but nobody accepts yet.

    Args:
        interface: the address; empty for every IPv4 address.
        port: the number; 0 for one that is free.
        backlog: how many may wait at each of them.
        workers: how many, at least.
        inherited: descriptors that another instance has handed over, in their order; the caller's no more.

    Raises:
        OSError: the port cannot be had.
    """
    family, made = family_of(interface), list[socket.socket]()
    try:
        made += [_shared(socket.socket(fileno=each)) for each in inherited]
        host = (interface, made[0].getsockname()[1] if made else _free(family, interface, port))
        for _ in range(workers - len(made)):
            made.append(_shared(socket.socket(family, socket.SOCK_STREAM)))
            made[-1].bind(host)
        for sock in made[len(inherited) :]:
            sock.listen(backlog)
    except OSError:
        for sock in made:
            sock.close()
        raise
    for sock in made:
        sock.setblocking(False)
    return made


def _shared(made: socket.socket) -> socket.socket:
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return made


def _free(family: socket.AddressFamily, interface: str, port: int) -> int:
    """The port, if nobody has it: sockets that can be shared would silently join those of another process.

    Raises:
        OSError: somebody has it.
    """
    with closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((interface, port))
        number: int = probe.getsockname()[1]
        return number


def steer(group: Sequence[socket.socket], made: Sequence[Instruction]) -> None:
    """Let the kernel choose among them by this program.

    Args:
        group: the sockets of a port.
        made: the program.

    Raises:
        NotSteeredError: it cannot; it then chooses by all of the addresses and ports.
    """
    try:
        attach(group[0], made)
    except OSError as why:
        words = {errno.ENOPROTOOPT: "this kernel has no SO_ATTACH_REUSEPORT_CBPF"}
        raise NotSteeredError(words.get(why.errno or 0, why.strerror or str(why))) from None
