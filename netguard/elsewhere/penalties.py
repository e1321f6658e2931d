"""Who is penalised here and on other machines."""

from __future__ import annotations

from math import inf
from typing import Any, Protocol, cast

from netguard.elsewhere.tally import News, peer_of, told
from netguard.packed import Packed
from netguard.penalty_table import PenaltyTable, Record

_LONGEST = 1e9
"""Seconds of a penalty that are believed; what a table allows is far less."""


class Keeper(Protocol):
    """Who has the table.

    Attributes:
        limit: the guard; it has ``observe`` (nobody is really refused) and ``exempt`` (networks, or None).
        table: the penalties of here.
        fresh: whom others are to hear of: penalised, or pardoned (None); None while nobody hears.
    """

    limit: Any
    table: PenaltyTable
    fresh: dict[Packed, Record | None] | None

    def now(self) -> float:
        """The present moment."""


class PenaltiesTally:
    """The penalties of here, for other machines, and theirs for here; see :class:`netguard.elsewhere.tally.Tally`.

    Args:
        keeper: who has the table.
    """

    flag = "penalty"

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper
        self.known = 0  # penalties that were given elsewhere

    def news(self, most: int) -> dict[str, Any]:
        """Who was penalised here since the last time, and None for who was pardoned; the rest waits for the next."""
        fresh, self._keeper.fresh = self._keeper.fresh or {}, {}
        now = self._keeper.now()
        self._keeper.fresh.update([*fresh.items()][most:])
        return {text: _said(record, now) for text, record in told([*fresh.items()][:most], most, _until).items()}

    def state(self, most: int) -> dict[str, Any]:
        """Who is refused here, whoever has penalised it; those that are for longest."""
        if self._keeper.limit.observe:
            return {}
        table, now = self._keeper.table, self._keeper.now()
        running = [each for each in table.offenders.items() if table.refused(each[0], now)]
        return {text: _said(record, now) for text, record in told(cast("Any", running), most, _until).items()}

    def unheard(self) -> None:
        """The state will have the penalties."""

    def hear(self, machine: str, news: News) -> None:
        """These were penalised, or pardoned, on another machine. The networks that are exempt here stay so."""
        limit, table = self._keeper.limit, self._keeper.table
        now = self._keeper.now()
        for text, value in news.items():
            peer = peer_of(text)
            if peer is None or (limit.exempt is not None and limit.exempt.contains(peer)):
                continue
            if value is None:
                table.clear(peer)
            elif (penalty := _understood(value)) is not None:
                self.known += table.impose(peer, *penalty, now)

    def learn(self, machine: str, state: News) -> None:
        """These are refused on another machine."""
        self.hear(machine, {text: value for text, value in state.items() if value is not None})

    def forget(self, machine: str) -> None:
        """Its penalties go on."""


def _until(each: tuple[Packed, Record | None]) -> float:
    return inf if each[1] is None else each[1].until


def _said(record: Record | None, now: float) -> tuple[float, int, str] | None:
    """A penalty as other machines hear of it: what is left of it, since their clocks are others."""
    if record is None:
        return None
    kind = record.kinds[-1] if record.kinds else ""
    return round(record.until - now, 3), record.times, kind if kind.isascii() else ""


def _understood(value: object) -> tuple[str, float, int] | None:
    """What another machine says, if that is a penalty: what for, the seconds that are left of it, how many before."""
    if not isinstance(value, list) or [type(each) for each in value[1:]] != [int, str]:
        return None
    left, times, kind = value
    if type(left) not in (int, float) or not 0 < left < _LONGEST or not kind.isprintable():
        return None
    return kind, float(left), times
