"""When a peer is penalised, and for how long."""

from __future__ import annotations

from math import ceil, log2

from attrs import frozen

from netguard.units import Frequency

_MOST_DOUBLINGS = 32


@frozen
class Terms:
    """When a peer is penalised, and for how long.

    Args:
        tolerated: the weight of misdeeds that may come at once, and the seconds in which so much drains.
        shortest: seconds of a first penalty. Each further one is twice as long as the one before.
        longest: seconds of a penalty at most. As long a time without a penalty takes one doubling back.
    """

    tolerated: Frequency
    shortest: float
    longest: float

    @property
    def most_times(self) -> int:
        """After so many penalties the next is no longer than the one before."""
        return min(_MOST_DOUBLINGS, max(0, ceil(log2(self.longest / self.shortest))))

    def length(self, times: int) -> float:
        """Seconds of a penalty.

        Args:
            times: how many there were before.
        """
        return min(self.shortest * 2**times, self.longest) if times < self.most_times else self.longest
