"""Reading what is in memory already."""

from __future__ import annotations

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from netguard import page_cache
from netguard.page_cache import WRITE, is_local, look_at_hand, open_at_hand, read_at_hand


def open_descriptors() -> set[str]:
    """The descriptors that this process has open."""
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


TRY = """
import fcntl, sys
try:
    fcntl.lockf(open(sys.argv[1], "r+"), fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    sys.exit(7)
"""


def test_what_was_just_written_is_read_on(tmp_path: Path) -> None:
    """Each read goes on where the last one ended, of either kind; at the end nothing comes."""
    (tmp_path / "x").write_bytes(b"one two three")
    descriptor = os.open(tmp_path / "x", os.O_RDONLY)
    try:
        first = read_at_hand(descriptor, 4)
        if first is None:
            pytest.skip("this file system does not say what is in memory")
        assert (first, os.read(descriptor, 4), read_at_hand(descriptor, 99)) == (b"one ", b"two ", b"three")
        assert read_at_hand(descriptor, 99) == b""
    finally:
        os.close(descriptor)


def test_what_the_kernel_knows_by_heart_is_opened(tmp_path: Path) -> None:
    """What was just made is; a link is followed nowhere, and what is not there is no failure."""
    (tmp_path / "x").write_bytes(b"here")
    descriptor = open_at_hand(str(tmp_path / "x"))
    if descriptor is None:
        pytest.skip("this file system does not say what is in memory")
    assert os.read(descriptor, 9) == b"here"
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)
    (tmp_path / "link").symlink_to("x")
    (tmp_path / "folder").symlink_to(tmp_path)
    for path in ("link", "folder/x", "none", "x/y", "x" * 300, "\udcff"):
        assert open_at_hand(str(tmp_path / path)) is None


def test_where_the_kernel_cannot_tell_nothing_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another system, or a Linux that forbids the call or is too old for it."""
    (tmp_path / "x").touch()
    monkeypatch.setattr(page_cache, "_OPENAT2", 99_999)
    assert open_at_hand(str(tmp_path / "x")) is None
    assert look_at_hand(str(tmp_path / "x")) is None
    monkeypatch.setattr(sys, "platform", "freebsd14")
    assert page_cache._library() is None
    monkeypatch.setattr(page_cache, "_libc", None)
    assert open_at_hand(str(tmp_path / "x")) is None
    assert not is_local(str(tmp_path))


def test_what_the_kernel_knows_by_heart_is_looked_at(tmp_path: Path) -> None:
    """Files, folders, and whatever else is there, are as `os.lstat` sees them; a link on the way is not followed."""
    (tmp_path / "x").write_bytes(b"here")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("x")
    if look_at_hand(str(tmp_path / "x")) is None:
        pytest.skip("this kernel does not say what is in memory")
    before = open_descriptors()
    for path in (tmp_path, tmp_path / "x", tmp_path / "pipe", tmp_path / "link"):
        assert look_at_hand(str(path)) == path.lstat()
    assert look_at_hand(str(tmp_path / "none")) is None
    (tmp_path / "folder").symlink_to(tmp_path)
    assert look_at_hand(str(tmp_path / "folder" / "x")) is None
    assert open_descriptors() == before


def test_what_is_opened_to_write_can_be_written(tmp_path: Path) -> None:
    """It is never made: only what is there is opened."""
    (tmp_path / "x").write_bytes(b"here")
    descriptor = open_at_hand(str(tmp_path / "x"), WRITE)
    if descriptor is None:
        pytest.skip("this kernel does not say what is in memory")
    os.write(descriptor, b"t")
    os.close(descriptor)
    assert (tmp_path / "x").read_bytes() == b"tere"
    assert open_at_hand(str(tmp_path / "none"), WRITE) is None
    assert not (tmp_path / "none").exists()


def test_a_look_drops_no_lock(tmp_path: Path) -> None:
    """Locks of POSIX, as SQLite has them, end when their process closes any descriptor of the file; not by a look."""
    path = tmp_path / "x"
    path.touch()
    with path.open("r+") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        look_at_hand(str(path))
        assert subprocess.run([sys.executable, "-c", TRY, str(path)], timeout=30, check=False).returncode == 7


def test_what_cannot_be_looked_at_is_left_to_a_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error is no answer, and no failure; no descriptor is left."""
    descriptors = open_descriptors()

    def broken(_: int) -> None:
        raise OSError(errno.EIO, "broken")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fstat", broken)
        assert look_at_hand(str(tmp_path)) is None
    assert open_descriptors() == descriptors


def test_file_systems_that_ask_others_are_told_from_those_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not known to be this machine's own is not; nor is what is not there."""
    monkeypatch.setitem(page_cache._LOCAL, 0x9FA0, "proc, for once")
    assert is_local("/proc")
    monkeypatch.delitem(page_cache._LOCAL, 0x9FA0)
    assert not is_local("/proc")
    assert not is_local(str(tmp_path / "none"))


def test_what_must_be_waited_for_is_left_to_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of any kind, or a system without such reads, is no data and no failure."""
    assert read_at_hand(-1, 4) is None
    monkeypatch.setattr(page_cache, "_NOWAIT", None)
    assert read_at_hand(-1, 4) is None
