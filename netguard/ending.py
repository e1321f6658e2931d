"""How a guarded factory ends: it admits nobody any more, it empties, and only then its application hears of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed

from netguard.errors import Expelled

if TYPE_CHECKING:
    from netguard.errors import Reason
    from netguard.wrapper import Wrapper


class Ending:
    """The part of a guarded factory that ends it.

    Attributes:
        wrapped: the application's factory.
        closed: whether nobody is admitted any more.
    """

    wrapped: Any
    closed: bool
    _live: dict[Wrapper, None]

    def __init__(self) -> None:
        self.closed = False
        self._waiting: list[Deferred[None]] = []
        self._stops = 0

    def close(self) -> None:
        """Admit nobody any more; those who are in stay, and the application's ``doStop`` comes behind them."""
        self.closed = True

    def when_empty(self) -> Deferred[None]:
        """Fire once no connection lives."""
        if not self._live:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def abort_all(self, reason: Reason | None = None) -> None:
        """Cut every connection.

        Args:
            reason: what the applications are told; :class:`netguard.errors.Expelled` unless given.
        """
        for each in list(self._live):
            each.connection.cut(reason or Expelled())

    def _stop_application(self) -> None:
        """A port listens no more: tell the application, when nobody needs it any longer."""
        if self.closed and self._live:
            self._stops += 1  # many close in there what their last connections still want, such as a log of requests
        else:
            self.wrapped.doStop()

    def _emptied(self) -> None:
        waiting, self._waiting = self._waiting, []
        stops, self._stops = self._stops, 0
        for _ in range(stops):
            self.wrapped.doStop()
        for each in waiting:
            each.callback(None)
