"""Lets a house that serves nobody itself say of its workers what it would say of itself."""

from __future__ import annotations

from collections.abc import Iterator
from time import process_time
from typing import TYPE_CHECKING, Any

from netguard.load.signals import Signals

if TYPE_CHECKING:
    from netguard.service import Service as House
    from netguard.workers.crew import Crew
    from netguard.workers.snapshot import Sums

_SUMMED = ("rss", "fds")


def sum_up(house: House, crew: Crew) -> None:
    """Let a house have the figures of all workers.

    Args:
        house: the parent's.
        crew: the workers.
    """
    house.crew = crew
    house.join(crew)
    house.signals = SummedSignals(house, crew.sums)
    house.cpu = lambda: process_time() + crew.sums.cpu
    house.penalties[:] = [SummedLedger(crew.sums)] if house.penalties else []


class SummedSignals(Signals):
    """Memory and open files of all processes together; the rest is this process's and the machine's.

    Args:
        house: the parent's.
        sums: the workers' figures.
    """

    def __init__(self, house: House, sums: Sums) -> None:
        super().__init__(house.seconds, lambda: house.population)
        self._sums = sums

    def read(self, name: str) -> float | None:
        """One figure."""
        own = super().read(name)
        return own + self._sums.total(name) if own is not None and name in _SUMMED else own


class SummedLedger:
    """How many peers are remembered; who they are is to be asked of the workers.

    Args:
        sums: the workers' figures.
    """

    def __init__(self, sums: Sums) -> None:
        self._sums = sums

    @property
    def table(self) -> SummedLedger:
        """What has a length."""
        return self

    def __len__(self) -> int:
        return int(self._sums.total("misbehaved"))

    def rows(self, _most: int = 0) -> Iterator[Any]:
        """Nobody is remembered here."""
        return iter(())

    def clear(self, _peer: str | None = None) -> int:
        """So nobody can be forgotten."""
        return 0
