"""How many connections may be open: in all, and from one peer."""

from __future__ import annotations

from netguard.errors import TooManyConnections, TooManyFromPeer
from netguard.guard import Connection, Guard, House, Opener, frozen
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

    def install(self, house: House) -> Opener:
        """Begin to count."""
        return Crowd(self).open


class Crowd:
    """Who is there now.

    Args:
        limit: the guard.
    """

    def __init__(self, limit: ConnectionLimit) -> None:
        self.limit = limit
        self.total = 0
        self.peers: dict[object, int] = {}

    def open(self, connection: Connection) -> None:
        """Count the newcomer in, or refuse it."""
        limit, key = self.limit, self.key(connection)
        there = self.peers.get(key, 0)
        if limit.total is not None and self.total >= limit.total:
            connection.refuse(TooManyConnections(limit.total, self.total + 1))
        elif key is not None and there >= (limit.per_peer or 0):
            connection.refuse(TooManyFromPeer(limit.per_peer, there + 1))
        if connection.admitted:
            self.total += 1
            if key is not None:
                self.peers[key] = there + 1
            connection.at_end(self.leave)

    def key(self, connection: Connection) -> object:
        """By what the peer is counted; None when it is not."""
        limit, host = self.limit, connection.host
        return None if limit.per_peer is None or host is None else peer_key(host, limit.prefix)

    def leave(self, connection: Connection) -> None:
        """One has gone."""
        self.total -= 1
        key = self.key(connection)
        if key is not None:
            self.peers[key] -= 1
            if not self.peers[key]:
                del self.peers[key]
