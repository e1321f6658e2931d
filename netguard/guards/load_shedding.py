"""Doing less for newcomers while there is too much to do."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import inf
from random import random
from typing import Any

from netguard.errors import OptionError, Reason, Shedding, TooManyPending
from netguard.guard import Connection, Gate, Guard, House, Newcomer, Stages, frozen
from netguard.load.gradient import Gradient, Steady
from netguard.load.signals import KEEP
from netguard.load.thresholds import Alarm, Condition, Thresholds, thresholds
from netguard.networks import Networks, networks
from netguard.options import option
from netguard.units import Unit, adaptive

WHO = "LoadShedding"
REFUSE, PAUSE, TIGHTEN = ACTIONS = ("refuse", "pause", "tighten")
TIGHTER = 0.1
"""The time limits of peers that are not settled shrink to this part of themselves, as in Postfix's stress mode."""


def _parse_actions(value: Any) -> tuple[str, ...]:
    parts: Iterable[Any] = [value] if isinstance(value, str) else value
    words = {word.strip().lower() for part in parts for word in part.split(",")}
    if not words or not words <= set(ACTIONS):
        raise ValueError(value)
    return tuple(word for word in ACTIONS if word in words)


actions = Unit("actions", "refuse, pause, tighten or several of them", _parse_actions, ",".join, many=True)


@frozen
class LoadShedding(Guard):
    """Turn newcomers away, let them wait, or hurry them while the service is overloaded; it recovers by itself.

    Each signal has its own threshold. It sheds above it, until it has been below 80 % of it for five seconds. What the
    signals are, :class:`netguard.load.signals.Signals` says; one that cannot be read here says so once, with an event
    ``unreadable``, and sheds nothing. Events ``shedding`` and ``recovered`` tell the beginning and the end.

    Args:
        shed: signals and their thresholds.
        by: ``refuse`` newcomers; ``pause``, that is accept nobody, so that they wait in the kernel's queue, and refuse
            where no port can do that; ``tighten``, that is leave peers that are not settled a tenth of their time.
        exempt: networks that are never refused here, such as those of health checks.
        limit: how many peers may be on their way to being settled at a time: a number, or ``adaptive`` for one that
            follows from how fast they are (:class:`netguard.load.gradient.Gradient`).

    Raises:
        OptionError: ``exempt`` together with ``pause``, or ``by`` without ``shed``.
    """

    shed: Thresholds | None = option(
        "shed",
        thresholds,
        "Shed load while one of these signals is above its threshold.",
        default=None,
        defaults={"pop": "lag>1s,fds>90%"},
    )
    by: tuple[str, ...] = option(
        "shed-by",
        actions,
        "How load is shed: newcomers are refused, or left in the kernel's queue (pause), or peers that are not past "
        "their login have a tenth of their time (tighten).",
        default=(REFUSE,),
    )
    exempt: Networks | None = option(
        "exempt", networks, "Networks that are served all the same, such as those of health checks.", default=None,
        refines=True,
    )  # fmt: skip
    limit: int | str | None = option(
        "shed-limit",
        adaptive,
        "Refuse a connection when this many peers are not yet past their login; adaptive finds the number by itself.",
        default=None,
    )

    def __attrs_post_init__(self) -> None:
        """Refuse what contradicts itself."""
        super().__attrs_post_init__()
        if self.exempt is not None and PAUSE in self.by:
            raise OptionError(
                "option exempt cannot be honoured with shed-by pause: the kernel's queue holds everybody; "
                "shed by refuse or tighten, or exempt nobody"
            )
        if self.shed is None and self.by != (REFUSE,):
            raise OptionError("option shed-by has no effect without option shed")

    def install(self, house: House) -> Stages:
        """Begin to look at the signals, and to count. Where nobody is exempt, it need not be known who comes."""
        door = Door(self, house)
        if self.exempt is not None:
            return Stages(peer=door.gate(door.closed))
        strained = None if door.strain is None else Gate(door.strain.refuses)
        return Stages(strained, door.gate(door.crowded) if self.limit else None)


class Door:
    """Where newcomers are let in or not.

    Args:
        guard: the guard.
        house: the service.
    """

    def __init__(self, guard: LoadShedding, house: House) -> None:
        self.house = house
        self.exempt = guard.exempt or Networks()
        self.strain = None if guard.shed is None else Strain(guard, guard.shed, house)
        self.counts = guard.limit is not None
        self.pending = Gradient(random) if isinstance(guard.limit, str) else Steady(guard.limit or 0)
        self.spared: set[int] = set()  # who came without being counted, for few do

    def gate(self, why: Callable[[Any], Reason | None]) -> Gate:
        """What asks for a reason, and counts who is on the way if there is a limit to that."""
        return Gate(why, self.count, settle=self.settle, leave=self.leave) if self.counts else Gate(why)

    def crowded(self, newcomer: Newcomer) -> TooManyPending | None:
        """Whether as many are on their way as may be."""
        full = self.pending.is_full(newcomer.now)
        return TooManyPending(self.pending.limit, self.pending.pending + 1) if full else None

    def closed(self, newcomer: Newcomer) -> Reason | None:
        """Either of these, for peers that are not exempt."""
        reason: Reason | None = None if self.strain is None else self.strain.refuses(newcomer)
        if reason is None and self.counts:
            reason = self.crowded(newcomer)
        return None if reason is None or self.exempt.contains(newcomer.packed) else reason

    def count(self, connection: Connection) -> None:
        """Count a newcomer among those who are on their way."""
        if self.exempt.contains(connection.packed) or not self.pending.come(connection.now):
            self.spared.add(connection.number)

    def settle(self, connection: Connection) -> None:
        """One has arrived."""
        if connection.number not in self.spared:
            self.pending.settle(connection.now, connection.age)

    def leave(self, connection: Connection) -> None:
        """One is gone; if it had arrived before, that changes nothing."""
        if connection.number in self.spared:
            self.spared.remove(connection.number)
        elif connection.settled_at is None:
            self.pending.leave(connection.now)


class Strain:
    """Whether the service is overloaded, and what is done about it.

    Args:
        guard: the guard.
        shed: its thresholds.
        house: the service.
    """

    def __init__(self, guard: LoadShedding, shed: Thresholds, house: House) -> None:
        self.guard = guard
        self.house = house
        self.alarms = [Alarm(each) for each in shed.conditions]
        self.unreadable: set[Condition] = set()
        self.by: tuple[str, ...] = ()
        self.reason: Shedding | None = None
        self.looked = -inf
        # Connections come thousands a second: of them alone, what was seen a moment ago is not good enough.
        self.crowd = next((each for each in self.alarms if each.condition.signal == "connections"), None)
        self.room = inf
        house.each_tick(self.look)

    def refuses(self, newcomer: Newcomer) -> Shedding | None:
        """Why newcomers are refused, by figures no older than a tick; None when they are not."""
        now = newcomer.now
        self.room -= 1
        if self.room < 0 or not 0 <= now - self.looked < KEEP:
            self.look(now)
        return self.reason

    def look(self, now: float) -> bool:
        """Look at the signals; say whether to look again in any case, so that shedding ends when nobody comes."""
        self.looked = now
        changed = [each for each in self.alarms if each.look(now, self.read(each.condition))]
        if self.crowd is not None:
            room = self.crowd.condition.limit - (self.crowd.figure or 0.0)
            self.room = inf if self.crowd.on else room / self.house.sharers
        high = next((each for each in self.alarms if each.on), None)
        if bool(self.by) != bool(high):
            self.act(strained=bool(high))
        self.reason = None
        if high is not None and REFUSE in self.by:
            self.reason = Shedding(str(high.condition), high.condition.reading(high.observed))
        for alarm in changed:
            self.tell("shedding" if alarm.on else "recovered", alarm.condition, alarm.figure)
        return bool(high)

    def read(self, condition: Condition) -> float | None:
        """The figure for a condition; if there is none, say so once."""
        figure: float | None = self.house.signals.read(condition.signal)
        if figure is None and condition not in self.unreadable:
            self.unreadable.add(condition)
            self.tell("unreadable", condition, None)
        return figure

    def act(self, *, strained: bool) -> None:
        """Begin to shed, or end it. Who only observes says that it would, and does nothing."""
        by = self.guard.by if strained else ()
        if not self.guard.observe:
            if PAUSE in self.guard.by:
                if not strained:
                    self.house.resume_accepting(WHO)
                elif not self.house.pause_accepting(WHO):
                    by = tuple(dict.fromkeys((REFUSE, *(each for each in by if each != PAUSE))))
            if TIGHTEN in self.guard.by:
                self.house.tighten(TIGHTER if strained else 1.0)
            self.house.strained = REFUSE in by
        self.by = by

    def tell(self, name: str, condition: Condition, figure: float | None) -> None:
        """Tell an event about a condition."""
        fields: dict[str, object] = {"guard": WHO, "option": "shed", "signal": condition.word}
        fields["limit"] = condition.reading(condition.limit)
        if figure is not None:
            fields["observed"] = condition.reading(figure)
        if name == "shedding":
            fields["by"] = "observe" if self.guard.observe else ",".join(self.by)
            if PAUSE in self.guard.by and not self.guard.observe and PAUSE not in self.by:
                fields["reason"] = "no port of this service can pause, so newcomers are refused"
        self.house.tell(name, fields)
