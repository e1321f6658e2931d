"""A start that ends with one line instead of a traceback: the operator is to act, not a programmer.

Twisted's own plugins parse their endpoint strings, and open their ports, where twistd catches nothing: a typo or a port
that is taken would end in the traceback of a program that is not at fault.

In the foreground that line stands on the terminal and in the log. A daemon has no terminal any more: its parent prints
the first hundred characters of what ended it, so the reason comes first; all of it is in the log.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from twisted.logger import Logger

if TYPE_CHECKING:
    from types import TracebackType

_log = Logger()


class _Hook:
    """What Python calls for an exception that nobody has caught, once it has been installed.

    Attributes:
        expected: the exception that is to be one line.
    """

    def __init__(self) -> None:
        self.expected: BaseException | None = None
        self.before = sys.excepthook

    def __call__(self, kind: type[BaseException], raised: BaseException, trace: TracebackType | None) -> None:
        """Tell it in the log and on the terminal."""
        if raised is not self.expected:
            self.before(kind, raised, trace)
            return
        _log.error("{error}", error=raised)
        terminal = sys.__stderr__  # twistd has put its log in the place of sys.stderr
        if terminal is not None:
            terminal.write(f"{Path(sys.argv[0]).name}: {raised}\n")
            terminal.flush()


def end_in_one_line(error: BaseException) -> None:
    """Should nobody catch this very error, tell it without a traceback. Only the last one that was announced so counts.

    Args:
        error: what is about to be raised; its text is the line.
    """
    if not isinstance(sys.excepthook, _Hook):
        sys.excepthook = _Hook()
    sys.excepthook.expected = error
