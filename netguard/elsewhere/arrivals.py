"""Who has come here and to other machines, lately."""

from __future__ import annotations

from typing import Any, Protocol

from netguard.elsewhere.tally import News, counted, told
from netguard.packed import Packed


class Arrivals(Protocol):
    """Who comes here.

    Attributes:
        fresh: who has come since others were told, and how often; None while nobody is told.
    """

    fresh: dict[Packed, int] | None

    def came_elsewhere(self, key: Packed, times: int) -> None:
        """Use up what is allowed to a peer, for what it has done on another machine."""


class ArrivalsTally:
    """Who has come, for other machines, and who has come to them; see :class:`netguard.elsewhere.tally.Tally`.

    Args:
        arrivals: who comes here.
    """

    flag = "connect-rate-per-peer"

    def __init__(self, arrivals: Arrivals) -> None:
        self._arrivals = arrivals

    @property
    def known(self) -> int:
        """None that are not in the table of those who come here."""
        return 0

    def news(self, most: int) -> dict[str, Any]:
        """Who has come since the last time, and how often; the busiest."""
        fresh, self._arrivals.fresh = self._arrivals.fresh or {}, {}
        return told(fresh.items(), most, lambda each: each[1])

    def state(self, most: int) -> dict[str, Any]:
        """Nothing: what came is over, and soon forgotten."""
        return {}

    def unheard(self) -> None:
        """What was not heard is lost; it counts here."""

    def hear(self, machine: str, news: News) -> None:
        """These have come to another machine, so often."""
        for peer, times in counted(news):
            if times:
                self._arrivals.came_elsewhere(peer, times)

    def learn(self, machine: str, state: News) -> None:
        """Nothing is kept of a machine."""

    def forget(self, machine: str) -> None:
        """Nothing is kept of a machine."""
