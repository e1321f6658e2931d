"""Who is at the other end of a UNIX socket, as the kernel says."""

from __future__ import annotations

import socket
import struct

from attrs import frozen

_UCRED = struct.Struct("iII")


@frozen
class Credentials:
    """Whom a process was when it connected.

    Args:
        pid: its process id.
        uid: its user.
        gid: its group.
    """

    pid: int
    uid: int
    gid: int


def credentials(sock: socket.socket) -> Credentials:
    """Who is at the other end (unix(7), ``SO_PEERCRED``).

    Args:
        sock: a connected UNIX socket.

    Raises:
        OSError: the kernel does not say.
    """
    return Credentials(*_UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)))
