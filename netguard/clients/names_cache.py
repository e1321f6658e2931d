"""Verdicts that need not be asked for again: each for its time, and so many in all."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from attrs import define, field

from netguard.verdict import Verdict

MOST = 10_000
"""So many verdicts are kept: about 2 MB."""


@define
class Cache:
    """Verdicts by address.

    When it is full, the one that was put in first goes. Nothing is swept: there is no timer.

    Args:
        seconds: the clock; a monotonic one.
        most: how many are kept.
    """

    seconds: Callable[[], float]
    most: int = MOST
    _kept: OrderedDict[str, tuple[float, Verdict]] = field(factory=OrderedDict, init=False)

    def __len__(self) -> int:
        """How many are kept, stale ones included."""
        return len(self._kept)

    def get(self, address: str) -> Verdict | None:
        """The verdict about an address, unless its time is over."""
        kept = self._kept.get(address)
        if kept is None:
            return None
        if kept[0] <= self.seconds():
            del self._kept[address]
            return None
        return kept[1]

    def put(self, address: str, verdict: Verdict, life: float) -> None:
        """Keep a verdict.

        Args:
            address: whom it is about.
            verdict: what to keep.
            life: for how many seconds; not at all when it is 0.
        """
        self._kept.pop(address, None)
        if life > 0:
            self._kept[address] = self.seconds() + life, verdict
            if len(self._kept) > self.most:
                self._kept.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
