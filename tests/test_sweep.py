"""Tests for netguard.sweep."""

from __future__ import annotations

from typing import Any, cast

import pytest
from twisted.internet.task import Clock

from netguard.errors import Expelled
from netguard.sampler import Sampler
from netguard.service import Service
from netguard.sweep import Sweep


class Meter:
    """What is swept."""

    due = 0.0
    sent = taken = received = noticed = 0

    def __init__(self, *, broken: bool = False) -> None:
        self.connection = self
        self.broken = broken
        self.looked: list[float] = []
        self.reason: Any = None

    def look(self, now: float) -> None:
        """Remember."""
        self.looked.append(now)
        if self.broken:
            raise ZeroDivisionError

    def cut(self, reason: Any) -> None:
        """Remember."""
        self.reason = reason


class House:
    """The factory."""

    def __init__(self) -> None:
        self.reactor = Clock()
        self.service = Service(lambda: cast("Any", self.reactor))
        self.failures: list[str] = []

    def failed(self, connection: object, doing: str) -> None:
        """Remember."""
        self.failures.append(doing)


class Swept:
    """A sweep with all that it needs."""

    def __init__(self) -> None:
        self.house = House()
        self.live: dict[Any, None] = {}
        self.sampler = Sampler(self.house.reactor.seconds)
        self.sweep = Sweep(self.house, self.live, self.sampler, 0.5)

    @property
    def timers(self) -> int:
        """How many there are."""
        return len(self.house.reactor.getDelayedCalls())


@pytest.fixture
def swept() -> Swept:
    """A sweep with all that it needs."""
    return Swept()


def test_it_runs_while_somebody_is_there(swept: Swept) -> None:
    """Once a tick, with one timer."""
    meter = Meter()
    swept.live[meter] = None
    swept.sweep.wake()
    swept.sweep.wake()
    assert swept.timers == 1
    swept.house.reactor.pump([0.5, 0.5, 0.25])
    assert meter.looked == [0.5, 1.0]
    del swept.live[meter]
    swept.house.reactor.advance(0.5)
    assert swept.timers == 0


def test_it_rests_when_there_is_nothing_to_do(swept: Swept) -> None:
    """Nobody there, nothing listening, nothing to tell."""
    swept.sweep.wake()
    swept.live[Meter()] = None
    swept.sweep.rest()
    assert swept.timers == 1
    swept.live.clear()
    swept.sweep.ports = 1
    swept.sweep.rest()
    assert swept.timers == 1
    swept.sweep.ports = 0
    swept.sweep.rest()
    swept.sweep.rest()
    assert swept.timers == 0


def test_what_was_counted_is_told_before_it_rests(swept: Swept, logged: Any) -> None:
    """A second later."""
    swept.sweep.wake()
    for _ in range(11):
        swept.sampler.emit("refused", "kind", {})
    swept.sweep.rest()
    swept.house.reactor.pump([0.5] * 4)
    assert sum(each["count"] for each in logged.named("refused")) == 11
    assert swept.timers == 0


def test_one_failure_spoils_nobody_elses_sweep(swept: Swept) -> None:
    """The connection that cannot be judged is cut."""
    broken, sound = Meter(broken=True), Meter()
    swept.live.update(dict.fromkeys([broken, sound]))
    swept.sweep.now()
    assert sound.looked == [0.0]
    assert isinstance(broken.reason, Expelled)
    assert swept.house.failures == ["the sweep"]


def test_the_last_port_that_closes_leaves_no_timer(swept: Swept) -> None:
    """Whatever somebody still wanted to be called for; the next port may want it again."""
    swept.sweep.opens()
    swept.sweep.opens()
    swept.house.service.each_tick(lambda _: True)
    swept.sweep.wake()
    swept.house.reactor.advance(0.5)
    swept.sweep.closes()
    assert swept.timers == 1
    swept.sweep.closes()
    assert swept.timers == 0
    swept.sweep.opens()
    swept.sweep.wake()
    swept.house.reactor.pump([0.5, 0.5])
    assert swept.timers == 1


def test_a_late_sweep_is_told_as_lag(swept: Swept) -> None:
    """From its timer, however long that rested before; and only where somebody goes by it."""
    swept.live[Meter()] = None
    service, clock = swept.house.service, swept.house.reactor
    swept.sweep.wake()
    clock.advance(0.8)
    assert service.signals.read("lag") == 0
    service.each_tick(lambda _: False)
    clock.advance(0.5)
    assert service.signals.read("lag") == 0
    clock.advance(0.7)
    assert service.signals.read("lag") == pytest.approx(0.2)
    swept.live.clear()
    clock.advance(100)
    clock.advance(1000)
    swept.sweep.wake()
    clock.advance(0.5)
    assert service.signals.read("lag") == 0
