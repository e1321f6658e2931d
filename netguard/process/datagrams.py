"""Datagrams to a service of this machine that may be slow, gone, or begun anew: it is never waited for."""

from __future__ import annotations

import errno
import socket
from contextlib import suppress

_GONE = {errno.ECONNREFUSED, errno.ENOTCONN, errno.ECONNRESET, errno.EDESTADDRREQ, errno.EPIPE}


class Datagrams:
    """Sends to a UNIX socket.

    Args:
        path: where it is. It is connected at once, so that it is reached from within a chroot, until it begins anew.

    Raises:
        OSError: nobody is there.
    """

    def __init__(self, path: str) -> None:
        self.path = path
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
        except OSError as why:
            if why.errno not in _GONE:
                raise
            self._socket, before = self._connected(), self._socket
            before.close()
            self._socket.send(octets)

    def close(self) -> None:
        """Send no more."""
        self._socket.close()
