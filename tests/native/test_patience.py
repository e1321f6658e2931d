"""What is promised of Patience: it waits awake where that pays, and not for long where it does not."""

from __future__ import annotations

import os
from itertools import repeat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netguard.native.patience import EVERY, LONGEST, MOST, SOON, TURN, Patience, is_allowed

SOME = [(7, 1)]
NOTHING: list[tuple[int, int]] = []


class World:
    """Seconds that pass, a microsecond with every look, and what is there to see when."""

    def __init__(self, *, may: bool = True) -> None:
        self.time = 1000.0
        self.comes = float("inf")
        self.looks = 0
        self.patience = Patience(may=may, now=self.now)

    def now(self) -> float:
        """The time."""
        self.time += 1e-6
        return self.time

    def poll(self, _timeout: float, _most: int) -> list[tuple[int, int]]:
        """What has come by now."""
        self.looks += 1
        return SOME if self.time >= self.comes else NOTHING

    def turn(self, gap: float, comes: float) -> bool:
        """Something comes after a gap, and something else after that; whether it was waited for."""
        self.time += gap
        waits = self.patience.begins()
        self.patience.served()
        self.comes = self.time + comes
        if waits and self.patience.wait(self.poll, 1):
            self.patience.served()
        return waits


def test_who_comes_seldom_is_not_waited_for() -> None:
    """Not the first, nor anybody after as long as one waits."""
    world = World()
    assert [world.turn(2 * SOON, 0.0) for _ in range(20)] == [False] * 20
    assert not world.looks


def test_who_comes_soon_is_waited_for() -> None:
    """From the second on."""
    world = World()
    assert [world.turn(0.9 * SOON, LONGEST / 2) for _ in range(20)] == [False, *repeat(True, 19)]


def test_it_looks_once_at_least_and_for_no_longer_than_it_should() -> None:
    """However long the look takes that was before."""
    world = World()
    world.turn(0.0, 0.0)
    assert world.patience.begins()
    world.patience.served()
    before = world.time
    assert world.patience.wait(world.poll, 1) == NOTHING or world.comes <= world.time
    world.comes = float("inf")
    world.patience.served()
    before = world.time
    assert world.patience.wait(world.poll, 1) == NOTHING
    assert LONGEST <= world.time - before <= LONGEST + 3e-6
    world.time += 1.0  # an application took a second
    looks = world.looks
    assert world.patience.wait(world.poll, 1) == NOTHING
    assert world.looks > looks


def test_in_vain_it_becomes_seldom() -> None:
    """Once in 64 occasions, in the end; and soon as ever when it pays again."""
    world = World()
    waited = [world.turn(0.0, float("inf")) for _ in range(1_000)]
    assert sum(waited) <= 6 + 1_000 // (MOST + 1)
    assert sum(waited[-2 * (MOST + 1) :]) == 2
    again = [world.turn(0.0, 0.0) for _ in range(4 * MOST)]
    assert all(again[-MOST:])


@given(st.lists(st.tuples(st.floats(0, 2 * SOON), st.floats(0, 2 * LONGEST)), max_size=300))
def test_what_is_wasted_is_bounded(turns: list[tuple[float, float]]) -> None:
    """Whatever comes when: never more occasions in vain in a row than one in 2, 4, 8 ... 64."""
    world = World()
    vain = passed = 0
    for gap, comes in turns:
        looks, seen = world.looks, world.time + gap
        if not world.turn(gap, comes):
            passed += 1
            continue
        assert world.looks > looks
        assert world.time <= seen + LONGEST + 10e-6
        if world.time < world.comes:
            assert passed >= (min(MOST, 2**vain - 1) if vain else 0)
            vain, passed = vain + 1, 0
        else:
            vain = passed = 0


def test_what_is_not_worth_it_is_not_waited_for() -> None:
    """As long as it comes; whoever comes after it is."""
    world = World()
    waited = []
    for _ in range(10):
        waited.append(world.turn(0.0, 0.0))
        world.patience.pass_by()
    assert not any(waited[1:])
    assert [world.turn(0.0, 0.0) for _ in range(3)] == [False, True, True]


def test_a_turn_ends() -> None:
    """Since the reactor watches others: soon where something has come for them, which is asked now and then."""
    world, waiting, asked = World(), False, 0

    def others() -> bool:
        nonlocal asked
        asked += 1
        return waiting

    def lasts(after: float) -> bool:
        world.time += after
        world.patience.served()
        return world.patience.lasts(others)

    world.patience.begins()
    assert all(lasts(EVERY / 4) for _ in range(20))
    assert 4 <= asked <= 6
    waiting = True
    assert lasts(0.0)
    assert not lasts(EVERY)
    waiting = False
    world.patience.begins()
    assert lasts(0.9 * TURN)
    assert not lasts(EVERY + TURN / 10)


def test_who_may_not_does_not() -> None:
    """As soon as anything comes."""
    world = World(may=False)
    assert not any(world.turn(0.0, 0.0) for _ in range(100))


@pytest.fixture
def groups(tmp_path: Path) -> Path:
    """Control groups, none of which is limited."""
    inner = tmp_path / "groups" / "system.slice" / "a.service"
    inner.mkdir(parents=True)
    for each in (inner, inner.parent):
        (each / "cpu.max").write_text("max 100000\n")
    (tmp_path / "own").write_text("9:memory:/old\n4:cpu,cpuacct:/old\n0::/system.slice/a.service\n")
    return tmp_path


def test_it_is_allowed_where_nothing_is_limited(groups: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And there are several processors; also where there are no control groups."""
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert is_allowed(groups / "groups", groups / "own")
    assert is_allowed(groups / "nowhere", groups / "nothing")
    (groups / "own").write_bytes(b"0::/\xff\n")  # a name is any bytes, and nothing that keeps a port from listening
    assert is_allowed(groups / "groups", groups / "own")
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert not is_allowed(groups / "groups", groups / "own")


@pytest.mark.parametrize("limited", ["system.slice", "system.slice/a.service", "."])
def test_who_has_a_quota_does_not_spend_it_on_waiting(
    limited: str, groups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """His own, that of a group around it, or a container's, for which its own group is the root."""
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    (groups / "groups" / limited / "cpu.max").write_text("50000 100000\n")
    assert not is_allowed(groups / "groups", groups / "own")


@pytest.mark.parametrize("place", ["old", ""])
def test_a_quota_of_the_first_version_of_control_groups_counts_as_well(
    place: str, groups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There the processor's groups are a tree of their own."""
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    quota = groups / "groups" / "cpu" / place / "cpu.cfs_quota_us"
    quota.parent.mkdir(parents=True)
    quota.write_text("-1\n")
    assert is_allowed(groups / "groups", groups / "own")
    quota.write_text("50000\n")
    assert not is_allowed(groups / "groups", groups / "own")
