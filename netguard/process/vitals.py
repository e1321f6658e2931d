"""The figures of a service at one moment: what it has counted since it began, what it holds, how well it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import frozen

if TYPE_CHECKING:
    from netguard.errors import Reason
    from netguard.service import Service

TOTALS = ("accepted", "refused", "cut", "closed", "bytes_in", "bytes_out", "sheds")
"""What only grows, in the order in which it is told."""


@frozen
class Reading:
    """What was read at one moment.

    Args:
        uptime: seconds since the service began.
        connections: how many live.
        peak: the most that have lived at a time.
        totals: what only grows, by the names of :data:`TOTALS`.
        refused, cut: how many of them by each guard, or by the reason where that is no guard's.
        would: what guards that only observe would have done, as ``would_cut.IdleTimeout``.
        lag_median, lag_worst: seconds by which the event loop was late, since the last heartbeat.
        rss: bytes of memory that the process occupies; None where that cannot be read.
        fds: files and sockets that it has open; likewise.
    """

    uptime: float
    connections: int
    peak: int
    totals: Mapping[str, int]
    refused: Mapping[str, int]
    cut: Mapping[str, int]
    would: Mapping[str, int]
    lag_median: float
    lag_worst: float
    rss: float | None
    fds: float | None

    @property
    def parts(self) -> dict[str, int]:
        """What was refused, cut and observed, by guard: ``refused.ConnectionLimit`` and its like."""
        both = {f"{word}.{guard}": n for word in ("refused", "cut") for guard, n in getattr(self, word).items()}
        return {**both, **self.would}

    def fields(self) -> dict[str, object]:
        """All of it, flat, for a line of the log; what cannot be read is not there."""
        about: dict[str, object] = {"uptime": round(self.uptime, 3), "connections": self.connections, "peak": self.peak}
        about |= {**self.totals, "lag_median": round(self.lag_median, 4), "lag_worst": round(self.lag_worst, 4)}
        machine = {"rss": self.rss, "fds": self.fds}
        return {**about, **{key: int(value) for key, value in machine.items() if value is not None}, **self.parts}

    def since(self, before: Reading) -> dict[str, object]:
        """What has grown since an earlier reading, flat, each with ``new.`` before its name.

        Args:
            before: the earlier one.
        """
        earlier, now = {**before.totals, **before.parts}, {**self.totals, **self.parts}
        grown = {f"new.{key}": value - earlier.get(key, 0) for key, value in now.items()}
        return {"since": round(self.uptime - before.uptime, 3), **{key: n for key, n in grown.items() if n}}


class Vitals:
    """Reads the figures of a service.

    Args:
        house: what its guarded factories have in common.

    Attributes:
        began: when the service began; a reading before that has no uptime.
    """

    def __init__(self, house: Service) -> None:
        self.house = house
        self.began: float | None = None

    def begin(self) -> None:
        """The service begins now."""
        self.began = self.house.seconds()

    def read(self) -> Reading:
        """Read them all."""
        house, figures = self.house, self.house.figures
        live = [each.meter for each in house.connections]
        refused, cut = by_guard(figures.refused.items()), by_guard(figures.cut.items())
        totals = {
            "accepted": figures.accepted,
            "refused": sum(refused.values()),
            "cut": sum(cut.values()),
            "closed": figures.closed,
            "bytes_in": figures.bytes_in + sum(each.received for each in live),
            "bytes_out": figures.bytes_out + sum(each.sent for each in live),
            "sheds": figures.told["shedding"],
        }
        return Reading(
            uptime=0.0 if self.began is None else house.seconds() - self.began,
            connections=figures.now,
            peak=figures.peak,
            totals=totals,
            refused=refused,
            cut=cut,
            would={f"{event}.{guard}": count for (event, guard), count in figures.would.items()},
            lag_median=figures.lags.median,
            lag_worst=figures.lags.worst,
            rss=house.signals.read("rss"),
            fds=house.signals.read("fds"),
        )


def by_guard(counted: Iterable[tuple[type[Reason], int]]) -> dict[str, int]:
    """Counts of reasons by the guard that gave them; one that no guard gave stands by its own name.

    Args:
        counted: pairs of a reason's class and how often it was given.
    """
    found: Counter[Any] = Counter()
    for reason, count in counted:
        found[reason.guard or reason.__name__] += count
    return dict(found)
