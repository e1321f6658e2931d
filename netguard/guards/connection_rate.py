"""How fast connections may come: from all peers together, and from one."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial
from itertools import islice
from math import inf
from typing import Any

from netguard.elsewhere.arrivals import ArrivalsTally
from netguard.errors import ConnectingTooFast, PeerConnectingTooFast, Reason
from netguard.guard import Connection, Gate, Guard, House, Newcomer, Stages, frozen
from netguard.options import option
from netguard.packed import Packed
from netguard.peer import PREFIX_HELP
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
        self.settable(house, "total", arrivals.allow)
        self.settable(house, "per_peer", arrivals.allow_one)
        if self.per_peer:
            house.tallies.append(ArrivalsTally(arrivals))
        if self.total:
            house.totals.append(partial(share, arrivals))
        return Stages(Gate(arrivals.are_many) if self.total else None, Gate(arrivals.are_many_of_one, arrivals.come))


class Arrivals:
    """When each allowance will be whole again: the generic cell rate algorithm (ITU-T I.371), one number a peer.

    Args:
        limit: the guard.
        house: the service's clock and voice.
    """

    def __init__(self, limit: ConnectionRate, house: House) -> None:
        self.limit = limit
        self.allow(limit.total)
        self.allow_one(limit.per_peer)
        self.prefix = limit.prefix
        self.house = house
        self.total = 0.0
        self.peers: OrderedDict[Packed, float] = OrderedDict()
        self.complained = -inf
        self.fresh: dict[Packed, int] | None = None  # who has come since others were told; None while nobody is

    def allow(self, limit: Frequency | None) -> None:
        """From now on, so many may arrive in all."""
        self.all, self.too_fast = Allowance(limit), _refusal(ConnectingTooFast, limit)

    def allow_one(self, limit: Frequency | None) -> None:
        """From now on, so many may arrive from one peer."""
        self.one, self.one_too_fast = Allowance(limit), _refusal(PeerConnectingTooFast, limit)

    def are_many(self, newcomer: Newcomer) -> Reason | None:
        """Whether nothing is left for all. Nothing is used up before it is known who the peer is."""
        now = newcomer.now
        return None if self.total <= now or self.all.is_left(self.total, now) else self.too_fast

    def are_many_of_one(self, newcomer: Newcomer) -> Reason | None:
        """Whether nothing is left for all, or for this peer."""
        now = newcomer.now
        if self.total > now and not self.all.is_left(self.total, now):
            return self.too_fast
        whole = self.peers.get(newcomer.key(self.prefix), now)
        return None if whole <= now or self.one.is_left(whole, now) else self.one_too_fast

    def come(self, connection: Connection) -> None:
        """Use up what is allowed, of either limit; nothing where somebody who observes would have refused."""
        now = connection.now
        key = None if self.limit.per_peer is None else connection.key(self.prefix)
        known = self.peers.get(key)
        one, every = self.one, self.all
        peer = now + one.step if known is None or known <= now else one.after_one_more(known, now)
        total = now + every.step if self.total <= now else every.after_one_more(self.total, now)
        if inf in (peer, total):
            return
        self.total = total
        if known is not None:
            self.peers.move_to_end(key)
        if known is not None or (key is not None and self.room(now)):
            self.peers[key] = peer
            if self.fresh is not None:
                self.fresh[key] = self.fresh.get(key, 0) + 1

    def came_elsewhere(self, key: Packed, times: int) -> None:
        """Use up what is allowed to a peer, for what it has done on another machine."""
        now = self.house.reactor.seconds()
        if key in self.peers or self.room(now):
            self.peers[key] = self.one.after_others(self.peers.get(key, now), now, times)
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


class SharedArrivals(Arrivals):
    """The same for a service of several processes: the moment at which all is whole again is in memory of theirs."""

    column: Any

    @property
    def total(self) -> float:
        """That moment."""
        return float(self.column.moment)

    @total.setter
    def total(self, moment: float) -> None:
        self.column.moment = moment


def share(arrivals: Arrivals, column: Any) -> None:
    """Let the total be used up together with other processes; alone, a service pays nothing for that.

    Args:
        arrivals: one's own.
        column: the moment that all share (:class:`netguard.workers.totals.Column`).
    """
    del arrivals.total
    arrivals.__class__ = SharedArrivals
    vars(arrivals)["column"] = column


class Allowance:
    """How much of a limit is left, told by the moment at which it will be whole again.

    Args:
        limit: the limit; of None, nothing is ever used up.
    """

    def __init__(self, limit: Frequency | None) -> None:
        period, events = (0.0, 1) if limit is None else (limit.period, limit.events)
        self.step = period / events
        self.room = period - self.step * 0.99  # a hundredth for what floating-point numbers lose
        # No moment lies further ahead than a period, unless the clock was set back: then nobody is to wait for it.
        self.furthest = period * 2

    def is_whole(self, whole: float, now: float) -> bool:
        """Whether nothing of it is used up now."""
        return not now < whole <= now + self.furthest

    def is_left(self, whole: float, now: float) -> bool:
        """Whether one more may arrive."""
        return not self.room < whole - now <= self.furthest

    def after_one_more(self, whole: float, now: float) -> float:
        """When it will be whole again after one more arrival; never, when nothing of it is left."""
        used = whole - now
        if not 0 < used <= self.furthest:
            return now + self.step
        return inf if used > self.room else whole + self.step

    def after_others(self, whole: float, now: float, times: int) -> float:
        """When it will be whole again after arrivals that nobody here could refuse: in a period at the latest."""
        used = whole - now
        return now + min((used if 0 < used <= self.furthest else 0.0) + self.step * times, self.furthest / 2)


def _refusal(kind: type[Reason], limit: Frequency | None) -> Reason:
    return kind(limit, limit and Frequency(limit.events + 1, limit.period))
