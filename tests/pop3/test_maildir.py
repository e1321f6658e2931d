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
from hypothesis import example, given
from hypothesis import strategies as st

from netguard.pop3.listing import list_mail
from netguard.pop3.mailbox_errors import MailboxTrouble, MailGone
from netguard.pop3.maildir import base_name, open_beside, open_mail, stored_size_hint, wire_size_hint, wire_size_hints

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
    plain = "1.M2.host,S=3,W=4:2,S"
    assert wire_size_hints([name]) == [hint]
    assert wire_size_hints([plain, name, plain]) == [4, hint, 4]


PARTS = st.sampled_from([",W=", ":", "5", "25", ",", "x", "\u0665", "\n", ",S=3"])
NAMES = st.lists(PARTS, max_size=8).map("".join) | st.just("1.M2.host,S=3,W=44:2,S")


@given(st.lists(NAMES, max_size=6))
@example([",W=25,W=25", "x"])
@example(["x:2,W=12", "x,W=5"])
def test_sizes_of_many_names_are_those_of_each(names: list[str]) -> None:
    """Whatever they look like."""
    assert wire_size_hints(names) == [wire_size_hint(name) for name in names]


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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a device")
def test_a_device_is_skipped(maildir: Path) -> None:
    """A device is neither listed nor opened."""
    os.mknod(maildir / "cur" / "zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    assert run(list_mail(str(maildir))).skipped == [("cur/zero", "not a regular file")]
    with pytest.raises(MailGone):
        open_mail(str(maildir), "cur/zero")


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


@pytest.mark.parametrize(("name", "size"), [("x,S=10,W=12:2,S", 10), ("x,W=12,S=10", 10), ("x:2,S", None), ("x", None)])
def test_a_stored_size_is_read(name: str, size: int | None) -> None:
    """The size that quotas count with stands in the name, before the flags."""
    assert stored_size_hint(name) == size


def test_bookkeeping_is_a_regular_file(maildir: Path) -> None:
    """A list or cache is opened if it is a file; a link or pipe in its place is not followed or waited for."""
    (maildir / "list").write_bytes(b"abc")
    descriptor, status = open_beside(str(maildir), "list")
    os.close(descriptor)
    assert status.st_size == 3
    (maildir / "link").symlink_to("list")
    os.mkfifo(maildir / "fifo")
    before = open_descriptors()
    for name in ("link", "fifo", "cur"):
        with pytest.raises(OSError, match=name):
            open_beside(str(maildir), name)
    with pytest.raises(FileNotFoundError):
        open_beside(str(maildir), "nowhere")
    assert open_descriptors() == before
