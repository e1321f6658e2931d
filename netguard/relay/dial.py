"""Finds a backend for one client: one after another, before a byte of the client has gone to any."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from netguard.relay.attempt import Attempt

if TYPE_CHECKING:
    from netguard.relay.pool import Backend
    from netguard.relay.service import Relay

TRIES = 3
"""So many backends are tried for one client; HAProxy tries as often again after the first time."""


class Dial:
    """The search.

    Args:
        relay: the backends, and whom to tell of those that fail.
        preface: what a backend is told first.
        found: called with the successful attempt.
        lost: called with the number of tries, when nobody can be reached.
        watcher: who is to watch the connection; see :class:`netguard.relay.back.BackFactory`.
    """

    _attempt: Attempt | None = None

    def __init__(
        self,
        relay: Relay,
        preface: bytes,
        found: Callable[[Attempt], object],
        lost: Callable[[int], object],
        watcher: Any = None,
    ) -> None:
        self._relay = relay
        self._preface = preface
        self._found = found
        self._lost = lost
        self._watcher = watcher
        self._tried: list[Backend] = []

    def search(self) -> None:
        """Try the next one; the answer may come before this returns."""
        backend = self._relay.pool.choose(self._tried) if len(self._tried) < TRIES else None
        if backend is None:
            self._lost(len(self._tried))
            return
        self._tried.append(backend)
        self._attempt = self._relay.attempt(backend, self._preface, self._answered, self._watcher)
        self._attempt.begin()

    def _answered(self, attempt: Attempt) -> None:
        self._attempt = None
        if attempt.failure is None:
            self._found(attempt)
        else:
            self._relay.failed(attempt)
            self.search()

    def stop(self) -> None:
        """Search no more."""
        if self._attempt is not None:
            self._attempt.stop()
