"""What guards count together with other machines: the contract, and what they know of elsewhere.

A guard shares a *tally*. Whoever carries tallies (:mod:`netguard.fleet`) asks each for its news, and tells it those of
others; a guard knows nothing of machines, but that there are some, each with a name. What others say is never trusted
to be in order: what is no address or no number is passed over, and no more is kept than the bounds say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from heapq import nlargest
from typing import Any, Protocol, TypeVar

from netguard.packed import Packed, packed, unpacked

MOST_OF_ONE = 1_000_000
"""Connections, or arrivals, that a machine can have of one peer; if it says more, this is what counts."""

News = Mapping[str, Any]
"""A value for each peer, the peers by their addresses as text."""

_LONGEST = 45
"""Characters of an address: IPv6, with an IPv4 address at its end."""

_Value = TypeVar("_Value")


class Tally(Protocol):
    """What a guard counts together with other machines.

    Attributes:
        flag: the option that it is for; by this, machines know what belongs to what.
    """

    flag: str

    @property
    def known(self) -> int:
        """How many peers are known for what they do elsewhere."""

    def news(self, most: int) -> dict[str, Any]:
        """What has happened here since this was last asked; what cannot be told in so many peers may be lost.

        Args:
            most: peers that may be in it.
        """

    def state(self, most: int) -> dict[str, Any]:
        """All that is so now, for one who has heard no news yet; at most so many peers, those that matter most."""

    def unheard(self) -> None:
        """The last news may not have been heard by anybody; a state will be, before more news."""

    def hear(self, machine: str, news: News) -> None:
        """What has happened on another machine."""

    def learn(self, machine: str, state: News) -> None:
        """What is so on another machine; what was known of it before does not count any more."""

    def forget(self, machine: str) -> None:
        """Another machine is gone: nobody is connected to it any more."""


def counted(news: News) -> Iterator[tuple[bytes, int]]:
    """Those that are addresses, with a count that is none below 0; the rest is passed over.

    Args:
        news: what another machine says.
    """
    for text, count in news.items():
        peer = peer_of(text)
        if peer is not None and type(count) is int and count >= 0:
            yield peer, min(count, MOST_OF_ONE)


def peer_of(text: str) -> bytes | None:
    """A peer as another machine calls it; None when that is no address."""
    return packed(text) if len(text) <= _LONGEST else None


def told(peers: Iterable[tuple[Packed, _Value]], most: int, weight: Callable[[Any], float]) -> dict[str, _Value]:
    """Peers as other machines are told of them: those that have an address, and matter most.

    Args:
        peers: each with its value.
        most: so many of them.
        weight: how much a pair of them matters.
    """
    pairs = [(peer, value) for peer, value in peers if type(peer) is bytes]
    chosen = nlargest(most, pairs, key=weight) if len(pairs) > most else pairs
    return {unpacked(peer): value for peer, value in chosen}
