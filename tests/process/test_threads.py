"""The threads of a reactor do not push it off its processor."""

from __future__ import annotations

import os
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from twisted.python.threadpool import ThreadPool

from netguard.process.threads import let_threads_wait

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def pool() -> Iterator[Any]:
    """A pool of a reactor."""
    made = ThreadPool(0, 2)
    let_threads_wait(SimpleNamespace(getThreadPool=lambda: made))
    made.start()
    yield made
    made.stop()


def policy_in(pool: Any) -> int:
    """How a thread of the pool is scheduled."""
    found: list[int] = []
    done = threading.Event()

    def look() -> None:
        found.append(os.sched_getscheduler(0))
        done.set()

    pool.callInThread(look)
    assert done.wait(60)
    return found[0]


def test_a_thread_waits_for_a_free_processor(pool: Any) -> None:
    """And the reactor's own thread is as it was."""
    before = os.sched_getscheduler(0)
    assert policy_in(pool) == os.SCHED_BATCH
    assert os.sched_getscheduler(0) == before


def test_where_that_is_forbidden_threads_run_as_ever(pool: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sandbox may say no."""

    def forbidden(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setscheduler", forbidden)
    assert policy_in(pool) == os.sched_getscheduler(0)
