"""The threads to which a reactor gives work that may have to wait."""

from __future__ import annotations

import os
from contextlib import suppress
from threading import Thread
from typing import Any


class _Modest(Thread):
    """A thread that waits until a processor is free, though it has just been given work (Linux's ``SCHED_BATCH``)."""

    def run(self) -> None:
        """Run as any thread does."""
        with suppress(AttributeError, OSError):  # another system, or a sandbox that forbids it
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
        super().run()


def let_threads_wait(reactor: Any) -> None:
    """Let the reactor's threads not take the processor from the reactor in the moment in which it gives them work.

    The kernel likes to run at once who has been woken. But such a thread cannot do anything before the reactor lets go
    of Python's lock, so both lose time by it. It holds for threads that are made from now on.

    Args:
        reactor: ``IReactorThreads``, with a thread pool of its own.
    """
    reactor.getThreadPool().threadFactory = _Modest
