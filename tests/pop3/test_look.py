"""Looking at a mailbox, with what was kept from the last look."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import maybeDeferred

from netguard.page_cache import is_local, look_at_hand
from netguard.pop3.look import Look
from netguard.pop3.mailbox_cache import NAME
from netguard.pop3.mailbox_errors import MailboxInUse, MailboxTrouble
from netguard.pop3.mailbox_lock import LOCK_NAME
from netguard.pop3.snapshot import Snapshot


class Looker:
    """Looks at one Maildir."""

    def __init__(self, path: Path, uidl: str = "native") -> None:
        self.path = path
        self.reports: list[dict[str, object]] = []
        self.look = Look(maybeDeferred, lambda _, fields: self.reports.append(fields), uidl)

    def put(self, *places: str) -> None:
        """Make messages."""
        for place in places:
            (self.path / place).write_bytes(b"abc\n")

    def see(self) -> Snapshot:
        """Look, and unlock."""
        steps = self.look.at(str(self.path))
        while True:
            try:
                next(steps)
            except StopIteration as stop:
                lock, snapshot = stop.value
                lock.release()
                assert isinstance(snapshot, Snapshot)
                return snapshot

    def recall(self) -> Snapshot | None:
        """Look without a thread, and unlock."""
        found = self.look.at_hand(str(self.path))
        if found is None:
            return None
        found[0].release()
        return found[1]

    def see_and_keep(self) -> Snapshot:
        """Look, and keep what was seen."""
        snapshot = self.see()
        self.look.keep(str(self.path), snapshot)
        return snapshot


@pytest.fixture
def looker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Looker:
    """One for a Maildir with two messages, in a time in which every change shows."""
    monkeypatch.setattr("netguard.stamp.GRAIN", -2_000_000_000)
    for folder in ("new", "cur"):
        (tmp_path / folder).mkdir()
    looker = Looker(tmp_path)
    looker.put("new/1.a", "cur/2.b:2,S")
    return looker


def test_folders_that_did_not_change_are_not_read(looker: Looker, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second look reads neither folders nor messages, and sees the same."""
    before = looker.see_and_keep()
    monkeypatch.setattr(os, "scandir", None)
    monkeypatch.setattr(os, "read", None)
    after = looker.see()
    assert list(after.messages) == list(before.messages)
    assert after.remembered


@pytest.fixture
def known(looker: Looker) -> Looker:
    """One who knows the mailbox by heart."""
    if look_at_hand(str(looker.path)) is None or not is_local(str(looker.path)):
        pytest.skip("this kernel, or this file system, does not say what is in memory")
    assert looker.recall() is None
    looker.look.learn(str(looker.path), looker.see())
    return looker


def test_what_is_known_by_heart_is_looked_at_by_no_thread(known: Looker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither folders nor messages are read, nor anything opened that might have to be waited for."""
    with monkeypatch.context() as patched:
        for name in ("open", "scandir", "read", "stat", "lstat"):
            patched.setattr(os, name, None)
        found = known.recall()
    assert found is not None
    assert found.messages.uids == ["1.a", "2.b"]
    assert known.recall() is found


CHANGES: dict[str, Callable[[Path], object]] = {
    "delivered": lambda maildir: (maildir / "new" / "9.z").touch(),
    "marked": lambda maildir: (maildir / "cur" / "2.b:2,S").rename(maildir / "cur" / "2.b:2,SR"),
    "moved": lambda maildir: (maildir / "new" / "1.a").rename(maildir / "cur" / "1.a:2,"),
    "removed": lambda maildir: (maildir / "new" / "1.a").unlink(),
    "replaced": lambda maildir: (maildir / "tmp").rename((maildir / "new").rename(maildir / "old").with_name("new")),
    "gone": lambda maildir: (maildir / "cur").rename(maildir / "old"),
    "unlocked": lambda maildir: (maildir / LOCK_NAME).unlink(),
    "elsewhere": lambda maildir: maildir.rename(maildir.with_name("moved")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_after_any_change_a_thread_looks(known: Looker, change: str) -> None:
    """Even if the folders' times of modification are set back; and the mailbox is left unlocked."""
    (known.path / "tmp").mkdir()
    times = {known.path / folder: (known.path / folder).stat() for folder in ("new", "cur")}
    CHANGES[change](known.path)
    for folder, status in times.items():
        if folder.exists():
            os.utime(folder, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert known.recall() is None
    if change not in ("gone", "elsewhere"):
        known.see()


def test_what_a_young_folder_holds_is_not_known_by_heart(known: Looker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two deliveries within the clock's grain may look like one: until that is over, folders are read."""
    monkeypatch.setattr("netguard.stamp.GRAIN", 2_000_000_000)
    for number in range(20):
        known.put(f"new/{number:02}.x")
        known.look.learn(str(known.path), known.see())
        known.put(f"new/{number:02}.y")
        assert known.recall() is None
        assert len(known.see().messages) == 2 * number + 4


def test_what_another_session_holds_is_in_use(known: Looker) -> None:
    """That is known at once; and whoever looks holds the mailbox."""
    found = known.look.at_hand(str(known.path))
    assert found is not None
    with pytest.raises(MailboxInUse):
        known.recall()
    with pytest.raises(MailboxInUse):
        known.see()
    found[0].release()
    assert known.recall() is found[1]


def test_a_mailbox_that_cannot_be_locked_is_trouble(known: Looker, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not opened without a lock."""

    def no_locks(_file: int, _operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(MailboxTrouble, match=r"cannot be opened as a Maildir: .*No locks available"):
        known.recall()


def test_true_sizes_are_known_to_the_next_session(known: Looker) -> None:
    """In memory, and on the disk."""
    found = known.recall()
    assert found is not None
    known.look.correct(str(known.path), found, {0: 70_000})
    after = known.recall()
    assert after is not None
    assert (list(after.messages.sizes), after.messages.octets) == ([70_000, 5], 70_005)
    known.look.memory.forget(str(known.path))
    assert list(known.see().messages.sizes) == [70_000, 5]


def test_only_new_messages_are_counted(looker: Looker) -> None:
    """After a delivery, the new message is read, and the others are known."""
    assert looker.see_and_keep().counted == 2
    looker.put("new/3.c")
    after = looker.see_and_keep()
    assert (after.counted, after.remembered, len(after.messages)) == (1, False, 3)
    assert looker.see().remembered


def test_a_broken_file_is_made_anew(looker: Looker) -> None:
    """What cannot be believed is removed and noted; the mailbox is looked at as if nothing had been kept."""
    looker.see_and_keep()
    (looker.path / NAME).write_bytes(b"rubbish\n")
    snapshot = looker.see_and_keep()
    assert snapshot.counted == 2
    [(place, reason)] = snapshot.listing.skipped
    assert place == NAME
    assert reason.startswith("broken, and made anew")
    assert looker.see().remembered


def test_what_cannot_be_removed_is_noted(looker: Looker) -> None:
    """A directory in the file's place can be neither read nor replaced: mail is served, and both are told."""
    (looker.path / NAME).mkdir()
    snapshot = looker.see_and_keep()
    assert len(snapshot.messages) == 2
    assert "Is a directory" in snapshot.listing.skipped[0][1]
    assert str(looker.reports[0]["reason"]).startswith("cannot be written")


def many(looker: Looker) -> Generator[None, None, Any]:
    """A look at a mailbox of many messages that has come half-way."""
    looker.put(*(f"new/{number:03}.x" for number in range(100)))
    steps = looker.look.at(str(looker.path))
    for _ in range(60):
        next(steps)
    return steps


def test_who_gives_up_a_long_look_comes_further_the_next_time(looker: Looker) -> None:
    """Sizes that were counted are kept, and the mailbox is unlocked; less than what was known is not kept."""
    many(looker).close()
    counted = looker.see().counted
    assert 20 < counted < 80
    looker.see_and_keep()
    for number in range(102):
        (looker.path / "new" / f"{number:03}.x").rename(
            looker.path / "new" / f"{number:03}.y"
        ) if number < 100 else None
    steps = looker.look.at(str(looker.path))
    for _ in range(20):
        next(steps)
    steps.close()
    looker.put("new/zz")
    assert looker.see().counted == 101


def test_a_look_that_was_given_up_early_leaves_nothing(looker: Looker) -> None:
    """Nothing counted is nothing kept."""
    steps = looker.look.at(str(looker.path))
    next(steps)
    steps.close()
    assert not (looker.path / NAME).exists()


def test_other_servers_ids(tmp_path: Path, looker: Looker) -> None:
    """With Dovecot's list, its ids are used; a list that is broken keeps everybody out, and the mailbox unlocked."""
    (tmp_path / "dovecot-uidlist").write_bytes(b"3 V255 N9\n7 :2.b\n")
    other = Looker(tmp_path, "dovecot")
    other.look.learn(str(tmp_path), other.see())
    assert other.see().remembered
    for found in (other.see(), other.recall() or other.see()):
        assert found.messages.uids == ["00000007000000ff", "1.a"]
    assert looker.see().messages.uids == ["1.a", "2.b"]
    (tmp_path / "dovecot-uidlist").write_bytes(b"")
    assert other.recall() is None
    for _ in range(2):
        with pytest.raises(MailboxTrouble, match="dovecot-uidlist"):
            other.see()


def test_an_unknown_list_is_refused() -> None:
    """A name that is none dies at the start."""
    with pytest.raises(ValueError, match="none of native, dovecot, courier"):
        Look(maybeDeferred, lambda *_: None, "qmail")


def test_a_missing_mailbox_is_made_where_that_was_asked_for(tmp_path: Path) -> None:
    """What makes a mailbox is called before it is locked."""
    made: list[str] = []

    def make(path: str) -> None:
        made.append(path)
        for folder in ("new", "cur"):
            Path(path, folder).mkdir(parents=True)

    looker = Looker(tmp_path / "x")
    looker.look = Look(maybeDeferred, lambda *_: None, make=make)
    assert len(looker.see().messages) == 0
    assert made == [str(tmp_path / "x")]
