"""One try to reach one backend, within its time."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import maybeDeferred
from twisted.python.failure import Failure

from netguard.relay.back import Back, BackFactory

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

    from netguard.relay.pool import Backend
    from netguard.relay.stalls import Stalls

WITHIN = 10.0
"""Seconds that a backend has for taking a connection, unless told otherwise."""


class TooLate(Exception):
    """A backend did not take a connection in time."""


class Attempt:
    """One try to reach one backend. Inside TLS it is reached when the handshake is over.

    Args:
        backend: whom.
        stalls: watches what will wait for it; it has the clock, too.
        within: seconds that it may take.
        preface: what it is told first.
        answer: called once, with this.
        watcher: who is to watch the connection; see :class:`netguard.relay.back.BackFactory`.

    Attributes:
        back: our end of the connection.
        failure: why it was not reached; None when it was.
    """

    failure: Failure | None = None
    _connecting: Any = None
    _timer: IDelayedCall | None = None
    _counts = False

    def __init__(
        self,
        backend: Backend,
        stalls: Stalls,
        within: float,
        preface: bytes,
        answer: Callable[[Attempt], object],
        watcher: Any = None,
    ) -> None:
        self.backend = backend
        self.back = Back(stalls, self._end, self._leave)
        self._answer: Callable[[Attempt], object] | None = answer
        self._clock = stalls.clock
        self._within = within
        self._preface = preface
        self._watcher = watcher

    def begin(self) -> None:
        """Try; the answer may come before this returns."""
        self.backend.live += 1
        self._counts = True
        factory = BackFactory(self.back, self._preface, self._watcher)
        begin = getattr(self.backend.endpoint, "begin", None)  # without a Deferred, of which we would hear nothing new
        if begin is None:
            self._connecting = maybeDeferred(self.backend.endpoint.connect, factory).addErrback(self._unreached)
        else:
            self._connecting = begin(factory, self._unreached)
        if self._answer is not None:
            self._timer = self._clock.callLater(self._within, self._late)

    def stop(self) -> None:
        """Nobody wants to know any more."""
        if self._answer is not None:
            self._answer = _nobody
            self._late()

    def _late(self) -> None:
        self._end(Failure(TooLate(f"it took more than {self._within:g} s")))
        if self.back.transport is not None:
            self.back.transport.abortConnection()
        elif self._connecting is not None:
            self._connecting.cancel()

    def _unreached(self, failure: Failure) -> None:
        """There is no connection, and none will come to our end, which holds us, unless we had given it up."""
        if self._answer is not None:
            self.back.forget()
        self._end(failure)

    def _end(self, failure: Failure | None) -> None:
        answer, self._answer = self._answer, None
        if answer is None:
            if failure is None:  # it came when its time was over
                self.back.transport.abortConnection()
            return
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self.failure = failure
        if failure is not None:
            self._leave()
        answer(self)

    def _leave(self) -> None:
        if self._counts:
            self._counts = False
            self.backend.live -= 1


def _nobody(_: Attempt) -> None:
    """Is told what nobody wants to know."""
