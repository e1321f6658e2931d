"""How fast connections may come: from all peers together, and from one."""

from __future__ import annotations

from collections import OrderedDict

from netguard.errors import ConnectingTooFast, PeerConnectingTooFast
from netguard.guard import Connection, Guard, House, Opener, frozen
from netguard.options import option
from netguard.peer import PREFIX_HELP, peer_key
from netguard.units import Frequency, Prefix, frequency, prefix

MOST_PEERS = 65536
"""Peers that are remembered at a time, as many as OpenSSH's PerSourcePenalties has."""


@frozen
class ConnectionRate(Guard):
    """Refuse connections that come too fast. A refused one costs its peer nothing: the limit recovers by itself.

    A peer is remembered only until its allowance is whole again. When as many are remembered as may be
    (:data:`MOST_PEERS`), newcomers are held to the total rate alone, and an event ``full`` says so, once a minute.

    Args:
        total: connections in a period, from all peers together.
        per_peer: connections in a period, from one peer.
        prefix: how many bits of an address make one peer. Peers without an address (UNIX sockets) have no limit.
    """

    total: Frequency | None = option(
        "connect-rate", frequency, "Refuse connections that come, in all, faster than this.", default=None
    )
    per_peer: Frequency | None = option(
        "connect-rate-per-peer",
        frequency,
        "Refuse connections that come from one peer faster than this (see peer-prefix).",
        default=None,
    )
    prefix: Prefix = option("peer-prefix", prefix, PREFIX_HELP, default=Prefix())

    def install(self, house: House) -> Opener:
        """Begin to count."""
        return Arrivals(self, house).open


class Arrivals:
    """When each may come again: the generic cell rate algorithm (ITU-T I.371), one number a peer.

    Args:
        limit: the guard.
        house: the service's clock and voice.
    """

    def __init__(self, limit: ConnectionRate, house: House) -> None:
        self.limit = limit
        self.house = house
        self.total = 0.0
        self.peers: OrderedDict[object, float] = OrderedDict()
        self.complained = float("-inf")

    def open(self, connection: Connection) -> None:
        """Let the newcomer pass, or refuse it."""
        limit, now = self.limit, self.house.reactor.seconds()
        if limit.total is not None:
            whole = _admit(self.total, limit.total, now)
            if whole is None:
                seen = _observed(self.total, limit.total, now)
                connection.refuse(ConnectingTooFast(limit.total, seen))
            self.total = self.total if whole is None else whole
        if limit.per_peer is not None and connection.host is not None and connection.admitted:
            self._open_peer(connection, limit.per_peer, peer_key(connection.host, limit.prefix), now)

    def _open_peer(self, connection: Connection, limit: Frequency, key: object, now: float) -> None:
        before = self.peers.get(key, 0.0)
        whole = _admit(before, limit, now)
        if whole is None:
            connection.refuse(PeerConnectingTooFast(limit, _observed(before, limit, now)))
        elif key in self.peers or self._room(now):
            self.peers[key] = whole
            self.peers.move_to_end(key)

    def _room(self, now: float) -> bool:
        """Forget who is whole again, those longest unseen first; say so when there is still no room."""
        while self.peers and next(iter(self.peers.values())) <= now:
            self.peers.popitem(last=False)
        if len(self.peers) < MOST_PEERS:
            return True
        if now - self.complained >= 60:  # noqa: PLR2004 - once a minute
            self.complained = now
            self.house.tell(
                "full",
                {
                    "guard": "ConnectionRate",
                    "option": "connect-rate-per-peer",
                    "limit": MOST_PEERS,
                    "reason": "newcomers are held to connect-rate alone until others are forgotten",
                },
            )
        return False


def _admit(whole: float, limit: Frequency, now: float) -> float | None:
    """When the allowance will be whole again after one more arrival, or None when there is no allowance left."""
    step = limit.period / limit.events
    later = max(whole, now) + step
    return None if later - now > limit.period * (1 + 1e-9) else later


def _observed(whole: float, limit: Frequency, now: float) -> float:
    """Arrivals a second that the refused one would have made of it."""
    step = limit.period / limit.events
    return (max(whole, now) + step - now) / step / limit.period
