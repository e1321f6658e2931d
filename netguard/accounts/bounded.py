"""Dear work in threads, bounded: so many at once, so many waiting, and no more.

A password check takes 64 MiB and a tenth of a second of a core. Without a bound, a thousand connections that
each send a wrong password would take the machine.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, DeferredSemaphore, fail, maybeDeferred

from netguard.accounts.interface import AccountsTrouble

_Result = TypeVar("_Result")
InThread = Callable[..., "Deferred[Any]"]


class BoundedWork:
    """Runs functions in threads, a bounded number at once.

    Args:
        in_thread: like :func:`twisted.internet.threads.deferToThread`.
        at_once: how many may run at one time.
        waiting: how many more may wait for their turn; one more is refused.
    """

    def __init__(self, in_thread: InThread, *, at_once: int, waiting: int) -> None:
        self._in_thread = in_thread
        self._turns = DeferredSemaphore(at_once)
        self._most = at_once + waiting
        self._taken = 0

    def run(self, work: Callable[..., _Result], *args: object) -> Deferred[_Result]:
        """Run work in a thread when its turn comes.

        Cancelling the Deferred gives back a place in the queue. Work that runs already keeps its place until
        it ends, for a thread cannot be stopped: who connects, sends a password and leaves does not get around
        the bound.

        Args:
            work: what to run.
            args: its arguments.

        Returns:
            What the work returns; fails with AccountsTrouble when as many wait as may.
        """
        if self._taken >= self._most:
            trouble = f"{self._taken} password checks are running or waiting, limit {self._most}"
            return fail(AccountsTrouble(trouble))
        self._taken += 1
        turn = self._turns.acquire()
        answer: Deferred[_Result] = Deferred(lambda _: turn.cancel())

        def ended(result: object) -> None:
            self._taken -= 1
            if not answer.called:  # else it was cancelled, and nobody waits for the result
                answer.callback(result)  # type: ignore[arg-type]

        def start(_: object) -> None:
            maybeDeferred(self._in_thread, work, *args).addBoth(give_back).addBoth(ended)

        def give_back(result: object) -> object:
            self._turns.release()
            return result

        turn.addCallbacks(start, ended)
        return answer
