"""What tells that a service has too much to do: the event loop's lag, and what the kernel says of process and machine.

A figure that cannot be read is None, never a guess: who asks says so, and goes without it. Reading is cheap: a figure
is kept for a while, and one that took long to read for so much longer.
"""

from __future__ import annotations

import os
import resource
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from attrs import field, frozen

WINDOW = 2.0
"""Seconds for which a late tick counts."""
KEEP = 0.25
"""Seconds for which a figure is kept."""
_SHARE = 50
"""At most one part in so many of the time is spent on reading one figure."""


class Lag:
    """How late the ticks of a clock came: the worst of the last two seconds.

    A service that is busy with one thing comes late to every other.
    """

    def __init__(self) -> None:
        self._late: deque[tuple[float, float]] = deque()

    def tick(self, due: float, now: float) -> None:
        """A tick has come.

        Args:
            due: when it should have come.
            now: when it came; before it was due where the clock was set back, which is no lag.
        """
        late = max(0.0, now - due)
        # Only what is worse than all that follows can ever be the worst; so the first is the worst.
        while self._late and self._late[-1][1] <= late:
            self._late.pop()
        self._late.append((now, late))

    def worst(self, now: float) -> float:
        """The worst lag of the last seconds; 0 when nothing was measured.

        Args:
            now: the present moment.
        """
        while self._late and not 0 <= now - self._late[0][0] < WINDOW:
            self._late.popleft()
        return self._late[0][1] if self._late else 0.0


@frozen
class Machine:
    """The figures of this process and its machine, as Linux gives them in proc(5) and, for pressure, in cgroup v2.

    Args:
        proc: where the kernel's figures are.
        cgroups: where the figures of control groups are, for machines whose own pressure cannot be read.
        most_files: how many files this process may open (``RLIMIT_NOFILE``).
    """

    proc: Path = Path("/proc")
    cgroups: Path = Path("/sys/fs/cgroup")
    most_files: Callable[[], int] = field(default=lambda: resource.getrlimit(resource.RLIMIT_NOFILE)[0], repr=False)

    def load(self) -> float | None:
        """How many tasks were running or waiting to run, on average over the last minute."""
        return _number(self.proc / "loadavg", 0)

    def resident(self) -> float | None:
        """Bytes of memory that this process occupies."""
        pages = _number(self.proc / "self" / "statm", 1)
        return None if pages is None else pages * resource.getpagesize()

    def files(self) -> float | None:
        """How many files and sockets this process has open."""
        folder = self.proc / "self" / "fd"
        try:
            # Since Linux 6.2 the folder's size is the answer; to list ten thousand takes a thousand times as long, and
            # the listing's own file is among them.
            return float(folder.stat().st_size or len(os.listdir(folder)) - 1)  # noqa: PTH208 - faster than iterdir
        except OSError:
            return None

    def files_share(self) -> float | None:
        """The same, in percent of how many it may have open; 0 where it may have any number."""
        count, most = self.files(), self.most_files()
        if count is None:
            return None
        return 0.0 if most in {resource.RLIM_INFINITY, 0} else 100.0 * count / most

    def pressure(self) -> float | None:
        """Percent of the last ten seconds in which some task waited for processor, memory or disk: the worst of them.

        Pressure stall information (the kernel's Documentation/accounting/psi.rst), of the whole machine, else of the
        control group that this process is in.
        """
        figures = [_some_avg10(self.proc / "pressure" / each) for each in ("cpu", "memory", "io")]
        if not any(each is not None for each in figures):
            group = self._group()
            figures = [_some_avg10(group / f"{each}.pressure") for each in ("cpu", "memory", "io") if group is not None]
        return max((each for each in figures if each is not None), default=None)

    def _group(self) -> Path | None:
        lines = (_text(self.proc / "self" / "cgroup") or "").splitlines()
        name = next((line.removeprefix("0::/") for line in lines if line.startswith("0::/")), None)
        if name is None:
            return None
        # Beside the older kind of control groups, the new ones have a folder of their own.
        unified = self.cgroups / "unified"
        return (unified if unified.is_dir() else self.cgroups) / name


def _text(path: Path) -> str | None:
    try:
        return path.read_text("ascii", "replace")
    except OSError:
        return None


def _number(path: Path, position: int) -> float | None:
    words = (_text(path) or "").split()
    try:
        return float(words[position])
    except (ValueError, IndexError):
        return None


def _some_avg10(path: Path) -> float | None:
    for line in (_text(path) or "").splitlines():
        words = dict(each.split("=", 1) for each in line.split() if "=" in each)
        if line.startswith("some ") and "avg10" in words:
            try:
                return float(words["avg10"])
            except ValueError:
                return None
    return None


class Signals:
    """The signals of a service by name.

    ``lag`` (seconds), ``load`` (tasks), ``rss`` (bytes), ``fds`` (open files), ``fds%`` (the same in percent of how
    many may be open), ``pressure`` (percent) and ``connections``.

    Args:
        seconds: the service's clock.
        connections: says how many connections the service has.
        machine: where the other figures come from.

    Attributes:
        lag: the measure of the lag, to be told of each tick.
    """

    def __init__(
        self, seconds: Callable[[], float], connections: Callable[[], int], machine: Machine | None = None
    ) -> None:
        machine = machine or Machine()
        self.lag = Lag()
        self._seconds = seconds
        self._kept: dict[str, tuple[float, float, float | None]] = {}
        self._readers: Mapping[str, Callable[[], float | None]] = {
            "load": machine.load,
            "rss": machine.resident,
            "fds": machine.files,
            "fds%": machine.files_share,
            "pressure": machine.pressure,
        }
        # These two cost nothing, and are no good when they are old.
        self._fresh: Mapping[str, Callable[[], float | None]] = {
            "lag": lambda: self.lag.worst(seconds()),
            "connections": lambda: float(connections()),
        }

    @classmethod
    def fixed(cls, readings: Mapping[str, float | None]) -> Signals:
        """Signals that say what they are told to say.

        Args:
            readings: the figure of each; one that is not there is 0, one that is None cannot be read.
        """
        return _Fixed(readings)

    def read(self, name: str) -> float | None:
        """One figure; None when it cannot be read.

        Args:
            name: the signal.

        Raises:
            KeyError: there is no such signal.
        """
        if name in self._fresh:
            return self._fresh[name]()
        now = self._seconds()
        since, until, figure = self._kept.get(name, (now, now, None))
        if since <= now < until:
            return figure
        figure = self._readers[name]()
        after = self._seconds()
        self._kept[name] = (after, after + max(KEEP, _SHARE * (after - now)), figure)
        return figure


class _Fixed(Signals):
    def __init__(self, readings: Mapping[str, float | None]) -> None:
        super().__init__(lambda: 0.0, lambda: 0)
        self._fresh = {name: partial(dict(readings).get, name, 0.0) for name in NAMES}


NAMES = ("lag", "load", "rss", "fds", "fds%", "pressure", "connections")
"""Every signal."""
