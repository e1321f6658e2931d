"""Unique-ids that Dovecot and Courier gave out."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

import pytest

from netguard.pop3.foreign_lists import FOREIGN, NOWHERE, Given, kinds
from netguard.pop3.mailbox_errors import MailboxTrouble

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


def read(mailbox: Path, kind: str, text: bytes) -> Given:
    """What is in a list."""
    (mailbox / FOREIGN[kind].name).write_bytes(text)
    return run(FOREIGN[kind].read(str(mailbox)))


def test_the_kinds_are_known() -> None:
    """There is our own, and one for each list that can be read."""
    assert list(kinds()) == ["native", "dovecot", "courier"]


def test_dovecots_list(tmp_path: Path) -> None:
    """A uid and the uidvalidity make the id, unless the message has its own; what cannot be read is left out."""
    text = b"3 V1795944740 N30 G6f\n" + b"".join(
        [
            b"1 :1.a\n",
            b"26 W30 S28 :2.b,S=28:2,S\n",
            b"27 Pown-id W5 :3.c\n",
            b"28 P :4.d\n",
            b"x :5.e\n",
            b"4294967296000 :6.f\n",
            b"29 no name\n",
            b"\n",
            b"29 :7.g",
        ]
    )
    given = read(tmp_path, "dovecot", text)
    assert given.ids == {
        "1.a": "000000016b0bf124",
        "2.b": "0000001a6b0bf124",
        "3.c": "own-id",
        "4.d": "0000001c6b0bf124",
    }
    assert given.numbers == {"1.a": 1, "2.b": 26, "3.c": 27, "4.d": 28}


def test_dovecots_old_list(tmp_path: Path) -> None:
    """Version 1 has no fields."""
    given = read(tmp_path, "dovecot", b"1 255 9\n3 1.a\n4 2.b:2,S\n")
    assert given.ids == {"1.a": "00000003000000ff", "2.b": "00000004000000ff"}


def test_couriers_list(tmp_path: Path) -> None:
    """Number and uidvalidity make the id; a message without a number has its base name; the order is that of names."""
    text = b"/3 9 1795944740\n1.a:2,S 120 5:1795944740:0\n2.b 7 0:0:1\n3 c,S=1 7 6:8\n4.d 7 x:1\n5.e 7\n\n6.f 7 8:1"
    given = read(tmp_path, "courier", text)
    assert given.ids == {"1.a": "UID5-1795944740", "2.b": "2.b", "3 c": "UID6-8"}
    assert given.numbers == {}
    assert read(tmp_path, "courier", b"/2 9 7\n1.a 120 5:7\n").ids == {"1.a": "UID5-7"}


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("dovecot", b""),
        ("dovecot", b"4 V1 N1\n"),
        ("dovecot", b"3 N1\n"),
        ("dovecot", b"3 Vx N1\n"),
        ("dovecot", b"1\n"),
        ("courier", b""),
        ("courier", b"/1 1 1\n"),
        ("courier", os.urandom(99)),
    ],
    ids=["empty", "version", "no-validity", "odd-validity", "old-no-validity", "c-empty", "c-version", "c-random"],
)
def test_a_list_that_is_none_is_trouble(tmp_path: Path, kind: str, text: bytes) -> None:
    """Without its list every client would download all again, so then nobody is let in."""
    with pytest.raises(MailboxTrouble, match="unique-ids would change"):
        read(tmp_path, kind, text)


def test_what_is_no_file_is_trouble(tmp_path: Path) -> None:
    """A link in the place of a list is not followed, and a list that fills the memory is not read."""
    (tmp_path / "dovecot-uidlist").symlink_to("/etc/passwd")
    with pytest.raises(MailboxTrouble):
        run(FOREIGN["dovecot"].read(str(tmp_path)))
    (tmp_path / "courierpop3dsizelist").touch()
    os.truncate(tmp_path / "courierpop3dsizelist", 1 << 30)
    with pytest.raises(MailboxTrouble, match="larger"):
        run(FOREIGN["courier"].read(str(tmp_path)))


def test_a_stamp_proves_that_a_list_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that was there long enough has a stamp, and so has one that is not there; a young one has none."""
    dovecot = FOREIGN["dovecot"]
    assert run(dovecot.read(str(tmp_path))).stamp == NOWHERE == dovecot.stamp(str(tmp_path))
    assert read(tmp_path, "dovecot", b"3 V1 N1\n").stamp is None
    monkeypatch.setattr("netguard.stamp.GRAIN", -2_000_000_000)
    assert run(dovecot.read(str(tmp_path))).stamp == dovecot.stamp(str(tmp_path)) != NOWHERE
    assert dovecot.stamp(f"{tmp_path}/dovecot-uidlist") is None


def test_a_long_list_is_read_in_steps(tmp_path: Path) -> None:
    """A list of thousands of messages does not keep others waiting."""
    (tmp_path / "dovecot-uidlist").write_bytes(b"3 V1 N1\n" + b"".join(b"%d :%d.a\n" % (n, n) for n in range(1, 2000)))
    assert len(list(FOREIGN["dovecot"].read(str(tmp_path)))) > 5
