"""One UDP socket that talks to one name server: a port that nobody can guess, and no traceback whatever comes.

Twisted's own UDP port raises, into the log, when the network says that a host cannot be reached; this one tells.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from secrets import randbelow
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

LARGEST = 4096
"""Octets of a datagram that is taken. We ask for 512 at most (RFC 1035, section 4.2.1), and some servers send more."""

_AT_ONCE = 16
"""Datagrams that are read in one turn, so that a flood does not stop the rest of the process."""
_TRIES = 16
_FIRST_PORT, _LAST_PORT = 10240, 65535
_NEVER_MIND = {errno.EAGAIN, errno.EINTR, errno.ENOBUFS}


@implementer(IReadDescriptor)
class Datagrams:
    """A UDP socket, connected: only what this server sends is heard.

    Args:
        reactor: reads.
        server: the server's IP address and port.
        heard: called with each datagram.
        lost: called, perhaps again and again, when the network says that nobody is there.

    Raises:
        OSError: there is no socket to be had, or no way to the server.
    """

    def __init__(
        self,
        reactor: Any,
        server: tuple[str, int],
        heard: Callable[[bytes], object],
        lost: Callable[[], object],
    ) -> None:
        self._reactor = reactor
        self._heard = heard
        self._lost = lost
        self._socket: socket.socket | None = _connected(*server)
        reactor.addReader(self)

    def send(self, data: bytes) -> None:
        """Send a datagram; what the kernel has no room for now will be sent again by whoever waits for an answer.

        Raises:
            OSError: there is no way to the server.
        """
        if self._socket is not None:
            try:
                self._socket.send(data)
            except OSError as why:
                if why.errno not in _NEVER_MIND:
                    raise

    def close(self) -> None:
        """Hear nothing more."""
        if self._socket is not None:
            self._reactor.removeReader(self)
            self._socket.close()
            self._socket = None

    def doRead(self) -> None:
        """Something came (IReadDescriptor)."""
        for _ in range(_AT_ONCE):
            if self._socket is None:
                return
            try:
                data = self._socket.recv(LARGEST + 1)
            except OSError as why:
                if why.errno not in _NEVER_MIND:
                    self._lost()
                return
            if len(data) <= LARGEST:
                self._heard(data)

    def fileno(self) -> int:
        """The socket's number (IReadDescriptor)."""
        return -1 if self._socket is None else self._socket.fileno()

    def connectionLost(self, reason: Failure) -> None:
        """The kernel has only an error for us, which reactors take for an end (IReadDescriptor)."""
        if self._socket is not None:
            self.close()
            self._lost()

    def logPrefix(self) -> str:
        """What stands in log lines (IReadDescriptor)."""
        return "netguard names"


def _connected(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        _bind(made)
        made.connect((host, port))
    except BaseException:
        made.close()
        raise
    return made


def _bind(made: socket.socket, choose: Callable[[int], int] = randbelow) -> None:
    """Take a port by chance, out of more than the kernel would choose from (RFC 5452, section 9.2)."""
    for _ in range(_TRIES):
        try:
            made.bind(("", _FIRST_PORT + choose(_LAST_PORT - _FIRST_PORT + 1)))
        except OSError as why:
            if why.errno not in {errno.EADDRINUSE, errno.EACCES}:
                raise
        else:
            return
    made.bind(("", 0))
