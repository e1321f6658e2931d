"""What is in a Maildir at one time, and what is only put there."""

from __future__ import annotations

import os
import socket
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

from netguard.pop3.listing import Listing, list_mail
from netguard.stamp import GRAIN

if TYPE_CHECKING:
    from collections.abc import Callable

    from netguard.pop3.slices import Steps

T = TypeVar("T")


def run(steps: Steps[T], meanwhile: Callable[[], object] = lambda: None) -> T:
    """Run `steps` to the end, and `meanwhile` at every interruption."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            result: T = stop.value
            return result
        meanwhile()


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    """An empty Maildir."""
    for folder in ("tmp", "new", "cur"):
        (tmp_path / folder).mkdir()
    return tmp_path


def listed(maildir: Path, before: Listing | None = None) -> Listing:
    """What is in it, ready to be asked."""
    listing = run(list_mail(str(maildir), before))
    run(listing.index())
    return listing


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time in which every change shows, so that no test waits until a folder is old enough."""
    monkeypatch.setattr("netguard.stamp.GRAIN", -GRAIN)


def test_mail_in_both_folders_is_listed(maildir: Path) -> None:
    """Each message is found under its base name, with its place and inode."""
    (maildir / "new" / "1.a").write_bytes(b"")
    (maildir / "cur" / "2.b:2,S").write_bytes(b"")
    (maildir / "tmp" / "3.c").write_bytes(b"")
    listing = listed(maildir)
    assert (listing.names, listing.places) == (["1.a", "2.b"], ["new/1.a", "cur/2.b:2,S"])
    assert listing.inodes[1] == (maildir / "cur" / "2.b:2,S").stat().st_ino
    assert (listing.find("2.b", 0), listing.find("3.c", 0)) == (1, None)
    assert (listing.skips, list(run(listing.once())), listing.sharers()) == (0, [0, 1], {})


def make_hostile(folder: Path) -> dict[str, str]:
    """Put one entry of every kind that is no mail into `folder`; return the reason for each."""
    (folder / "directory").mkdir()
    (folder / "directory" / "inner").write_bytes(b"")
    (folder / "link").symlink_to("/etc/passwd")
    (folder / "dangling").symlink_to(folder / "nowhere")
    os.mkfifo(folder / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(folder / "socket"))
    (folder / ".hidden").write_bytes(b"")
    (folder / ":2,S").write_bytes(b"")
    (folder / ",S=3").write_bytes(b"")
    (folder / "line\nend").write_bytes(b"")
    reasons = dict.fromkeys(["directory", "link", "dangling", "fifo", "socket"], "not a regular file")
    reasons |= {".hidden": "its name begins with a dot", "line\nend": "its name holds control characters"}
    return reasons | dict.fromkeys([":2,S", ",S=3"], "its name has nothing before its first ':' or ','")


def test_hostile_entries_are_skipped(maildir: Path) -> None:
    """What is no mail is left out and noted, with the reason; the mail beside it is served."""
    reasons = make_hostile(maildir / "cur")
    (maildir / "cur" / "1.a").write_bytes(b"")
    listing = run(list_mail(str(maildir)))
    assert listing.names == ["1.a"]
    assert dict(listing.skipped) == {f"cur/{name}": reason for name, reason in reasons.items()}
    assert listing.skips == len(reasons)


def test_notes_of_skipped_entries_are_bounded(maildir: Path) -> None:
    """A folder full of rubbish is counted, but only its first few entries are noted."""
    for number in range(50):
        (maildir / "new" / f".{number}").write_bytes(b"")
    listing = run(list_mail(str(maildir)))
    assert listing.skips == 50
    assert len(listing.skipped) == 10


def test_an_entry_that_cannot_be_looked_at_is_skipped(maildir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the kind of an entry must be asked for and the answer is an error, the entry is noted."""

    class Entry:
        name = "1.a"

        def inode(self) -> int:
            return 1

        def is_file(self, *, follow_symlinks: bool) -> bool:
            raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", lambda _: nullcontext(iter([Entry()])))
    listing = run(list_mail(str(maildir)))
    assert listing.skipped[0] == ("new/1.a", "cannot be looked at: Permission denied")


def test_a_linked_folder_is_not_entered(maildir: Path, tmp_path: Path) -> None:
    """A folder that is a symbolic link could show another user's mail, so it is an error."""
    (maildir / "cur").rmdir()
    (maildir / "cur").symlink_to(tmp_path)
    with pytest.raises(OSError, match="cur"):
        run(list_mail(str(maildir)))


def test_a_missing_folder_is_an_error(maildir: Path) -> None:
    """A directory without `new` or `cur` is no Maildir."""
    (maildir / "new").rmdir()
    with pytest.raises(FileNotFoundError):
        run(list_mail(str(maildir)))


def test_a_file_that_is_met_twice_is_one_message(maildir: Path) -> None:
    """A message that moves while the folders are read is listed once, at its later place."""
    (maildir / "new" / "1.a").write_bytes(b"")
    inode = (maildir / "new" / "1.a").stat().st_ino
    steps = list_mail(str(maildir))
    next(steps)  # it was met in `new`; `cur` was not read yet
    (maildir / "new" / "1.a").rename(maildir / "cur" / "1.a:2,S")
    listing = run(steps)
    assert [listing.places[position] for position in run(listing.once())] == ["cur/1.a:2,S"]
    run(listing.index())
    assert listing.find("1.a", inode) == 0
    assert listing.sharers() == {}


def test_a_folder_that_changes_is_read_again(maildir: Path) -> None:
    """A message that is renamed while its folder is read is not missed: the folder is read again."""
    for number in range(600):
        (maildir / "cur" / f"{number}.a").write_bytes(b"")
    renamed: list[int] = []

    def rename_all() -> None:
        if not renamed:
            renamed.append(1)
            os.utime(maildir / "cur", ns=(0, 0))  # so that the change shows whatever the clock's grain
            for number in range(600):
                (maildir / "cur" / f"{number}.a").rename(maildir / "cur" / f"{number}.a:2,S")

    steps = list_mail(str(maildir))
    next(steps)  # the first entries of `cur` were met
    listing = run(steps, rename_all)
    assert renamed
    assert sorted(listing.places) == sorted(f"cur/{number}.a:2,S" for number in range(600))


def test_a_folder_that_never_rests_is_listed_all_the_same(maildir: Path) -> None:
    """Somebody who changes a folder all the time cannot keep the listing from ending."""
    (maildir / "cur" / "1.a").write_bytes(b"")
    turns: list[int] = []

    def disturb() -> None:
        turns.append(1)
        os.utime(maildir / "cur", ns=(0, len(turns)))

    assert run(list_mail(str(maildir)), disturb).names == ["1.a"]
    assert len(turns) < 10


def test_twins_are_kept_apart() -> None:
    """Different files of one base name are all listed, by inode, and a renamed one is still itself."""
    listing = Listing()
    places = ["new/x", "cur/x:2,S", "cur/x:2,", "cur/x:2,RS", "cur/x:2,F", "cur/y"]
    listing.add("xxxxxy", places, [7, 5, 9, 5, 7, 5])
    positions = run(listing.once())
    assert [places[position] for position in positions] == ["cur/x:2,RS", "cur/x:2,F", "cur/x:2,", "cur/y"]
    assert (listing.find("x", 7), listing.find("x", 8), listing.find("y", 8)) == (4, None, 5)
    assert listing.sharers() == {"x": 3}


def test_a_folder_that_is_proved_unchanged_is_not_read(
    maildir: Path, settled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what was there before, only a folder that changed is read; the result is the same."""
    for number in range(300):
        (maildir / "cur" / f"{number}.a:2,S").write_bytes(b"")
    (maildir / "new" / "x.b").write_bytes(b"")
    before = listed(maildir)
    assert set(before.stamps) == {"new", "cur"}
    (maildir / "new" / "y.b").write_bytes(b"")
    read: list[str] = []
    scandir = os.scandir

    def watched(descriptor: int) -> object:
        read.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)  # noqa: PTH115 - a number is no path
        return scandir(descriptor)

    monkeypatch.setattr(os, "scandir", watched)
    after = listed(maildir, before)
    assert read == ["new"]
    assert sorted(after.names) == sorted([*before.names, "y.b"])
    assert sorted(after.inodes) == sorted([*before.inodes, (maildir / "new" / "y.b").stat().st_ino])
    assert listed(maildir, after).names == after.names
    assert read == ["new"]


def test_a_folder_that_has_just_changed_proves_nothing(maildir: Path) -> None:
    """Within the clock's grain a change may not show, so such a folder is read again."""
    assert listed(maildir).stamps == {}


def test_a_folder_with_rubbish_proves_nothing(maildir: Path, settled: None) -> None:
    """What was skipped may become mail without a change of its folder, so such a folder is read again."""
    (maildir / "cur" / ".x").write_bytes(b"")
    assert set(listed(maildir).stamps) == {"new"}
