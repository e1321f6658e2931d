"""Pipes through which bytes go from one socket to another without being copied to this process (``splice(2)``).

A pipe is needed only while bytes are in it, which is mostly for no longer than a turn of the reactor; so a few are
enough for any number of connections, and who finds none copies.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from typing import Any

from attrs import define, field

SIZE = 1024 * 1024
"""Bytes that fit into a pipe: what the kernel allows everybody."""

MOST = 16
"""So many pipes may be in use at once."""

_splice: Any = getattr(os, "splice", None)
_RESIZE: int | None = getattr(fcntl, "F_SETPIPE_SZ", None)
_FLAGS: int = getattr(os, "SPLICE_F_NONBLOCK", 0)


@define(eq=False)
class Pipe:
    """One pipe.

    Attributes:
        holds: bytes that are in it.
    """

    out_of: int
    into: int
    holds: int = field(default=0, init=False)

    def fill(self, descriptor: int, most: int) -> int:
        """Take bytes from a socket.

        Args:
            descriptor: the socket's.
            most: no more than so many.

        Returns:
            How many came; 0 when no more ever will.

        Raises:
            BlockingIOError: there are none, or there is no room.
            OSError: the connection is broken, or the socket cannot be spliced.
        """
        count: int = _splice(descriptor, self.into, most, flags=_FLAGS)
        self.holds += count
        return count

    def empty(self, descriptor: int) -> bool:
        """Give a socket what it takes.

        Args:
            descriptor: the socket's.

        Returns:
            Whether it has taken all.

        Raises:
            OSError: the connection is broken.
        """
        with suppress(BlockingIOError):
            self.holds -= _splice(self.out_of, descriptor, self.holds, flags=_FLAGS)
        return not self.holds


@define(eq=False)
class Pipes:
    """All pipes of a relay.

    Args:
        most: so many may be in use at once; 0 where bytes are to be copied.
    """

    most: int = MOST
    used: int = field(default=0, init=False)
    _idle: list[Pipe] = field(factory=list, init=False)

    def __attrs_post_init__(self) -> None:
        if _splice is None or _RESIZE is None:  # other systems than Linux
            self.most = 0

    def borrow(self) -> Pipe | None:
        """An empty pipe; None when there is none to be had."""
        if self.used >= self.most:
            return None
        pipe = self._idle.pop() if self._idle else self._make()
        if pipe is not None:
            self.used += 1
        return pipe

    def _make(self) -> Pipe | None:
        try:
            out_of, into = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:  # descriptors are short
            return None
        with suppress(OSError):  # of a user who has too much in pipes already: it is as large as it is
            fcntl.fcntl(into, _RESIZE or 0, SIZE)
        return Pipe(out_of, into)

    def give_back(self, pipe: Pipe) -> None:
        """Nobody needs it any more; what is still in it is lost."""
        self.used -= 1
        if pipe.holds:
            _close(pipe)
        else:
            self._idle.append(pipe)

    def close(self) -> None:
        """Close those that are idle."""
        while self._idle:
            _close(self._idle.pop())


def _close(pipe: Pipe) -> None:
    os.close(pipe.out_of)
    os.close(pipe.into)
