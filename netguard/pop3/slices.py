"""Long file work in short turns of a thread.

A thread that runs Python code keeps the reactor from the interpreter for up to five milliseconds at every
wake-up, so a big mailbox that is worked on in one go slows every other user down. Therefore long work is a
generator that yields often; it runs in a thread for a few milliseconds, comes back to the reactor, and goes
on in the next turn. Between two turns the reactor is alone. Work that nobody waits for any more stops at the
end of its turn.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeAlias, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

_T = TypeVar("_T")

Steps: TypeAlias = Generator[None, None, _T]
"""Work that yields wherever it may be interrupted, and returns its result."""

_RUN = 4096

TURN = 0.004
"""Seconds that one turn lasts: short beside the 50 ms that another user may at most be kept waiting."""


InThread: TypeAlias = Callable[..., Deferred[Any]]
"""Runs a function outside the reactor: `twisted.internet.threads.deferToThread` or its like."""


def in_slices(
    in_thread: InThread,
    steps: Steps[_T],
    discard: Callable[[_T], object] | None = None,
) -> Deferred[_T]:
    """Run `steps` to its end, a turn at a time.

    Args:
        in_thread: runs each turn.
        steps: the work; its clean-up (``finally``) also runs when the work is given up.
        discard: gets the result when it comes after the Deferred was cancelled, to give back what it holds.

    Returns:
        the result of `steps`, or its exception. Cancelling it is safe at any moment: the work stops at the
        end of its turn and is closed.
    """
    outcome: Deferred[_T] = Deferred(_keep_waiting)

    async def run() -> _T:
        while not outcome.called:
            ended: tuple[_T] | None = await in_thread(_turn, steps)
            if ended is not None:
                return ended[0]
        steps.close()
        raise CancelledError

    _deliver(Deferred.fromCoroutine(run()), outcome, discard)
    return outcome


def shielded(work: Deferred[_T]) -> Deferred[_T]:
    """Return a Deferred with the result of `work`, which can be cancelled without disturbing `work`."""
    outcome: Deferred[_T] = Deferred(_keep_waiting)
    _deliver(work, outcome, None)
    return outcome


def sorted_in_slices(items: Sequence[_T], key: Callable[[_T], str], run: int = _RUN) -> Steps[list[_T]]:
    """Sort `items`, at most some `run` in one go: nothing else can run in the process during `sorted`."""
    runs = []
    for start in range(0, len(items), run):
        runs.append(sorted(items[start : start + run], key=key))
        yield
    while len(runs) > 1:
        pairs = zip(runs[::2], runs[1::2], strict=False)
        left_over = runs[-1:] if len(runs) % 2 else []
        runs = []
        for first, second in pairs:
            runs += [(yield from _merged(first, second, key, run))]
        runs += left_over
    return runs[0] if runs else []


def _merged(first: list[_T], second: list[_T], key: Callable[[_T], str], run: int) -> Steps[list[_T]]:
    """Merge two lists that are sorted: `sorted` finds what is in order already, and is faster than any loop."""
    merged: list[_T] = []
    at = 0
    for start in range(0, len(first), run):
        part = first[start : start + run]
        end = bisect_left(second, key(part[-1]), at, key=key)
        merged += sorted(part + second[at:end], key=key)
        at = end
        yield
    return merged + second[at:]


def _turn(steps: Steps[_T]) -> tuple[_T] | None:
    """Run `steps` for one turn; return its result in a tuple, or None if there is more to do."""
    end = time.monotonic() + TURN
    try:
        while True:
            next(steps)
            if time.monotonic() >= end:
                return None
    except StopIteration as stop:
        return (stop.value,)


def _keep_waiting(_outcome: Deferred[_T]) -> None:
    """Cancel nothing: a thread cannot be stopped, its result is looked after when it comes."""


def _deliver(work: Deferred[_T], outcome: Deferred[_T], discard: Callable[[_T], object] | None) -> None:
    """Give the result of `work` to `outcome`, or to `discard` when `outcome` was cancelled before."""

    def deliver(result: _T | Failure) -> None:
        if not outcome.called:
            outcome.callback(result)
        elif discard is not None and not isinstance(result, Failure):
            discard(result)

    work.addBoth(deliver)
