"""What became of the bytes that were written: still queued here, or taken by the peer.

"Taken" is judged where it can be seen. For TCP that is the kernel's count of acknowledged bytes: socket buffers hide
megabytes, so a count in user space would call an honest slow reader a stalled one. Elsewhere it is the shrinking of
the queue.
"""

from __future__ import annotations

import socket
import struct
from typing import Any

# struct tcp_info of Linux (include/uapi/linux/tcp.h): tcpi_unacked, tcpi_bytes_acked, tcpi_notsent_bytes.
_TCP_INFO = struct.Struct("=24xI92xQ16xI")
_TCP_INFO_OPTION: int | None = getattr(socket, "TCP_INFO", None)
_LAYERS = 8
"""How many transports may lie on one another (TLS on PROXY on TCP is three)."""


def base_of(transport: Any) -> Any:
    """The transport at the bottom, below TLS and other protocols that act as transports."""
    for _ in range(_LAYERS):
        below = getattr(transport, "transport", None)
        if below is None:
            break
        transport = below
    return transport


def queued(transport: Any) -> int:
    """Bytes that were written to a transport and have not left this process."""
    waiting = 0
    for _ in range(_LAYERS):
        if transport is None:
            break
        # A file descriptor's buffers (twisted.internet.abstract); what TLS holds back during a handshake.
        waiting += len(getattr(transport, "dataBuffer", b"")) - getattr(transport, "offset", 0)
        waiting += getattr(transport, "_tempDataLen", 0)
        tls = transport.protocol if getattr(transport, "TLS", False) else transport
        waiting += sum(map(len, getattr(tls, "_appSendBuffer", ())))
        transport = getattr(transport, "transport", None)
    return waiting


def progress(transport: Any, written: int = 0) -> tuple[int, bool]:
    """How much the peer has taken, and whether anything still waits for it.

    Args:
        transport: the transport that the application writes to.
        written: bytes written to it so far. It matters where the kernel does not tell what the peer took: without
            it, a queue that grows faster than it drains looks like one that does not drain.

    Returns:
        A figure that grows whenever the peer has taken something, and whether bytes are outstanding.
    """
    waiting = queued(transport)
    sock = getattr(base_of(transport), "socket", None)
    if sock is not None and _TCP_INFO_OPTION is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        try:
            info = sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO_OPTION, _TCP_INFO.size)
        except OSError:
            return written - waiting, bool(waiting)
        if len(info) == _TCP_INFO.size:
            unacked, acked, notsent = _TCP_INFO.unpack(info)
            return acked, bool(waiting or unacked or notsent)
    return written - waiting, bool(waiting)
