"""What is promised of signals: what the kernel says, in the units of an operator, cheaply; and None, never a guess."""

from __future__ import annotations

import os
import resource
import sys
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from twisted.internet.task import Clock

from netguard.load.signals import KEEP, NAMES, WINDOW, Lag, Machine, Signals

if TYPE_CHECKING:
    from pathlib import Path

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the figures are Linux's")

PSI = "some avg10={} avg60=1.00 avg300=2.00 total=3\nfull avg10=99.00 avg60=0.00 avg300=0.00 total=4\n"


def _proc(folder: Path, **files: str) -> Machine:
    """A machine whose figures are those; `self__statm` is the file self/statm."""
    for name, text in files.items():
        path = folder.joinpath("proc", *name.split("__"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Machine(folder / "proc", folder / "cgroups", lambda: 200)


def test_lag_is_the_worst_of_a_short_window() -> None:
    """A late tick counts for two seconds, also when many punctual ones follow."""
    lag = Lag()
    assert lag.worst(0) == 0
    lag.tick(1.0, 1.1)
    lag.tick(1.35, 1.65)
    for tick in range(1, 20):
        now = 1.65 + tick * WINDOW / 20
        lag.tick(now, now)
        assert lag.worst(now) == pytest.approx(0.3)
    lag.tick(3.75, 3.75)
    assert lag.worst(3.75) == 0
    assert lag.worst(100) == 0


def test_a_smaller_lag_counts_once_the_worse_one_is_old() -> None:
    """Each for its own two seconds."""
    lag = Lag()
    lag.tick(0, 0.5)
    lag.tick(1, 1.2)
    lag.tick(1.3, 1.4)
    assert [round(lag.worst(now), 3) for now in (1.4, 2.49, 2.5, 3.19, 3.2, 3.4)] == [0.5, 0.5, 0.2, 0.2, 0.1, 0]


def test_a_clock_that_is_set_back_is_no_lag() -> None:
    """Nor does an old lag count for ever then."""
    lag = Lag()
    lag.tick(1000, 1003)
    lag.tick(1003.25, 3.25)
    assert lag.worst(3.25) == 0


def test_what_was_late_is_not_remembered_without_bound() -> None:
    """However often a clock ticks between two looks."""
    lag = Lag()
    for tick in range(10_000):
        lag.tick(tick * 0.0001, tick * 0.0001)
    assert len(lag._late) == 1


@pytest.mark.parametrize("written", ["0.59 2.71 4.00 1/99 12345\n", "0.59"])
def test_the_load_average_is_that_of_the_last_minute(tmp_path: Path, written: str) -> None:
    """The first of the three."""
    assert _proc(tmp_path, loadavg=written).load() == 0.59


def test_resident_memory_is_counted_in_bytes(tmp_path: Path) -> None:
    """The kernel gives pages."""
    assert _proc(tmp_path, self__statm="9000 1234 300 1 0 500 0\n").resident() == 1234 * resource.getpagesize()


@LINUX
def test_open_files_are_counted_as_they_are() -> None:
    """One more file, one more; and so in percent of how many there may be."""
    machine = Machine(most_files=lambda: 200)
    before, share = machine.files(), machine.files_share()
    assert before is not None
    assert share == before / 2
    reading, writing = os.pipe()
    try:
        assert machine.files() == before + 2
        assert machine.files_share() == share + 1
    finally:
        os.close(reading)
        os.close(writing)


def test_open_files_are_listed_where_the_kernel_does_not_count_them(tmp_path: Path, monkeypatch: Any) -> None:
    """Before Linux 6.2; the file through which they are listed does not count."""
    machine = _proc(tmp_path, self__fd__0="", self__fd__1="", self__fd__2="", self__fd__7="")
    stat = type(tmp_path).stat
    monkeypatch.setattr(type(tmp_path), "stat", lambda path: os.stat_result([*stat(path)[:6], 0, *stat(path)[7:10]]))
    assert machine.files() == 3
    assert machine.files_share() == 1.5


@pytest.mark.parametrize("most", [resource.RLIM_INFINITY, 0])
def test_who_may_open_any_number_of_files_has_opened_no_share_of_them(most: int) -> None:
    """So it never sheds for that."""
    assert Machine(most_files=lambda: most).files_share() in {0.0, None}


@LINUX
def test_the_limit_of_open_files_is_this_process_own() -> None:
    """The soft one, which is the one that bites."""
    machine = Machine()
    assert machine.most_files() == resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def test_pressure_is_the_worst_of_the_machine(tmp_path: Path) -> None:
    """Of the last ten seconds, in which some task waited for something."""
    machine = _proc(
        tmp_path,
        pressure__cpu=PSI.format("0.50"),
        pressure__memory=PSI.format("12.25"),
        pressure__io=PSI.format("3.00"),
    )
    assert machine.pressure() == 12.25


def test_pressure_does_not_need_all_three(tmp_path: Path) -> None:
    """What cannot be read, or understood, is left out."""
    files = {"pressure__cpu": "nothing", "pressure__memory": "some avg10=x", "pressure__io": PSI.format("3.00")}
    assert _proc(tmp_path, **files).pressure() == 3


@pytest.mark.parametrize(("place", "hybrid"), [("cgroups", False), ("cgroups/unified", True)])
def test_pressure_of_the_own_control_group_counts_where_the_machine_hides_its_own(
    tmp_path: Path, place: str, hybrid: bool
) -> None:
    """As in many containers; also beside the older kind of control groups."""
    machine = _proc(tmp_path, self__cgroup="4:memory:/old\n0::/system.slice/pop.service\n")
    folder = tmp_path / place / "system.slice" / "pop.service"
    folder.mkdir(parents=True)
    (folder / "memory.pressure").write_text(PSI.format("7.00"))
    assert machine.pressure() == 7


@pytest.mark.parametrize("group", [None, "", "4:memory:/old\n", "0::/gone\n", "0::/\n"])
def test_pressure_that_nobody_tells_is_none(tmp_path: Path, group: str | None) -> None:
    """Neither the machine nor a control group."""
    assert _proc(tmp_path, **({} if group is None else {"self__cgroup": group})).pressure() is None


@pytest.mark.parametrize("name", ["load", "rss", "fds", "fds%", "pressure"])
@pytest.mark.parametrize("text", [None, "", "x", "some\nsome avg10\nsome avg10=", "\xff\0\n"])
def test_a_figure_that_cannot_be_read_is_none(tmp_path: Path, name: str, text: str | None) -> None:
    """No file, an empty one, or one with something else in it: no exception, no guess."""
    names = ("loadavg", "self__statm", "pressure__cpu", "pressure__memory", "pressure__io")
    machine = _proc(tmp_path, **({} if text is None else dict.fromkeys(names, text)))
    assert Signals(Clock().seconds, lambda: 0, machine).read(name) is None


@LINUX
@pytest.mark.parametrize("name", [name for name in NAMES if name != "pressure"])
def test_this_machine_can_be_read(name: str) -> None:
    """Every signal but pressure, which a kernel may be built without."""
    figure = Signals(Clock().seconds, lambda: 7).read(name)
    assert figure is not None
    assert figure >= 0


def test_a_figure_is_kept_for_a_tick(tmp_path: Path) -> None:
    """However often it is asked for; then it is read again, and at once when the clock was set back."""
    clock = Clock()
    clock.advance(100)
    signals = Signals(clock.seconds, lambda: 0, _proc(tmp_path, loadavg="1.0"))
    assert signals.read("load") == 1
    _proc(tmp_path, loadavg="2.0")
    clock.advance(KEEP - 0.01)
    assert signals.read("load") == 1
    clock.advance(0.02)
    assert signals.read("load") == 2
    _proc(tmp_path, loadavg="3.0")
    clock.rightNow = 50.0
    assert signals.read("load") == 3


def test_a_figure_that_takes_long_to_read_is_read_more_seldom(tmp_path: Path) -> None:
    """At most a fiftieth of the time is spent on it."""
    seconds = count(step=1)  # each look at this clock takes a second
    signals = Signals(lambda: float(next(seconds)), lambda: 0, _proc(tmp_path, loadavg="1.0"))
    assert signals.read("load") == 1
    _proc(tmp_path, loadavg="2.0")
    read = [signals.read("load") for _ in range(60)]
    assert read.index(2) == 49


def test_lag_and_connections_are_never_old() -> None:
    """They cost nothing to read."""
    clock = Clock()
    crowd = [1, 2, 3]
    signals = Signals(clock.seconds, lambda: len(crowd))
    assert (signals.read("lag"), signals.read("connections")) == (0, 3)
    crowd.append(4)
    signals.lag.tick(-0.3, 0.0)
    assert (signals.read("lag"), signals.read("connections")) == (0.3, 4)
    clock.advance(WINDOW)
    assert signals.read("lag") == 0


def test_there_are_no_other_signals() -> None:
    """A name that is none is a mistake of the caller."""
    with pytest.raises(KeyError):
        Signals(Clock().seconds, lambda: 0).read("lagg")


def test_fixed_signals_say_what_they_are_told() -> None:
    """What they are not told of is 0; what is None cannot be read; ticks change nothing."""
    signals = Signals.fixed({"lag": 0.3, "pressure": None})
    signals.lag.tick(0, 100)
    assert {name: signals.read(name) for name in NAMES} == {**dict.fromkeys(NAMES, 0.0), "lag": 0.3, "pressure": None}
