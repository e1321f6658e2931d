"""Keys of a terminal, one by one, for as long as a program wants them."""

from __future__ import annotations

import os
import select
import termios
import tty
from collections.abc import Iterator
from contextlib import suppress
from types import TracebackType

_NAMED = {
    b"\x1b[A": "up",
    b"\x1b[B": "down",
    b"\x1bOA": "up",
    b"\x1bOB": "down",
    b"\r": "enter",
    b"\n": "enter",
    b"\x7f": "backspace",
    b"\x08": "backspace",
    b"\x1b": "escape",
}
_LONGEST = max(map(len, _NAMED))


def keys(data: bytes) -> Iterator[str]:
    """The keys that bytes of a terminal stand for; what is no key that we know is left out.

    Args:
        data: what was read at once.
    """
    at = 0
    while at < len(data):
        for length in range(min(_LONGEST, len(data) - at), 0, -1):
            piece = data[at : at + length]
            if piece in _NAMED:
                yield _NAMED[piece]
                break
            if length == 1 and piece.isascii() and piece.decode().isprintable():
                yield piece.decode()
        at += length


class Keyboard:
    """A terminal whose keys come at once and unseen; a context manager that leaves it as it was.

    Args:
        file: the descriptor of the terminal.

    Raises:
        OSError: it is no terminal.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        try:
            self._before = termios.tcgetattr(file)
        except termios.error as why:
            raise OSError(*why.args) from None

    def __enter__(self) -> Keyboard:  # noqa: PYI034 - no subclasses
        tty.setcbreak(self._file)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(termios.error):  # it may be gone
            termios.tcsetattr(self._file, termios.TCSADRAIN, self._before)

    def wait(self, seconds: float) -> list[str]:
        """Wait for keys.

        Args:
            seconds: for how long at most.

        Returns:
            Those that were pressed, oldest first.

        Raises:
            EOFError: there is no terminal any more.
        """
        if not select.select([self._file], [], [], max(0.0, seconds))[0]:
            return []
        try:
            data = os.read(self._file, 256)
        except OSError:
            data = b""
        if not data:
            raise EOFError
        return list(keys(data))
