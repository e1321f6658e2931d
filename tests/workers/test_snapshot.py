"""The figures of several workers, added up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.task import Clock

from netguard import events
from netguard.errors import Idle, Reason, TooManyConnections, TooManyFromPeer
from netguard.figures import Figures
from netguard.service import Service
from netguard.workers.snapshot import Sums, named, snapshot


class Unheard(Reason):
    """A reason of somebody else's."""


def house() -> Service:
    """A service that has done something."""
    made = Service(Clock)
    figures = made.figures
    figures.accepted, figures.closed, figures.bytes_in, figures.bytes_out = 5, 2, 300, 40
    figures.now, figures.peak = 3, 4
    figures.refused.update({TooManyFromPeer: 2, Unheard: 1})
    figures.cut[Idle] = 1
    figures.would["would_cut", "IdleTimeout"] = 7
    figures.told.update({"shedding": 1, "started": 1})
    figures.lags.add(0.02)
    return made


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What is told by the parent is not counted twice."""
    events.QUIET.add("started")
    yield
    events.QUIET.clear()


def through_json(told: Any) -> Any:
    """As it travels."""
    return json.loads(json.dumps(told))


def test_the_sum_is_what_one_would_have_counted() -> None:
    """Whatever is told how often; what the parent has counted itself stays."""
    figures = Figures()
    figures.told["started"] = 1
    sums = Sums(figures)
    workers = [house(), house()]
    for _ in range(3):
        for number, each in enumerate(workers, 1):
            sums.hear(number, through_json(snapshot(each)))
    assert (figures.accepted, figures.closed, figures.bytes_in, figures.bytes_out) == (10, 4, 600, 80)
    assert (figures.now, figures.peak) == (6, 6)
    assert figures.refused == {TooManyFromPeer: 4, Unheard: 2}
    assert figures.cut == {Idle: 2}
    assert figures.would == {("would_cut", "IdleTimeout"): 14}
    assert figures.told == {"started": 1, "shedding": 2}
    assert sum(figures.lags.counts) == 2
    assert figures.lags.total == pytest.approx(0.04)
    assert figures.lags.worst == 0.02
    workers[0].figures.refused[TooManyConnections] = 9
    workers[0].figures.now = 0
    sums.hear(1, through_json(snapshot(workers[0])))
    assert figures.refused[TooManyConnections] == 9
    assert (figures.now, figures.peak) == (3, 6)


def test_what_the_dead_have_done_stays_done() -> None:
    """Their connections are gone, and their successors begin with nothing."""
    figures = Figures()
    sums = Sums(figures)
    sums.hear(1, through_json(snapshot(house())))
    assert sums.of(1)["now"] == 3
    assert sums.forget(1) == 3
    assert (sums.forget(1), sums.of(1)) == (0, {})
    assert (figures.now, figures.accepted, sums.total("rss")) == (0, 5, 0)
    spent = sums.cpu
    assert spent > 0
    sums.hear(1, through_json(snapshot(house())))
    assert (figures.now, figures.accepted) == (3, 10)
    assert sums.cpu > spent


def test_a_reason_that_is_not_known_here_is_counted_all_the_same() -> None:
    """As one that has no name."""
    figures = Figures()
    told = through_json(snapshot(house()))
    told["refused"] = {"somewhere.Else": 2, named(TooManyFromPeer): 1}
    Sums(figures).hear(1, told)
    assert sum(figures.refused.values()) == 3
    assert figures.refused[TooManyFromPeer] == 1


def test_numbers_of_sessions_never_come_twice() -> None:
    """What a worker says is one that no connection has."""
    first, second = (snapshot(house())["session"] for _ in range(2))
    assert second > first
