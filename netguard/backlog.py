"""What the application wrote while the way out was held back.

A guard may hold back what the application writes (a bandwidth limit does). The bytes wait here; the application's
producer is told to stop as a full transport would tell it, and closing waits for them as for any bytes written.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from attrs import define

HIGH_WATER = 64 * 1024
"""More than this waits, and the application's producer is paused: the same as twisted's FileDescriptor.bufferSize."""

CLOSING = "closing"
"""The holder of the pause between the application's wish to close and the transport's: nothing is read any more."""


@define(eq=False)
class Supply:
    """The application's producer, as it was registered.

    Attributes:
        producer: what produces.
        streaming: whether it writes by itself until it is paused (a push producer), or once each time it is asked.
        held: we have paused it, or, if it has to be asked, taken it from the transport.
    """

    producer: Any
    streaming: bool
    held: bool = False

    @property
    def aside(self) -> bool:
        """Whether the transport does not have it: it would ask whenever it is empty, and what waits here would grow."""
        return self.held and not self.streaming

    def hold(self, transport: Any, waiting: int) -> None:
        """Many bytes wait, or the way is held: let no more be produced than is on its way."""
        if self.streaming:
            if waiting > HIGH_WATER:
                self.held = True
                self.producer.pauseProducing()
        elif not self.held and not getattr(transport, "disconnecting", False):
            self.held = True
            transport.unregisterProducer()

    def release(self, transport: Any) -> None:
        """Nothing waits any more: let more be produced, unless the transport itself has paused it."""
        if not self.held:
            return
        self.held = False
        if not self.streaming:
            transport.registerProducer(self.producer, False)
        elif not getattr(transport, "producerPaused", False):
            self.producer.resumeProducing()


class Backlog:
    """Pieces of bytes in order, and what is to happen when all of them are gone.

    Attributes:
        size: bytes that wait.
        passing: whether some of them are being passed on; what is written meanwhile comes after them.
        then: what to call once nothing waits (the transport's ``loseConnection`` and the like).
    """

    __slots__ = ("_pieces", "passing", "size", "then")

    def __init__(self) -> None:
        self._pieces: deque[memoryview] = deque()
        self.size = 0
        self.passing = False
        self.then: list[Callable[[], object]] = []

    def add(self, data: bytes) -> None:
        """Keep bytes for later."""
        self._pieces.append(memoryview(data))
        self.size += len(data)

    def take(self, most: float) -> bytes:
        """What waits longest, up to so many bytes."""
        piece = self._pieces.popleft()
        if len(piece) > most:
            self._pieces.appendleft(piece[int(most) :])
            piece = piece[: int(most)]
        self.size -= len(piece)
        return bytes(piece)

    def finish(self) -> None:
        """Nothing waits any more: do what was to follow."""
        calls, self.then = self.then, []
        for call in calls:
            call()
