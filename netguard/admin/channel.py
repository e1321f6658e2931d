"""One HTTP connection of the pages: one answer in a turn of the reactor, and none while others wait to be read.

A client may send a thousand requests in one segment (pipelining, RFC 9112, section 9.3.2). twisted.web would answer all
of them at once, and whoever is served beside the pages would wait for that.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.web.http import HTTPChannel

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall
    from twisted.python.failure import Failure

_Channel: Any = HTTPChannel  # it is annotated in part


class Channel(_Channel):  # type: ignore[misc]
    """One connection.

    Args:
        reactor: the clock.
    """

    timeOut = None  # time is the guards'

    def __init__(self, reactor: Any) -> None:
        super().__init__()
        self._reactor = reactor
        self._full = False
        self._answer: Callable[[], object] | None = None
        self._call: IDelayedCall | None = None

    def when_free(self, answer: Callable[[], object]) -> None:
        """Answer the request of the moment, in a later turn.

        Args:
            answer: does it; it is not called when the client goes before.
        """
        self._answer = answer
        self._arm()

    def _arm(self) -> None:
        if self._answer is not None and self._call is None and not self._full:
            self._call = self._reactor.callLater(0, self._go)

    def _go(self) -> None:
        self._call = None
        answer, self._answer = self._answer, None
        assert answer is not None  # noqa: S101 - armed with one
        answer()

    # what the transport asks of a producer

    def pauseProducing(self) -> None:
        """Answers wait to be read."""
        self._full = True
        super().pauseProducing()

    def resumeProducing(self) -> None:
        """They have been."""
        self._full = False
        super().resumeProducing()
        self._arm()

    def connectionLost(self, reason: Failure) -> None:
        """Nobody waits for an answer any more."""
        self._answer = None
        if self._call is not None:
            self._call.cancel()
            self._call = None
        super().connectionLost(reason)
