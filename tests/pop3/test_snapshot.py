"""The maildrop at the moment of login."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, TypeVar

import pytest

from netguard.pop3.counting import count_octets
from netguard.pop3.foreign_lists import FOREIGN
from netguard.pop3.mailbox_errors import MailGone
from netguard.pop3.snapshot import Message, Messages, Snapshot, Taking

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


def taking(maildir: Path, before: Snapshot | None = None) -> Steps[Snapshot]:
    """The making of a snapshot."""
    return Taking(str(maildir), before).run()


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
    snapshot = run(taking(maildir))
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
    assert run(taking(maildir)).messages[0].size == octets


def test_a_file_that_shrinks_while_counted_ends(maildir: Path) -> None:
    """A file that is truncated meanwhile is counted as far as it goes."""
    file = maildir / "new" / "1.a"
    file.write_bytes(b"x" * 200_000)
    assert run(count_octets(str(maildir), "new/1.a"), lambda: os.truncate(file, 70_000)) <= 70_002


def test_a_claimed_size_is_believed(maildir: Path) -> None:
    """A size in the name saves reading the file; what was once counted of this very file is believed more."""
    for name in ("1.a", "2.b", "3.c"):
        (maildir / "cur" / f"{name},S=5,W=6:2,S").write_bytes(b"a\nb\nc\n")
    before = run(taking(maildir))
    before.messages.sizes[1] = before.messages.sizes[2] = 9
    (maildir / "cur" / "3.c,S=5,W=6:2,S").rename(maildir / "cur" / "old")
    (maildir / "cur" / "3.c,S=5,W=6:2,S").write_bytes(b"another file")
    (maildir / "cur" / "old").unlink()
    after = run(taking(maildir, before))
    assert [message.size for message in after.messages] == [6, 9, 6]
    assert (before.counted, after.counted) == (0, 0)


def test_what_was_counted_is_not_counted_again(maildir: Path) -> None:
    """Only a message that is new is read for its size."""
    for number in range(3):
        (maildir / "new" / f"{number}.a").write_bytes(b"a\n" * number)
    before = run(taking(maildir))
    (maildir / "new" / "1.a").rename(maildir / "cur" / "1.a:2,S")
    (maildir / "new" / "3.a").write_bytes(b"abc\n")
    after = run(taking(maildir, before))
    assert list(after.messages.sizes) == [0, 3, 6, 5]
    assert (before.counted, after.counted) == (3, 1)


def test_what_was_counted_before_the_work_was_given_up_is_known(maildir: Path) -> None:
    """Who goes away during a long first look leaves behind what was counted so far."""
    for number in range(100):
        (maildir / "new" / f"{number:03}.a").write_bytes(b"a\n")
    look = Taking(str(maildir))
    assert look.partial() is None
    steps = look.run()
    for _ in range(40):
        next(steps)
    steps.close()
    partial = look.partial()
    assert partial is not None
    assert 20 < len(partial.messages) < 50
    assert run(taking(maildir, partial)).counted == 100 - len(partial.messages)


def test_numbers_follow_the_other_server(maildir: Path) -> None:
    """With Dovecot's list, messages have Dovecot's order and ids; those that it does not know come last."""
    for name in ("1.a", "2.b,S=2", "3.c", "4.d"):
        (maildir / "cur" / f"{name}:2,S").write_bytes(b"a\n")
    (maildir / "dovecot-uidlist").write_bytes(b"3 V255 N9\n7 :3.c\n8 W3 :2.b,S=2\n")
    snapshot = run(Taking(str(maildir), foreign=FOREIGN["dovecot"]).run())
    assert snapshot.messages.names == ["3.c", "2.b", "1.a", "4.d"]
    assert snapshot.messages.uids == ["00000007000000ff", "00000008000000ff", "1.a", "4.d"]
    assert snapshot.list_stamp is None  # the list is too young to prove anything


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
    snapshot = run(taking(maildir))
    assert snapshot.messages.names == ["2.good"]
    assert (snapshot.listing.skipped, snapshot.listing.skips) == (
        [("cur/1.bad", "cannot be read: Input/output error")],
        1,
    )


def test_unique_ids_survive_everything_but_a_new_name(maildir: Path) -> None:
    """A flag, a size in the name, or a move from `new` to `cur` leaves the id as it is."""
    seen = set()
    place = maildir / "new" / "1.a"
    place.write_bytes(b"")
    for other in ("cur/1.a:2,", "cur/1.a:2,RS", "cur/1.a,S=0:2,RS", "cur/1.a,S=0,W=0:2,FRS"):
        seen.add(run(taking(maildir)).messages[0].uid)
        place = place.rename(maildir / other)
    assert seen == {"1.a"}


def test_files_of_one_base_name_have_ids_of_their_own(maildir: Path) -> None:
    """Twins are both served, under different ids that survive renaming; no id passes from one to the other."""

    def ids() -> dict[int, str]:
        snapshot = run(taking(maildir))
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
    assert ids() == {12: "1.a"}


def counting(maildir: Path) -> Steps[Snapshot]:
    """A snapshot of forty messages that has come to the counting of the first."""
    (maildir / "cur" / "00.a").write_bytes(b"abc\n" * 2**18)
    for number in range(1, 40):
        (maildir / "cur" / f"{number:02}.a").write_bytes(b"abc\n")
    steps = taking(maildir)
    for _ in range(10):  # the first message alone takes sixteen
        next(steps)
    return steps


def test_a_message_that_moves_while_others_are_counted_is_followed(maildir: Path) -> None:
    """A message that another program marks during the login is still in the session."""
    steps = counting(maildir)
    (maildir / "cur" / "39.a").rename(maildir / "cur" / "39.a:2,S")
    snapshot = run(steps)
    assert len(snapshot.messages) == 40
    assert snapshot.listing.stamps == {}
    assert snapshot.listing.places[39] == "cur/39.a:2,S"
    assert snapshot.messages[39].size == 5


def test_messages_that_vanish_while_others_are_counted_are_left_out(maildir: Path) -> None:
    """Messages that another program removes during the login are not in the session, and that ends in good time."""
    steps = counting(maildir)
    for number in range(10, 40):
        (maildir / "cur" / f"{number:02}.a").unlink()
    snapshot = run(steps)
    assert snapshot.messages.names == [f"{number:02}.a" for number in range(10)]
    assert snapshot.listing.skips == 0


def test_the_sequence_of_messages() -> None:
    """Messages are found by index from either end, by slice and by iteration, and nowhere else."""
    messages = Messages(["a", "b"], [1, 2], ["a", "hash"])
    first, second = Message("a", 1, "a"), Message("b", 2, "hash")
    assert list(messages) == messages[:] == [first, second]
    assert (messages[0], messages[1], messages[-1], messages[-2]) == (first, second, second, first)
    assert messages[1:] == [second]
    assert (len(messages), messages.octets) == (2, 3)
    for index in (2, -3):
        with pytest.raises(IndexError):
            messages[index]
