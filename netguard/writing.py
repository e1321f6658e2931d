"""A meter that can hold back what the application writes, for as long as a guard wants it."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any

from netguard.backlog import CLOSING, Backlog, Supply
from netguard.meter import CLOSED, Meter

if TYPE_CHECKING:
    from netguard.connection import Connection


class WritingMeter(Meter):
    """A meter with a way out that can be held.

    Attributes:
        backlog: what waits, or None.
        supply: the application's producer, or None.
    """

    __slots__ = ("backlog", "supply")

    connection: Connection

    def __init__(self, connection: Connection, now: float) -> None:
        super().__init__(connection, now)
        self.backlog: Backlog | None = None
        self.supply: Supply | None = None

    def held_back(self) -> int:
        """Bytes written that have not reached the transport."""
        return self.backlog.size if self.backlog else 0

    @property
    def closing(self) -> bool:
        """Whether the application wants to close, and what is held back comes first."""
        return self.backlog is not None and bool(self.backlog.then)

    def write_slowly(self, data: bytes) -> None:
        """A mark is crossed, or the way is held or closed: split the bytes at the marks, keep what has to wait."""
        if self.connection.state == "open" and data:
            self.backlog = self.backlog or Backlog()
            self.backlog.add(data if type(data) is bytes else bytes(memoryview(data)))
            self.connection.cross_written()
            self.release_writing()

    def release_writing(self) -> None:
        """Pass on what was held back, until it is held back again."""
        backlog = self.backlog
        if backlog is not None:
            if backlog.passing:
                return
            backlog.passing = True
            try:
                self._pass_on(backlog)
            finally:
                backlog.passing = False
                self.connection.rearm()
        self._after_passing()

    def _pass_on(self, backlog: Backlog) -> None:
        """Write up to the marks, calling those whose marks they are; a mark set anew where we are waits for a byte."""
        connection, crossed = self.connection, False
        while backlog.size and connection.state == "open" and not connection.paused("out"):
            room = connection.room
            if room > 0 or crossed:
                self.sent_mark = CLOSED  # what is written in answer to this comes after all that waits
                self._send(backlog.take(max(1, room)))
                crossed = False
            else:
                connection.cross("out")
                crossed = True

    def _send(self, data: bytes) -> None:
        self.sent += len(data)
        self.answered = self.received
        self.below.write(data)

    def _after_passing(self) -> None:
        """Hold the producer or let it go on; when nothing waits, do what had to wait for that."""
        connection = self.connection
        if self.supply is not None and connection.state == "open":
            if self.held_back():
                self.supply.hold(self.below, self.held_back())
            elif not connection.paused("out"):
                self.supply.release(self.below)
        if self._waiting():
            return
        backlog, self.backlog = self.backlog, None
        if backlog is not None and backlog.then:
            backlog.finish()
            connection.resume(CLOSING)

    def flush(self) -> None:
        """Pass on everything that is held back, whatever was to wait: what follows must not overtake it."""
        backlog = self.backlog
        while backlog is not None and backlog.size and self.connection.state == "open":
            self._send(backlog.take(inf))

    def _waiting(self) -> bool:
        return self.held_back() > 0 or (self.supply is not None and self.supply.aside)

    def later(self, close: Callable[[], object]) -> bool:
        """Do something once nothing waits any more; False when nothing waits now."""
        if not self._waiting():
            return False
        self.backlog = self.backlog or Backlog()
        self.backlog.then.append(close)
        return True

    # what the application produces

    def hold_writing(self) -> None:
        """Let what is written wait, and have no more produced than is on its way."""
        super().hold_writing()
        if self.supply is not None:
            self.supply.hold(self.below, self.held_back())

    def register(self, producer: Any, streaming: bool) -> None:
        """Take the application's producer, and hand it to the transport."""
        before = self.supply
        if before is not None and before.aside:
            message = f"Cannot register producer {producer}, because producer {before.producer} was never unregistered."
            raise RuntimeError(message)
        self.supply = Supply(producer, streaming)
        try:
            self.below.registerProducer(producer, streaming)
        except BaseException:
            self.supply = before
            raise

    def unregister(self) -> None:
        """Let the application's producer go."""
        supply, self.supply = self.supply, None
        if supply is None or not supply.aside:
            self.below.unregisterProducer()
        self._after_passing()
