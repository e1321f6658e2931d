"""The vocabulary of the POP3 machine: listings in pieces, denials, and what a repr may show."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netguard.wire import pop3_events as ev


@dataclass
class Mail:
    """A message as the machine sees one."""

    size: int
    uid: str


def mails(count: int) -> list[Mail]:
    """So many messages, the first of 1 octet, the second of 2, and so on."""
    return [Mail(number, f"uid{number}") for number in range(1, count + 1)]


def test_empty_listing_is_one_piece() -> None:
    """An empty mailbox is listed as a first line and the terminator, at once."""
    assert list(ev.pieces([], set())) == [b"+OK listing follows\r\n.\r\n"]


def test_small_listing_is_one_piece() -> None:
    """A small mailbox is listed in one piece."""
    assert list(ev.pieces([1, 2], set())) == [b"+OK listing follows\r\n1 1\r\n2 2\r\n.\r\n"]


def test_deleted_messages_are_left_out() -> None:
    """A deleted message is not listed, and the others keep their numbers."""
    assert b"".join(ev.pieces([1, 2, 3], {1})) == b"+OK listing follows\r\n1 1\r\n3 3\r\n.\r\n"


@pytest.mark.parametrize("count", [ev.PIECE - 1, ev.PIECE, ev.PIECE + 1, 2 * ev.PIECE, 3 * ev.PIECE + 7])
def test_large_listings_come_in_pieces(count: int) -> None:
    """Every message is listed once, in order, in pieces of a bounded number of messages."""
    made = list(ev.pieces(range(1, count + 1), set()))
    lines = b"".join(made).split(b"\r\n")
    assert lines == [b"+OK listing follows", *(b"%d %d" % (n, n) for n in range(1, count + 1)), b".", b""]
    assert max(piece.count(b"\r\n") for piece in made) <= ev.PIECE + 2


@given(st.sets(st.integers(0, 700)), st.integers(0, 700))
def test_listing_is_all_that_is_not_deleted(deleted: set[int], count: int) -> None:
    """Whatever is deleted, the rest is listed and nothing else."""
    lines = b"".join(ev.pieces(range(1, count + 1), deleted)).split(b"\r\n")[1:-2]
    assert lines == [b"%d %d" % (n + 1, n + 1) for n in range(count) if n not in deleted]


def test_pieces_are_made_when_asked_for() -> None:
    """Nothing is made before it is wanted, so that a client who stops reading stops the work."""
    asked = iter(range(10_000))
    made = ev.pieces(asked, set())
    assert next(asked) == 0
    next(made)
    assert next(asked) == ev.PIECE + 1


def test_a_piece_is_small() -> None:
    """Even with the longest unique ids a piece has some 20 KiB."""
    made = list(ev.pieces(["u" * 70] * (5 * ev.PIECE), set()))
    assert max(map(len, made)) < 21 * 1024


def test_password_is_not_shown() -> None:
    """No representation of a login shows the password."""
    assert "hunter2" not in repr(ev.Password(b"u", b"hunter2"))


def test_denials_are_single_lines_with_codes() -> None:
    """Every denial is one -ERR line with the response code of its RFC."""
    codes = {denial: denial.value[5 : denial.value.index(b"]") + 1] for denial in ev.Denial}
    assert codes == {
        ev.Denial.CREDENTIALS: b"[AUTH]",
        ev.Denial.IN_USE: b"[IN-USE]",
        ev.Denial.TOO_SOON: b"[LOGIN-DELAY]",
        ev.Denial.TROUBLE: b"[SYS/TEMP]",
    }
    assert all(d.value.startswith(b"-ERR ") and d.value.count(b"\r\n") == 1 for d in ev.Denial)


def test_messages_may_know_each_thing_of_all() -> None:
    """Who has columns is asked for these, and nobody goes through the messages."""

    class Known(list[ev.Entry]):
        octets = 12
        sizes = (5, 7)
        uids = ("x", "y")

    known = Known()
    assert (ev.octets_of(known), ev.sizes_of(known), ev.uids_of(known)) == (12, (5, 7), ("x", "y"))
    assert (ev.octets_of(mails(2)), list(ev.sizes_of(mails(2))), list(ev.uids_of(mails(2)))) == (
        3,
        [1, 2],
        ["uid1", "uid2"],
    )
