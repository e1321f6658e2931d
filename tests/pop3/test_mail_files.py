"""Messages that other programs move, mark and remove during a session."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, TypeVar

import pytest

from netguard.pop3.mail_files import MailFiles
from netguard.pop3.mailbox_errors import MailboxTrouble, MailGone
from netguard.pop3.snapshot import Taking

if TYPE_CHECKING:
    from pathlib import Path

    from netguard.pop3.slices import Steps

T = TypeVar("T")


def run(steps: Steps[T]) -> T:
    """Run `steps` to the end."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: T = stop.value
            return result


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    """A Maildir with four messages: 1.a and 2.b in `new`, 3.c and 4.d in `cur`."""
    for folder in ("tmp", "new", "cur"):
        (tmp_path / folder).mkdir()
    for place in ("new/1.a", "new/2.b", "cur/3.c:2,", "cur/4.d:2,"):
        (tmp_path / place).write_text(f"{place}\n")
    return tmp_path


def files_of(maildir: Path) -> MailFiles:
    """The files of a session that begins now."""
    snapshot = run(Taking(str(maildir)).run())
    return MailFiles(str(maildir), snapshot.messages.names, snapshot.listing.places, snapshot.listing.inodes)


def read(files: MailFiles, index: int) -> bytes:
    """What is in a message."""
    descriptor, size = run(files.open(index))
    try:
        return os.read(descriptor, size + 1)
    finally:
        os.close(descriptor)


def left(maildir: Path) -> list[str]:
    """The entries of both folders."""
    return sorted(f"{folder}/{entry.name}" for folder in ("new", "cur") for entry in (maildir / folder).iterdir())


def mark_all(maildir: Path) -> None:
    """Do what a mail program does: see all mail, so that it moves to `cur` and gets a flag."""
    for place in left(maildir):
        (maildir / place).rename(maildir / "cur" / f"{place[4:7]}:2,S")


def test_messages_are_opened_where_they_are(maildir: Path) -> None:
    """A message that stays is opened at its place."""
    files = files_of(maildir)
    assert [read(files, index) for index in range(4)] == [b"new/1.a\n", b"new/2.b\n", b"cur/3.c:2,\n", b"cur/4.d:2,\n"]


def test_what_is_at_hand_is_the_same_file_and_nothing_else(maildir: Path) -> None:
    """Whatever is not mail, or not there, or behind a link, is left for a thread to find out about."""
    files = files_of(maildir)
    found = files.open_at_hand(2)
    if found is None:
        pytest.skip("this file system does not say what is in memory")
    descriptor, size = found
    assert os.read(descriptor, 99) == (maildir / files.places[2]).read_bytes()
    assert size == len((maildir / files.places[2]).read_bytes())
    os.close(descriptor)
    before = os.listdir("/proc/self/fd")  # noqa: PTH208 - names are enough
    for place in files.places[:3]:
        (maildir / place).unlink()
    (maildir / files.places[0]).symlink_to("/etc/passwd")
    (maildir / files.places[1]).mkdir()
    os.mkfifo(maildir / files.places[2])
    assert [files.open_at_hand(index) for index in range(3)] == [None] * 3
    (maildir / "cur").rename(maildir / "elsewhere")
    assert files.open_at_hand(3) is None
    (maildir / "cur").symlink_to(maildir / "elsewhere")
    assert files.open_at_hand(3) is None
    assert os.listdir("/proc/self/fd") == before  # noqa: PTH208 - names are enough


def test_what_was_looked_for_and_not_found_is_not_at_hand(maildir: Path) -> None:
    """Whoever has its name now is another."""
    files = files_of(maildir)
    (maildir / "new" / "1.a").unlink()
    with pytest.raises(MailGone):
        run(files.open(0))
    (maildir / "new" / "1.a").write_text("another")
    assert files.open_at_hand(0) is None


def test_marked_messages_are_found_again(maildir: Path) -> None:
    """Messages that were moved and marked are found by base name, also a second time."""
    files = files_of(maildir)
    mark_all(maildir)
    assert read(files, 1) == b"new/2.b\n"
    assert files.places == ["cur/1.a:2,S", "cur/2.b:2,S", "cur/3.c:2,S", "cur/4.d:2,S"]
    (maildir / "cur" / "3.c:2,S").rename(maildir / "cur" / "3.c,S=11:2,RS")
    assert read(files, 2) == b"cur/3.c:2,\n"


def test_a_vanished_message_is_gone(maildir: Path) -> None:
    """A message that was removed is gone for the session, at the price of one listing; others stay."""
    files = files_of(maildir)
    (maildir / "new" / "1.a").unlink()
    for _ in range(2):
        with pytest.raises(MailGone, match="vanished"):
            run(files.open(0))
    (maildir / "new" / "1.a").write_bytes(b"back")
    with pytest.raises(MailGone):
        run(files.open(0))
    assert read(files, 1) == b"new/2.b\n"


def test_a_message_that_comes_back_is_found_by_the_next_search(maildir: Path) -> None:
    """What was missed while another program renamed it is there again after the next search."""
    files = files_of(maildir)
    (maildir / "new" / "1.a").rename(maildir / "tmp" / "1.a")
    with pytest.raises(MailGone):
        run(files.open(0))
    (maildir / "tmp" / "1.a").rename(maildir / "cur" / "1.a:2,S")
    (maildir / "new" / "2.b").unlink()
    with pytest.raises(MailGone):
        run(files.open(1))
    assert read(files, 0) == b"new/1.a\n"


def test_a_message_that_vanishes_between_search_and_open_is_gone(maildir: Path) -> None:
    """A message that is removed just after it was found again is gone, like any other."""
    for number in range(40):
        (maildir / "cur" / f"5.{number}").write_bytes(b"")
    files = files_of(maildir)
    (maildir / "cur" / "4.d:2,").rename(maildir / "cur" / "4.d:2,S")
    steps = files.open(3)
    while files.places[3] != "cur/4.d:2,S":
        next(steps)
    (maildir / "cur" / "4.d:2,S").unlink()
    with pytest.raises(MailGone):
        run(steps)


def test_what_takes_a_messages_place_is_not_sent(maildir: Path) -> None:
    """A link in a message's place is refused."""
    files = files_of(maildir)
    (maildir / "new" / "1.a").unlink()
    (maildir / "new" / "1.a").symlink_to("/etc/passwd")
    with pytest.raises(MailGone):
        run(files.open(0))


def test_a_mailbox_that_vanishes_is_trouble(maildir: Path) -> None:
    """When a whole folder is missing, nothing is taken for removed."""
    files = files_of(maildir)
    shutil.rmtree(maildir / "cur")
    with pytest.raises(MailboxTrouble, match="cur"):
        run(files.open(2))
    with pytest.raises(MailboxTrouble, match="cur"):
        run(files.remove([0, 2]))
    assert (maildir / "new" / "1.a").exists()


def test_a_folder_that_becomes_a_link_is_trouble(maildir: Path) -> None:
    """A folder that is exchanged for a link during the session is not followed, to read or to remove."""
    files = files_of(maildir)
    (maildir / "cur").rename(maildir / "elsewhere")
    (maildir / "cur").symlink_to(maildir / "elsewhere")
    with pytest.raises(MailboxTrouble):
        run(files.open(2))
    with pytest.raises(MailboxTrouble):
        run(files.remove([2]))
    assert (maildir / "elsewhere" / "3.c:2,").exists()


def test_only_what_was_named_is_removed(maildir: Path) -> None:
    """Marked messages are removed wherever they are now; vanished ones count as removed; all else stays."""
    files = files_of(maildir)
    mark_all(maildir)
    (maildir / "cur" / "2.b:2,S").unlink()
    (maildir / "new" / "5.e").write_bytes(b"later")
    assert run(files.remove([0, 1, 3])) == {}
    assert left(maildir) == ["cur/3.c:2,S", "new/5.e"]
    assert run(files.remove([0, 1, 3])) == {}


def test_a_message_that_cannot_be_removed_is_told(maildir: Path) -> None:
    """A directory in a message's place is not removed; the answer says so, and the others are removed."""
    files = files_of(maildir)
    (maildir / "new" / "1.a").unlink()
    (maildir / "new" / "1.a").mkdir()
    refused = run(files.remove([0, 1]))
    assert list(refused) == [0]
    assert left(maildir) == ["cur/3.c:2,", "cur/4.d:2,", "new/1.a"]


def test_of_twins_only_the_named_one_is_removed(maildir: Path) -> None:
    """Of two files with one base name, the one that was marked is removed, even if both are renamed meanwhile."""
    (maildir / "cur" / "1.a:2,F").write_bytes(b"twin")
    files = files_of(maildir)
    wanted = next(index for index in (0, 1) if read(files, index) == b"twin")
    (maildir / "cur" / "1.a:2,F").rename(maildir / "cur" / "1.a:2,FS")
    (maildir / "new" / "1.a").rename(maildir / "cur" / "1.a:2,")
    assert run(files.remove([wanted])) == {}
    assert left(maildir) == ["cur/1.a:2,", "cur/3.c:2,", "cur/4.d:2,", "new/2.b"]


def test_the_removal_is_on_the_disk_before_it_is_told(maildir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both folders are written to the disk, after the last message was removed."""
    synced: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append((os.fstat(fd).st_ino, len(left(maildir)))))
    run(files_of(maildir).remove([0, 2]))
    assert synced == [((maildir / folder).stat().st_ino, 2) for folder in ("new", "cur")]


def test_a_disk_that_fails_is_trouble(maildir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the removal cannot be made durable, it is not told as done, and nothing is left open."""

    def failing(_: int) -> None:
        raise OSError(5, "Input/output error")

    files = files_of(maildir)
    monkeypatch.setattr(os, "fsync", failing)
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only the count is wanted
    with pytest.raises(MailboxTrouble, match="Input/output error"):
        run(files.remove([0]))
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - the same
