"""The relay as a whole: its backends, what is told of them, and the checks that take them down and bring them up."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any

from OpenSSL import SSL
from twisted.application.service import Service

from netguard import events
from netguard.relay.attempt import WITHIN, Attempt
from netguard.relay.pipes import Pipes
from netguard.relay.preface import header, of_a_check
from netguard.relay.stalls import Stalls
from netguard.sampler import Sampler
from netguard.tls_failure import words

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime
    from twisted.python.failure import Failure

    from netguard.relay.pool import Backend, Pool

_Service: Any = Service  # it is not annotated
_SECOND = 1.0


class Relay(_Service):  # type: ignore[misc]
    """What all connections of a relay share. As a service it looks after the backends.

    Args:
        pool: the backends.
        clock: the clock.
        within: seconds that a backend has for taking a connection.
        stall: seconds that it may leave what waits for it without taking any.
        send_proxy: ``v1`` or ``v2``, the version of the PROXY header that backends are sent; None for none.
        check: seconds between two looks at a backend; None for no looks.
    """

    def __init__(
        self,
        pool: Pool,
        clock: IReactorTime,
        *,
        within: float = WITHIN,
        stall: float = inf,
        send_proxy: str | None = None,
        check: float | None = None,
    ) -> None:
        self.pool = pool
        self.stalls = Stalls(clock, stall)
        self.pipes = Pipes()
        self._clock = clock
        self._within = within
        self._send_proxy = send_proxy
        self._check = check
        self._sampler = Sampler(clock.seconds)
        self._flushing: IDelayedCall | None = None
        self._checks: dict[Backend, IDelayedCall | Attempt] = {}

    # for connections

    def preface(self, transport: Any) -> bytes:
        """What a backend is told before the bytes of this client."""
        return header(self._send_proxy, transport)

    def attempt(
        self, backend: Backend, preface: bytes, answer: Callable[[Attempt], object], watcher: Any = None
    ) -> Attempt:
        """A try to reach a backend, which is still to begin."""
        return Attempt(backend, self.stalls, self._within, preface, answer, watcher)

    def failed(self, attempt: Attempt) -> None:
        """Tell of a try that failed; a flood is sampled."""
        name, failure = attempt.backend.name, attempt.failure
        self._sampler.emit("unreachable", name, lambda: {"backend": name, "reason": _reason(failure)})
        if self._sampler.holding and self._flushing is None:
            self._flushing = self._clock.callLater(_SECOND, self._flush)

    def _flush(self) -> None:
        self._flushing = None
        self._sampler.flush()

    # as a service

    def startService(self) -> None:
        """Begin to look after the backends, not all at once."""
        super().startService()
        if self._check is not None:
            for number, backend in enumerate(self.pool.backends):
                self._look_later(backend, self._check * number / len(self.pool.backends))

    def _look_later(self, backend: Backend, seconds: float) -> None:
        self._checks[backend] = self._clock.callLater(seconds, self._look, backend)

    def _look(self, backend: Backend) -> None:
        preface = of_a_check(self._send_proxy)
        attempt = Attempt(backend, self.stalls, min(self._within, self._check or inf), preface, self._looked)
        self._checks[backend] = attempt
        attempt.begin()

    def _looked(self, attempt: Attempt) -> None:
        backend, failure = attempt.backend, attempt.failure
        if failure is None:
            attempt.back.leave()
        if self.pool.judge(backend, well=failure is None):
            limit = {"backend": backend.name, "option": "rise", "limit": self.pool.rise}
            if backend.up:
                events.emit("backend_up", limit)
            else:
                limit |= {"option": "fall", "limit": self.pool.fall, "reason": _reason(failure)}
                events.emit("backend_down", limit)
        if self.running and self._check is not None:
            self._look_later(backend, self._check)

    def stopService(self) -> Any:
        """Look no more, and tell what was only counted."""
        stopping = super().stopService()
        for each in self._checks.values():
            each.stop() if isinstance(each, Attempt) else each.cancel()
        self._checks.clear()
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        self._sampler.finish()
        self.pipes.close()
        return stopping


def _reason(failure: Failure | None) -> str:
    if failure is None:
        return ""
    why = failure.value
    return f"TLS failed: {words(why)}" if isinstance(why, SSL.Error) else str(why) or type(why).__name__
