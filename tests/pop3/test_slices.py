"""Long work in short turns."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.threads import deferToThread

from netguard.pop3 import slices
from netguard.pop3.slices import Steps, in_slices, shielded, sorted_in_slices

if TYPE_CHECKING:
    from collections.abc import Callable


class Turns:
    """Stands for threads: keeps each turn until the test runs it."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Callable[[], Any], Deferred[Any]]] = []

    def __call__(self, function: Callable[..., Any], *args: Any) -> Deferred[Any]:
        """Take a turn, and give the Deferred of its result."""
        result: Deferred[Any] = Deferred()
        self.waiting.append((lambda: function(*args), result))
        return result

    def run(self) -> None:
        """Run the oldest turn and give its result."""
        function, result = self.waiting.pop(0)
        result.callback(function())


def endless(closed: list[str]) -> Steps[str]:
    """Work that never ends, and notes that it was closed."""
    try:
        while True:
            yield
    finally:
        closed.append("closed")


def brief(result: str) -> Steps[str]:
    """Work of two steps."""
    yield
    yield
    return result


def failing() -> Steps[str]:
    """Work that fails in its second step."""
    yield
    raise LookupError("no such thing")


async def test_the_result_is_given() -> None:
    """Work that fits in a turn needs one, and its result is the Deferred's."""
    turns = Turns()
    outcome = in_slices(turns, brief("done"))
    turns.run()
    assert await outcome == "done"
    assert not turns.waiting


async def test_work_runs_in_threads() -> None:
    """With Twisted's threads, no step runs in the reactor's own."""

    def where() -> Steps[set[str]]:
        seen = set()
        end = time.monotonic() + 5 * slices.TURN
        while time.monotonic() < end:
            seen.add(threading.current_thread().name)
            yield
        return seen

    assert threading.current_thread().name not in await in_slices(deferToThread, where())


async def test_an_exception_is_given() -> None:
    """What the work raises is the Deferred's failure."""
    with pytest.raises(LookupError, match="no such thing"):
        await in_slices(maybeDeferred, failing())


def test_long_work_returns_to_the_reactor() -> None:
    """Work that does not fit in a turn is given up to the reactor, and goes on in another turn."""
    turns = Turns()
    closed: list[str] = []
    outcome = in_slices(turns, endless(closed))
    for _ in range(3):
        begun = time.monotonic()
        turns.run()
        assert time.monotonic() - begun >= slices.TURN
        assert len(turns.waiting) == 1
    assert not outcome.called
    outcome.addErrback(lambda failure: failure.trap(CancelledError))
    outcome.cancel()
    turns.run()
    assert closed == ["closed"]


def test_cancelled_work_ends_with_its_turn() -> None:
    """Cancelling answers at once; the work is closed when its turn is over, and gets no other."""
    turns = Turns()
    closed: list[str] = []
    failures: list[object] = []
    outcome = in_slices(turns, endless(closed))
    outcome.addErrback(lambda failure: failures.append(failure.type))
    outcome.cancel()
    assert failures == [CancelledError]
    assert closed == []
    turns.run()
    assert closed == ["closed"]
    assert not turns.waiting


def test_a_result_that_nobody_waits_for_is_discarded() -> None:
    """When the work succeeds after the cancellation, its result goes to `discard`, to be given back."""
    turns = Turns()
    discarded: list[str] = []
    outcome = in_slices(turns, brief("held"), discarded.append).addErrback(lambda _: None)
    outcome.cancel()
    turns.run()
    assert discarded == ["held"]


def test_a_failure_that_nobody_waits_for_is_dropped() -> None:
    """When the work fails after the cancellation, nothing is discarded, and nothing is logged as unhandled."""
    turns = Turns()
    discarded: list[str] = []
    outcome = in_slices(turns, failing(), discarded.append).addErrback(lambda _: None)
    outcome.cancel()
    function, result = turns.waiting.pop()
    maybeDeferred(function).chainDeferred(result)
    assert discarded == []


def test_a_shield_keeps_work_from_being_cancelled() -> None:
    """Cancelling a shield answers at once, and the work behind it goes on undisturbed."""
    work: Deferred[str] = Deferred()
    done: list[str] = []
    failures: list[object] = []

    def finish(result: str) -> str:
        done.append(result)
        return result

    outcome = shielded(work.addCallback(finish))
    outcome.addErrback(lambda failure: failures.append(failure.type))
    outcome.cancel()
    work.callback("done")
    assert failures == [CancelledError]
    assert done == ["done"]


@given(st.lists(st.text(max_size=4)), st.integers(1, 5))
def test_sorting_in_slices_is_sorting(names: list[str], run: int) -> None:
    """However small the runs are, the result is that of `sorted`, which is stable."""
    results: list[list[str]] = []
    by_length = sorted_in_slices(names, lambda name: f"{len(name):3}{name[:1]}", run)
    in_slices(maybeDeferred, by_length).addCallback(results.append)
    assert results == [sorted(names, key=lambda name: (len(name), name[:1]))]
