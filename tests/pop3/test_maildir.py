"""What is in a Maildir, and what is only put there."""

from __future__ import annotations

import os
import resource
import socket
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

from netguard.pop3.mailbox_errors import MailboxTrouble, MailGone
from netguard.pop3.maildir import File, Listing, base_name, list_mail, open_mail, wire_size_hint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


def open_descriptors() -> set[str]:
    """The descriptors that this process has open."""
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


@pytest.fixture
def maildir() -> Iterator[Path]:
    """An empty Maildir, in a directory that any user may enter."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory)
        path.chmod(0o755)
        for folder in ("tmp", "new", "cur"):
            (path / folder).mkdir()
        yield path


@pytest.mark.parametrize(
    ("name", "base", "hint"),
    [
        ("1.M2P3.host", "1.M2P3.host", None),
        ("1.M2P3.host:2,S", "1.M2P3.host", None),
        ("1.M2P3.host,S=10,W=12:2,RS", "1.M2P3.host", 12),
        ("1.M2P3.host,W=12", "1.M2P3.host", 12),
        ("1.M2P3.host,W=0,S=0", "1.M2P3.host", 0),
        ("1.M2P3.host,S=10:2,S", "1.M2P3.host", None),
        ("x:2,W=12", "x", None),
        ("x,W=:2,", "x", None),
        ("x,W=-1", "x", None),
        ("x,W=1_0", "x", None),
        ("x,W=\u0661", "x", None),
        ("x,W=12x", "x", None),
        ("x,W=999999999999999", "x", 999999999999999),
        ("x,W=1000000000000000", "x", None),
        (":2,S", "", None),
        (",W=1", "", 1),
    ],
)
def test_names_are_taken_apart(name: str, base: str, hint: int | None) -> None:
    """The base name ends at the first colon or comma; only a plain number before the flags is a size."""
    assert base_name(name) == base
    assert wire_size_hint(name) == hint


def test_mail_in_both_folders_is_listed(maildir: Path) -> None:
    """Each message is found under its base name, with its place and inode."""
    (maildir / "new" / "1.a").write_bytes(b"")
    (maildir / "cur" / "2.b:2,S").write_bytes(b"")
    (maildir / "tmp" / "3.c").write_bytes(b"")
    listing = run(list_mail(str(maildir)))
    assert listing.places == {"1.a": "new/1.a", "2.b": "cur/2.b:2,S"}
    assert listing.find("2.b", 0) == File("cur/2.b:2,S", (maildir / "cur" / "2.b:2,S").stat().st_ino)
    assert listing.find("3.c", 0) is None
    assert listing.skips == 0


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
    assert list(listing.places) == ["1.a"]
    assert dict(listing.skipped) == {f"cur/{name}": reason for name, reason in reasons.items()}
    assert listing.skips == len(reasons)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a device")
def test_a_device_is_skipped(maildir: Path) -> None:
    """A device is neither listed nor opened."""
    os.mknod(maildir / "cur" / "zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    assert run(list_mail(str(maildir))).skipped == [("cur/zero", "not a regular file")]
    with pytest.raises(MailGone):
        open_mail(str(maildir), "cur/zero")


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

        def is_file(self, *, follow_symlinks: bool) -> bool:
            raise PermissionError(13, "Permission denied")

    class Entries(list[Entry]):
        def __enter__(self) -> list[Entry]:
            return self

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(os, "scandir", lambda _: Entries([Entry()]))
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
    assert run(steps).all_of("1.a") == [File("cur/1.a:2,S", inode)]


def test_a_folder_that_changes_is_read_again(maildir: Path) -> None:
    """A message that is renamed while its folder is read is not missed: the folder is read again."""
    for number in range(100):
        (maildir / "cur" / f"{number}.a").write_bytes(b"")
    renamed: list[int] = []

    def rename_all() -> None:
        if not renamed:
            renamed.append(1)
            os.utime(maildir / "cur", ns=(0, 0))  # so that the change shows whatever the clock's grain
            for number in range(100):
                (maildir / "cur" / f"{number}.a").rename(maildir / "cur" / f"{number}.a:2,S")

    steps = list_mail(str(maildir))
    next(steps)  # the first entry of `cur` was met
    listing = run(steps, rename_all)
    assert renamed
    assert sorted(listing.places.values()) == sorted(f"cur/{number}.a:2,S" for number in range(100))


def test_a_folder_that_never_rests_is_listed_all_the_same(maildir: Path) -> None:
    """Somebody who changes a folder all the time cannot keep the listing from ending."""
    (maildir / "cur" / "1.a").write_bytes(b"")
    turns: list[int] = []

    def disturb() -> None:
        turns.append(1)
        os.utime(maildir / "cur", ns=(0, len(turns)))

    assert list(run(list_mail(str(maildir)), disturb).places) == ["1.a"]
    assert len(turns) < 10


def test_twins_are_kept_apart() -> None:
    """Different files of one base name are all listed, by inode, and a renamed one is still itself."""
    listing = Listing()
    listing.add("x", File("new/x", 7))
    listing.add("x", File("cur/x:2,S", 5))
    listing.add("x", File("cur/x:2,", 9))
    listing.add("x", File("cur/x:2,RS", 5))
    listing.add("x", File("cur/x:2,F", 7))
    assert listing.all_of("x") == [File("cur/x:2,RS", 5), File("cur/x:2,F", 7), File("cur/x:2,", 9)]
    assert listing.find("x", 7) == File("cur/x:2,F", 7)
    assert listing.find("x", 8) is None


def test_mail_is_opened(maildir: Path) -> None:
    """A message is opened with its size, and not for child programs."""
    (maildir / "cur" / "1.a:2,").write_bytes(b"hello")
    descriptor, size = open_mail(str(maildir), "cur/1.a:2,")
    assert (os.read(descriptor, 99), size) == (b"hello", 5)
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)


@pytest.mark.parametrize("name", ["directory", "link", "dangling", "fifo", "socket"])
def test_what_is_no_file_is_not_opened(maildir: Path, name: str) -> None:
    """What was put in a message's place is refused at once, without waiting, following or leaving it open."""
    make_hostile(maildir / "cur")
    before = open_descriptors()
    with pytest.raises(MailGone):
        open_mail(str(maildir), f"cur/{name}")
    assert open_descriptors() == before


def test_a_file_that_may_not_be_read_is_refused(maildir: Path) -> None:
    """A file without permission is refused by itself, not with the whole mailbox."""
    (maildir / "cur" / "1.a").touch(mode=0o000)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        with pytest.raises(MailGone, match="Permission denied"):
            open_mail(str(maildir), "cur/1.a")
    finally:
        os.seteuid(user)


def test_a_vanished_file_is_said_to_be_so(maildir: Path) -> None:
    """A file that is not there is told apart, since it may only have moved."""
    with pytest.raises(FileNotFoundError):
        open_mail(str(maildir), "cur/1.a")


def test_a_shortage_is_nobodys_fault(maildir: Path) -> None:
    """When the process is out of descriptors, that is trouble, and no message is taken for bad."""
    (maildir / "cur" / "1.a").write_bytes(b"")
    free = os.open("/", os.O_RDONLY)
    os.close(free)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 1, limits[1]))  # room for the folder, not for the file
    try:
        with pytest.raises(MailboxTrouble, match="Too many open files"):
            open_mail(str(maildir), "cur/1.a")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
