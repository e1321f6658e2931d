"""What became of the bytes that were written: still queued here, or taken by the peer.

"Taken" is judged where it can be seen. For TCP that is the kernel's count of acknowledged bytes: socket buffers hide
megabytes, so a count in user space would call an honest slow reader a stalled one. Elsewhere it is the shrinking of
the queue.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Mapping
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
    return _real(transport)


def _real(layer: Any) -> Any:
    """A layer itself, where it is what a guarded application has for its transport (that has no attributes)."""
    return layer if hasattr(layer, "__dict__") else getattr(layer, "_transport", layer)


def _own(layer: Any) -> Mapping[str, Any]:
    """A layer's own attributes. Wrappers answer for the layer below, which would then be counted twice."""
    own: Mapping[str, Any] = getattr(_real(layer), "__dict__", {})
    return own


def queued(transport: Any) -> int:
    """Bytes that were written to a transport and have not left this process."""
    waiting = 0
    for _ in range(_LAYERS):
        if transport is None:
            break
        own = _own(transport)
        # A file descriptor's two buffers (twisted.internet.abstract).
        waiting += len(own.get("dataBuffer", b"")) - own.get("offset", 0) + own.get("_tempDataLen", 0)
        waiting += own.get("piped", 0)  # beside them, in a pipe (netguard.relay.pump)
        waiting += _held_by_tls(_tls_of(own))
        transport = own.get("transport")
    return waiting


def _tls_of(own: Mapping[str, Any]) -> Mapping[str, Any]:
    """Where TLS keeps what waits: in a layer of its own, or in what a transport has for its protocol once it began."""
    inside = own.get("protocol", own.get("upper")) if own.get("TLS") else None
    return own if inside is None else _own(inside)


def _held_by_tls(own: Mapping[str, Any]) -> int:
    """What waits for a handshake, and the small writes that go out together at the end of the turn, or in the next."""
    held = sum(map(len, own.get("_appSendBuffer", ()))) + sum(map(len, own.get("pieces", ())))
    return held + sum(map(len, getattr(own.get("_aggregator"), "_buffer", ())))


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
    sock: Any = getattr(base_of(transport), "socket", None)
    if _TCP_INFO_OPTION is not None and getattr(sock, "family", None) in (socket.AF_INET, socket.AF_INET6):
        try:
            info = sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO_OPTION, _TCP_INFO.size)
        except OSError:
            return written - waiting, bool(waiting)
        if len(info) == _TCP_INFO.size:
            unacked, acked, notsent = _TCP_INFO.unpack(info)
            return acked, bool(waiting or unacked or notsent)
    return written - waiting, bool(waiting)
