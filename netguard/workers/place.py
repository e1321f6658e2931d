"""The place of a worker, which one after the other fills."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.defer import Deferred, fail

from netguard.process.commands import ControlError
from netguard.workers.asking import WITHIN, SilentError
from netguard.workers.worker import Post, Worker

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall
    from twisted.python.failure import Failure

    from netguard.service import Service as House
    from netguard.workers.asking import Question
    from netguard.workers.snapshot import Sums
    from netguard.workers.totals import Table
    from netguard.workers.worker import Program

SOONEST, LATEST = 0.1, 30.0
"""Seconds after which the successor of a worker begins: at first, and at most; each time twice as many."""
PROVEN = 60.0
"""Seconds after which a worker has lived for a while: its successor begins as soon as the first."""

LOOK = 1.0
"""Seconds between two looks at a worker."""
STARTING = 10.0
"""A worker that follows another may take so many times longer to begin than it may take to answer."""

_MARGIN, _ROUND = 100_000, 1_000_000
"""Sessions that a worker may have begun since it was last heard of; and by what its successor's numbers are told."""


class Crew(Protocol):
    """What a place knows of its crew.

    Attributes:
        house: where it is told who comes and goes.
        reactor: the reactor.
        start: how a worker is started.
        sums: the figures of all.
        table: the totals that they share.
        limits: what was set while the service runs.
        failed: called with the reason when a worker cannot start for the first time.
        patience: seconds for which a worker may be silent.
    """

    house: House
    reactor: Any
    start: Program
    sums: Sums
    table: Table | None
    limits: dict[str, str]
    failed: Callable[[str], object]
    patience: float

    @property
    def served(self) -> bool:
        """Whether all workers have served once."""

    def changed(self) -> None:
        """A worker serves, or has ended."""


class Place:
    """One of them.

    Args:
        crew: whose.
        post: what the worker is given.

    Attributes:
        worker: who is there now, or was last.
        silent: seconds for which it has not answered.
        cut: how many connections were cut when it drained.
    """

    def __init__(self, crew: Crew, post: Post) -> None:
        self.post = post
        self.worker: Worker | None = None
        self.cut = 0
        self._crew = crew
        self._failures = 0
        self._first = post.number
        self._again: IDelayedCall | None = None
        self._parting = ""
        self.silent = 0.0
        self._asks = self._heard = False

    @property
    def number(self) -> int:
        """Which worker it is, from 1."""
        return self.post.number

    @property
    def serves(self) -> bool:
        """Whether somebody serves here."""
        return self.worker is not None and self.worker.ready and not self.worker.ended

    @property
    def gone(self) -> bool:
        """Whether nobody is here, nor will be."""
        return self._again is None and (self.worker is None or self.worker.ended)

    def fill(self) -> None:
        """Start a worker."""
        self._again = None
        self.silent = 0.0
        self._asks = self._heard = False
        self.worker = Worker(self.post, self._crew.reactor, self._hear)
        self.worker.start(self._crew.start, self._first, self._crew.limits)

    def _hear(self, worker: Worker, word: str) -> None:
        if word == "ready":
            self._lives()
            self._crew.house.tell("worker_started", {"worker": self.number, "pid": worker.pid})
            if self._parting:
                self._ask_to_part()
        else:
            self._ended(worker)
        self._crew.changed()

    def _ended(self, worker: Worker) -> None:
        crew = self._crew
        last = crew.sums.of(self.number).get("session", self._first)
        connections = crew.sums.forget(self.number)
        if crew.table is not None:
            crew.table.forget(self.number - 1)
        self.cut += worker.cut
        if self._parting:
            return
        steps = (last // self.post.workers + _MARGIN) // _ROUND + 1
        self._first = steps * _ROUND * self.post.workers + self.number
        again = self._delay(crew.reactor.seconds() - worker.began)
        about = {"worker": self.number, "pid": worker.pid, "connections": connections, "again": again}
        crew.house.tell("worker_ended", {**about, "reason": worker.reason})
        if not crew.served:
            crew.failed(worker.reason)
        else:
            self._again = crew.reactor.callLater(again, self.fill)

    def _delay(self, lived: float) -> float:
        self._failures = 0 if lived >= PROVEN else self._failures + 1
        return float(min(LATEST, SOONEST * 2 ** max(0, self._failures - 1)))

    def part(self, command: str) -> None:
        """Have the worker end, and nobody follow it.

        Args:
            command: how.
        """
        self._parting = command
        if self._again is not None:
            self._again.cancel()
            self._again = None
        if self.serves:
            self._ask_to_part()
        elif self.worker is not None and not self.worker.ended and command == "stop":
            self.worker.kill()  # it serves nobody yet
        self._crew.reactor.callLater(0, self._crew.changed)

    def _ask_to_part(self) -> None:
        self.ask(self._parting).addErrback(lambda _: None)

    def kill(self) -> None:
        """End the worker at once."""
        if self.worker is not None and not self.worker.ended:
            self.worker.kill()

    def ask(self, command: str, within: float | None = WITHIN) -> Deferred[Any]:
        """Give the worker a command.

        Args:
            command: the line.
            within: seconds in which it has to be answered; None where it may take any time.

        Returns:
            Fires with the answer, or fails with ControlError.
        """
        if self.worker is None or not self.serves:
            return fail(ControlError(f"worker {self.number} does not serve at the moment"))
        return self.worker.line.ask(command, within)

    def follow(self, command: str, hear: Callable[[bytes], object]) -> Question:
        """Give a command whose answer goes on and on, to a worker that serves.

        Args:
            command: the line.
            hear: called with each line of the answer.
        """
        worker: Any = self.worker
        question: Question = worker.line.follow(command, hear)
        question.answer.addErrback(lambda _: None)
        return question

    def tell_figures(self, within: float | None = WITHIN) -> Deferred[None]:
        """Let the sums have its figures, if it tells them.

        Args:
            within: seconds in which it has to; None where it may take any time.
        """
        asked, worker = self.ask("figures", within), self.worker

        def heard(told: Any) -> None:
            if worker is self.worker and not self.gone:
                self._lives()
                self._crew.sums.hear(self.number, told)

        def failed(why: Failure) -> None:
            if worker is self.worker and not why.check(SilentError):
                self._lives()  # it answers, though not as it should

        return asked.addCallbacks(heard, failed)

    # one that hangs

    def _lives(self) -> None:
        self.silent, self._heard = 0.0, True

    def look(self) -> None:
        """Ask for the figures, unless that question is not answered yet, and end a worker that answers none for long.

        To be called every :data:`LOOK` seconds. Silence is counted by these looks and not by the clock: when that is
        set, or this process itself has been stopped for a while, no worker is to blame.
        """
        worker = self.worker
        if worker is None or worker.ended:
            return
        if not self._heard:
            self.silent += LOOK
        limit = self._limit(worker)
        if self.silent >= limit + LOOK:
            self._end(worker, limit)
        elif self.silent >= limit:
            worker.show_where()
        if worker.ready and not self._asks:
            self._asks, self._heard = True, False
            self.tell_figures(None).addBoth(lambda _: self._asked(worker))

    def _asked(self, worker: Worker) -> None:
        if worker is self.worker:
            self._asks = False

    def _limit(self, worker: Worker) -> float:
        if worker.ready:
            return self._crew.patience
        return self._crew.patience * STARTING if self._crew.served else inf

    def _end(self, worker: Worker, limit: float) -> None:
        if not worker.stuck:
            worker.stuck = True
            about = {"worker": self.number, "pid": worker.pid, "silent": self.silent, "limit": limit}
            self._crew.house.tell("worker_stuck", {**about, "option": "worker-timeout", "where": worker.where()})
        worker.kill()
