"""Datagrams to a service of this machine that may be slow, gone, or begun anew: it is waited for a moment at most."""

from __future__ import annotations

import errno
import select
import socket
import time
from contextlib import suppress

_GONE = {errno.ECONNREFUSED, errno.ENOTCONN, errno.ECONNRESET, errno.EDESTADDRREQ, errno.EPIPE}


PATIENCE = 0.1
"""Seconds in each second that may be spent on waiting for a receiver whose queue is full, as a burst fills it."""
_DESPAIR = 60.0
"""Seconds for which a receiver that took nothing for so long is not waited for again."""


class Datagrams:
    """Sends to a UNIX socket.

    Args:
        path: where it is. It is connected at once, so that it is reached from within a chroot, until it begins anew.

    Raises:
        OSError: nobody is there.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._left = PATIENCE
        self._renewed = time.monotonic()
        self._socket = self._connected()

    def _connected(self) -> socket.socket:
        opened = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            # An entry may be as long as the kernel lets it.
            with suppress(OSError):
                opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            opened.connect(self.path)
        except OSError:
            opened.close()
            raise
        return opened

    def send(self, octets: bytes) -> None:
        """Send one datagram, or raise.

        Args:
            octets: all of it.

        Raises:
            BlockingIOError: the receiver does not keep up.
            OSError: it is not there, or the datagram is too long.
        """
        try:
            self._socket.send(octets)
        except BlockingIOError:
            if not self._wait(time.monotonic()):
                raise
            self._socket.send(octets)
        except OSError as why:
            if why.errno not in _GONE:
                raise
            self._socket, before = self._connected(), self._socket
            before.close()
            self._socket.send(octets)

    def _wait(self, now: float) -> bool:
        """Wait until the receiver takes more; False when it does not, or has been waited for enough."""
        if now - self._renewed >= 1:
            self._left, self._renewed = PATIENCE, now
        if self._left <= 0:
            return False
        poll = select.poll()
        poll.register(self._socket, select.POLLOUT)
        takes = bool(poll.poll(self._left * 1000))
        self._left -= time.monotonic() - now
        if not takes:
            self._left, self._renewed = 0.0, now + _DESPAIR
        return takes

    def close(self) -> None:
        """Send no more."""
        self._socket.close()
