"""What is promised of the limit that finds itself: near what a server can do, whatever happens; proven by simulation.

The server of these simulations has so many places, each of which serves one peer after the other; peers wait for a
place in a queue. So with more than its places pending, it does not do more, only everything later.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from math import inf
from random import Random
from statistics import median

import pytest

from netguard.load.gradient import (
    CEILING,
    FLOOR,
    MEASURE_EVERY,
    MEASURE_WITHIN,
    SAMPLES,
    STALE,
    START,
    Gradient,
    Steady,
)

Work = Callable[[Random], float]


def exactly(seconds: float) -> Work:
    """Peers of which each takes as long as the other."""
    return lambda _: seconds


def about(seconds: float) -> Work:
    """Peers as different as peers are: one in a hundred takes ten times as long as most."""
    return lambda random: seconds * random.lognormvariate(-0.5, 1)


class Server:
    """A server with a queue, and a crowd before its door.

    Args:
        places: how many it serves at a time.
        seed: of the randomness of its peers.
    """

    def __init__(self, places: int, seed: int = 0) -> None:
        self.random = Random(seed)  # noqa: S311 - a simulation is to be the same each time
        self.gradient = Gradient(self.random.random)
        self.places = places
        self.now = 0.0
        self.served = self.refused = 0
        self.limits: list[int | None] = []
        self.waits: list[float] = []
        self._queue: deque[float] = deque()
        self._busy: list[tuple[float, float]] = []

    def run(self, seconds: float, rate: float, work: Work) -> None:
        """So many peers a second come, for some time; what was noted before is forgotten."""
        self.served = self.refused = 0
        self.limits, self.waits = [], []
        end = self.now + seconds
        comes = self._next(rate)
        while (moment := min(comes, self._busy[0][0] if self._busy else inf)) < end:
            self.now = moment
            if comes <= moment:
                comes = self._next(rate)
                if self.gradient.come(self.now):
                    self._queue.append(self.now)
                else:
                    self.refused += 1
            else:
                self._serve()
            while self._queue and len(self._busy) < self.places:
                heapq.heappush(self._busy, (self.now + work(self.random), self._queue.popleft()))
        self.now = end

    def _next(self, rate: float) -> float:
        return self.now + self.random.expovariate(rate) if rate else inf

    def _serve(self) -> None:
        _, came = heapq.heappop(self._busy)
        self.gradient.settle(self.now, self.now - came)
        self.served += 1
        self.limits.append(self.gradient.limit)
        self.waits.append(self.now - came)

    @property
    def limit(self) -> float:
        """The median of the limits that were noted."""
        return median(each for each in self.limits if each is not None)

    @property
    def lowest(self) -> int:
        """The lowest limit that was noted."""
        return min(each for each in self.limits if each is not None)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    ("places", "work", "seconds"),
    [
        (50, exactly(0.1), 0.1),
        (50, about(0.1), 0.1),
        (30, about(1.0), 1.0),
        (60, lambda random: random.expovariate(5), 0.2),
    ],
)
def test_under_three_times_what_it_can_do_a_server_does_all_that_it_can(
    places: int, work: Work, seconds: float, seed: int
) -> None:
    """The limit comes to lie a little above the places, so that all are used and the queue is short."""
    server = Server(places, seed)
    rate = places / seconds
    server.run(40, rate / 2, work)
    assert server.refused <= server.served * 0.01
    server.run(100, rate * 3, work)
    server.run(40, rate * 3, work)
    assert places * 0.9 <= server.limit <= places * 1.7
    assert server.served >= rate * 40 * 0.92
    assert median(server.waits) <= seconds * 1.7


def test_a_server_that_begins_with_a_flood_finds_its_limit_all_the_same() -> None:
    """What it measures first is not what it would take without the flood, but it comes near to that."""
    server = Server(60)
    server.run(200, 900, about(0.2))
    server.run(60, 900, about(0.2))
    assert 60 * 0.9 <= server.limit <= 60 * 1.7
    assert server.served >= 300 * 60 * 0.95


@pytest.mark.parametrize("seed", range(2))
def test_when_everything_takes_twice_as_long_the_limit_falls_and_rises_again_afterwards(seed: int) -> None:
    """A database that slows down for a while; nobody has to do anything."""
    server = Server(60, seed)
    server.run(100, 900, about(0.2))
    while server.gradient._measuring or server.gradient._measure_at < server.now + 50:
        server.run(5, 900, about(0.2))  # else it may just then be measured, as what is usual
    before = server.limit
    server.run(15, 900, about(0.4))
    server.run(5, 900, about(0.4))
    assert server.limit < before / 2
    server.run(15, 900, about(0.2))
    server.run(10, 900, about(0.2))
    assert before * 0.75 <= server.limit <= before * 1.35


def test_what_takes_twice_as_long_for_good_becomes_the_usual() -> None:
    """After two measurements at the latest the limit is again near what the server can do; and so on the way back."""
    server = Server(60)
    server.run(100, 900, about(0.2))
    for seconds in (0.4, 0.2):
        server.run(2.5 * MEASURE_EVERY, 900, about(seconds))
        server.run(20, 900, about(seconds))
        assert 60 * 0.9 <= server.limit <= 60 * 1.9
        assert server.served >= 60 / seconds * 20 * 0.93


def test_it_does_not_swing_to_the_floor() -> None:
    """In ten minutes of flood, measurements included, it never gets near."""
    server = Server(80)
    server.run(60, 600, about(0.4))
    server.run(600, 600, about(0.4))
    assert server.lowest >= FLOOR * 1.5
    assert server.served >= 200 * 600 * 0.96


@pytest.mark.parametrize("idle", [STALE - 1, 3600.0, 86400.0])
def test_an_idle_while_does_not_ruin_it(idle: float) -> None:
    """What was found before still holds for the next flood, and what was half found counts no more."""
    server = Server(60)
    server.run(100, 900, about(0.2))
    server.run(10, 900, about(0.2))
    before = server.limit
    server.run(idle, 0, about(0.2))
    server.run(idle, 1 / 600, about(0.2))
    server.run(20, 900, about(0.2))
    assert before * 0.7 <= server.limit <= before * 1.4
    assert server.lowest >= FLOOR * 1.5
    assert server.served >= 300 * 20 * 0.9


def test_where_little_happens_nobody_is_refused() -> None:
    """One peer a second, for an hour, measurements included; and the limit does not grow without being used."""
    server = Server(60)
    server.run(3600, 1, about(0.2))
    assert server.refused == 0
    assert FLOOR < server.limit <= START


def test_a_clock_that_is_set_back_does_not_stop_it() -> None:
    """By a day: it goes on concluding, and measuring."""
    server = Server(60)
    server.run(30, 900, about(0.2))
    server.now -= 86400
    server._busy = [(end - 86400, came - 86400) for end, came in server._busy]
    server.run(20, 900, about(0.2))
    assert server.gradient._measure_at < server.now + 2 * MEASURE_EVERY
    assert 60 * 0.8 <= server.limit <= 60 * 1.7


def _settle(gradient: Gradient, now: float, many: int, took: float = 0.1) -> None:
    for _ in range(many):
        gradient.come(now)
        gradient.settle(now, took)


def test_there_is_no_limit_for_an_application_that_settles_nobody() -> None:
    """It does not say what a guard could go by."""
    gradient = Gradient(lambda: 0.5)
    for _ in range(5000):
        assert gradient.come(1)
    for _ in range(5000):
        gradient.leave(100)
    assert (gradient.limit, gradient.pending) == (None, 0)


def test_a_few_settle_times_prove_nothing() -> None:
    """Neither do many at one moment."""
    gradient = Gradient(lambda: 0.5)
    limits = []
    for now, many in ((1, SAMPLES - 1), (1.1, 1)):
        _settle(gradient, now, many)
        limits.append(gradient.limit)
    assert limits == [None, START]
    _settle(gradient, 1.2, 5000, took=10)
    _settle(gradient, 1.4, 1, took=10)
    assert 0.8 * START < (gradient.limit or 0) < START


def test_as_many_as_the_limit_may_be_pending_and_not_one_more() -> None:
    """A place that is given back, by settling or by leaving, is taken by the next."""
    gradient = Gradient(lambda: 0.5, start=30)
    _settle(gradient, 1, SAMPLES)
    assert gradient.limit == 30
    assert [gradient.come(2) for _ in range(35)].count(True) == 30
    gradient.leave(2)
    gradient.settle(2, 0.1)
    assert [gradient.come(2) for _ in range(5)].count(True) == 2
    assert gradient.pending == 30


@pytest.mark.parametrize(("took", "end"), [(100.0, 25), (0.1, 40), (0.0, 40)])
def test_it_stays_between_floor_and_ceiling(took: float, end: int) -> None:
    """However slow or fast everything becomes."""
    gradient = Gradient(lambda: 0.5, floor=25, ceiling=40, start=30)
    _settle(gradient, 1, SAMPLES)
    limits = []
    for now in range(2, 50):
        for _ in range(21):
            gradient.come(now)
        _settle(gradient, now, SAMPLES, took)
        for _ in range(21):
            gradient.leave(now)
        limits.append(gradient.limit or 0)
    assert 25 <= min(limits) <= max(limits) <= 40
    assert limits[-1] == end


def test_a_few_milliseconds_are_no_time() -> None:
    """Where everybody is settled at once, a little later is no sign of overload."""
    gradient = Gradient(lambda: 0.5)
    _settle(gradient, 1, SAMPLES, 0.0)
    for now in range(2, 40):
        _settle(gradient, now, SAMPLES, 0.004)
    assert gradient.limit == START


@pytest.mark.parametrize(("start", "first"), [(1, FLOOR), (10**9, CEILING)])
def test_the_start_lies_between_them_too(start: int, first: int) -> None:
    """Whatever is asked for."""
    gradient = Gradient(lambda: 0.5, start=start)
    _settle(gradient, 1, SAMPLES)
    assert gradient.limit == first


def _flood_until_it_measures(gradient: Gradient) -> float:
    """There are always more before the door than may come in; the moment at which it begins to measure."""
    _settle(gradient, 1, SAMPLES)
    for tick in range(2, 200):
        before = gradient.limit or 0
        while gradient.come(tick):
            pass
        for _ in range(SAMPLES):
            gradient.settle(tick, 0.1)
            gradient.come(tick)
        if (gradient.limit or 0) < before * 0.6:
            return float(tick)
    pytest.fail("it never measured")


@pytest.mark.parametrize(("random", "after"), [(0.0, 0.85), (1.0, 1.15)])
def test_measurements_come_once_a_minute_more_or_less(random: float, after: float) -> None:
    """By chance, which is passed in, so that several services do not measure in step."""
    gradient = Gradient(lambda: random)
    began = _flood_until_it_measures(gradient)
    gradient.leave(began + MEASURE_WITHIN)
    assert gradient._measure_at == pytest.approx(began + MEASURE_WITHIN + after * MEASURE_EVERY)


def test_a_measurement_that_gets_no_answer_ends() -> None:
    """Those who hold the places are never settled: after five seconds the limit is what it was."""
    gradient = Gradient(lambda: 0.5)
    began = _flood_until_it_measures(gradient)
    assert gradient._limit / 2 - 1 < (gradient.limit or 0) <= gradient._limit / 2
    unhurried = gradient.unhurried
    gradient.come(began + MEASURE_WITHIN - 0.1)
    assert (gradient.limit or 0) <= gradient._limit / 2
    gradient.come(began + MEASURE_WITHIN)
    assert gradient.limit == int(gradient._limit)
    assert gradient.unhurried == unhurried


def test_measuring_refuses_nobody_where_no_more_than_the_floor_is_pending() -> None:
    """The floor is the floor, then too."""
    gradient = Gradient(lambda: 0.5, floor=60, ceiling=110)
    began = _flood_until_it_measures(gradient)
    assert gradient.limit == 60
    while gradient.pending > 50:
        gradient.leave(began + 1)
    assert [gradient.come(began + 1) for _ in range(20)].count(True) == 10


def test_what_it_remembers_is_bounded() -> None:
    """However many are settled before something can be concluded."""
    gradient = Gradient(lambda: 0.5)
    _settle(gradient, 1, 50_000)
    assert gradient._window.count <= 1024


def test_a_steady_limit_is_what_somebody_chose() -> None:
    """From the first one on, whether anybody is settled or not; a place that is given back is taken by the next."""
    steady = Steady(3)
    assert [steady.come(1) for _ in range(5)] == [True, True, True, False, False]
    steady.settle(2, 1.0)
    steady.leave(2)
    assert [steady.come(2) for _ in range(5)].count(True) == 2
    assert (steady.pending, steady.limit) == (3, 3)
