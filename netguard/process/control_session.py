"""One client of the control socket: commands come as lines, and each has one line of JSON for its answer.

The rules of this file:

* Everything is bounded: the length of a line, the time in which the next one has to come. Commands are carried out one
  after the other, one in a turn of the reactor, and none while answers wait to be read.
* What changes something is told in the log, with the process and the user that wanted it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from typing import Protocol as Shape

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from zope.interface import implementer

from netguard.errors import OptionError
from netguard.mixins.timeout import TimeoutMixin
from netguard.process.commands import Command, ControlError, find
from netguard.process.peer_credentials import Credentials

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall
    from twisted.python.failure import Failure

    from netguard.service import Service as House

LONGEST = 1024
"""Bytes of a line."""
PARTING = 1.0
"""Seconds that a client has for reading its last answer when the service ends."""
IDLE = 60.0
"""Seconds in which the next command has to come, and the last answer has to be read."""

_log = Logger(namespace="netguard")


class Rows(tuple[str, ...]):
    """A list in an answer whose items are JSON already, several of them in each text, with commas between them.

    To encode a long list at once would take too long.
    """

    __slots__ = ()


def answer(result: Mapping[str, object]) -> list[bytes]:
    """One line of JSON, in pieces.

    Args:
        result: what is answered.
    """
    pieces: list[bytes] = []
    for key, value in result.items():
        pieces.append(f"{', ' if pieces else '{'}{json.dumps(key)}: ".encode())
        if isinstance(value, Rows):
            pieces += [f"{', ' if at else '['}{text}".encode() for at, text in enumerate(value)]
            pieces.append(b"]" if value else b"[]")
        else:
            pieces.append(json.dumps(value).encode())
    return [*pieces, b"}\n"]


def refusal(why: str) -> list[bytes]:
    """The answer of a command that cannot be carried out."""
    return answer({"ok": False, "error": why})


class Stream(Shape):
    """An answer that goes on until somebody ends it."""

    def pauseProducing(self) -> None:
        """The client is slow."""

    def resumeProducing(self) -> None:
        """It has read what it was sent."""

    def stopProducing(self) -> None:
        """It has sent something, so it wants no more."""


@implementer(IPushProducer)
class Session(TimeoutMixin, Protocol):
    """One client.

    Args:
        commands: the table.
        house: where changes are told.
        who: the process at the other end.
        reactor: the clock.
        leave: called at the end.

    Attributes:
        stream: the answer that is under way, where it is one that goes on; else None.
    """

    def __init__(
        self,
        commands: Sequence[Command],
        house: House,
        who: Credentials,
        reactor: Any,
        leave: Callable[[Session], object],
    ) -> None:
        self.reactor = reactor
        self.who = who
        self._leave = leave
        self.stream: Stream | None = None
        self._commands = commands
        self._house = house
        self._buffer = b""
        self._under_way: Deferred[Any] | None = None
        self._next: IDelayedCall | None = None
        self._gone: Deferred[None] = Deferred()
        self._full = self._ending = False

    def connectionMade(self) -> None:
        """Wait for the first command."""
        self._transport.registerProducer(self, True)
        self.setTimeout(IDLE)

    def dataReceived(self, data: bytes) -> None:
        """Keep it until a line is whole."""
        self._buffer += data
        if self.stream is not None:
            self.stream.stopProducing()
        elif self._next is None:
            self._go_on()
        if len(self._buffer) > LONGEST:
            self._transport.pauseProducing()

    @property
    def _transport(self) -> Any:
        return self.transport

    def _soon(self) -> None:
        if self._next is None:
            self._next = self.reactor.callLater(0, self._go_on)

    def _go_on(self) -> None:
        """Take the next command, unless something has to come first."""
        self._next = None
        if self._under_way is not None or self._full or self._ending:
            return
        self._buffer = self._buffer.lstrip()
        line, end, rest = self._buffer.partition(b"\n")
        if len(line) > LONGEST:
            self._refuse_all()
        elif end:
            self._buffer = rest
            self._take(line.decode("ascii", "backslashreplace").strip())
        else:
            self._transport.resumeProducing()

    def _refuse_all(self) -> None:
        self._buffer = b""
        self._ending = True
        self._transport.writeSequence(refusal(f"a command has {LONGEST} bytes at most"))
        self._transport.unregisterProducer()
        self._transport.loseConnection()

    def _take(self, line: str) -> None:
        self.setTimeout(None)
        doing = self._under_way = maybeDeferred(self._run, line)
        doing.addErrback(self._failed)
        doing.addCallback(self._answered)

    async def _run(self, line: str) -> list[bytes]:
        command, words = find(self._commands, line)
        call = command.call(words, self)
        outcome = "done"
        try:
            return answer({"ok": True, **await _awaited(command.do(call))})
        except (ControlError, OptionError) as why:
            outcome = str(why)
            raise
        finally:
            if command.changes:
                about = {"uid": self.who.uid, "pid": self.who.pid, "outcome": outcome, "command": line}
                self._house.tell("command", about)

    def _failed(self, why: Failure) -> list[bytes]:
        if why.check(ControlError, OptionError):
            return refusal(str(why.value))
        if why.check(CancelledError):  # its client has gone
            return []
        _log.failure("netguard: a command failed", failure=why)
        return refusal("it failed; the log says how")

    def _answered(self, pieces: list[bytes]) -> None:
        self._under_way = self.stream = None
        if self.connected:
            self._transport.writeSequence(pieces)
            self.setTimeout(IDLE)
            self._soon()

    def part(self) -> Deferred[None]:
        """The service ends: let the client have its last answer, and go.

        Returns:
            What fires when it has gone.
        """
        self._ending = True
        if self.stream is not None:
            self.stream.stopProducing()
        elif self._under_way is not None:
            self._under_way.cancel()
        self._transport.unregisterProducer()
        self._transport.loseConnection()
        self.setTimeout(PARTING)
        return self._gone

    def when_gone(self, do: Callable[[], object]) -> None:
        """Call ``do`` when the client has gone, whoever ended that."""
        self._gone.addCallback(lambda _: do())

    # what the transport asks of a producer

    def pauseProducing(self) -> None:
        """Answers wait to be read."""
        self._full = True
        if self.stream is not None:
            self.stream.pauseProducing()

    def resumeProducing(self) -> None:
        """They have been."""
        self._full = False
        if self.stream is not None:
            self.stream.resumeProducing()
        self._soon()

    def stopProducing(self) -> None:
        """The connection is lost, as will be told."""

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """Whatever is under way is not wanted any more."""
        self.connected = 0
        if self._next is not None:
            self._next.cancel()
            self._next = None
        if self._under_way is not None:
            self._under_way.cancel()
        self._leave(self)
        self._gone.callback(None)


async def _awaited(result: Any) -> Mapping[str, object]:
    """What a command answers, now or later."""
    found: Mapping[str, object] = await result if hasattr(result, "__await__") else result
    return found
