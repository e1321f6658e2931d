"""The figures of one worker as its parent hears them, and what it makes of several."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from netguard import events
from netguard.errors import Reason
from netguard.factory import next_session
from netguard.process.vitals import Vitals

if TYPE_CHECKING:
    from netguard.figures import Figures
    from netguard.service import Service as House

_GROWING = ("accepted", "closed", "bytes_in", "bytes_out")
_COUNTED = ("refused", "cut", "would", "told")


def snapshot(house: House) -> dict[str, Any]:
    """The figures of a service, for :class:`Sums`; the lag begins anew.

    Args:
        house: the service.
    """
    figures, reading = house.figures, Vitals(house).read()
    lags = figures.lags
    made: dict[str, Any] = {
        "session": next_session(),
        "now": figures.now,
        **{key: reading.totals[key] for key in _GROWING},
        "refused": {named(each): count for each, count in figures.refused.items()},
        "cut": {named(each): count for each, count in figures.cut.items()},
        "would": {" ".join(each): count for each, count in figures.would.items()},
        "told": {name: count for name, count in figures.told.items() if name not in events.QUIET},
        "lags": {"counts": lags.counts, "total": lags.total, "worst": lags.worst, "median": lags.median},
        "misbehaved": sum(len(each.table) for each in house.penalties),
        "rss": reading.rss or 0,
        "fds": reading.fds or 0,
        "cpu": time.process_time(),
        "strained": house.strained,
    }
    lags.begin()
    return made


def named(reason: type[Reason]) -> str:
    """A class of reasons by its full name."""
    return f"{reason.__module__}.{reason.__qualname__}"


class Sums:
    """Adds what several workers tell to the figures of their parent's house.

    Args:
        figures: those. What the parent counts itself is in them, too.
    """

    def __init__(self, figures: Figures) -> None:
        self._figures = figures
        self._last: dict[int, Mapping[str, Any]] = {}
        self._reasons: dict[str, type[Reason]] = {}
        self._spent = 0.0

    def hear(self, worker: int, told: Mapping[str, Any]) -> None:
        """Take the figures of a worker.

        Args:
            worker: whose.
            told: what :func:`snapshot` made.
        """
        before = self._last.get(worker, {})
        self._last[worker] = told
        figures = self._figures
        for key in _GROWING:
            setattr(figures, key, getattr(figures, key) + told[key] - before.get(key, 0))
        for key in _COUNTED:
            counter: Counter[Any] = getattr(figures, key)
            counter.update({self._key(key, name): n for name, n in _grown(told[key], before.get(key, {}))})
        lags = told["lags"]
        earlier = before.get("lags", {"counts": [0] * len(lags["counts"]), "total": 0.0})
        counts = [now - then for now, then in zip(lags["counts"], earlier["counts"], strict=True)]
        figures.lags.merge(counts, lags["total"] - earlier["total"], lags["worst"], lags["median"])
        self._count()

    def forget(self, worker: int) -> int:
        """A worker has ended; what it has done stays done.

        Returns:
            How many connections it had when it was last heard of.
        """
        gone = self._last.pop(worker, {"now": 0, "cpu": 0.0})
        self._spent += gone["cpu"]
        self._count()
        return int(gone["now"])

    def _count(self) -> None:
        self._figures.now = int(self.total("now"))
        self._figures.peak = max(self._figures.peak, self._figures.now)

    def _key(self, kind: str, name: str) -> Any:
        if kind == "told":
            return name
        if kind == "would":
            return tuple(name.split(" ", 1))
        if name not in self._reasons:
            self._reasons = {named(each): each for each in _kinds(Reason)}
        return self._reasons.get(name, Reason)

    @property
    def cpu(self) -> float:
        """Seconds of processor time that all workers have used, those that have ended included."""
        return self._spent + self.total("cpu")

    def total(self, key: str) -> float:
        """The sum of one figure over the workers that live."""
        return float(sum(each[key] for each in self._last.values()))

    def of(self, worker: int) -> Mapping[str, Any]:
        """What a worker has told last; nothing when it has told nothing."""
        return self._last.get(worker, {})


def _grown(now: Mapping[str, int], then: Mapping[str, int]) -> Iterable[tuple[str, int]]:
    return ((name, count - then.get(name, 0)) for name, count in now.items())


def _kinds(kind: type[Reason]) -> Iterable[type[Reason]]:
    for each in kind.__subclasses__():
        yield each
        yield from _kinds(each)
