"""How many connections a service has over all its workers, known to each of them at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netguard.figures import Figures
from netguard.load.signals import Signals

if TYPE_CHECKING:
    from netguard.service import Service as House
    from netguard.workers.totals import Column


class SharedFigures(Figures):
    """Figures whose present number others know, too.

    Attributes:
        column: where it is told.
    """

    column: Column

    def came(self) -> None:
        """One more connection lives."""
        super().came()
        self.column.tell(self.now)

    def went(self) -> None:
        """One of them has ended."""
        super().went()
        self.column.tell(self.now)


def share_population(house: House, column: Column, workers: int) -> None:
    """Let all workers know how many connections this one has, and the signal ``connections`` be their sum.

    Args:
        house: this worker's.
        column: the total that it is.
        workers: how many there are.
    """
    figures = house.figures
    figures.__class__ = SharedFigures  # whoever has them, has them as they are from now on
    assert isinstance(figures, SharedFigures)  # noqa: S101 - for the type checker
    figures.column = column
    house.sharers = workers
    house.signals = Signals(house.seconds, lambda: house.population + column.others())
