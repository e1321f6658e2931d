"""What is promised of a log's file: whole lines, a path that is followed, a bounded size, and nobody else's file."""

from __future__ import annotations

import os
import re
import resource
import signal
import stat
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netguard.process.logfile import LogFile
from tests.popserver import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class World:
    """Opens log files in a folder, with a clock of its own.

    Args:
        folder: where.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / "a.log"
        self.now = 100.0
        self.complaints: list[str] = []
        self._opened: list[LogFile] = []

    def open(self, **options: Any) -> LogFile:
        """Open the file."""
        options = {"seconds": lambda: self.now, "complain": self.complaints.append, **options}
        self._opened.append(LogFile(options.pop("path", self.path), **options))
        return self._opened[-1]

    def close(self) -> None:
        """Close all."""
        for each in self._opened:
            each.close()

    def lines(self, name: str = "a.log") -> list[str]:
        """The lines of one of the files."""
        return self.path.with_name(name).read_text().splitlines()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A folder for logs."""
    made = World(tmp_path)
    yield made
    made.close()


@contextmanager
def at_most(size: int) -> Iterator[None]:
    """No file of this process grows beyond a size, as on a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def umask(mask: int) -> Iterator[None]:
    """Files are made with these bits left out."""
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


# Opening


@pytest.mark.parametrize(("mask", "mode"), [(0, 0o640), (0o022, 0o640), (0o077, 0o600)])
def test_a_new_file_is_closed_to_others(world: World, mask: int, mode: int) -> None:
    """Its owner writes, its group reads, and a stricter umask holds."""
    with umask(mask):
        world.open()
    assert stat.S_IMODE(world.path.stat().st_mode) == mode


@pytest.mark.parametrize(("was", "becomes"), [(0o666, 0o640), (0o644, 0o640), (0o640, 0o640), (0o600, 0o600)])
def test_a_file_that_is_there_is_closed_to_others_and_appended_to(world: World, was: int, becomes: int) -> None:
    """Nothing of it is lost, and nothing is opened wider."""
    world.path.write_text("before\n")
    world.path.chmod(was)
    world.open().write(b"after\n")
    assert world.lines() == ["before", "after"]
    assert stat.S_IMODE(world.path.stat().st_mode) == becomes


def _link(path: Path) -> None:
    path.symlink_to(path.with_name("target"))


@pytest.mark.parametrize(
    ("make", "said"),
    [(_link, "symbolic links"), (os.mkfifo, "No such device"), (lambda path: path.mkdir(), "Is a directory")],
)
def test_only_a_file_is_opened(world: World, make: Callable[[Path], object], said: str) -> None:
    """A link could lead to anybody's file; a pipe or a directory is no log."""
    make(world.path)
    with pytest.raises(OSError, match=said):
        world.open()
    assert not world.path.with_name("target").exists()


def test_a_pipe_with_a_reader_is_no_log_either(world: World) -> None:
    """It would be written to as long as somebody reads."""
    os.mkfifo(world.path)
    reader = os.open(world.path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(OSError, match="not an ordinary file"):
            world.open()
    finally:
        os.close(reader)


def test_the_null_device_is_a_log() -> None:
    """Whoever wants none says so."""
    file = LogFile("/dev/null", most=1)
    file.write(b"x" * 100)
    file.write(b"x" * 100)
    file.look_ahead()
    file.give_to(os.getuid(), None)
    file.close()


def test_the_descriptor_is_not_inherited(world: World) -> None:
    """No program that the service starts writes into the log."""
    assert not os.get_inheritable(world.open()._file)


# Others move it


def test_a_file_that_was_moved_is_followed_within_a_second(world: World) -> None:
    """Without any signal; no line is lost, before or after."""
    file = world.open()
    file.write(b"1\n")
    world.path.rename(world.path.with_name("a.log.1"))
    file.write(b"2\n")
    world.now += 1
    file.write(b"3\n")
    assert (world.lines("a.log.1"), world.lines()) == (["1", "2"], ["3"])


def test_a_file_that_was_replaced_is_followed(world: World) -> None:
    """As logrotate does it with create."""
    file = world.open()
    world.path.rename(world.path.with_name("a.log.1"))
    world.path.write_text("new\n")
    world.now += 1
    file.write(b"1\n")
    assert world.lines() == ["new", "1"]


def test_a_file_is_reopened_when_told(world: World) -> None:
    """At once."""
    file = world.open()
    file.write(b"1\n")
    world.path.unlink()
    file.reopen()
    file.write(b"2\n")
    assert world.lines() == ["2"]


def test_a_file_that_is_truncated_goes_on_at_its_beginning(world: World) -> None:
    """As logrotate does it with copytruncate: no hole is left."""
    file = world.open(most=100)
    file.write(b"x" * 90 + b"\n")
    os.truncate(world.path, 0)
    world.now += 1
    file.write(b"1" * 90 + b"\n")
    assert world.lines() == ["1" * 90]
    assert not world.path.with_name("a.log.1").exists()


def test_a_link_in_the_place_of_the_file_is_not_followed(world: World) -> None:
    """Lines go on where they went, and that is told once."""
    file = world.open()
    world.path.rename(world.path.with_name("moved"))
    _link(world.path)
    for number in range(3):
        world.now += 1
        file.write(b"%d\n" % number)
    assert world.lines("moved") == ["0", "1", "2"]
    assert not world.path.with_name("target").exists()
    assert world.complaints == [f"cannot reopen {world.path}: it is a symbolic link"]
    with pytest.raises(OSError, match="symbolic"):
        file.reopen()
    world.path.unlink()
    world.now += 1
    file.write(b"3\n")
    assert world.lines() == ["3"]


def test_a_clock_that_was_set_back_does_not_blind(world: World) -> None:
    """The next line looks."""
    file = world.open()
    world.path.unlink()
    world.now -= 50
    file.write(b"1\n")
    assert world.lines() == ["1"]


# Rotation of our own


def test_a_file_is_rotated_before_it_is_too_large_and_few_are_kept(world: World) -> None:
    """Exactly at the limit it is not yet; the oldest falls off the end."""
    file = world.open(most=20, keep=2)
    for number in range(8):
        file.write(b"line %04d\n" % number)
    assert sorted(each.name for each in world.path.parent.iterdir()) == ["a.log", "a.log.1", "a.log.2"]
    assert world.lines() == ["line 0006", "line 0007"]
    assert world.lines("a.log.1") == ["line 0004", "line 0005"]
    assert world.lines("a.log.2") == ["line 0002", "line 0003"]
    assert stat.S_IMODE(world.path.stat().st_mode) & ~0o640 == 0


DIES = """
import os, signal, sys
from netguard.process.logfile import LogFile

log = LogFile(sys.argv[1], most=18, keep=3)
for number in range(8):
    log.write(b"line %03d\\n" % number)
renames = iter(range(9))

def die(event, _):
    if event == "os.rename" and next(renames) == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(die)
log.write(b"line 008\\n")
"""


@pytest.mark.parametrize("step", range(5))
def test_a_rotation_that_is_killed_loses_nothing(step: int, tmp_path: Path) -> None:
    """Whenever that is: the next one ends what was begun, and each file is there, in its order."""
    path = tmp_path / "a.log"
    words = [sys.executable, "-c", DIES, str(path), str(step)]
    died = subprocess.run(words, env={"PYTHONPATH": str(ROOT)}, check=False)
    whole = step == 4
    assert died.returncode == (0 if whole else -signal.SIGKILL)
    log = LogFile(path, most=18, keep=3)
    for number in range(8 + whole, 11):
        log.write(b"line %03d\n" % number)
    log.close()
    files = [path.with_name(f"a.log.{number}") for number in (3, 2, 1)]
    assert sorted(tmp_path.iterdir()) == sorted([path, *files])
    lines = "".join(each.read_text() for each in [*files, path]).splitlines()
    assert lines == [f"line {number:03d}" for number in range(4, 11)]


def test_a_line_that_is_longer_than_a_file_may_be_has_a_file_of_its_own(world: World) -> None:
    """Nothing is cut, and no empty file is rotated."""
    file = world.open(most=10)
    for _ in range(2):
        file.write(b"x" * 50 + b"\n")
    assert [world.lines(name) for name in ("a.log", "a.log.1")] == [["x" * 50]] * 2
    assert not world.path.with_name("a.log.2").exists()


def test_without_a_size_a_file_grows(world: World) -> None:
    """Others rotate it."""
    file = world.open(most=None)
    for _ in range(1000):
        file.write(b"x" * 99 + b"\n")
    assert world.path.stat().st_size == 100_000


def test_a_file_that_others_rotated_in_the_meantime_is_not_rotated_again(world: World) -> None:
    """The new one is theirs, and small."""
    file = world.open(most=10)
    file.write(b"x" * 9 + b"\n")
    world.path.rename(world.path.with_name("theirs"))
    world.path.write_text("")
    file.write(b"1\n")
    assert (world.lines(), world.lines("theirs")) == (["1"], ["x" * 9])
    assert not world.path.with_name("a.log.1").exists()


def test_what_cannot_be_rotated_goes_on_and_is_told_once(world: World) -> None:
    """A directory is in the way; once it is gone, rotation goes on."""
    file = world.open(most=10)
    obstacle = world.path.with_name("a.log.0")
    obstacle.mkdir()
    (obstacle / "x").touch()
    for number in range(4):
        file.write(b"line %04d\n" % number)
        world.now += 1
    assert len(world.lines()) == 4
    (complaint,) = world.complaints
    assert complaint.startswith(f"cannot rotate {world.path}: ")
    (obstacle / "x").unlink()
    obstacle.rmdir()
    file.write(b"line 0004\n")
    assert world.lines() == ["line 0004"]
    assert len(world.lines("a.log.1")) == 4


@given(st.lists(st.integers(1, 40), max_size=60), st.integers(1, 60), st.integers(1, 4))
def test_lines_stay_whole_and_in_order_and_the_files_bounded(sizes: list[int], most: int, keep: int) -> None:
    """Whatever is written: what is left are the youngest lines, each as it was written."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        file = LogFile(folder / "l", most=most, keep=keep)
        written = [b"%d:" % number + b"x" * size + b"\n" for number, size in enumerate(sizes)]
        for line in written:
            file.write(line)
        file.close()
        files = [folder / f"l.{number}" for number in range(keep, 0, -1)] + [folder / "l"]
        left = [line for each in files if each.exists() for line in each.read_bytes().splitlines(keepends=True)]
        assert left == written[len(written) - len(left) :]
        assert {each.name for each in folder.iterdir()} <= {each.name for each in files}
        assert all(each.stat().st_size <= max(most, 50) for each in folder.iterdir())


# Disks that fill up


def test_a_line_that_finds_no_room_leaves_nothing(world: World) -> None:
    """Half a line would be read as another event; when there is room again, the next line is whole."""
    file = world.open()
    file.write(b"first\n")
    with at_most(10), pytest.raises(OSError, match="too large"):
        file.write(b"second\n")
    assert world.path.read_bytes() == b"first\n"
    file.write(b"third\n")
    assert world.lines() == ["first", "third"]


def test_half_a_line_that_cannot_be_removed_is_ended(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An append-only file: the next line has a line of its own."""

    def refuse(*_: object) -> None:
        raise PermissionError

    file = world.open()
    monkeypatch.setattr(os, "ftruncate", refuse)
    with at_most(3), pytest.raises(OSError, match="too large"):
        file.write(b"second\n")
    file.write(b"third\n")
    file.write(b"fourth\n")
    assert world.lines() == ["sec", "third", "fourth"]


# Users and roots


def test_a_file_in_a_new_root_is_found_from_there(world: World, tmp_path: Path) -> None:
    """Its path is what it is now, without the root."""
    file = world.open()
    file.move_into(str(tmp_path))
    assert str(file.path) == "/a.log"
    assert world.complaints == []


def test_a_file_outside_of_the_new_root_goes_on_and_that_is_told(world: World, tmp_path: Path) -> None:
    """It can be neither reopened nor rotated."""
    file = world.open(most=5)
    file.move_into(str(tmp_path / "jail"))
    file.move_into(str(tmp_path / "jail"))
    (complaint,) = world.complaints
    assert complaint == f"cannot reopen or rotate {world.path}: it lies outside of --chroot {tmp_path}/jail"
    for _ in range(3):
        world.now += 1
        file.write(b"line\n")
    assert world.lines() == ["line"] * 3
    file.look_ahead()
    with pytest.raises(OSError, match="outside of --chroot"):
        file.reopen()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_what_this_user_could_not_do_later_is_told_now(world: World, tmp_path: Path) -> None:
    """A folder that only root may write in."""
    file = world.open(most=100)
    file.give_to(65534, 65534)
    assert (world.path.stat().st_uid, world.path.stat().st_gid) == (65534, 65534)
    tmp_path.chmod(0o755)
    file.look_ahead()
    assert world.complaints == []
    os.seteuid(65534)
    try:
        file.look_ahead()
    finally:
        os.seteuid(0)
    (complaint,) = world.complaints
    assert re.fullmatch(rf"cannot rotate {world.path}: user 65534 may not write in {tmp_path}", complaint)


def test_a_line_of_which_nothing_found_room_needs_no_mending() -> None:
    """A device that is always full."""
    file = LogFile("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        file.write(b"line\n")
    file.close()
