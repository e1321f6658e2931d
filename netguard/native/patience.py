"""Whether to wait awake for what comes next: a process that falls asleep and is woken up has lost more time than that.

Kernels do the same before they let a processor sleep. Where events have come soon after each other lately, the next
is waited for awake, for :data:`LONGEST` at most; where that is in vain, it is done more seldom, in the end once in 64
times. A process that has little to do sleeps as ever. One that may use only a part of a processor, or shares the only
one there is with those that it waits for, never waits awake.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

_Ready = list[tuple[int, int]]

SOON = 100e-6
"""Seconds between two events, after which the next is not waited for awake; most of them went by in waking up."""

LONGEST = 50e-6
"""Seconds for which it is waited for: what a peer on this machine needs to be woken up itself."""

EVERY = 100e-6
"""Seconds after which it is asked whether something waits for the reactor's others, who then have their turn."""

TURN = 2e-3
"""Seconds after which they have it in any case: what is to be called at a certain time waits, too."""

MOST = 63
"""Waiting was in vain so often that so many occasions pass before the next try."""


class Patience:
    """When waiting awake pays, learnt from how it went.

    Args:
        may: whether it is to be done at all.
        now: the time, in seconds.
    """

    __slots__ = ("_asked", "_began", "_may", "_now", "_passes", "_served", "_to_pass")

    def __init__(self, *, may: bool, now: Callable[[], float] = time.perf_counter) -> None:
        self._may, self._now = may, now
        self._asked = self._began = self._served = float("-inf")
        self._passes = self._to_pass = 0

    def begins(self) -> bool:
        """Something has come: whether to wait awake for what comes after it."""
        self._asked = self._began = now = self._now()
        if not self._may or now - self._served >= SOON:
            return False
        if self._to_pass:
            self._to_pass -= 1
            return False
        return True

    def pass_by(self) -> None:
        """What has come is not worth waiting for more of: have one more occasion pass."""
        self._to_pass = max(1, self._to_pass)

    def served(self) -> None:
        """Everything that had come has been seen to."""
        self._served = self._now()

    def lasts(self, others: Callable[[], bool]) -> bool:
        """Whether the turn goes on.

        Args:
            others: says whether something waits for others.
        """
        now = self._served
        if now - self._asked < EVERY:
            return True
        self._asked = now
        return now - self._began < TURN and not others()

    def wait(self, poll: Callable[[float, int], _Ready], most: int) -> _Ready:
        """Wait awake for what comes.

        Args:
            poll: says what has come: an epoll's.
            most: how much that may be.

        Returns:
            What has come; empty, if it was in vain.
        """
        now, until = self._now, self._served + LONGEST
        ready = poll(0, most)
        while not ready and now() < until:
            ready = poll(0, most)
        self._passes = self._passes // 2 if ready else min(MOST, 2 * self._passes + 1)
        self._to_pass = self._passes
        return ready


def is_allowed(groups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> bool:
    """Whether this process has processors that it may keep busy: more than one, and no quota of them.

    Args:
        groups: where the kernel keeps its control groups, of either version.
        own: where it says which of them are this process's.
    """
    if (os.cpu_count() or 1) == 1:
        return False
    try:
        lines = own.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return True
    for line in lines:
        _, controllers, name = line.split(":", 2)
        if not controllers:
            root, quota = groups, "cpu.max"
        elif "cpu" in controllers.split(","):
            root, quota = groups / "cpu", "cpu.cfs_quota_us"
        else:
            continue
        place = root / name.strip("/")
        if any(_is_limited(each / quota) for each in (place, *place.parents) if each.is_relative_to(root)):
            return False
    return True


def _is_limited(quota: Path) -> bool:
    try:
        return not quota.read_text().startswith(("max", "-1"))
    except OSError:  # the root has none; nor has who may not see it
        return False
