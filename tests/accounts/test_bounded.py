"""Dear work in threads, bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred

from netguard.accounts.bounded import BoundedWork
from netguard.accounts.interface import AccountsTrouble

if TYPE_CHECKING:
    from collections.abc import Callable


@define
class Threads:
    """Threads that end when the test says so.

    Attributes:
        running: what runs, oldest first.
    """

    running: list[tuple[Deferred[object], Callable[..., object], tuple[object, ...]]] = field(factory=list)

    def __call__(self, work: Callable[..., object], *args: object) -> Deferred[object]:
        """Begin one."""
        thread: Deferred[object] = Deferred()
        self.running.append((thread, work, args))
        return thread

    def end(self, index: int = 0) -> None:
        """Let one end."""
        thread, work, args = self.running.pop(index)
        try:
            result = work(*args)
        except Exception:  # noqa: BLE001 - as a thread pool does
            thread.errback()
        else:
            thread.callback(result)


def results(*deferreds: Deferred[int]) -> list[object]:
    """Collects what the Deferreds bring, in the order in which they do."""
    found: list[object] = []
    for deferred in deferreds:
        deferred.addBoth(found.append)
    return found


def test_as_many_run_as_may_and_the_rest_wait_in_order() -> None:
    """Two run, the next begins when one ends."""
    threads = Threads()
    work = BoundedWork(threads, at_once=2, waiting=2)
    found = results(*(work.run(abs, -number) for number in (1, 2, 3, 4)))
    assert [args for _, _, args in threads.running] == [(-1,), (-2,)]
    threads.end(1)
    assert [args for _, _, args in threads.running] == [(-1,), (-3,)]
    assert found == [2]
    while threads.running:
        threads.end()
    assert found == [2, 1, 3, 4]


def test_one_too_many_is_refused_with_both_numbers() -> None:
    """The last place is given; who comes next is refused at once, and a place that is freed is given again."""
    threads = Threads()
    work = BoundedWork(threads, at_once=1, waiting=1)
    results(work.run(abs, 1), work.run(abs, 2))
    (trouble,) = results(work.run(abs, 3))
    assert trouble.check(AccountsTrouble)  # type: ignore[attr-defined]
    assert "2 password checks are running or waiting, limit 2" in str(trouble.value)  # type: ignore[attr-defined]
    threads.end()
    assert not results(work.run(abs, 4))


def test_an_exception_frees_its_place() -> None:
    """Work that fails fails only itself."""
    threads = Threads()
    work = BoundedWork(threads, at_once=1, waiting=0)
    found = results(work.run(int, "x"))
    threads.end()
    assert found[0].check(ValueError)  # type: ignore[attr-defined]
    assert not results(work.run(abs, 1))
    assert len(threads.running) == 1


def test_threads_that_cannot_be_had_free_the_place() -> None:
    """A pool that refuses fails the work, not the next one."""

    def no_threads(*_: object) -> Deferred[object]:
        raise RuntimeError("no threads")

    work = BoundedWork(no_threads, at_once=1, waiting=0)
    for _ in range(3):
        (failure,) = results(work.run(abs, 1))
        assert failure.check(RuntimeError)  # type: ignore[attr-defined]


def test_who_leaves_the_queue_gives_the_place_back() -> None:
    """A cancelled wait never runs, and its place is free."""
    threads = Threads()
    work = BoundedWork(threads, at_once=1, waiting=1)
    results(work.run(abs, 1))
    waiting = work.run(abs, 2)
    found = results(waiting)
    waiting.cancel()
    assert found[0].check(CancelledError)  # type: ignore[attr-defined]
    third = results(work.run(abs, 3))
    threads.end()
    threads.end()
    assert third == [3]
    assert not threads.running


@pytest.mark.parametrize("outcome", [abs, int])
def test_who_leaves_while_the_work_runs_keeps_the_place_until_it_ends(outcome: Callable[..., int]) -> None:
    """Cancelling does not let more run at once than may, however the abandoned work ends."""
    threads = Threads()
    work = BoundedWork(threads, at_once=1, waiting=1)
    running = work.run(outcome, 1 if outcome is abs else "x")
    found = results(running)
    running.cancel()
    assert found[0].check(CancelledError)  # type: ignore[attr-defined]
    second = results(work.run(abs, 2))
    assert len(threads.running) == 1
    assert results(work.run(abs, 3))[0].check(AccountsTrouble)  # type: ignore[attr-defined]
    threads.end()
    threads.end()
    assert second == [2]
