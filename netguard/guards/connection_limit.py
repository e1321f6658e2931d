"""How many connections may be open: in all, and from one peer."""

from __future__ import annotations

from netguard.errors import TooManyConnections, TooManyFromPeer
from netguard.guard import Connection, Guard, House, Stages, frozen
from netguard.options import option
from netguard.peer import PREFIX_HELP, peer_key
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
        return Stages(crowd.arrive if self.total else None, crowd.open if self.per_peer else None, crowd.full)


class Crowd:
    """Who is there now.

    Args:
        limit: the guard.
    """

    def __init__(self, limit: ConnectionLimit) -> None:
        self.limit = limit
        self.total = 0
        self.most = limit.total or 0
        self.no_more = TooManyConnections(self.most, self.most + 1)
        self.peers: dict[object, int] = {}

    def full(self) -> TooManyConnections | None:
        """Whether nobody more can come, and why."""
        return self.no_more if self.total >= self.most else None

    def arrive(self, connection: Connection) -> None:
        """Count a socket in, or refuse it."""
        if self.total >= self.most:
            connection.refuse(TooManyConnections(self.most, self.total + 1))
        if connection.admitted:
            self.total += 1
            connection.at_end(self.depart)

    def depart(self, _: Connection) -> None:
        """One has gone."""
        self.total -= 1

    def open(self, connection: Connection) -> None:
        """Count a peer in, or refuse it."""
        key = self.key(connection)
        if key is None:
            return
        there = self.peers.get(key, 0)
        if there >= (self.limit.per_peer or 0):
            connection.refuse(TooManyFromPeer(self.limit.per_peer, there + 1))
        if connection.admitted:
            self.peers[key] = there + 1
            connection.at_end(self.leave)

    def key(self, connection: Connection) -> object:
        """By what the peer is counted; None when it has no address."""
        host = connection.host
        return None if host is None else peer_key(host, self.limit.prefix)

    def leave(self, connection: Connection) -> None:
        """One of a peer's has gone."""
        key = self.key(connection)
        self.peers[key] -= 1
        if not self.peers[key]:
            del self.peers[key]
