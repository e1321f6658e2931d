"""The deadlines of one connection, for :mod:`netguard.mixins`: which has passed, and when to look again.

Decisions only: moments and figures come in as arguments, nothing is scheduled, closed or read here. A
deadline is kept as the moment it depends on, so to postpone one is to store one number.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, ClassVar

from attrs import define, field

from netguard.errors import Idle, Reason, WriteStalled
from netguard.units import Unit, duration

if TYPE_CHECKING:
    from collections.abc import Iterator

LOOKS = 8
"""Looks at what the peer took in one read or write period: taking is judged to an eighth of the period."""
_ROUNDING = 1e-6
"""Seconds by which a moment counts as reached early: ``now + (due - now)`` is not always ``due``."""


class TimedOut(Idle):
    """``resetTimeout`` was not called within the idle period."""

    guard, option = "TimeoutMixin", "setTimeout"


class ReadTimedOut(Idle):
    """Nothing came within the read period, and the peer was not busy taking our answer."""

    guard, option = "TimeoutMixin", "setReadTimeout"


class WriteTimedOut(WriteStalled):
    """Bytes were queued for the peer and it took none within the write period."""

    guard, option = "TimeoutMixin", "setWriteTimeout"


class PhaseTimedOut(Reason):
    """A phase did not end in time.

    Args:
        name: the phase.
        limit: its length, in seconds.
        observed: how long it has lasted, in seconds.
    """

    guard, option = "TimeoutMixin", "startPhase"
    summary = "a phase was not finished in time"
    unit: ClassVar[Unit] = duration

    def __init__(self, name: str, limit: float, observed: float) -> None:
        super().__init__(limit, observed)
        self.name = name

    def __str__(self) -> str:
        """Say which phase it was, too."""
        return f"{super().__str__()}, phase {self.name!r}"


_KINDS: dict[str, type[Reason]] = {"idle": TimedOut, "read": ReadTimedOut, "write": WriteTimedOut}


@define(eq=False)
class Deadlines:
    """What is running, and what it depends on. Moments and periods are seconds of one clock.

    Attributes:
        idle: the moment at which the idle period ends, or None.
        idle_period: its length.
        read: the read period, or None.
        heard: when something came last.
        write: the write period, or None.
        moved: when the peer last took something, or nothing was there to take.
        phases: the moment and the length of each running phase.
        taken: what the peer had taken at the last look (a figure that only grows).
        outstanding: whether something waited for it then.
    """

    idle: float | None = None
    idle_period: float = 0.0
    read: float | None = None
    heard: float = 0.0
    write: float | None = None
    moved: float = 0.0
    phases: dict[str, tuple[float, float]] = field(factory=dict)
    taken: int = 0
    outstanding: bool = False

    @property
    def looking(self) -> bool:
        """Whether what the peer takes matters."""
        return self.read is not None or self.write is not None

    @property
    def running(self) -> bool:
        """Whether there is any deadline."""
        return bool(self.phases) or self.idle is not None or self.looking

    def look(self, now: float, taken: int, outstanding: bool) -> None:
        """Learn what the peer took.

        Taking an answer is as good as speaking, up to the look after the answer's end: a peer that downloads
        cannot be blamed for saying nothing. Once all is taken, only speaking counts.
        """
        moved = taken > self.taken
        if moved or not outstanding or not self.outstanding:  # else it had the same in view all the time
            self.moved = now
        if moved and (outstanding or self.outstanding):
            self.heard = now
        self.taken, self.outstanding = taken, outstanding

    def next(self, now: float) -> float | None:
        """When to look or to think again; None when nothing is running."""
        first = min((moment for moment, _, _ in self._moments()), default=None)
        periods = [period for period in (self.read, self.write) if period is not None]
        return min(first, now + min(periods) / LOOKS) if first is not None and periods else first

    def strike(self, now: float) -> Reason | None:
        """Take the earliest deadline that has passed off the list, and say why it ends the connection."""
        moment, kind, name = min(self._moments(), key=lambda each: each[0], default=(inf, "", ""))
        if moment > now + _ROUNDING:
            return None
        if kind == "phase":
            _, period = self.phases.pop(name)
            return PhaseTimedOut(name, period, now - moment + period)
        period = self.idle_period if kind == "idle" else getattr(self, kind)
        setattr(self, kind, None)
        return _KINDS[kind](period, now - moment + period)

    def passed(self, now: float) -> bool:
        """Whether a deadline has passed."""
        return any(moment <= now + _ROUNDING for moment, _, _ in self._moments())

    def clear(self) -> None:
        """End them all."""
        self.idle = self.read = self.write = None
        self.phases.clear()

    def _moments(self) -> Iterator[tuple[float, str, str]]:
        # Moment, kind, phase. Of two at one moment the first strikes: the one that brooks no politeness.
        if self.write is not None:
            yield self.moved + self.write, "write", ""
        if self.read is not None:
            yield self.heard + self.read, "read", ""
        if self.idle is not None:
            yield self.idle, "idle", ""
        for name, (moment, _) in self.phases.items():
            yield moment, "phase", name
