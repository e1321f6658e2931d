"""What waits for a peer whom no guard watches."""

from __future__ import annotations

from math import inf
from typing import Any

from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock

from netguard.relay.stalls import TICK, Stalls
from netguard.testing import MemoryTransport

LIMIT = 10.0


class Watched:
    """A transport with bytes for a peer that takes none."""

    def __init__(self, limit: float = LIMIT) -> None:
        self.clock = Clock()
        self.stalls = Stalls(self.clock, limit)
        self.transport: Any = MemoryTransport(self.clock, Protocol(), None)
        self.transport.takes(0)
        self.transport.write(b"x" * 100)
        self.told: list[tuple[str, float]] = []

    def stuck(self, waited: float) -> None:
        """It is stuck."""
        self.told.append(("stuck", waited))

    def taken(self, waited: float) -> None:
        """It has taken all."""
        self.told.append(("taken", waited))

    def pump(self, seconds: float) -> None:
        """Let time pass."""
        self.clock.pump([TICK] * int(seconds / TICK))


def test_who_takes_nothing_is_stuck_when_the_limit_is_reached() -> None:
    """Not a tick before; and it is told once, and leaves no timer."""
    it = Watched()
    it.stalls.watch(it.transport, it.stuck)
    it.pump(LIMIT - TICK)
    assert it.told == []
    it.pump(TICK)
    assert it.told == [("stuck", LIMIT)]
    it.pump(3 * LIMIT)
    assert len(it.told) == 1
    assert len(it.stalls) == 0
    assert not it.clock.getDelayedCalls()


def test_who_takes_a_byte_has_the_whole_time_again() -> None:
    """A slow peer is no stuck one."""
    it = Watched()
    it.stalls.watch(it.transport, it.stuck, it.taken)
    for _ in range(5):
        it.pump(LIMIT - TICK)
        it.transport.takes(1)
        it.pump(TICK)
    assert it.told == []
    it.pump(LIMIT)
    assert [name for name, _ in it.told] == ["stuck"]


def test_what_was_taken_is_told_at_the_next_look_or_at_once() -> None:
    """Only to those who wait for it."""
    it = Watched()
    it.stalls.watch(it.transport, it.stuck, it.taken)
    it.transport.takes(None)
    it.pump(1)
    assert [name for name, _ in it.told] == ["taken"]
    it.stalls.watch(it.transport, it.stuck, it.taken)
    assert it.told[1:] == [("taken", 0.0)]
    assert len(it.stalls) == 0
    it.stalls.watch(it.transport, it.stuck)
    it.pump(LIMIT)
    assert it.told[2:] == [("stuck", LIMIT)]


def test_the_last_wish_counts_and_may_be_forgotten() -> None:
    """One transport is watched once."""
    it = Watched()
    it.stalls.watch(it.transport, it.taken)
    it.stalls.watch(it.transport, it.stuck)
    assert len(it.stalls) == 1
    it.stalls.forget(it.transport)
    it.stalls.forget(it.transport)
    assert it.stalls._call is None
    it.pump(2 * LIMIT)
    assert it.told == []


def test_one_that_is_forgotten_by_another_in_the_same_look_is_not_told() -> None:
    """Both ends of a pair may be watched."""
    it, other = Watched(), Watched()
    it.stalls.watch(it.transport, lambda _: it.stalls.forget(other.transport))
    it.stalls.watch(other.transport, it.stuck)
    it.pump(2 * LIMIT)
    assert it.told == []


def test_without_a_limit_nobody_is_stuck() -> None:
    """The operator has switched it off."""
    it = Watched(inf)
    it.stalls.watch(it.transport, it.stuck)
    it.pump(1000)
    assert it.told == []
