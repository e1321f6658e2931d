"""The contract between a machine and the ledger, the place where machines leave each other news.

A ledger keeps, for each machine, its last news and one state, and forgets all of it when the machine has been silent
for its lease. It orders the news of a machine by *positions*, texts that mean something to the ledger only. It needs no
clock that agrees with anybody's, and nothing it says is believed to be in order: see :mod:`netguard.fleet.entries`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from attrs import field, frozen
from twisted.internet.defer import Deferred

BEGINNING = "0-0"
"""The position before all news."""

MACHINES = 32
"""Other machines that are listened to."""
AT_ONCE = 2
"""News of one machine, and states of machines, that are read in one exchange."""
KEPT = 64
"""News of one machine that a ledger keeps."""
LONGEST = 1024 * 1024
"""Octets of one state or news."""
MOST = 16 * 1024 * 1024
"""Octets of all that is read in one exchange: more than as many machines as there may be say at their busiest."""


class LedgerError(Exception):
    """The ledger cannot be used now; the text is one line that says why, and has no secret in it."""


@frozen
class Letter:
    """What a machine tells the ledger, and asks it, in one exchange.

    Args:
        machine: its name.
        lease: seconds after which it is forgotten, unless it has said more.
        state: what is so there, for those who come; None when the last one still does.
        news: what has happened there; None for nothing. It renews the lease.
        leaving: whether this is its last.
        follow: machines, each with the position behind which its news are wanted.
        learn: machines whose states are wanted.
        gone: machines that have been silent for too long.
    """

    machine: str
    lease: float
    state: bytes | None = None
    news: bytes | None = None
    leaving: bool = False
    follow: Mapping[str, str] = field(factory=dict)
    learn: Sequence[str] = ()
    gone: Sequence[str] = ()


@frozen
class Answer:
    """What the ledger answers.

    Args:
        machines: some of those that are there, or all; the one that asks may be among them.
        position: that of the news that were told; None when there were none.
        news: by machine, each with its position, the oldest first; at most :data:`AT_ONCE`.
        states: by machine, as far as there are any.
    """

    machines: Sequence[str]
    position: str | None = None
    news: Mapping[str, Sequence[tuple[str, bytes]]] = field(factory=dict)
    states: Mapping[str, bytes] = field(factory=dict)


class Engine(Protocol):
    """An engine.

    Attributes:
        name: where it is, for a person; without a secret.
    """

    name: str

    def exchange(self, letter: Letter) -> Deferred[Answer]:
        """Tell and ask, in one round trip; connect before, if need be. One exchange is under way at a time.

        Args:
            letter: what.

        Returns:
            The answer, or LedgerError.
        """

    def close(self) -> None:
        """Let go of the connection, if there is one; what is under way fails."""
