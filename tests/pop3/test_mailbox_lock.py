"""The lock of a mailbox, against sessions of this process and of others."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from netguard.pop3.mailbox_errors import MailboxInUse, MailboxTrouble
from netguard.pop3.mailbox_lock import LOCK_NAME, MailboxLock

if TYPE_CHECKING:
    from collections.abc import Iterator

HOLD = """
import sys
from netguard.pop3.mailbox_lock import MailboxLock
lock = MailboxLock.acquire(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process, which holds the mailbox until its input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def open_descriptors() -> set[str]:
    """The descriptors that this process has open."""
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


def assert_free(mailbox: Path) -> None:
    """The mailbox can be locked, now."""
    MailboxLock.acquire(str(mailbox)).release()


def test_one_session_at_a_time(tmp_path: Path) -> None:
    """While one session holds the mailbox, no other of this process gets it; afterwards any does."""
    lock = MailboxLock.acquire(str(tmp_path))
    with pytest.raises(MailboxInUse, match="this process"):
        MailboxLock.acquire(str(tmp_path))
    lock.release()
    assert_free(tmp_path)


def test_other_spellings_are_the_same_mailbox(tmp_path: Path) -> None:
    """A symbolic link or a roundabout path to the directory leads to the same lock."""
    mailbox = tmp_path / "box"
    mailbox.mkdir()
    (tmp_path / "link").symlink_to(mailbox)
    lock = MailboxLock.acquire(str(mailbox))
    for spelling in (f"{tmp_path}/link", f"{tmp_path}/box/../box/"):
        with pytest.raises(MailboxInUse):
            MailboxLock.acquire(spelling)
    lock.release()


def test_release_is_once(tmp_path: Path) -> None:
    """A second release gives nothing back, above all not what the next session holds."""
    first = MailboxLock.acquire(str(tmp_path))
    first.release()
    second = MailboxLock.acquire(str(tmp_path))
    first.release()
    with pytest.raises(MailboxInUse):
        MailboxLock.acquire(str(tmp_path))
    second.release()


def test_another_process_is_excluded(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    """What another process holds is in use here, and a refused try leaves nothing held."""
    for _ in range(2):
        with pytest.raises(MailboxInUse, match="another process"):
            MailboxLock.acquire(str(tmp_path))
    holder.communicate(timeout=10)
    assert_free(tmp_path)


def test_the_lock_dies_with_its_process(tmp_path: Path, holder: subprocess.Popen[str]) -> None:
    """A killed process (kill -9) holds nothing any more, and no time has to pass."""
    holder.send_signal(signal.SIGKILL)
    holder.wait(timeout=10)
    assert_free(tmp_path)


def test_other_programs_see_the_lock(tmp_path: Path) -> None:
    """Any program that asks for the same flock is kept out, and keeps us out."""
    lock = MailboxLock.acquire(str(tmp_path))
    with (tmp_path / LOCK_NAME).open() as file:
        with pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        lock.release()
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with pytest.raises(MailboxInUse):
            MailboxLock.acquire(str(tmp_path))


def test_the_file_is_private_and_stays(tmp_path: Path) -> None:
    """The lock file is the owner's alone, is not given to child programs, and is the same for ever."""
    file = tmp_path / LOCK_NAME
    lock = MailboxLock.acquire(str(tmp_path))
    inode = file.stat().st_ino
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert lock._descriptor is not None
    assert not os.get_inheritable(lock._descriptor)
    lock.release()
    assert file.stat().st_ino == inode


@pytest.mark.parametrize("kind", ["fifo", "directory", "link", "dangling link"])
def test_a_hostile_lock_file_is_trouble(tmp_path: Path, kind: str) -> None:
    """What is no regular file is neither waited for nor followed, and does not block the mailbox once removed."""
    file = tmp_path / LOCK_NAME
    target = tmp_path / "target"
    if kind == "fifo":
        os.mkfifo(file)
    elif kind == "directory":
        file.mkdir()
    else:
        file.symlink_to(target)
        if kind == "link":
            target.write_text("precious")
    with pytest.raises((MailboxTrouble, OSError)) as caught:
        MailboxLock.acquire(str(tmp_path))
    assert not isinstance(caught.value, BlockingIOError)
    assert target.exists() == (kind == "link")
    if kind == "directory":
        file.rmdir()
    else:
        file.unlink()
    assert_free(tmp_path)


def test_a_file_system_without_locks_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no lock can be had the mailbox is not opened without one, and nothing is left held."""

    def no_locks(_file: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    before = open_descriptors()
    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(OSError, match="No locks available"):
        MailboxLock.acquire(str(tmp_path))
    monkeypatch.undo()
    assert open_descriptors() == before
    assert_free(tmp_path)


def locked_at_hand(mailbox: Path) -> MailboxLock:
    """The mailbox, locked without waiting for anything."""
    assert_free(mailbox)
    lock = MailboxLock.at_hand(str(mailbox))
    if lock is None:
        pytest.skip("this kernel does not say what is in memory")
    return lock


def test_a_lock_at_hand_is_the_same_lock(tmp_path: Path) -> None:
    """Whoever has either has the mailbox alone; and either is given back once."""
    lock = locked_at_hand(tmp_path)
    for take in (MailboxLock.acquire, MailboxLock.at_hand):
        with pytest.raises(MailboxInUse, match="this process"):
            take(str(tmp_path))
    lock.release()
    lock.release()
    other = MailboxLock.acquire(str(tmp_path))
    with pytest.raises(MailboxInUse, match="this process"):
        MailboxLock.at_hand(str(tmp_path))
    other.release()
    assert_free(tmp_path)


def test_another_process_is_excluded_at_hand(tmp_path: Path) -> None:
    """What another process holds is in use, and nothing is left held here."""
    locked_at_hand(tmp_path).release()
    with (tmp_path / LOCK_NAME).open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        before = open_descriptors()
        for _ in range(2):
            with pytest.raises(MailboxInUse, match="another process"):
                MailboxLock.at_hand(str(tmp_path))
        assert open_descriptors() == before
    assert_free(tmp_path)


def test_what_is_not_at_hand_leaves_nothing(tmp_path: Path) -> None:
    """Without a lock file, which would have to be made, or without the mailbox, it takes a thread."""
    before = open_descriptors()
    for mailbox in (tmp_path, tmp_path / "none"):
        assert MailboxLock.at_hand(str(mailbox)) is None
    assert open_descriptors() == before
    assert_free(tmp_path)


def test_a_hostile_lock_file_is_trouble_at_hand(tmp_path: Path) -> None:
    """It is neither waited for nor left open."""
    locked_at_hand(tmp_path).release()
    (tmp_path / LOCK_NAME).unlink()
    os.mkfifo(tmp_path / LOCK_NAME)
    before = open_descriptors()
    with pytest.raises(MailboxTrouble, match="not a regular file"):
        MailboxLock.at_hand(str(tmp_path))
    assert open_descriptors() == before
    (tmp_path / LOCK_NAME).unlink()
    assert_free(tmp_path)


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    """Success, refusal and trouble leave no descriptor open."""
    box, odd = tmp_path / "box", tmp_path / "odd"
    box.mkdir()
    odd.mkdir()
    os.mkfifo(odd / LOCK_NAME)
    before = open_descriptors()
    lock = MailboxLock.acquire(str(box))
    with pytest.raises(MailboxInUse):
        MailboxLock.acquire(str(box))
    with pytest.raises(MailboxTrouble, match="not a regular file; remove it"):
        MailboxLock.acquire(str(odd))
    with pytest.raises(FileNotFoundError):
        MailboxLock.acquire(str(tmp_path / "none"))
    lock.release()
    assert open_descriptors() == before
