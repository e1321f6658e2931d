"""Looking at a mailbox, with what was kept from the last look."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import maybeDeferred

from netguard.pop3.look import Look
from netguard.pop3.mailbox_cache import NAME
from netguard.pop3.mailbox_errors import MailboxTrouble
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

    def see_and_keep(self) -> Snapshot:
        """Look, and keep what was seen."""
        snapshot = self.see()
        self.look.keep(str(self.path), snapshot)
        return snapshot


@pytest.fixture
def looker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Looker:
    """One for a Maildir with two messages, in a time in which every change shows."""
    monkeypatch.setattr("netguard.pop3.listing.GRAIN", -2_000_000_000)
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
    assert other.see_and_keep().messages.uids == ["00000007000000ff", "1.a"]
    assert other.see().remembered
    assert looker.see().messages.uids == ["1.a", "2.b"]
    (tmp_path / "dovecot-uidlist").write_bytes(b"")
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
