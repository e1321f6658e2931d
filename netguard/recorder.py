"""Takes down what a guard asks of a connection, for all connections of which it would ask the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netguard import plan
from netguard.taps import EVERY, Look, Whole

if TYPE_CHECKING:
    from netguard.plan import Do, Memory, Plan


class NotAlikeError(Exception):
    """The guard asked for more than a recorder can tell it."""


class Recorder:
    """Stands for every connection: takes marks and deadlines, and knows nothing else."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory
        self.plan: Plan = plan.EMPTY
        self.ends: tuple[Do, ...] = ()
        self.settlers: tuple[Do, ...] = ()
        self.looks: tuple[tuple[Look, Whole], ...] = ()

    def after(self, seconds: float, do: Do) -> None:
        """As :meth:`netguard.connection.Connection.after`."""
        self._watch(plan.age, seconds, do)

    def when_silent(self, seconds: float, do: Do) -> None:
        """As :meth:`netguard.connection.Connection.when_silent`."""
        self._watch(plan.silence, seconds, do)

    def when_stalled(self, seconds: float, do: Do) -> None:
        """As :meth:`netguard.connection.Connection.when_stalled`."""
        self._watch(plan.stall, seconds, do)

    def when_received(self, count: int, do: Do) -> None:
        """As :meth:`netguard.connection.Connection.when_received`."""
        self._watch(plan.received, count, do)

    def when_sent(self, count: int, do: Do, *, held: bool = False) -> None:
        """As :meth:`netguard.connection.Connection.when_sent`."""
        self._watch(plan.written if held else plan.sent, count, do)

    def settled(self, do: Do) -> None:
        """As :meth:`netguard.connection.Connection.settled`."""
        self.settlers = (*self.settlers, do)

    def at_end(self, do: Do) -> None:
        """As :meth:`netguard.connection.Connection.at_end`."""
        self.ends = (*self.ends, do)

    def tap(self, look: Look, unless: Whole = EVERY) -> None:
        """As :meth:`netguard.connection.Connection.tap`."""
        self.looks = (*self.looks, (look, unless))

    def _watch(self, when: plan.When, limit: float, do: Do) -> None:
        self.plan = self.memory.extend(self.plan, when, limit, do)

    def __getattr__(self, name: str) -> Any:
        """Every fact, and every verb that acts, is one connection's own."""
        raise NotAlikeError(name)
