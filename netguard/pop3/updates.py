"""Who is removing messages, so that a service does not end in the middle of it."""

from __future__ import annotations

from twisted.internet.defer import Deferred, succeed


class Updates:
    """The updates that are under way, as a context manager around each."""

    def __init__(self) -> None:
        self._under_way = 0
        self._waiting: list[Deferred[None]] = []

    def __enter__(self) -> None:
        self._under_way += 1

    def __exit__(self, *_: object) -> None:
        self._under_way -= 1
        if not self._under_way:
            waiting, self._waiting = self._waiting, []
            for each in waiting:
                each.callback(None)

    def when_over(self) -> Deferred[None]:
        """Fire when none is under way."""
        if not self._under_way:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting
