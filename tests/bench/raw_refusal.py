"""As lean a refusal as Python can be: ``python tests/bench/raw_refusal.py PORT``.

It resets whoever comes, and counts, judges and logs nothing: a floor to compare with.
"""

from __future__ import annotations

import os
import select
import socket
import struct
import sys
from typing import Any

_AT_ONCE = 64


def run(port: int) -> None:
    """Refuse for ever: those who wait, up to 64 of them, whenever the kernel says that somebody does."""
    with socket.create_server(("127.0.0.1", port), backlog=1024) as listening, select.epoll() as poll:
        listening.setblocking(False)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        poll.register(listening, select.EPOLLIN)
        accept: Any = listening._accept  # type: ignore[attr-defined]
        while True:
            poll.poll()
            try:
                for _ in range(_AT_ONCE):
                    os.close(accept()[0])
            except BlockingIOError:
                pass


if __name__ == "__main__":
    run(int(sys.argv[1]))
