"""A question to a worker: a command of the control socket, over a connection of its own, and its answer."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from netguard.process.commands import ControlError
from netguard.process.control import Only

WITHIN = 10.0
"""Seconds in which a worker has to answer."""

_CALL = b"."


class SilentError(ControlError):
    """The worker has not answered, nor shown in another way that its event loop turns."""


Answer = Mapping[str, Any]


class Line:
    """The parent's end of the connection to a worker, over which it hands it one connection for each question.

    Args:
        sock: that end.
        reactor: the reactor (``IReactorSocket``, ``IReactorTime``).
        name: what the worker is called.
    """

    def __init__(self, sock: socket.socket, reactor: Any, name: str) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._reactor = reactor
        self._name = name

    def ask(self, command: str, within: float | None = WITHIN) -> Deferred[Answer]:
        """Give a command.

        Args:
            command: the line.
            within: seconds in which it has to be answered; None where it may take any time.

        Returns:
            What fires with the answer, or fails with ControlError.
        """
        question = Question(self._name, self._reactor, within)
        self._connect(question, command)
        return question.answer

    def follow(self, command: str, hear: Callable[[bytes], object]) -> Question:
        """Give a command whose answer goes on and on.

        Args:
            command: the line.
            hear: called with each line of the answer.

        Returns:
            The connection; lose it, and nothing more is heard.
        """
        question = Question(self._name, self._reactor, None, hear)
        self._connect(question, command)
        return question

    def _connect(self, question: Question, command: str) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            try:
                socket.send_fds(self._socket, [_CALL], [theirs.fileno()])
            except OSError as why:  # it has ended, or reads nothing any more
                question.miss(why.strerror or str(why))
                return
            ours.setblocking(False)
            self._reactor.adoptStreamConnection(ours.fileno(), socket.AF_UNIX, Only(question))
        question.say(command.encode() + b"\n")

    def close(self) -> None:
        """The worker has ended, or is to notice that nobody is here."""
        self._socket.close()


class Question(Protocol):
    """One connection.

    Args:
        name: what the worker is called.
        reactor: the clock.
        within: seconds in which the first line has to come; None where it may take any time.
        hear: called with each line; unless given, the first is the answer.

    Attributes:
        answer: fires with the answer; where lines are heard, only at their end.
    """

    def __init__(
        self, name: str, reactor: Any, within: float | None, hear: Callable[[bytes], object] | None = None
    ) -> None:
        self.answer: Deferred[Answer] = Deferred(lambda _: self.lose())
        self._name = name
        self._hear = hear
        self._got = bytearray()
        self._late: IDelayedCall | None = None
        if within is not None:
            self._late = reactor.callLater(within, self.miss, f"no answer within {within:g}s")

    def say(self, line: bytes) -> None:
        """Send the command."""
        self._transport.write(line)

    @property
    def _transport(self) -> Any:
        return self.transport

    def dataReceived(self, data: bytes) -> None:
        """Keep it until a line is whole."""
        searched = len(self._got)
        self._got += data
        if b"\n" not in data:
            return
        if self._hear is None:
            line, _, _ = bytes(self._got).partition(b"\n")
            self._answered(line)
            return
        whole = self._got.rfind(b"\n", searched)
        lines = bytes(self._got[:whole])
        del self._got[: whole + 1]
        for line in lines.split(b"\n"):
            self._hear(line)

    def _answered(self, line: bytes) -> None:
        told = json.loads(line)
        if told.pop("ok", False):
            self._end(told)
        else:
            self._end(Failure(ControlError(str(told.get("error")))))

    def miss(self, why: str) -> None:
        """There is no answer, nor anything else."""
        self._end(Failure(SilentError(f"{self._name}: {why}")))

    def _end(self, outcome: Any) -> None:
        if self._late is not None and self._late.active():
            self._late.cancel()
        if not self.answer.called:
            self.answer.callback(outcome)
        self.lose()

    def lose(self) -> None:
        """End the connection."""
        if self.transport is not None:
            self.transport.loseConnection()

    def connectionLost(self, reason: Any = None) -> None:
        """The worker has ended, or nobody wanted more."""
        self._end(Failure(ControlError(f"{self._name}: it has ended")))
