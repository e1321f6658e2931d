"""What a service has done since it began, counted where it is told anyway: by every connection's one last event."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Sequence
from statistics import median

from netguard.errors import Reason

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds by which the lag of the event loop is sorted, as Prometheus' clients have it."""

_RECENT = 4096
"""Measurements of the lag from which the median is taken: a quarter of an hour's, at four a second."""


class Lags:
    """How late the clock's ticks came: all of them, and since somebody last began anew.

    Attributes:
        counts: how many were no later than each of the bounds, and not no later than the one before; then the others.
        total: the sum of all, in seconds.
        worst: the worst since the beginning or :meth:`begin`.
    """

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.total = 0.0
        self.worst = 0.0
        self._recent: deque[float] = deque(maxlen=_RECENT)

    def add(self, late: float) -> None:
        """A tick came so many seconds late; early it comes only where the clock was set back, which is no lag."""
        late = max(0.0, late)
        self.counts[bisect_left(BOUNDS, late)] += 1
        self.total += late
        self.worst = max(self.worst, late)
        self._recent.append(late)

    @property
    def median(self) -> float:
        """The median since the beginning or :meth:`begin`, of the last few thousand; 0 when nothing was measured."""
        return median(self._recent) if self._recent else 0.0

    def merge(self, counts: Sequence[int], total: float, worst: float, middle: float) -> None:
        """Add what was measured elsewhere.

        Args:
            counts: as in :attr:`counts`.
            total: the sum of all, in seconds.
            worst: the worst of them.
            middle: their median; the median of several is then that of theirs.
        """
        self.counts = [one + other for one, other in zip(self.counts, counts, strict=True)]
        self.total += total
        self.worst = max(self.worst, worst)
        self._recent.append(middle)

    def begin(self) -> None:
        """Begin anew with the worst and the median."""
        self.worst = 0.0
        self._recent.clear()


class Figures:
    """Counters, over all ports of a service. They only grow, but for ``now``.

    Attributes:
        now: connections that live.
        peak: the most that have lived at a time.
        accepted: connections that all guards let in.
        closed: connections that ended by themselves.
        bytes_in, bytes_out: what has passed through the connections that have ended.
        refused, cut: connections by the class of the reason.
        would: what guards that only observe would have done, by event and guard.
        told: events of the service, such as ``shedding``, by name.
        lags: how late the ticks came.
    """

    def __init__(self) -> None:
        self.now = self.peak = self.accepted = self.closed = 0
        self.bytes_in = self.bytes_out = 0
        self.refused: Counter[type[Reason]] = Counter()
        self.cut: Counter[type[Reason]] = Counter()
        self.would: Counter[tuple[str, str]] = Counter()
        self.told: Counter[str] = Counter()
        self.lags = Lags()

    def came(self) -> None:
        """One more connection lives."""
        self.now += 1
        if self.now > self.peak:  # noqa: PLR1730 - a third of the cost of max, for every connection
            self.peak = self.now

    def went(self) -> None:
        """One of them has ended."""
        self.now -= 1
