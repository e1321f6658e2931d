"""One instance: whoever holds the lock is the one, and it is free as soon as that one has ended."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from netguard.process import instance
from netguard.process.instance import AlreadyRunningError, InstanceError, SingleInstance

HOLD = """
import os, sys
from netguard.process.instance import SingleInstance, InstanceError
lock = SingleInstance(sys.argv[1])
try:
    lock.acquire()
except InstanceError as why:
    print(f"refused {why}", flush=True)
    raise SystemExit(1)
if "fork" in sys.argv and os.fork():
    os._exit(0)
lock.claim()
print(f"holds {os.getpid()}", flush=True)
sys.stdin.read()
"""


class Holder:
    """Another process that wants the lock, and keeps it until it is told to end."""

    def __init__(self, path: Path, *more: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(path), *more],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def says(self) -> str:
        """Its first line."""
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], 100)
        assert ready
        return self.process.stdout.readline().strip()

    def end(self) -> None:
        """Let it end, whatever of it is left."""
        self.process.communicate(timeout=100)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the lock is."""
    return tmp_path / "service.pid.lock"


@pytest.fixture
def holder(path: Path) -> Iterator[Holder]:
    """Another process that holds the lock."""
    made = Holder(path)
    yield made
    made.end()


def test_the_one_who_holds_it_is_named(path: Path, holder: Holder) -> None:
    """By its process id, in one line."""
    assert holder.says() == f"holds {holder.process.pid}"
    with pytest.raises(AlreadyRunningError) as caught:
        SingleInstance(path).acquire()
    assert caught.value.pid == holder.process.pid
    assert str(caught.value) == f"is running already: process {holder.process.pid} holds the lock {path}"


def test_a_killed_holder_holds_nothing(path: Path, holder: Holder) -> None:
    """At once, and its file is no obstacle."""
    assert holder.says().startswith("holds")
    os.kill(holder.process.pid, signal.SIGKILL)
    holder.process.wait(30)
    lock = SingleInstance(path)
    lock.acquire()
    assert path.read_text() == f"{os.getpid()}\n"
    lock.release()
    assert not lock.held
    assert path.read_text() == ""


def test_of_twenty_that_start_at_once_one_runs(path: Path) -> None:
    """And nineteen name it."""
    holders = [Holder(path) for _ in range(20)]
    said = [each.says() for each in holders]
    (running,) = [each.split()[1] for each in said if each.startswith("holds")]
    refused = [each for each in said if each.startswith("refused")]
    assert len(refused) == 19
    assert all(f"process {running} holds the lock" in each for each in refused)
    for each in holders:
        each.end()


def test_the_lock_goes_with_a_fork(path: Path) -> None:
    """The daemon holds it, and is named, when the process that took it is gone."""
    holder = Holder(path, "fork")
    daemon = int(holder.says().split()[1])
    holder.process.wait(30)
    assert daemon != holder.process.pid
    with pytest.raises(AlreadyRunningError, match=f"process {daemon} holds"):
        SingleInstance(path).acquire()
    holder.end()


@pytest.mark.parametrize("content", [b"", b"garbage\n", b"1\n", b"-1\n", b"9" * 200, b"\xff\x00"])
def test_what_stands_in_the_file_decides_nothing(path: Path, content: bytes) -> None:
    """Nobody holds it: it can be had."""
    path.write_bytes(content)
    lock = SingleInstance(path)
    lock.acquire()
    lock.acquire()
    assert lock.held
    lock.claim()
    assert path.read_text() == f"{os.getpid()}\n"
    lock.release()
    lock.release()
    lock.claim()
    lock.give_to(os.getuid())


def test_a_holder_that_does_not_say_who_it_is(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for long."""
    monkeypatch.setattr(instance, "_PATIENCE", 0.05)
    lock = SingleInstance(path)
    lock.acquire()
    path.write_text("")
    with pytest.raises(AlreadyRunningError, match="another process holds"):
        SingleInstance(path).acquire()
    lock.release()


@pytest.mark.parametrize("kind", ["link", "fifo", "folder", "nowhere"])
def test_what_is_no_file_of_ours_is_refused(path: Path, kind: str) -> None:
    """One line; nothing is followed, and nothing blocks."""
    if kind == "link":
        path.symlink_to(path.parent / "target")
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path = path / "none" / "lock"
    with pytest.raises(InstanceError) as caught:
        SingleInstance(path).acquire()
    assert "\n" not in str(caught.value)
    assert not (path.parent / "target").exists()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_the_file_goes_to_the_user_of_the_service(path: Path) -> None:
    """Who must be able to take the lock after a restart; a third user's file is not trusted."""
    lock = SingleInstance(path)
    lock.acquire()
    lock.give_to(65534, 65534)
    assert (path.stat().st_uid, path.stat().st_gid) == (65534, 65534)
    lock.give_to(65533)
    assert (path.stat().st_uid, path.stat().st_gid) == (65533, 65534)
    lock.release()
    with pytest.raises(InstanceError, match="belongs to another user"):
        SingleInstance(path).acquire()
    again = SingleInstance(path, owner=65533)
    again.acquire()
    again.release()


def test_a_lock_passes_on_by_its_descriptor(tmp_path: Path) -> None:
    """Whoever of the two ends last gives it back; a descriptor of another file is closed."""
    old, new = SingleInstance(tmp_path / "lock"), SingleInstance(tmp_path / "lock")
    old.acquire()
    assert old.descriptor is not None
    assert new.inherit(os.dup(old.descriptor))
    os.close(old.descriptor)  # its process ends
    with pytest.raises(AlreadyRunningError):
        SingleInstance(tmp_path / "lock").acquire()
    new.release()
    third = SingleInstance(tmp_path / "lock")
    third.acquire()
    third.release()
    other = os.open(tmp_path / "other", os.O_CREAT)
    assert not new.inherit(other)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.close(other)
    (tmp_path / "lock").unlink()
    assert not new.inherit(os.open(tmp_path / "other", os.O_RDONLY))
    assert not new.held
