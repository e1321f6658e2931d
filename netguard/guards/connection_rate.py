"""How fast connections may come: from all peers together, and from one."""

from __future__ import annotations

from collections import OrderedDict
from itertools import islice
from math import inf

from netguard.errors import ConnectingTooFast, PeerConnectingTooFast, Reason
from netguard.guard import Connection, Guard, House, Stages, frozen
from netguard.options import option
from netguard.peer import PREFIX_HELP, peer_key
from netguard.units import Frequency, Prefix, frequency, prefix

MOST_PEERS = 65536
"""Peers that are remembered at a time, as many as OpenSSH's PerSourcePenalties has."""
_AT_A_TIME = 8
"""Peers that are forgotten for each one that comes: more than one, so that the table shrinks, and never for long."""


@frozen
class ConnectionRate(Guard):
    """Refuse connections that come too fast. A refused one uses up no allowance: the limit recovers by itself.

    A peer is remembered until its allowance is whole again, for one period at most. When as many are as may be
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

    def install(self, house: House) -> Stages:
        """Begin to count: sockets in all, and the peers that are behind them."""
        arrivals = Arrivals(self, house)
        return Stages(arrivals.arrive if self.total else None, arrivals.open)


class Arrivals:
    """When each allowance will be whole again: the generic cell rate algorithm (ITU-T I.371), one number a peer.

    Args:
        limit: the guard.
        house: the service's clock and voice.
    """

    def __init__(self, limit: ConnectionRate, house: House) -> None:
        self.limit = limit
        self.all, self.one = Allowance(limit.total), Allowance(limit.per_peer)
        self.house = house
        self.total = 0.0
        self.peers: OrderedDict[object, float] = OrderedDict()
        self.complained = -inf

    def arrive(self, connection: Connection) -> None:
        """Refuse a socket when nothing is left for all; it uses nothing up before its peer is known."""
        if self.all.after_one_more(self.total, self.house.reactor.seconds()) == inf:
            connection.refuse(_refusal(ConnectingTooFast, self.limit.total))

    def open(self, connection: Connection) -> None:
        """Let the newcomer pass, or refuse it. Only one that passes uses up what is allowed, of either limit."""
        limit, host, now = self.limit, connection.host, self.house.reactor.seconds()
        key = None if limit.per_peer is None or host is None else peer_key(host, limit.prefix)
        peer = self.one.after_one_more(self.peers.get(key, now), now)
        total = self.all.after_one_more(self.total, now)
        if total == inf:
            connection.refuse(_refusal(ConnectingTooFast, limit.total))
        elif peer == inf:
            connection.refuse(_refusal(PeerConnectingTooFast, limit.per_peer))
        else:
            self.total = total
            if key is not None and (key in self.peers or self.room(now)):
                self.peers[key] = peer
                self.peers.move_to_end(key)

    def room(self, now: float) -> bool:
        """Forget who is whole again, those longest unseen first, a few at a time; say so when there is no room."""
        for whole in [*islice(self.peers.values(), _AT_A_TIME)]:
            if not self.one.is_whole(whole, now):
                break
            self.peers.popitem(last=False)
        if len(self.peers) < MOST_PEERS:
            return True
        if not 0 <= now - self.complained < 60:  # noqa: PLR2004 - once a minute
            self.complained = now
            about = {"guard": "ConnectionRate", "option": "connect-rate-per-peer", "limit": MOST_PEERS}
            why = "newcomers are held to connect-rate alone until others are forgotten"
            self.house.tell("full", {**about, "reason": why})
        return False


class Allowance:
    """How much of a limit is left, told by the moment at which it will be whole again.

    Args:
        limit: the limit; of None, nothing is ever used up.
    """

    def __init__(self, limit: Frequency | None) -> None:
        period, events = (0.0, 1) if limit is None else (limit.period, limit.events)
        self.step = period / events
        self.most = period + self.step / 100
        # No moment lies further ahead than a period, unless the clock was set back: then nobody is to wait for it.
        self.furthest = period * 2

    def is_whole(self, whole: float, now: float) -> bool:
        """Whether nothing of it is used up now."""
        return not now < whole <= now + self.furthest

    def after_one_more(self, whole: float, now: float) -> float:
        """When it will be whole again after one more arrival; never, when nothing of it is left."""
        later = (whole if now < whole <= now + self.furthest else now) + self.step
        return later if later <= now + self.most else inf


def _refusal(kind: type[Reason], limit: Frequency | None) -> Reason:
    return kind(limit, limit and Frequency(limit.events + 1, limit.period))
