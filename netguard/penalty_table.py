"""Who has misbehaved lately: scores that drain, penalties that grow, in a table that cannot be filled to empty it.

The table has two regions. *Suspects* have done something, and drain; when there are too many, those go whose last
misdeed is longest ago. *Offenders* have been penalised. They are remembered beyond the end of their penalty, so that
the next one is longer; a suspect never takes the place of one, and of two offenders the one with the longer penalty
stays. So to displace one who is penalised for long, many others have to be penalised for as long.

No clock and no connection is known here; a moment is in seconds.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from hashlib import blake2b
from heapq import nlargest
from math import inf

from attrs import define, frozen

from netguard.penalty_terms import Terms

SUSPECTS, OFFENDERS = 32_768, 16_384
"""Peers in each region: some 35 MiB when both are full of those who have tried many passwords."""
TOKENS = 32
"""Things of one peer that count once, such as passwords, that are remembered; then the oldest counts again."""
KINDS = 4
"""Kinds of misdeeds of one peer that are remembered for whom it may concern."""
_LONGEST_KIND = 40
_DIGEST = 8
_AT_A_TIME = 8
"""Suspects that are forgotten for each misdeed: more than one, so that the table shrinks, and never for long."""


@define(eq=False)
class Record:
    """What is remembered of one peer.

    Attributes:
        score: the weight of its misdeeds that had not drained, at the moment `at`.
        kinds: the last kinds of misdeeds, the latest last.
        tokens: digests of what counts once, one behind the other.
        times: how many penalties there were before this one; -1 for a suspect.
        until: when the penalty ends.
        peak: the score that led to it.
    """

    score: float = 0.0
    at: float = 0.0
    kinds: tuple[str, ...] = ()
    tokens: bytes = b""
    times: int = -1
    until: float = -inf
    peak: float = 0.0


@frozen
class Row:
    """One peer, for a person to read.

    Args:
        key: by what it is counted.
        score: the weight of its misdeeds that has not drained.
        left: seconds for which it is still refused; 0 for those who are not.
        times: how many penalties it has had.
        kinds: the last kinds of misdeeds, the latest last.
    """

    key: Hashable
    score: float
    left: float
    times: int
    kinds: tuple[str, ...]


class PenaltyTable:
    """The peers that have misbehaved lately.

    Args:
        terms: when a peer is penalised, and for how long.
        secret: random bytes, 16 to 64, that nobody else has: nothing that counts once can be guessed from its digest.
        suspects: the bound of that region.
        offenders: the bound of that region.

    Attributes:
        offenders: those who are, or have been, penalised, by key.
        forgotten: suspects that had to go before they had drained.
        displaced: offenders that had to go, or could not come, for others with penalties as long.
    """

    def __init__(self, terms: Terms, secret: bytes, *, suspects: int = SUSPECTS, offenders: int = OFFENDERS) -> None:
        self.terms = terms
        self._secret = secret
        self._most = (suspects, offenders)
        self._drain = terms.tolerated.period / terms.tolerated.events
        self._lengths = [terms.length(times) for times in range(terms.most_times + 1)]
        self._suspects: OrderedDict[Hashable, Record] = OrderedDict()
        self.offenders: dict[Hashable, Record] = {}
        # For each number of penalties, who has had so many; the one that is free first comes first.
        self._ranks: list[OrderedDict[Hashable, None]] = [OrderedDict() for _ in self._lengths]
        self.forgotten = self.displaced = 0

    def __len__(self) -> int:
        """How many peers are remembered."""
        return len(self._suspects) + len(self.offenders)

    def refused(self, key: Hashable, now: float) -> Record | None:
        """The record of a peer that is to be refused now, or None.

        Args:
            key: by what the peer is counted.
            now: the moment. If the clock was set back, nobody waits until it has caught up.
        """
        record = self.offenders.get(key)
        if record is not None and now < record.until <= now + self._lengths[record.times]:
            return record
        return None

    def began(self, record: Record) -> float:
        """When the penalty of an offender began."""
        return record.until - self._lengths[record.times]

    def add(self, key: Hashable, kind: str, weight: float, now: float, once: bytes | None = None) -> Record | None:
        """Write down a misdeed.

        Args:
            key: by what the peer is counted.
            kind: a word for it.
            weight: how bad it was; one is never worse than what leads to a penalty by itself. 0 and less is nothing.
            now: the moment.
            once: the same token from the same peer counts once, while the peer is remembered.

        Returns:
            The peer's record when a penalty begins with it.
        """
        self._tidy(now)
        if not weight > 0:
            return None
        record = self.offenders.get(key) or self._suspects.get(key) or Record()
        if once is not None and not self._is_news(record, once):
            return None
        record.score = self._left(record, now) + min(weight, self.terms.tolerated.events + 1.0)
        record.at = now
        kind = kind[:_LONGEST_KIND]
        if record.kinds[-1:] != (kind,):
            record.kinds = (*(each for each in record.kinds if each != kind), kind)[-KINDS:]
        if record.score > self.terms.tolerated.events and self._penalise(key, record, now):
            return record
        if record.times < 0:
            self._suspect(key, record, now)
        return None

    def impose(self, key: Hashable, kind: str, left: float, times: int, now: float) -> bool:
        """Write down a penalty that somebody else has given; one that ends later stays as it is.

        Args:
            key: by what the peer is counted.
            kind: a word for what it has done.
            left: seconds for which it is still to be refused; the longest that is possible here, if it is more.
            times: how many penalties there were before this one.
            now: the moment.

        Returns:
            Whether it holds now.
        """
        self._tidy(now)
        times = max(0, min(times, len(self._ranks) - 1))
        until = now + min(left, self._lengths[times])
        record = self.offenders.get(key) or self._suspects.get(key) or Record()
        if not now < until or (self.refused(key, now) is record and until <= record.until):
            return False
        times = max(times, record.times)
        if not self._hold(key, record, times, until, now):
            return False
        record.peak, record.score = record.peak or self.terms.tolerated.events + 1.0, 0.0
        record.kinds = record.kinds or (kind[:_LONGEST_KIND],)
        return True

    def _is_news(self, record: Record, once: bytes) -> bool:
        digest = blake2b(once, key=self._secret, digest_size=_DIGEST).digest()
        known = [record.tokens[at : at + _DIGEST] for at in range(0, len(record.tokens), _DIGEST)]
        news = digest not in known
        record.tokens = b"".join([*(each for each in known if each != digest), digest][-TOKENS:])
        return news

    def _left(self, record: Record, now: float) -> float:
        """What has not drained of a score."""
        return max(0.0, record.score - max(0.0, now - record.at) / self._drain)

    def _suspect(self, key: Hashable, record: Record, now: float) -> None:
        self._suspects[key] = record
        self._suspects.move_to_end(key)
        if len(self._suspects) > self._most[0]:
            _, oldest = self._suspects.popitem(last=False)
            self.forgotten += self._left(oldest, now) > 0

    # penalties

    def _penalise(self, key: Hashable, record: Record, now: float) -> bool:
        """Begin a penalty, unless all places are taken by longer ones."""
        times = 0
        if record.times >= 0:
            good = max(0.0, now - record.until)
            times = max(0, min(record.times + 1, len(self._ranks) - 1) - int(good // self.terms.longest))
        if not self._hold(key, record, times, now + self._lengths[times], now):
            return False
        record.peak, record.score = record.score, 0.0  # it is paid for with the penalty
        return True

    def _hold(self, key: Hashable, record: Record, times: int, until: float, now: float) -> bool:
        """Let a penalty hold, unless all places are taken by longer ones."""
        if record.times >= 0:
            self._release(key)
        elif len(self.offenders) >= self._most[1] and not self._make_room(now):
            self.displaced += 1
            return False
        self._suspects.pop(key, None)
        record.times, record.until = times, until
        self.offenders[key] = record
        self._ranks[times][key] = None
        return True

    def _make_room(self, now: float) -> bool:
        """Forget an offender for one who is penalised the first time: one that is free, or has no longer penalty."""
        firsts = [next(iter(rank)) for rank in self._ranks if rank]
        free = next((key for key in firsts if self.refused(key, now) is None), None)
        if free is None:
            if not self._ranks[0]:
                return False
            free = firsts[0]
            self.displaced += 1
        self._release(free)
        return True

    def _release(self, key: Hashable) -> None:
        record = self.offenders.pop(key)
        del self._ranks[record.times][key]

    def _tidy(self, now: float) -> None:
        """Forget who counts no more, those longest unseen first, a few at a time."""
        for _ in range(_AT_A_TIME):
            key, record = next(iter(self._suspects.items()), (None, None))
            if record is None or 0 <= now - record.at < record.score * self._drain:
                break
            del self._suspects[key]
        for rank in self._ranks:
            key = next(iter(rank), None)
            if key is not None and self._is_forgiven(self.offenders[key], now):
                self._release(key)

    def _is_forgiven(self, record: Record, now: float) -> bool:
        """Whether the next penalty would be as the first; or the clock was set back, and nobody can tell."""
        good = now - record.until
        return good >= (record.times + 1) * self.terms.longest or good < -self._lengths[record.times]

    # for the operator

    def rows(self, now: float, most: int | None = None) -> list[Row]:
        """The peers, those first who are refused for longest, then those with the highest scores.

        Args:
            now: the moment.
            most: so many of them; None for all.
        """
        everybody = [*self.offenders.items(), *self._suspects.items()]
        rows = [self._row(key, record, now) for key, record in everybody]
        return nlargest(len(rows) if most is None else most, rows, key=lambda row: (row.left, row.times, row.score))

    def _row(self, key: Hashable, record: Record, now: float) -> Row:
        left = record.until - now if self.refused(key, now) is not None else 0.0
        return Row(key, self._left(record, now), left, record.times + 1, record.kinds)

    def clear(self, key: Hashable) -> bool:
        """Forget a peer, whatever it has done; whether there was something to forget."""
        if key in self.offenders:
            self._release(key)
            return True
        return self._suspects.pop(key, None) is not None

    def clear_all(self) -> int:
        """Forget everybody; say how many that were."""
        count = len(self)
        self._suspects.clear()
        self.offenders.clear()
        for rank in self._ranks:
            rank.clear()
        return count
