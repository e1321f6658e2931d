"""The last hour is sampled every five seconds, and never takes more room than that."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from netguard.admin.history import EVERY, KEPT, TICK, History
from netguard.errors import Idle, TooManyFromPeer
from netguard.process.vitals import Vitals
from netguard.service import Service


def begun() -> tuple[Clock, Service, History]:
    """A history that has begun, at a time of day that is its clock's."""
    clock = Clock()
    house = Service(lambda: clock)
    history = History(Vitals(house), clock, lambda: 1_000_000 + clock.seconds())
    history.startService()
    clock.advance(TICK)
    return clock, house, history


def pass_time(clock: Clock, seconds: float) -> None:
    """Tick as a reactor does."""
    clock.pump([TICK] * round(seconds / TICK))


def test_a_sample_has_what_came_since_the_one_before() -> None:
    """And what lived, and the worst lag, at its end."""
    clock, house, history = begun()
    house.figures.accepted += 3
    house.figures.refused[TooManyFromPeer] += 2
    house.figures.cut[Idle] += 1
    house.figures.bytes_in += 100
    house.figures.bytes_out += 1000
    house.figures.now = 7
    pass_time(clock, 2)
    clock.advance(TICK + 0.5)
    pass_time(clock, 2.25)
    count, samples = history.since(0)
    assert count == 1
    (sample,) = samples
    assert sample.row == (1_000_005, 7, 0.5, 3, 100, 1000, {"ConnectionLimit": 2}, {"IdleTimeout": 1})
    pass_time(clock, EVERY)
    _, (_, later) = history.since(0)
    assert later.row[2:] == (0.0, 0, 0, 0, {}, {})
    history.stopService()


def test_who_knows_some_gets_the_others() -> None:
    """Who knows more than there are has asked another process before."""
    clock, _, history = begun()
    pass_time(clock, 4 * EVERY)
    times = [each.at for each in history.since(0)[1]]
    assert len(times) == 4
    assert [each.at for each in history.since(3)[1]] == times[3:]
    assert history.since(4) == (4, [])
    assert [each.at for each in history.since(5)[1]] == times
    assert [each.at for each in history.since(-1)[1]] == times
    history.stopService()


def test_an_hour_is_kept() -> None:
    """Whoever has not asked for longer than that gets what there is."""
    clock, _, history = begun()
    pass_time(clock, (KEPT + 10) * EVERY)
    count, samples = history.since(0)
    assert (count, len(samples)) == (KEPT + 10, KEPT)
    assert len(history.since(5)[1]) == KEPT
    assert len(history.since(KEPT)[1]) == 10
    history.stopService()


def test_a_loop_that_was_stuck_leaves_a_gap_and_is_told() -> None:
    """The samples that were missed are not made up."""
    clock, house, history = begun()
    pass_time(clock, EVERY)
    clock.advance(60)
    pass_time(clock, EVERY)
    _, samples = history.since(0)
    assert samples[1].lag == pytest.approx(60 - TICK)
    assert len(samples) <= 3
    assert house.figures.lags.worst == pytest.approx(60 - TICK)
    history.stopService()


def test_nothing_is_left_behind() -> None:
    """No timer; and it may be stopped before it was started."""
    clock, _, history = begun()
    history.stopService()
    assert clock.getDelayedCalls() == []
    History(Vitals(Service(Clock)), clock).stopService()
