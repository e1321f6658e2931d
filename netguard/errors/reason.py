"""What every reason to refuse or to cut a connection has: its numbers, and the option that would change it."""

from __future__ import annotations

from typing import ClassVar

from twisted.internet.error import ConnectionAborted

from netguard import units

ORDINARY, SLIGHT = 1.0, 0.5
"""Weights of what a peer was cut for: what no honest peer does, and what a broken network can do to one."""


class Reason(ConnectionAborted):
    """Why a connection was refused or cut.

    Args:
        limit: the limit that decided, in the unit of the option.
        observed: what was seen, in the same unit.
    """

    guard: ClassVar[str] = ""
    option: ClassVar[str] = ""
    summary: ClassVar[str] = "ended by netguard"
    unit: ClassVar[units.Unit] = units.count
    weight: ClassVar[float] = 0.0
    """How much of a misdeed it is to be cut for this (a failed login is 1): nothing where honest peers come to it by
    themselves, such as by falling idle, and half where a broken network can be the cause; see
    :class:`netguard.guards.penalties.Penalties`."""

    def __init__(self, limit: object = None, observed: object = None) -> None:
        if isinstance(observed, float):
            observed = round(observed, 3)  # nobody needs microseconds in a log, and the clock is coarser than this
        if isinstance(limit, float):
            limit = round(limit, 6)  # it may be a tenth of what was asked for, which is not always a round number
        super().__init__(limit, observed)
        self.limit = limit
        self.observed = observed

    def __str__(self) -> str:
        """Say what happened, the limit, what was observed, and which option changes it."""
        parts = [self.summary]
        if self.observed is not None:
            parts.append(f"observed {self.unit.text(self.observed)}")
        if self.limit is not None:
            parts.append(f"limit {self.unit.text(self.limit)}")
        if self.option:
            parts.append(f"option {self.option}")
        return ", ".join(parts)
