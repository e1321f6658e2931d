"""What the application wrote while the way out was held back.

A guard may hold back what the application writes (a bandwidth limit does). The bytes wait here; the application's
producer is told to stop as a full transport would tell it, and closing waits for them as for any bytes written.
"""

from __future__ import annotations

from collections import deque
from typing import Any

HIGH_WATER = 64 * 1024
"""More than this waits, and the application's producer is paused: the same as twisted's FileDescriptor.bufferSize."""


class Backlog:
    """Pieces of bytes in order, and what is to happen when all of them are gone.

    Attributes:
        size: bytes that wait.
        then: names of the transport's methods to call once nothing waits (``loseConnection`` and the like).
    """

    __slots__ = ("_paused", "_pieces", "size", "then")

    def __init__(self) -> None:
        self._pieces: deque[memoryview] = deque()
        self._paused = False
        self.size = 0
        self.then: list[str] = []

    def add(self, data: memoryview, producer: Any) -> None:
        """Keep bytes for later, and stop the application's producer when there are many."""
        self._pieces.append(data)
        self.size += len(data)
        if producer is not None and not self._paused and self.size > HIGH_WATER:
            self._paused = True
            producer.pauseProducing()

    def put_back(self, data: memoryview) -> None:
        """Keep bytes that were taken and could not be passed on, before all others."""
        self._pieces.appendleft(data)
        self.size += len(data)

    def take(self) -> memoryview:
        """The piece that waits longest."""
        piece = self._pieces.popleft()
        self.size -= len(piece)
        return piece

    def drained(self, transport: Any, producer: Any) -> None:
        """Nothing waits any more: let the producer go on, unless the transport itself has stopped it; then close."""
        if self._paused:
            self._paused = False
            if producer is not None and not getattr(transport, "producerPaused", False):
                producer.resumeProducing()
        if not self.size:
            calls, self.then = self.then, []
            for name in calls:
                getattr(transport, name)()
