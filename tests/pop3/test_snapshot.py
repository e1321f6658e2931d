"""The maildrop at the moment of login."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, TypeVar

import pytest

from netguard.pop3.mailbox_errors import MailGone
from netguard.pop3.snapshot import Message, Messages, Snapshot, count_octets, take_snapshot

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

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


def sha256(text: str) -> str:
    """The hash that stands for a name in a unique-id."""
    return hashlib.sha256(os.fsencode(text)).hexdigest()


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    """An empty Maildir."""
    for folder in ("tmp", "new", "cur"):
        (tmp_path / folder).mkdir()
    return tmp_path


def test_messages_are_ordered_by_base_name(maildir: Path) -> None:
    """Numbers follow the base names, in both folders together, whatever order the directory has."""
    names = [f"{number:03}.x" for number in range(300)]
    shuffled = sorted(names, key=lambda name: name[::-1])
    for number, name in enumerate(shuffled):
        (maildir / ("new", "cur")[number % 2] / name).write_bytes(b"a\n" * number)
    snapshot = run(take_snapshot(str(maildir)))
    assert snapshot.messages.names == names
    assert snapshot.messages[7] == Message("007.x", 3 * shuffled.index("007.x"), "007.x")
    assert snapshot.messages.octets == 3 * sum(range(300))


@pytest.mark.parametrize(
    ("stored", "octets"),
    [
        (b"", 0),
        (b"a", 3),
        (b"a\nb\n", 6),
        (b"a\r\nb\r\n", 6),
        (b"a\r\nb\n\rc\r", 11),
        (b".\n" * 50_000 + b"\0\xff", 150_004),
        (b"\r\n" * 80_000, 160_000),
    ],
)
def test_sizes_are_octets_on_the_wire(maildir: Path, stored: bytes, octets: int) -> None:
    """Every line end counts as CRLF, however it is stored, over every chunk edge; dots are counted once."""
    (maildir / "new" / "1.a").write_bytes(stored)
    assert run(count_octets(str(maildir), "new/1.a")) == octets
    assert run(take_snapshot(str(maildir))).messages[0].size == octets


def test_a_file_that_shrinks_while_counted_ends(maildir: Path) -> None:
    """A file that is truncated meanwhile is counted as far as it goes."""
    file = maildir / "new" / "1.a"
    file.write_bytes(b"x" * 200_000)
    assert run(count_octets(str(maildir), "new/1.a"), lambda: os.truncate(file, 70_000)) <= 70_002


def test_a_claimed_size_is_believed(maildir: Path) -> None:
    """A size in the name saves reading the file; what is known from reading is believed more."""
    (maildir / "cur" / "1.a,S=5,W=6:2,S").write_bytes(b"a\nb\nc\n")
    (maildir / "cur" / "2.b,S=5,W=6:2,S").write_bytes(b"a\nb\nc\n")
    messages = run(take_snapshot(str(maildir), {"2.b": 9})).messages
    assert [message.size for message in messages] == [6, 9]


def test_entries_that_cannot_be_read_are_left_out(maildir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that fails to be counted is noted and left out; the others are served."""
    (maildir / "cur" / "1.bad").write_bytes(b"bad")
    (maildir / "cur" / "2.good").write_bytes(b"good")
    bad, read = (maildir / "cur" / "1.bad").stat().st_ino, os.read

    def failing_read(descriptor: int, length: int) -> bytes:
        if os.fstat(descriptor).st_ino == bad:
            raise OSError(5, "Input/output error")
        return read(descriptor, length)

    monkeypatch.setattr(os, "read", failing_read)
    with pytest.raises(MailGone, match="cannot be read: Input/output error"):
        run(count_octets(str(maildir), "cur/1.bad"))
    snapshot = run(take_snapshot(str(maildir)))
    assert snapshot.messages.names == ["2.good"]
    assert (snapshot.skipped, snapshot.skips) == ([("cur/1.bad", "cannot be read: Input/output error")], 1)


@pytest.mark.parametrize(
    ("name", "uid"),
    [
        ("1700000000.M1P2.host", "1700000000.M1P2.host"),
        ("x" * 70, "x" * 70),
        ("x" * 71, sha256("x" * 71)),
        ("!~", "!~"),
        ("a b", sha256("a b")),
        ("caf\u00e9", sha256("caf\u00e9")),
        ("raw\udcff", sha256("raw\udcff")),
        ("0" * 64, sha256("0" * 64)),
        ("0" * 63 + "x", "0" * 63 + "x"),
    ],
)
def test_unique_ids_have_the_right_form(maildir: Path, name: str, uid: str) -> None:
    """The base name is the id if it has the form that RFC 1939 wants; else, or if it looks like a hash, its hash."""
    (maildir / "cur" / f"{name},S=1:2,S").write_bytes(b"")
    assert [message.uid for message in run(take_snapshot(str(maildir))).messages] == [uid]


def test_unique_ids_survive_everything_but_a_new_name(maildir: Path) -> None:
    """A flag, a size in the name, or a move from `new` to `cur` leaves the id as it is."""
    seen = set()
    place = maildir / "new" / "1.a"
    place.write_bytes(b"")
    for other in ("cur/1.a:2,", "cur/1.a:2,RS", "cur/1.a,S=0:2,RS", "cur/1.a,S=0,W=0:2,FRS"):
        seen.add(run(take_snapshot(str(maildir))).messages[0].uid)
        place = place.rename(maildir / other)
    assert seen == {"1.a"}


def test_files_of_one_base_name_have_ids_of_their_own(maildir: Path) -> None:
    """Twins are both served, under different ids that survive renaming; no id passes from one to the other."""

    def ids() -> dict[int, str]:
        snapshot = run(take_snapshot(str(maildir), {"1.a": 99}))
        assert [message.name for message in snapshot.messages] == ["1.a"] * len(snapshot.messages)
        return {message.size: message.uid for message in snapshot.messages}

    (maildir / "new" / "1.a").write_bytes(b"first")
    (maildir / "cur" / "1.a:2,S").write_bytes(b"the second")
    before = ids()
    assert sorted(before) == [7, 12]
    assert len(set(before.values())) == 2
    assert all(len(uid) == 64 for uid in before.values())
    (maildir / "cur" / "1.a:2,S").rename(maildir / "cur" / "1.a:2,RS")
    (maildir / "new" / "1.a").rename(maildir / "cur" / "1.a:2,")
    assert ids() == before
    (maildir / "cur" / "1.a:2,").unlink()
    assert ids() == {99: "1.a"}


def counting(maildir: Path) -> Steps[Snapshot]:
    """A snapshot of forty messages that has come to the counting of the first."""
    (maildir / "cur" / "00.a").write_bytes(b"abc\n" * 2**18)
    for number in range(1, 40):
        (maildir / "cur" / f"{number:02}.a").write_bytes(b"abc\n")
    steps = take_snapshot(str(maildir))
    for _ in range(10):  # the first message alone takes sixteen
        next(steps)
    return steps


def test_a_message_that_moves_while_others_are_counted_is_followed(maildir: Path) -> None:
    """A message that another program marks during the login is still in the session."""
    steps = counting(maildir)
    (maildir / "cur" / "39.a").rename(maildir / "cur" / "39.a:2,S")
    snapshot = run(steps)
    assert len(snapshot.messages) == 40
    assert snapshot.places[39] == "cur/39.a:2,S"
    assert snapshot.messages[39].size == 5


def test_messages_that_vanish_while_others_are_counted_are_left_out(maildir: Path) -> None:
    """Messages that another program removes during the login are not in the session, and that ends in good time."""
    steps = counting(maildir)
    for number in range(10, 40):
        (maildir / "cur" / f"{number:02}.a").unlink()
    snapshot = run(steps)
    assert snapshot.messages.names == [f"{number:02}.a" for number in range(10)]
    assert snapshot.skips == 0


def test_the_sequence_of_messages() -> None:
    """Messages are found by index from either end, by slice and by iteration, and nowhere else."""
    messages = Messages()
    messages.append("a", 1, "a")
    messages.append("b", 2, "hash")
    first, second = Message("a", 1, "a"), Message("b", 2, "hash")
    assert list(messages) == messages[:] == [first, second]
    assert (messages[0], messages[1], messages[-1], messages[-2]) == (first, second, second, first)
    assert messages[1:] == [second]
    assert (len(messages), messages.octets) == (2, 3)
    for index in (2, -3):
        with pytest.raises(IndexError):
            messages[index]
