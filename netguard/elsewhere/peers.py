"""How many connections each peer has here and on other machines."""

from __future__ import annotations

from typing import Any, Protocol

from netguard.elsewhere.tally import News, counted, told
from netguard.packed import Packed

MOST_PEERS = 65536
"""Peers that are remembered for their connections elsewhere, over all machines; as many as other tables have."""


class Crowd(Protocol):
    """Who is here.

    Attributes:
        peers: how many connections each has.
        elsewhere: how many each has on other machines.
    """

    peers: dict[Packed, int]
    elsewhere: dict[Packed, int]


class Counts:
    """How many connections each peer has on other machines.

    Args:
        most: entries that are kept; newcomers beyond them are not counted.

    Attributes:
        all: the sum over all machines, by peer.
    """

    def __init__(self, most: int = MOST_PEERS) -> None:
        self.all: dict[Packed, int] = {}
        self._most = most
        self._size = 0
        self._of: dict[str, dict[bytes, int]] = {}

    def put(self, machine: str, peer: bytes, count: int) -> None:
        """A machine has so many of a peer now."""
        mine = self._of.setdefault(machine, {})
        before = mine.pop(peer, 0)
        self._size -= bool(before)
        if self._size >= self._most:
            count = 0
        if count:
            mine[peer] = count
            self._size += 1
        total = self.all.pop(peer, 0) + count - before
        if total:
            self.all[peer] = total

    def forget(self, machine: str) -> None:
        """A machine has nothing any more."""
        for peer in list(self._of.get(machine, ())):
            self.put(machine, peer, 0)
        self._of.pop(machine, None)


class PeersTally:
    """The peers of a crowd, for other machines, and theirs for the crowd; see :class:`netguard.elsewhere.tally.Tally`.

    Args:
        crowd: who is here.
    """

    flag = "max-per-peer"

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd
        self._counts = Counts()
        crowd.elsewhere = self._counts.all
        self._told: dict[Packed, int] = {}

    @property
    def known(self) -> int:
        """How many peers are connected elsewhere."""
        return len(self._counts.all)

    def news(self, most: int) -> dict[str, Any]:
        """The peers that have more connections here than at the last time, or fewer; the rest waits for the next."""
        peers, before = self._crowd.peers, self._told
        changed = [(peer, count) for peer, count in peers.items() if before.get(peer) != count]
        changed += [(peer, 0) for peer in before if peer not in peers]
        news = told(changed, most, lambda each: abs(each[1] - before.get(each[0], 0)))
        if len(news) == len(changed):
            self._told = peers.copy()
        else:
            self._remember(news)
        return news

    def _remember(self, news: News) -> None:
        for peer, count in counted(news):
            self._told[peer] = count
            if not count:
                del self._told[peer]

    def state(self, most: int) -> dict[str, Any]:
        """The peers that have the most connections here."""
        return told(self._crowd.peers.items(), most, lambda each: each[1])

    def unheard(self) -> None:
        """Everybody is news again."""
        self._told = {}

    def hear(self, machine: str, news: News) -> None:
        """So many connections do these peers have on another machine now."""
        for peer, count in counted(news):
            self._counts.put(machine, peer, count)

    def learn(self, machine: str, state: News) -> None:
        """Those, and nobody else, are connected to another machine."""
        self.forget(machine)
        self.hear(machine, state)

    def forget(self, machine: str) -> None:
        """Nobody is connected to another machine any more."""
        self._counts.forget(machine)
