"""The quota file of a Maildir++."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from netguard.pop3.maildir import open_folder
from netguard.pop3.quota import NAME, Freed

if TYPE_CHECKING:
    from pathlib import Path


def remove(mailbox: Path, *names: str) -> None:
    """Remove messages from `cur`, and say so."""
    freed = Freed(str(mailbox))
    folder = open_folder(str(mailbox), "cur")
    for name in names:
        size = freed.size(name, folder)
        os.unlink(name, dir_fd=folder)
        freed.add(size)
    os.close(folder)
    freed.note()


@pytest.fixture
def mailbox(tmp_path: Path) -> Path:
    """A mailbox with two messages, one of which says how large it is."""
    (tmp_path / "cur").mkdir()
    (tmp_path / "cur" / "1.a").write_bytes(b"12345")
    (tmp_path / "cur" / "2.b,S=700:2,S").write_bytes(b"12345")
    return tmp_path


def test_what_is_removed_is_taken_off(mailbox: Path) -> None:
    """Bytes, as names claim them or as they are, and messages are subtracted in one line."""
    (mailbox / NAME).write_bytes(b"1000000S\n705 2\n")
    remove(mailbox, "1.a", "2.b,S=700:2,S")
    assert (mailbox / NAME).read_bytes() == b"1000000S\n705 2\n-705 -2\n"


def test_a_mailbox_without_a_quota_gets_none(mailbox: Path) -> None:
    """No file is made where there is none, and none is touched when nothing was removed."""
    remove(mailbox, "1.a")
    assert not (mailbox / NAME).exists()
    (mailbox / NAME).write_bytes(b"1000000S\n")
    remove(mailbox)
    assert (mailbox / NAME).read_bytes() == b"1000000S\n"


def test_a_link_is_not_written_to(mailbox: Path) -> None:
    """A link in the place of the file could lead anywhere, also when it is put there at the last moment."""
    (mailbox / "elsewhere").write_bytes(b"")
    (mailbox / NAME).symlink_to("elsewhere")
    remove(mailbox, "1.a")
    (mailbox / NAME).unlink()
    (mailbox / NAME).write_bytes(b"1000000S\n")
    freed = Freed(str(mailbox))
    freed.add(1)
    (mailbox / NAME).unlink()
    (mailbox / NAME).symlink_to("elsewhere")
    freed.note()
    assert (mailbox / "elsewhere").read_bytes() == b""


def test_a_disk_that_is_full_fails_nothing(mailbox: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be noted is counted anew by whoever delivers; the removal has happened all the same."""

    def full(_descriptor: int, _data: bytes) -> int:
        raise OSError(28, "No space left on device")

    (mailbox / NAME).write_bytes(b"1000000S\n")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only the count is wanted
    monkeypatch.setattr(os, "write", full)
    remove(mailbox, "1.a")
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - the same
