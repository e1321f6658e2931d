"""Three things that a peer may do without breaking a rule: python attack.py silent|unread|crowd [PORT]."""

from __future__ import annotations

import socket
import sys
import time
from contextlib import ExitStack

PIECE = bytes(100_000)


def connect(port: int) -> socket.socket:
    """One connection."""
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def is_open(peer: socket.socket) -> bool:
    """Whether the server has left the connection open."""
    peer.setblocking(False)
    try:
        return bool(peer.recv(1))
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


def silent(port: int) -> str:
    """Say nothing for ten seconds."""
    began = time.monotonic()
    with connect(port) as peer:
        try:
            peer.recv(1)
        except TimeoutError:
            return "still connected after 10 s"
        except ConnectionError:
            pass
    return f"cut after {time.monotonic() - began:.1f} s"


def unread(port: int) -> str:
    """Send 50 MB and read nothing of the answer."""
    with connect(port) as peer:
        for sent in range(0, 50_000_000, len(PIECE)):
            try:
                peer.sendall(PIECE)
            except ConnectionError:
                return f"cut after {sent / 1e6:.1f} MB"
    return "50.0 MB sent and nothing read: the server keeps them all"


def crowd(port: int) -> str:
    """Open a hundred connections."""
    with ExitStack() as stack:
        peers = [stack.enter_context(connect(port)) for _ in range(100)]
        time.sleep(1)
        return f"{sum(map(is_open, peers))} of 100 connections are open"


if __name__ == "__main__":
    attack = {"silent": silent, "unread": unread, "crowd": crowd}[sys.argv[1]]
    print(attack(int(sys.argv[2]) if len(sys.argv) > 2 else 8007))  # noqa: PLR2004 - the second word is the port
