"""Events as they happen, for somebody who watches: bounded, whatever happens and however slowly it is read.

The rules of this file:

* What is told costs one comparison and one entry in a queue; it is written later, so many in a second and no more.
* The queue is bounded. What does not fit is counted, and an event ``lost`` says how much, at the place where it was.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer

from netguard.events import Event, as_json

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

MOST = 1000
"""Events that wait for one reader."""
PERIOD = 0.1
"""Seconds between two looks at the queue."""
AT_A_TIME = 100
"""Events that are written at each."""


@implementer(ILogObserver, IPushProducer)
class LiveEvents:
    """Writes each event as a line of JSON, until somebody ends it.

    Args:
        write: takes the lines.
        names: the events that are wanted; all of them when it is empty.
        reactor: the clock.
        publish: who tells the events.

    Attributes:
        done: fires with what was told and lost when it has ended; to cancel it ends it.
    """

    def __init__(
        self, write: Callable[[bytes], object], names: Collection[str], reactor: Any, publish: Any = globalLogPublisher
    ) -> None:
        self.done: Deferred[dict[str, int]] = Deferred(lambda _: self.stopProducing())
        self._write = write
        self._names = frozenset(names)
        self._reactor = reactor
        self._publish = publish
        self._queue: deque[LogEvent | bytes | list[int]] = deque()
        self._told = self._lost = 0
        self._call: IDelayedCall | None = None
        self._paused = self._ended = False
        publish.addObserver(self)

    def __call__(self, event: LogEvent) -> None:
        """Take one event of the log (ILogObserver)."""
        ours = event.get("netguard")
        if not isinstance(ours, Event) or (self._names and ours.name not in self._names):
            return
        self._take(event)

    def pass_on(self, line: bytes) -> None:
        """Take one event of another process, which has written it already; its last line, the answer, is none.

        Args:
            line: the JSON, without a line end.
        """
        if line.startswith(b'{"time"') and not self._ended:
            self._take(line)

    def _take(self, event: LogEvent | bytes) -> None:
        queue = self._queue
        if len(queue) < MOST:
            queue.append(event)
        else:
            self._lost += 1
            if isinstance(queue[-1], list):
                queue[-1][0] += 1
            else:
                queue.append([1])
        if self._call is None and not self._paused:
            self._call = self._reactor.callLater(PERIOD, self._flush)

    def _flush(self) -> None:
        self._call = None
        lines: list[str] = []
        while self._queue and len(lines) < AT_A_TIME:
            entry = self._queue.popleft()
            if isinstance(entry, list):
                lines.append(json.dumps({"event": "lost", "count": entry[0]}))
            else:
                lines.append(entry.decode() if isinstance(entry, bytes) else as_json(entry))
                self._told += 1
        self._write("".join(f"{line}\n" for line in lines).encode())
        if self._queue and not self._paused and not self._ended:
            self._call = self._reactor.callLater(PERIOD, self._flush)

    # what the transport asks of a producer

    def pauseProducing(self) -> None:
        """The reader is slow."""
        self._paused = True
        self._disarm()

    def resumeProducing(self) -> None:
        """It has read what it was sent."""
        self._paused = False
        if self._queue and self._call is None:
            self._call = self._reactor.callLater(PERIOD, self._flush)

    def stopProducing(self) -> None:
        """End it: nobody reads any more, or wants to."""
        if self._ended:
            return
        self._ended = True
        self._publish.removeObserver(self)
        self._disarm()
        self.done.callback({"told": self._told, "lost": self._lost, "untold": len(self._queue)})

    def _disarm(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None
