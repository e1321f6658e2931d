"""A limit that finds itself: how many connections may be on their way to being settled at a time.

While a service has time for everybody, a peer is settled as fast when many come as when few do; beyond that, each one
more only makes all of them wait. So the limit follows the gradient, how fast peers are settled when few come divided
by how fast they are settled now, as Netflix's concurrency-limits and Envoy's adaptive concurrency filter do:

    limit = limit * min(1, tolerance * unhurried / now) + sqrt(limit)

Both times are medians: some peers take a hundred times as long as others, for reasons of their own, and neither the
fastest (a health check next door) nor the slowest (an attacker, a person who types) may decide.
"""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from statistics import median

FLOOR = 20
"""The limit never falls below this; and so measuring sheds nothing of a service that has no more than this to do."""
CEILING = 10_000
START = 100
"""The limit to begin with, once it is known that the application settles anybody at all."""
TOLERANCE = 1.25
"""So many times as long as unhurried may it take before the limit falls."""
SAMPLES = 32
"""From fewer settle times nothing is concluded."""
ENOUGH = 256
"""So many make a measurement; it holds for a minute, so it has to be a good one."""
_MOST_SAMPLES = 1024
PERIOD = 0.25
"""Seconds from one conclusion to the next, at least; more where peers take longer than that to be settled."""
QUICK = 0.005
"""Seconds that are no time at all: whether a peer is settled in one millisecond or in four says nothing."""
STALE = 10.0
"""Seconds without a settle time after which older ones say nothing of the present."""
SMOOTHING = 0.3
"""The part of the way that is gone at each conclusion."""
STEEPEST = 0.5
"""The lowest gradient that is believed."""
MEASURE_EVERY = 60.0
"""Seconds between two measurements of the unhurried time, give or take 15 %, lest several services do it in step."""
MEASURE_WITHIN = 5.0
"""Seconds that a measurement may take; ten times the settle time where that is more. One that gets no answer ends:
the places may be held by peers who are not settled at all."""


class Gradient:
    """An adaptive limit on pending connections: those that came and were neither settled nor ended since.

    As long as nobody has been settled there is no limit, for some applications never say that they settled anybody.

    The unhurried time is measured while no more than half of the limit is pending. Where it is always more, the limit
    is halved for a moment every minute, though never below the floor.

    Args:
        random: a number from 0 to 1, anew at each call.
        floor: the lowest limit.
        ceiling: the highest limit.
        start: the limit to begin with.

    Attributes:
        pending: connections that are on their way.
        unhurried: seconds that it takes to settle a peer when there is time for everybody; None when not known yet.
    """

    def __init__(
        self, random: Callable[[], float], *, floor: int = FLOOR, ceiling: int = CEILING, start: int = START
    ) -> None:
        self.pending = 0
        self.unhurried: float | None = None
        self._random = random
        self._floor = floor
        self._ceiling = ceiling
        self._limit = float(min(max(start, floor), ceiling))
        self._window = Window(0.0, 0)
        self._measure_at = 0.0
        self._measuring: float | None = None
        self._calm: float | None = None

    @property
    def limit(self) -> int | None:
        """How many may be pending now; None for any number."""
        if self.unhurried is None:
            return None
        return int(self._limit if self._measuring is None else max(self._floor, self._limit / 2))

    def come(self, now: float) -> bool:
        """Somebody comes.

        Args:
            now: the present moment, in seconds.

        Returns:
            Whether there is room, and so the newcomer counts: to be told of later, once, by settle or leave.
        """
        if self.is_full(now):
            return False
        self.pending += 1
        self._window.most = max(self._window.most, self.pending)
        return True

    def is_full(self, now: float) -> bool:
        """Whether there is no room for anybody.

        Args:
            now: the present moment.
        """
        self._notice(now)
        limit = self.limit
        return limit is not None and self.pending >= limit

    def leave(self, now: float) -> None:
        """Somebody who came is gone without having been settled; how long that took says nothing about us.

        Args:
            now: the present moment.
        """
        self.pending -= 1
        self._notice(now)

    def settle(self, now: float, took: float) -> None:
        """Somebody who came is settled.

        Args:
            now: the present moment.
            took: seconds since that peer came.
        """
        self._notice(now)
        self.pending -= 1
        if self._measuring is None or (self._calm is not None and now >= self._calm):
            self._window.add(now, took, self.pending)
            self._conclude(now)

    def _notice(self, now: float) -> None:
        """Time has passed: see whether a measurement has become possible, or has to end."""
        if self._measuring is None:
            return
        unhurried = self.unhurried or 0.0
        if not 0 <= now - self._measuring < max(MEASURE_WITHIN, 10 * unhurried):
            self._measured(now)
        elif self._calm is None and self.pending <= (self.limit or 0):
            # Nobody waits for others now; but some of those who are here did. Not the first ones who are settled from
            # here on are counted (they would be the fastest), but all who are settled from a certain moment on.
            self._calm = now + max(PERIOD, 3 * unhurried)

    def _conclude(self, now: float) -> None:
        """One more is known: if that is enough, let the limit follow, and measure anew when it is time."""
        window, unhurried = self._window, self.unhurried
        if self._measuring is not None:
            if window.count >= ENOUGH:
                self._measured(now)
            return
        if window.count < SAMPLES or window.age(now) < max(PERIOD, unhurried or 0.0):
            return
        took, saturated = window.median, window.most > self._limit / 2
        self._window = Window(now, self.pending)
        if unhurried is None:
            self.unhurried = took
        else:
            if not saturated:
                # Nobody had to wait for others: what it takes now is what it takes.
                self.unhurried = unhurried + SMOOTHING * (took - unhurried)
            self._follow(max(self.unhurried or 0.0, QUICK) / max(took, QUICK), grow=saturated)
        if not 0 <= self._measure_at - now <= 2 * MEASURE_EVERY:
            self._measuring = now if saturated else None
            self._calm = None
            self._measure_at = self._next(now)

    def _follow(self, gradient: float, *, grow: bool) -> None:
        gradient = min(1.0, max(STEEPEST, TOLERANCE * gradient))
        target = self._limit * gradient + (sqrt(self._limit) if grow else 0.0)
        self._limit += SMOOTHING * (target - self._limit)
        self._limit = min(max(self._limit, self._floor), self._ceiling)

    def _measured(self, now: float) -> None:
        if self._window.count >= SAMPLES:
            self.unhurried = self._window.median
        self._measuring = self._calm = None
        self._measure_at = self._next(now)
        self._window = Window(now, self.pending)

    def _next(self, now: float) -> float:
        return now + MEASURE_EVERY * (0.85 + 0.3 * self._random())


class Steady:
    """A limit on pending connections that somebody has chosen.

    Args:
        limit: how many may be pending.

    Attributes:
        pending: how many are.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.pending = 0

    def come(self, now: float) -> bool:
        """Somebody comes; see :meth:`Gradient.come`."""
        if self.is_full(now):
            return False
        self.pending += 1
        return True

    def is_full(self, now: float) -> bool:
        """Whether there is no room for anybody; see :meth:`Gradient.is_full`."""
        return self.pending >= self.limit

    def leave(self, now: float) -> None:
        """Somebody who came is gone; see :meth:`Gradient.leave`."""
        self.pending -= 1

    def settle(self, now: float, took: float) -> None:
        """Somebody who came is settled; see :meth:`Gradient.settle`."""
        self.pending -= 1


class Window:
    """The settle times of a while.

    Args:
        since: when it began.
        most: how many are pending at its beginning.

    Attributes:
        most: how many were pending at a time, at most.
    """

    def __init__(self, since: float, most: int) -> None:
        self.most = most
        self._since = self._last = since
        self._times: list[float] = []

    def add(self, now: float, took: float, pending: int) -> None:
        """Take note of a settle time.

        Args:
            now: the present moment.
            took: seconds.
            pending: how many are pending now.
        """
        if not 0 <= now - self._last < STALE:
            self._times.clear()
            self._since, self.most = now, pending
        self._last = now
        if len(self._times) < _MOST_SAMPLES:
            self._times.append(took)

    @property
    def count(self) -> int:
        """How many settle times are known."""
        return len(self._times)

    def age(self, now: float) -> float:
        """Seconds since it began.

        Args:
            now: the present moment.
        """
        return now - self._since

    @property
    def median(self) -> float:
        """The median of the settle times, in seconds."""
        return median(self._times)
