"""Refusing, for a while, peers that misbehave."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from math import ceil, inf
from typing import cast

import attrs

from netguard.elsewhere.penalties import PenaltiesTally
from netguard.errors import OptionError, Penalised
from netguard.guard import Connection, Gate, Guard, House, Misdeed, Newcomer, Opener, frozen
from netguard.networks import Networks, networks
from netguard.options import option
from netguard.packed import Packed, pack, peer_key, unpacked
from netguard.peer import PREFIX_HELP
from netguard.penalty_table import OFFENDERS, PenaltyTable, Record, Row
from netguard.penalty_terms import Terms
from netguard.units import Frequency, Prefix, duration, frequency, prefix

_LOCAL = "127.0.0.1,::1"
_IPV4 = 4


@frozen
class Penalties(Guard):
    """Refuse, for a while, a peer that keeps misbehaving, such as one that guesses passwords.

    Applications report misdeeds (:func:`netguard.misdeed`), and so does every cut for a cause; a failed login weighs 1.
    What a peer has done drains evenly. Who has too much of it is refused, longer each time; an event ``penalised`` says
    so once. Connections that it has already stay. Its table (:mod:`netguard.penalty_table`) is bounded.

    Args:
        penalty: the weight of misdeeds that is tolerated in a period.
        shortest: seconds of a first penalty; each further one is twice as long.
        longest: seconds of a penalty at most; as long a time without one takes a doubling back.
        exempt: networks whose misdeeds do not count: those behind which many honest peers are, such as a proxy that
            does not tell its peers apart.
        prefix: how many bits of an address make one peer. Peers without an address (UNIX sockets) are never penalised.

    Raises:
        OptionError: the longest penalty is shorter than the shortest.
    """

    penalty: Frequency = option(
        "penalty",
        frequency,
        "Refuse a peer for a while when its misdeeds weigh more than this (a failed login weighs 1; see peer-prefix).",
        defaults={"pop": "10/10m"},
    )
    shortest: float = option(
        "penalty-for", duration, "How long a peer is refused; each further time twice as long.", default=60.0
    )
    longest: float = option("penalty-most", duration, "How long a peer is refused at most.", default=3600.0)
    exempt: Networks | None = option(
        "penalty-exempt",
        networks,
        "Networks whose misdeeds do not count, such as a gateway or a proxy with many honest peers behind it.",
        default=None,
        defaults={"guard": _LOCAL, "pop": _LOCAL},
        refines=True,
    )
    prefix: Prefix = option("peer-prefix", prefix, PREFIX_HELP, default=Prefix())

    def __attrs_post_init__(self) -> None:
        """Refuse what contradicts itself."""
        super().__attrs_post_init__()
        if self.longest < self.shortest:
            most, least = duration.text(self.longest), duration.text(self.shortest)
            raise OptionError(f"option penalty-most: {most} is less than the {least} of penalty-for")

    def install(self, house: House) -> Opener:
        """Begin to hear of misdeeds."""
        keeper = Keeper(self, house)
        house.when_misdeed(keeper.hear)
        house.penalties.append(Ledger(keeper.table, self.prefix, house, keeper.pardoned))
        house.tallies.append(PenaltiesTally(keeper))
        return Gate(keeper.has_against)


class Keeper:
    """Writes misdeeds down, and turns away who has too many.

    Args:
        limit: the guard.
        house: the service's clock and voice.
    """

    def __init__(self, limit: Penalties, house: House) -> None:
        self.limit = limit
        self.house = house
        self.table = PenaltyTable(Terms(limit.penalty, limit.shortest, limit.longest), os.urandom(32))
        self.complained = -inf
        self.fresh: dict[Packed, Record | None] | None = None  # whom others are to hear of; None while nobody is

    def has_against(self, newcomer: Newcomer) -> Penalised | None:
        """The penalty for which a newcomer is refused, or None."""
        if not self.table.offenders:
            return None
        now = newcomer.now
        record = self.table.refused(newcomer.key(self.limit.prefix), now)
        if record is None:
            return None
        observed = in_period(ceil(record.peak), self.limit.penalty.period)
        return Penalised(self.limit.penalty, observed, record.until - now)

    def hear(self, connection: Connection, misdeed: Misdeed) -> None:
        """Write down a misdeed; say so when a penalty begins with it."""
        host, limit, table = connection.host, self.limit, self.table
        if host is None or (limit.exempt is not None and limit.exempt.contains(connection.packed)):
            return
        key, now = connection.key(limit.prefix), connection.now
        if limit.observe:
            # Who would have been refused could not have done this.
            running = table.refused(key, now)
            if running is not None and now - connection.age >= table.began(running):
                return
        lost = table.forgotten + table.displaced
        record = table.add(key, misdeed.kind, misdeed.weight, now, misdeed.once)
        if record is not None:
            self.tell(host, key, record, now)
            if not limit.observe:
                self.note(key, record)
        if table.forgotten + table.displaced > lost:
            self.complain(now)

    def tell(self, host: str, key: Packed, record: Record, now: float) -> None:
        """A penalty begins."""
        limit = self.limit
        about: dict[str, object] = {"client.address": host, "guard": "Penalties", "option": "penalty"}
        about["limit"] = frequency.text(limit.penalty)
        about["observed"] = frequency.text(in_period(ceil(record.peak), limit.penalty.period))
        about |= {"duration": round(record.until - now, 3), "times": record.times + 1}
        if limit.observe:
            about["observe"] = True
        about |= {"peer": name_of(key, limit.prefix), "kinds": ",".join(record.kinds)}
        self.house.tell("penalised", about)

    def now(self) -> float:
        """The present moment."""
        return self.house.reactor.seconds()

    def note(self, key: Packed, record: Record | None) -> None:
        """Other machines are to hear of a penalty, or that it was taken back."""
        if self.fresh is not None and len(self.fresh) < OFFENDERS:
            self.fresh[key] = record

    def pardoned(self, key: Packed) -> None:
        """An operator has forgotten what a peer did; that is told to others, too."""
        self.note(key, None)

    def complain(self, now: float) -> None:
        """The table is full; said once a minute."""
        if not 0 <= now - self.complained < 60:  # noqa: PLR2004 - once a minute
            self.complained = now
            about = {"guard": "Penalties", "option": "penalty", "limit": len(self.table)}
            why = "who misbehaved longest ago is forgotten, or who is refused for least, if others are as well"
            self.house.tell("full", {**about, "reason": why})


@attrs.frozen
class Ledger:
    """What an operator sees of the table, and may do to it.

    Args:
        table: the table.
        prefix: how many bits make one peer.
        house: the service's clock.
        pardoned: is told by what each peer is counted that was forgotten.
    """

    table: PenaltyTable
    prefix: Prefix
    house: House
    pardoned: Callable[[Packed], object]

    def rows(self, most: int | None = None) -> list[Row]:
        """Who has misbehaved lately, those first who are refused for longest; their keys are texts.

        Args:
            most: so many of them; None for all.
        """
        rows = self.table.rows(self.house.reactor.seconds(), most)
        return [attrs.evolve(each, key=name_of(each.key, self.prefix)) for each in rows]

    def clear(self, peer: str | None = None) -> int:
        """Forget what a peer has done, and end its penalty.

        Args:
            peer: an address, or a key as :meth:`rows` has it; None for everybody.

        Returns:
            How many peers were forgotten.
        """
        if peer is None:
            for each in self.table.offenders:
                self.pardoned(cast("Packed", each))
            return self.table.clear_all()
        key = peer_key(pack(peer.strip().partition("/")[0]), self.prefix)
        self.pardoned(key)
        return int(self.table.clear(key))


@lru_cache(maxsize=64)  # most penalties of a service are for the same, and floods are refused for them
def in_period(weight: int, period: float) -> Frequency:
    """What a penalty was for, in the unit of its limit."""
    return Frequency(weight, period)


def name_of(key: object, prefix: Prefix) -> str:
    """What a person calls a peer: its address, or the network that is one peer.

    Args:
        key: by what it is counted; see :func:`netguard.packed.peer_key`.
        prefix: how many bits make one peer.
    """
    if not isinstance(key, bytes):
        return str(key)
    bits = prefix.ipv4 if len(key) == _IPV4 else prefix.ipv6
    return unpacked(key) if bits == 8 * len(key) else f"{unpacked(key)}/{bits}"
