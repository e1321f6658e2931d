"""The last hour of a service, in a ring of samples that is never longer, whatever happens in it."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import frozen
from twisted.application.service import Service
from twisted.internet.task import LoopingCall

if TYPE_CHECKING:
    from netguard.process.vitals import Reading, Vitals

EVERY = 5.0
"""Seconds from one sample to the next."""

KEPT = 720
"""Samples that are kept: an hour's."""

TICK = 0.25
"""Seconds between two looks at how late the event loop is, as often as a sweep of connections looks."""

_Service: Any = Service  # it is not annotated


@frozen
class Sample:
    """What was seen at the end of a few seconds, and what came in them.

    Args:
        at: when, in Unix seconds.
        connections: how many lived then.
        lag: seconds by which the event loop was late, at worst.
        accepted: connections that were let in.
        bytes_in, bytes_out: what came from peers and went to them.
        refused, cut: connections by guard.
    """

    at: int
    connections: int
    lag: float
    accepted: int
    bytes_in: int
    bytes_out: int
    refused: Mapping[str, int]
    cut: Mapping[str, int]

    @property
    def row(self) -> tuple[object, ...]:
        """The same in the order of the arguments, for JSON."""
        return (
            *(self.at, self.connections, self.lag, self.accepted, self.bytes_in, self.bytes_out),
            *(self.refused, self.cut),
        )


class History(_Service):  # type: ignore[misc]
    """Samples a service for as long as it runs.

    Args:
        vitals: what is sampled.
        reactor: when.
        wall: the time of day, in seconds, as pages show it.
    """

    def __init__(self, vitals: Vitals, reactor: Any, wall: Callable[[], float] = time.time) -> None:
        self._vitals = vitals
        self._reactor = reactor
        self._wall = wall
        self._samples: deque[Sample] = deque(maxlen=KEPT)
        self._count = 0
        self._late = 0.0
        self._before: Reading | None = None
        self._ticking: LoopingCall | None = None
        self._due = self._sample_due = 0.0

    def startService(self) -> None:
        """Begin to sample."""
        super().startService()
        self._vitals.begin()
        self._ticking = LoopingCall(self._tick)
        self._ticking.clock = self._reactor
        self._due = self._reactor.seconds() + TICK
        self._ticking.start(TICK, now=False)

    def stopService(self) -> Any:
        """Sample no more."""
        if self._ticking is not None and self._ticking.running:
            self._ticking.stop()
        return super().stopService()

    def since(self, known: int) -> tuple[int, list[Sample]]:
        """The samples that somebody does not know yet.

        Args:
            known: how many there had been when he last asked; 0 for all that are kept.

        Returns:
            How many there have been by now, and those that are new and kept, the oldest first.
        """
        new = self._count - known if 0 <= known <= self._count else self._count
        return self._count, list(self._samples)[max(0, len(self._samples) - new) :]

    def _tick(self) -> None:
        now = self._reactor.seconds()
        if self._before is None:  # what came before belongs to the start
            self._before, self._sample_due = self._vitals.read(), now + EVERY
        else:
            self._vitals.house.late(self._due, now)
            self._late = max(self._late, now - self._due)
        self._due = now + TICK
        if now >= self._sample_due:
            self._sample(self._before)
            self._sample_due += EVERY * (1 + (now - self._sample_due) // EVERY)  # a gap stays one

    def _sample(self, before: Reading) -> None:
        reading = self._vitals.read()
        grown = {name: reading.totals[name] - before.totals[name] for name in ("accepted", "bytes_in", "bytes_out")}
        refused, cut = (
            {guard: count - earlier.get(guard, 0) for guard, count in later.items() if count != earlier.get(guard, 0)}
            for later, earlier in _parts(before, reading)
        )
        self._samples.append(
            Sample(round(self._wall()), reading.connections, round(self._late, 4), **grown, refused=refused, cut=cut)
        )
        self._count += 1
        self._late, self._before = 0.0, reading


def _parts(before: Reading, reading: Reading) -> tuple[tuple[Mapping[str, int], Mapping[str, int]], ...]:
    return (reading.refused, before.refused), (reading.cut, before.cut)
