"""The place of a worker: who follows whom, and when."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from netguard.process.commands import ControlError
from netguard.service import Service
from netguard.workers import place
from netguard.workers.asking import SilentError
from netguard.workers.place import LATEST, PROVEN, Place
from netguard.workers.snapshot import Sums
from netguard.workers.totals import Table
from netguard.workers.worker import Post, Program

if TYPE_CHECKING:
    from tests.conftest import Logged


class Line:
    """Answers at once, or not at all."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.refuses: ControlError | None = None
        self.hangs = False
        self.answer: Deferred[Any] = Deferred()

    def ask(self, command: str, _within: float | None) -> Deferred[Any]:
        """Remember it."""
        self.asked.append(command)
        if self.hangs:
            return self.answer
        return succeed({}) if self.refuses is None else fail(self.refuses)

    def follow(self, command: str, _hear: Any) -> Any:
        """Likewise."""
        self.asked.append(command)
        return self


class Worker:
    """A worker without a process."""

    def __init__(self, post: Post, reactor: Clock, hear: Any) -> None:
        self.post = post
        self.hear = hear
        self.began = reactor.seconds()
        self.line: Any = Line()
        self.pid = 4711
        self.ready = self.ended = self.killed = self.stuck = False
        self.shown = 0
        self.cut = 0
        self.reason = "SIGKILL"
        self.first = 0
        self.limits: dict[str, str] = {}

    def start(self, _: Program, first: int, limits: Mapping[str, str]) -> None:
        """Begin."""
        self.first = first
        self.limits = dict(limits)

    def serves(self) -> None:
        """It says that it does."""
        self.ready = True
        self.hear(self, "ready")

    def ends(self) -> None:
        """Its process has."""
        self.ended = True
        self.hear(self, "ended")

    def kill(self) -> None:
        """Remember."""
        self.killed = True

    def show_where(self) -> None:
        """Likewise."""
        self.shown += 1

    def where(self) -> str:
        """What it has said."""
        return "busy (here.py:1)" if self.shown else ""


class Crew:
    """One of two."""

    def __init__(self) -> None:
        self.reactor = Clock()
        self.house = Service(lambda: self.reactor)
        self.start = Program((), "/", {})
        self.sums = Sums(self.house.figures)
        self.table: Table | None = None
        self.limits: dict[str, str] = {}
        self.served = True
        self.changes = 0
        self.failures: list[str] = []
        self.patience = 3.0
        self.failed: Callable[[str], object] = self.failures.append

    def changed(self) -> None:
        """Count."""
        self.changes += 1


def figures() -> dict[str, Any]:
    """What a worker answers."""
    told = {"accepted": 0, "closed": 0, "bytes_in": 0, "bytes_out": 0, "now": 4, "cpu": 0.0, "session": 2}
    lags = {"counts": [0] * 14, "total": 0.0, "worst": 0.0, "median": 0.0}
    return {**told, "refused": {}, "cut": {}, "would": {}, "told": {}, "lags": lags}


@pytest.fixture
def crew() -> Crew:
    """It."""
    return Crew()


@pytest.fixture
def there(crew: Crew, monkeypatch: pytest.MonkeyPatch) -> Place:
    """The second place, with somebody who serves."""
    monkeypatch.setattr(place, "Worker", Worker)
    made = Place(crew, Post(2, 2, 0, ()))
    assert (made.gone, made.serves) == (True, False)
    made.fill()
    assert (made.gone, made.serves) == (False, False)
    worker_at(made).serves()
    assert made.serves
    return made


def worker_at(there: Place) -> Any:
    """Who is there."""
    return there.worker


def test_the_next_begins_soon_and_then_later_and_later(crew: Crew, there: Place, logged: Logged) -> None:
    """Until one has lived for a while."""
    for again in (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, LATEST, LATEST):
        before = there.worker
        worker_at(there).ends()
        assert (there.gone, there.serves) == (False, False)
        crew.reactor.advance(again * 0.99)
        assert there.worker is before
        crew.reactor.advance(again * 0.02)
        assert there.worker is not before
        worker_at(there).serves()
    told = logged.named("worker_ended")
    assert (told[0]["worker"], told[0]["pid"], told[0]["again"], told[0]["reason"]) == (2, 4711, 0.1, "SIGKILL")
    crew.reactor.advance(PROVEN)
    worker_at(there).ends()
    assert logged.named("worker_ended")[-1]["again"] == 0.1


def test_sessions_are_numbered_on(crew: Crew, there: Place) -> None:
    """No successor has a number that was used: it counts from the next million of its own."""
    assert worker_at(there).first == 2
    crew.sums.hear(2, {**figures(), "session": 3_999_998})
    worker_at(there).ends()
    crew.reactor.advance(1)
    assert worker_at(there).first == 3 * 1_000_000 * 2 + 2
    worker_at(there).ends()
    crew.reactor.advance(1)
    assert worker_at(there).first == 4 * 1_000_000 * 2 + 2


def test_one_that_never_serves_at_all_has_no_successor(crew: Crew, there: Place) -> None:
    """When no worker ever has: that is for the crew to end."""
    crew.served = False
    worker_at(there).ends()
    assert crew.failures == ["SIGKILL"]
    assert there.gone


def test_who_comes_later_is_told_what_was_said(crew: Crew, there: Place) -> None:
    """The limits that were set meanwhile, and that it is to go again."""
    crew.limits["max-per-peer"] = "7"
    worker_at(there).ends()
    crew.reactor.advance(0.2)
    there.part("part")
    assert worker_at(there).line.asked == []
    worker_at(there).serves()
    assert worker_at(there).limits == {"max-per-peer": "7"}
    assert worker_at(there).line.asked == ["part"]
    worker_at(there).cut = 3
    worker_at(there).ends()
    assert (there.gone, there.cut) == (True, 3)


def test_nobody_follows_once_it_parts(crew: Crew, there: Place, logged: Logged) -> None:
    """Neither a worker that ends then, nor one that was about to be replaced."""
    there.part("part")
    assert worker_at(there).line.asked == ["part"]
    worker_at(there).ends()
    crew.reactor.advance(0)
    assert there.gone
    assert crew.reactor.getDelayedCalls() == []
    assert logged.named("worker_ended") == []
    there.kill()
    assert not worker_at(there).killed


def test_one_that_is_about_to_come_does_not(crew: Crew, there: Place) -> None:
    """When all parts meanwhile."""
    worker_at(there).ends()
    there.part("part")
    crew.reactor.advance(1)
    assert there.gone


def test_one_that_does_not_serve_yet_is_not_waited_for(crew: Crew, there: Place) -> None:
    """When the parent stops at once."""
    worker_at(there).ends()
    crew.reactor.advance(0.2)
    there.part("stop")
    assert worker_at(there).killed


async def test_who_does_not_serve_answers_nothing(crew: Crew, there: Place) -> None:
    """In a line that says so; its figures stay as they were."""
    await there.ask("status")
    there.follow("events", print)
    there.kill()
    assert worker_at(there).killed
    assert worker_at(there).line.asked == ["status", "events"]
    worker_at(there).line.refuses = ControlError("busy")
    await there.tell_figures()
    worker_at(there).ends()
    with pytest.raises(ControlError, match="worker 2 does not serve at the moment"):
        await there.ask("status")
    await there.tell_figures()
    assert crew.sums.of(2) == {}


def look(there: Place, times: int = 1) -> None:
    """Let some seconds pass."""
    for _ in range(times):
        there.look()


def test_one_that_hangs_is_ended_and_the_log_says_where(there: Place, logged: Logged) -> None:
    """It is asked one question, not one for each second; and it is told once, however long its end takes."""
    worker = worker_at(there)
    worker.line.hangs = True
    look(there, 3)
    assert (worker.line.asked, worker.shown, there.silent) == (["figures"], 0, 2.0)
    look(there)
    assert (worker.shown, worker.killed) == (1, False)
    look(there)
    assert worker.killed
    look(there)
    (told,) = logged.named("worker_stuck")
    assert {key: told[key] for key in ("worker", "pid", "silent", "limit", "option", "where")} == {
        "worker": 2,
        "pid": 4711,
        "silent": 4.0,
        "limit": 3.0,
        "option": "worker-timeout",
        "where": "busy (here.py:1)",
    }
    worker.ends()
    look(there, 9)
    assert len(logged.named("worker_ended")) == 1


def test_one_that_answers_at_last_is_spared(there: Place, logged: Logged) -> None:
    """Even when it was about to be ended; the next question follows."""
    worker = worker_at(there)
    worker.line.hangs = True
    look(there, 4)
    assert worker.shown == 1
    worker.line.answer.callback(figures())
    worker.line.answer = Deferred()
    assert there.silent == 0
    look(there, 2)
    assert worker.line.asked == ["figures"] * 2
    assert not worker.killed
    assert logged.named("worker_stuck") == []


@pytest.mark.parametrize(("why", "spared"), [(ControlError("it failed"), True), (SilentError("no answer"), False)])
def test_a_bad_answer_is_one(there: Place, why: ControlError, spared: bool) -> None:
    """Its event loop turns, whatever else is wrong with it; where nothing came, not even that is known."""
    worker_at(there).line.refuses = why
    look(there, 9)
    assert worker_at(there).killed is not spared


def test_an_answer_of_one_that_has_ended_says_nothing_of_its_successor(crew: Crew, there: Place) -> None:
    """It is another worker's."""
    before = worker_at(there)
    before.line.hangs = True
    look(there)
    before.ends()
    crew.reactor.advance(1)
    worker_at(there).serves()
    worker_at(there).line.hangs = True
    look(there, 3)
    before.line.answer.errback(ControlError("it has ended"))
    assert there.silent == 2.0
    look(there)
    assert worker_at(there).line.asked == ["figures"]


def test_a_successor_has_longer_to_begin(crew: Crew, there: Place) -> None:
    """Ten times; but the first of all as long as it takes, since whoever starts the service waits for it."""
    worker_at(there).ends()
    crew.reactor.advance(1)
    look(there, 29)
    assert worker_at(there).shown == 0
    look(there, 2)
    assert worker_at(there).killed
    crew.served = False
    there.fill()
    look(there, 999)
    assert not worker_at(there).killed


def test_nobody_is_looked_at_where_nobody_is(crew: Crew) -> None:
    """Before there is a worker."""
    Place(crew, Post(2, 2, 0, ())).look()
