"""What takes events to a place that may fail: nothing stops for that, and what is lost is counted and told."""

from __future__ import annotations

import errno
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from math import inf
from threading import RLock
from typing import Any, Protocol, TextIO

from twisted.logger import ILogObserver, LogEvent, LogLevel
from zope.interface import implementer

from netguard import events
from netguard.process.logfile import words

_MINUTE = 60.0

Format = Callable[[LogEvent], str | None]
"""One event as a line without its end, or None when nothing is to be written of it."""


class Place(Protocol):
    """Where events are written."""

    @property
    def put(self) -> Callable[[Any], object]:
        """Write what was rendered; raise OSError when that cannot be."""

    def render(self, event: LogEvent) -> Any:
        """Put an event into the place's form; None when nothing is to be written of it."""


def cry(line: str) -> None:
    """Say something on the real standard error, if there is one and it takes it."""
    if sys.__stderr__ is not None:
        with suppress(OSError, ValueError):
            sys.__stderr__.write(line)
            sys.__stderr__.flush()


@implementer(ILogObserver)
class Writer:
    """An observer that writes events, counts those that cannot be written, and tells that once they can.

    Args:
        place: where.
        verbose: whether events of level debug are written, too.
        alarm: told in one line when events begin to be lost, by another way than the log; once a minute at most.
        seconds: a monotonic clock.

    Attributes:
        lost: how many events were lost since the log could last be written.
    """

    def __init__(
        self,
        place: Place,
        *,
        verbose: bool = False,
        alarm: Callable[[str], object] = cry,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self.place = place
        self.verbose = verbose
        self.lost = 0
        self._reason = ""
        self._alarm = alarm
        self._alarmed = -inf
        self._seconds = seconds
        self._lock = RLock()  # logging is what any code does, of other threads and of destructors in this one

    def __call__(self, event: LogEvent) -> None:
        """Write one event (ILogObserver)."""
        if not self.verbose and event.get("log_level") is LogLevel.debug:
            return
        rendered = self.place.render(event)
        if rendered is None:
            return
        with self._lock:
            try:
                if self.lost:
                    self._confess()
                self.place.put(rendered)
            except (OSError, ValueError) as why:  # ValueError: somebody has closed it
                self._lose(words(why) if isinstance(why, OSError) else str(why))

    def _confess(self) -> None:
        lost = events.made("log_lost", {"count": self.lost, "reason": self._reason})
        self.place.put(self.place.render(lost))
        self.lost = 0

    def _lose(self, reason: str) -> None:
        self.lost += 1
        if self.lost == 1:
            self._reason = reason
        if self._seconds() - self._alarmed >= _MINUTE:
            self._alarmed = self._seconds()
            self._alarm(f"netguard: the log cannot be written, and events are lost: {reason}\n")

    def during(self, do: Callable[[], object]) -> None:
        """Call ``do`` while nothing is being written.

        Args:
            do: such as what reopens a file.
        """
        with self._lock:
            do()


class Lines:
    """Lines of octets, wherever they go.

    Args:
        put: writes a line with its end, or raises OSError.
        form: what an event looks like.
    """

    def __init__(self, put: Callable[[bytes], object], form: Format) -> None:
        self.put = put
        self._form = form

    def render(self, event: LogEvent) -> bytes | None:
        """One event as the octets of a line."""
        line = self._form(event)
        return None if line is None else line.encode("utf-8", "backslashreplace") + b"\n"


class Stream:
    """An open stream that lines are written to, past its buffer: what cannot be written shall not stay in it.

    Args:
        out: such as standard output.
    """

    def __init__(self, out: TextIO) -> None:
        out.flush()
        self._out: Any = getattr(out.buffer, "raw", out.buffer)
        self._torn = False

    def write(self, line: bytes) -> None:
        """Write a line.

        Args:
            line: with its end.

        Raises:
            OSError: the stream does not take all of it now.
        """
        rest = b"\n" + line if self._torn else line
        while rest:
            sent = self._out.write(rest)
            if sent is None:
                raise BlockingIOError(errno.EAGAIN, "standard output does not keep up")
            self._torn = sent < len(rest)
            rest = rest[sent:]
