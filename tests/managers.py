"""A service manager of the tests' own: a socket that hears what sd_notify(3) would tell."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.popserver import PATIENCE


class Hearer:
    """What a manager hears.

    Args:
        heard: its socket.
    """

    def __init__(self, heard: socket.socket) -> None:
        self.heard = heard
        heard.settimeout(PATIENCE)

    def next(self) -> dict[str, str]:
        """The next message, its words by name."""
        return dict(line.split("=", 1) for line in self.heard.recv(4096).decode().split("\n"))

    def silent_for(self, seconds: float) -> bool:
        """Whether nothing is told for so long; what was told before is forgotten."""
        self.heard.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                self.next()
        self.heard.settimeout(seconds)
        try:
            self.next()
        except TimeoutError:
            return True
        finally:
            self.heard.settimeout(PATIENCE)
        return False

    def wait_for(self, name: str) -> dict[str, str]:
        """The next message that has a word."""
        while name not in (words := self.next()):
            pass
        return words


@contextmanager
def managing(path: str) -> Iterator[Hearer]:
    """A manager for the time of a block.

    Args:
        path: its socket's; ``@`` for NUL, as in NOTIFY_SOCKET.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind("\0" + path[1:] if path.startswith("@") else path)
        yield Hearer(heard)
