"""One worker as its parent sees it: a process, and the connection to it."""

from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from attrs import frozen
from twisted.internet.error import ProcessDone, ProcessExitedAlready
from twisted.internet.protocol import ProcessProtocol, Protocol
from twisted.python.failure import Failure

from netguard.process.control import Only
from netguard.process.log_writer import cry
from netguard.workers.asking import Line
from netguard.workers.assignment import VARIABLE, Assignment, Handed, descriptors

_LONGEST = 2000
"""Bytes of what a process has said last that are kept."""

SHOW = signal.SIGQUIT
"""What has a worker say on its standard error where it is, even one whose event loop does not turn (faulthandler)."""

_FRAME = re.compile(r'^  File "(.+)", line ([0-9]+) in (.+)$', re.MULTILINE)
_FRAMES = 4
"""So many of the innermost frames are told, which a stack begins with."""
_STACK = 16 * 1024
"""Bytes that are looked at for them."""

_LIFELINE, _TOTALS, _FIRST = 3, 4, 5
"""Descriptors of a worker."""


@frozen
class Program:
    """How a worker is started: as its parent was.

    Args:
        words: the program and its arguments.
        folder: the working directory in which the parent was started.
        environment: the parent's.
    """

    words: Sequence[str]
    folder: str
    environment: Mapping[str, str]


@frozen
class Post:
    """What one worker after the other is given.

    Args:
        number: which worker it is, from 1.
        workers: how many there are.
        totals: the memory that they share.
        sockets: where to listen: interface and number as they were written, and the parent's descriptors.
    """

    number: int
    workers: int
    totals: int
    sockets: Sequence[Handed]


class Worker(ProcessProtocol):
    """One process.

    Args:
        post: what it is given.
        reactor: the reactor.
        hear: called with this worker and a word of its, ``ready`` or ``ended``.

    Attributes:
        line: by which it is asked.
        pid: its process.
        ready: whether it serves.
        ended: whether it has ended.
        stuck: whether it is ended since it did not answer.
        cut: how many connections it had to cut when it drained.
        reason: how it ended.
    """

    def __init__(self, post: Post, reactor: Any, hear: Callable[[Worker, str], object]) -> None:
        self.post = post
        self.pid = 0
        self.ready = self.ended = self.stuck = False
        self.cut = 0
        self.reason = ""
        self._reactor = reactor
        self._hear = hear
        self._said = self._stack = b""
        self.began = reactor.seconds()

    def start(self, program: Program, first: int, limits: Mapping[str, str]) -> None:
        """Start it.

        Args:
            program: how.
            first: the number of its first session.
            limits: what was set since the service began.
        """
        ours, theirs = socket.socketpair()
        self.line = Line(ours, self._reactor, f"worker {self.post.number}")
        self._reactor.adoptStreamConnection(ours.fileno(), socket.AF_UNIX, Only(_Hearing(self._says)))
        numbers = count(_FIRST)
        handed = [(host, port, tuple(next(numbers) for _ in ours)) for host, port, ours in self.post.sockets]
        told = Assignment(self.post.number, self.post.workers, first, _LIFELINE, _TOTALS, tuple(handed), limits)
        nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        given: dict[int, Any] = {0: nothing, 1: 1 if _is_open(1) else nothing, 2: "r"}
        given |= {_LIFELINE: theirs.fileno(), _TOTALS: self.post.totals}
        given |= dict(enumerate(descriptors(self.post.sockets), _FIRST))
        environment = {**program.environment, VARIABLE: told.text}
        try:
            process = self._reactor.spawnProcess(
                self, program.words[0], list(program.words), environment, program.folder, childFDs=given
            )
            self.pid = process.pid or 0
        finally:
            os.close(nothing)
            theirs.close()

    def errReceived(self, data: bytes) -> None:
        """It says something on its standard error."""
        self._said = (self._said + data)[-_LONGEST:]
        self._stack = (self._stack + data)[:_STACK]
        cry(data.decode("utf-8", "backslashreplace"))

    def _says(self, line: bytes) -> None:
        word, _, rest = line.partition(b" ")
        if word == b"ready":
            self.ready = True
            self._hear(self, "ready")
        elif word == b"cut" and rest.isdigit():
            self.cut = int(rest)

    def processEnded(self, reason: Failure) -> None:
        """It is gone, and all that it has said is here."""
        self.ended = True
        self.line.close()
        self.reason = _words(reason, self._said)
        self._hear(self, "ended")

    def kill(self) -> None:
        """End it at once."""
        self._signal(signal.SIGKILL)

    def show_where(self) -> None:
        """Have it say what it is doing, whatever that is: see :data:`SHOW`."""
        self._stack = b""
        self._signal(SHOW)

    def where(self) -> str:
        """What it has said that it is doing, innermost first; nothing where it could not even say that."""
        said, self._said = self._stack.decode("utf-8", "backslashreplace"), b""
        self._stack = b""
        found = _FRAME.findall(said)[:_FRAMES]
        return " < ".join(f"{name} ({Path(file).name}:{line})" for file, line, name in found)

    def _signal(self, number: signal.Signals) -> None:
        transport: Any = self.transport
        with suppress(ProcessExitedAlready):
            transport.signalProcess(int(number))  # it knows few of them by name


def _is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


def _words(reason: Failure, said: bytes) -> str:
    """How it ended, and the last line that it has said."""
    why: Any = reason.value
    if reason.check(ProcessDone):
        how = "it ended by itself"
    elif why.signal is not None:
        how = signal.Signals(why.signal).name
    else:
        how = f"status {why.exitCode}"
    lines = said.decode("utf-8", "backslashreplace").strip().splitlines()
    return f"{how}: {lines[-1].strip()}" if lines else how


class _Hearing(Protocol):
    """Takes the lines that a worker says.

    Args:
        hear: called with each.
    """

    def __init__(self, hear: Callable[[bytes], object]) -> None:
        self._hear = hear
        self._rest = b""

    def dataReceived(self, data: bytes) -> None:
        """Take whole lines; they are ours, and short."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._hear(line)
