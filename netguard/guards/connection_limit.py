"""How many connections may be open: in all, and from one peer."""

from __future__ import annotations

from typing import Any

from netguard.elsewhere.peers import PeersTally
from netguard.errors import TooManyConnections, TooManyFromPeer
from netguard.guard import Connection, Gate, Guard, House, Newcomer, Stages, frozen
from netguard.options import option
from netguard.packed import Packed
from netguard.peer import PREFIX_HELP
from netguard.units import Prefix, count, prefix


@frozen
class ConnectionLimit(Guard):
    """Refuse a connection when too many are open. One counts while it exists, and not a moment longer.

    Args:
        total: connections that may be open in all, over every port of the service.
        per_peer: connections that may be open from one peer.
        prefix: how many bits of an address make one peer. Peers without an address (UNIX sockets) have no limit.
    """

    total: int | None = option(
        "max-connections",
        count,
        "Refuse a connection when this many are open.",
        default=None,
        defaults={"guard": "900", "pop": "900"},
    )
    per_peer: int | None = option(
        "max-per-peer",
        count,
        "Refuse a connection when this many are open from the same peer (see peer-prefix).",
        default=None,
        defaults={"guard": "100", "pop": "20"},
    )
    prefix: Prefix = option("peer-prefix", prefix, PREFIX_HELP, default=Prefix())

    def install(self, house: House) -> Stages:
        """Begin to count: sockets in all, and the peers that are behind them."""
        crowd = Crowd(self)
        self.settable(house, "total", crowd.admit)
        self.settable(house, "per_peer", crowd.admit_of_one)
        if self.per_peer:
            house.tallies.append(PeersTally(crowd))
        if self.total:
            house.totals.append(crowd.share)
        return Stages(
            Gate(crowd.is_full, crowd.arrive, leave=crowd.depart) if self.total else None,
            Gate(crowd.has_many, crowd.come, leave=crowd.leave) if self.per_peer else None,
        )


class Crowd:
    """Who is there now.

    Args:
        limit: the guard.
    """

    def __init__(self, limit: ConnectionLimit) -> None:
        self.limit = limit
        self.total = 0
        self.column: Any = None
        self.prefix = limit.prefix
        self.admit(limit.total or 0)
        self.admit_of_one(limit.per_peer or 0)
        self.peers: dict[Packed, int] = {}
        self.elsewhere: dict[Packed, int] = {}  # who is there on other machines, if there are any

    def admit(self, most: int) -> None:
        """From now on, so many may be there in all; who is there already stays."""
        self.most = most
        self.no_more = TooManyConnections(most, most + 1)

    def admit_of_one(self, most: int) -> None:
        """From now on, so many may be there of one peer."""
        self.most_of_one = most
        self.no_more_of_one = TooManyFromPeer(most, most + 1)

    def is_full(self, _: Newcomer) -> TooManyConnections | None:
        """Whether nobody more can come, and why."""
        total = self.total if self.column is None else self.total + self.column.others()
        if total < self.most:
            return None
        # Who only observes lets in more than there may be.
        return self.no_more if total == self.most else TooManyConnections(self.most, total + 1)

    def share(self, column: Any) -> None:
        """Count the total together with other processes (:class:`netguard.workers.totals.Column`)."""
        self.column = column

    def arrive(self, _: Connection) -> None:
        """Count a socket in."""
        self.total += 1
        if self.column is not None:
            self.column.tell(self.total)

    def depart(self, _: Connection) -> None:
        """One has gone."""
        self.total -= 1
        if self.column is not None:
            self.column.tell(self.total)

    def has_many(self, newcomer: Newcomer) -> TooManyFromPeer | None:
        """Whether the peer is there as often as it may be; one without an address may always."""
        there = self.peers.get(newcomer.key(self.prefix), 0)
        if self.elsewhere:
            there += self.elsewhere.get(newcomer.key(self.prefix), 0)
        if there < self.most_of_one:
            return None
        return self.no_more_of_one if there == self.most_of_one else TooManyFromPeer(self.most_of_one, there + 1)

    def come(self, connection: Connection) -> None:
        """Count a peer in."""
        key = connection.key(self.prefix)
        if key is not None:
            self.peers[key] = self.peers.get(key, 0) + 1

    def leave(self, connection: Connection) -> None:
        """One of a peer's has gone."""
        key = connection.key(self.prefix)
        there = self.peers.get(key, 0)
        if there > 1:
            self.peers[key] = there - 1
        elif there:
            del self.peers[key]
