"""Signals of the operating system that call functions in the reactor's thread, for as long as somebody wants that."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType


def on_signal(
    number: signal.Signals, do: Callable[[], object], reactor: Any, *, instead: bool = False
) -> Callable[[], None]:
    """Call a function each time the process gets a signal, besides what an application has for it already.

    Args:
        number: which.
        do: called in the reactor's thread, never in the middle of something else. Several signals that come close
            together may be one call.
        reactor: the reactor (``IReactorFromThreads``).
        instead: call it in the place of what was there, which is called by nobody then.

    Returns:
        What ends it: call it, and the signal does again what it did before.

    Raises:
        ValueError: this is not the main thread, where alone Python can do this.
    """
    before = signal.getsignal(number)

    def heard(number: int, frame: FrameType | None) -> None:
        reactor.callFromThread(do)
        if callable(before) and not instead:
            before(number, frame)

    signal.signal(number, heard)

    def end() -> None:
        signal.signal(number, before)

    return end


def die_by(number: int) -> None:
    """End the process by a signal, there and then.

    Args:
        number: which.
    """
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
