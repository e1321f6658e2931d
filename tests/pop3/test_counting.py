"""Sizes that nobody has written down."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

import pytest

from netguard.pop3.counting import Counter
from netguard.pop3.listing import Listing

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
    """A Maildir with one message."""
    for folder in ("new", "cur"):
        (tmp_path / folder).mkdir()
    (tmp_path / "new" / "1.a").write_bytes(b"a\n")
    return tmp_path


def test_a_message_is_counted_where_it_is(maildir: Path) -> None:
    """Place, inode and size come back; one that was renamed meanwhile is followed, and that shows."""
    counter = Counter(str(maildir), Listing())
    inode = (maildir / "new" / "1.a").stat().st_ino
    assert run(counter.count("1.a", "new/1.a", inode)) == ("new/1.a", inode, 3)
    assert (counter.counted, counter.lost) == (1, False)
    (maildir / "new" / "1.a").rename(maildir / "cur" / "1.a:2,S")
    assert run(counter.count("1.a", "new/1.a", inode)) == ("cur/1.a:2,S", inode, 3)
    assert (counter.counted, counter.lost) == (2, True)
    counter.close()


def test_messages_that_vanish_cost_a_few_listings(maildir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many have vanished, the mailbox is listed so often and no more."""
    listings: list[object] = []
    scandir = os.scandir

    def watched(folder: int) -> object:
        listings.append(folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", watched)
    counter = Counter(str(maildir), Listing())
    assert [run(counter.count(f"{number}.x", f"new/{number}.x", 1)) for number in range(20)] == [None] * 20
    assert len(listings) == 2 * 8
    counter.close()


def test_what_is_no_mail_is_noted(maildir: Path) -> None:
    """A message that may not be sent is left out, with the reason, and no descriptor stays open."""
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - only the count is wanted
    (maildir / "cur" / "2.b").symlink_to("/etc/passwd")
    listing = Listing()
    counter = Counter(str(maildir), listing)
    assert run(counter.count("2.b", "cur/2.b", 1)) is None
    assert [place for place, _ in listing.skipped] == ["cur/2.b"]
    assert counter.lost
    counter.close()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - the same
