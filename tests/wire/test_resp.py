"""What is promised of RESP2: whole, split anywhere and byte by byte are the same, and nobody can have us keep more."""

from __future__ import annotations

import itertools
import tracemalloc
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netguard.wire.resp import DEEPEST, LONGEST_LINE, NoRedis, Refusal, Reply, Resp, Unsendable

MOST, LONGEST = 64 * 1024, 16 * 1024


def wire(owed: int = 1) -> Resp:
    """A wire on which so many replies are owed."""
    made = Resp(MOST, LONGEST)
    made.send(*[(b"PING",)] * owed)
    return made


REPLIES: list[tuple[bytes, Reply]] = [
    (b"+OK\r\n", b"OK"),
    (b"+\r\n", b""),
    (b"-ERR no\r\n", Refusal(b"ERR no")),
    (b":0\r\n", 0),
    (b":-17\r\n", -17),
    (b"$-1\r\n", None),
    (b"$0\r\n\r\n", b""),
    (b"$4\r\n\r\n\r\n\r\n", b"\r\n\r\n"),
    (b"*-1\r\n", None),
    (b"*0\r\n", []),
    (b"*2\r\n*2\r\n:1\r\n$1\r\na\r\n-no\r\n", [[1, b"a"], Refusal(b"no")]),
    (
        b"*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\ne\r\n$2\r\n{}\r\n",
        [[b"s", [[b"1-0", [b"e", b"{}"]]]]],
    ),
]


def test_commands_are_arrays_of_strings() -> None:
    """With their lengths in octets; anything may be in them."""
    made = Resp(MOST, LONGEST)
    assert made.send((b"GET", b"k\r\n"), (b"PING",)) == b"*2\r\n$3\r\nGET\r\n$3\r\nk\r\n\r\n*1\r\n$4\r\nPING\r\n"
    assert made.owed == 2


@pytest.mark.parametrize("command", [(), ("PING",), (b"SET", 1)])
def test_what_is_no_command_is_not_sent(command: Any) -> None:
    """Nothing is owed for it."""
    made = Resp(MOST, LONGEST)
    with pytest.raises(Unsendable):
        made.send(command)
    assert made.owed == 0


@pytest.mark.parametrize(("octets", "reply"), REPLIES)
def test_replies(octets: bytes, reply: Reply) -> None:
    """Whole, and byte by byte; nothing is owed afterwards, and nothing may come."""
    made = wire()
    assert made.receive(octets) == [reply]
    assert made.owed == 0
    slowly = wire()
    assert _byte_by_byte(slowly, octets) == [reply]
    with pytest.raises(NoRedis, match="not asked for"):
        slowly.receive(b"+")


@given(st.lists(st.sampled_from(REPLIES), min_size=1, max_size=8), st.lists(st.integers(0, 400), max_size=6))
def test_splits_change_nothing(chosen: Sequence[tuple[bytes, Reply]], cuts: list[int]) -> None:
    """Wherever the stream is cut."""
    octets = b"".join(each for each, _ in chosen)
    made, got = wire(len(chosen)), []
    places = [0, *sorted(each % (len(octets) + 1) for each in cuts), len(octets)]
    for begin, end in itertools.pairwise(places):
        got += made.receive(octets[begin:end])
    assert got == [reply for _, reply in chosen]


@pytest.mark.parametrize(
    ("octets", "why"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n", "no RESP2"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "no RESP2"),
        (b"%1\r\n", "no RESP2"),
        (b":1x\r\n", "number"),
        (b":\r\n", "number"),
        (b":--1\r\n", "number"),
        (b":\xb2\r\n", "number"),
        (b"$" + b"9" * 30 + b"\r\n", "number"),
        (b"$-2\r\n", "negative"),
        (b"*-5\r\n", "negative"),
        (b"$1\r\nabc", "longer than it was announced"),
        (b"+" + b"x" * LONGEST_LINE, "a line has more"),
        (b"$%d\r\n" % (LONGEST + 1), "string has more octets"),
        (b"$2000000000\r\n", "string has more octets"),
        (b"*2000000000\r\n", "more parts"),
        (b"*1\r\n" * (DEEPEST + 1), "deep"),
        (b"*4096\r\n" * 2, "more parts"),
    ],
)
def test_what_is_no_reply_or_too_much_is_refused(octets: bytes, why: str) -> None:
    """At once, whatever else was to come; and so byte by byte."""
    with pytest.raises(NoRedis, match=why):
        wire().receive(octets)
    slowly = wire()
    with pytest.raises(NoRedis, match=why):
        _byte_by_byte(slowly, octets)


def _byte_by_byte(slowly: Resp, octets: bytes) -> list[Reply]:
    return [each for at in range(len(octets)) for each in slowly.receive(octets[at : at + 1])]


def test_the_limits_are_reached_exactly() -> None:
    """The longest string and the longest line pass."""
    made = wire(2)
    assert made.receive(b"$%d\r\n%b\r\n" % (LONGEST, b"x" * LONGEST)) == [b"x" * LONGEST]
    assert made.receive(b"+" + b"y" * (LONGEST_LINE - 1) + b"\r\n") == [b"y" * (LONGEST_LINE - 1)]


def test_all_replies_to_what_was_sent_at_once_have_one_limit() -> None:
    """Also when each is small; it begins anew with what is sent when nothing is owed."""
    string = b"$%d\r\n%b\r\n" % (LONGEST, b"x" * LONGEST)
    made = wire(3)
    for _ in range(3):
        made.receive(string)
    made.send((b"PING",))
    assert len(made.receive(string)) == 1
    greedy = wire(100_000)
    with pytest.raises(NoRedis, match="octets"):
        greedy.receive(b"+OK\r\n" * (MOST // 5 + 1))
    strings = wire(9)
    with pytest.raises(NoRedis, match="octets"):
        strings.receive(string * 4)


@pytest.mark.parametrize(
    "octets",
    [
        b"+OK\r\n" * 13_000,
        b"*4000\r\n" + b":1\r\n" * 3_999,
        b"$16000\r\n" + b"x" * 15_000,
        b"*1\r\n" * DEEPEST + b"+" + b"x" * 1000,
    ],
)
def test_little_is_kept(octets: bytes) -> None:
    """Some tens of octets for each that came, at most, since small things are objects, too."""
    made = wire(20_000)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    kept = [made.receive(octets[at : at + 1460]) for at in range(0, len(octets), 1460)]
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept is not None
    assert after - before < 12 * MOST


def test_what_is_sent_while_replies_are_owed_has_the_same_limit() -> None:
    """Nobody gets room for more by asking again."""
    made, string = wire(), b"$%d\r\n%b\r\n" % (LONGEST, b"x" * LONGEST)
    for _ in range(3):
        made.send((b"PING",))
        made.receive(string)
    made.send((b"PING",))
    with pytest.raises(NoRedis, match="octets"):
        made.receive(string)


@given(st.binary(max_size=300))
def test_random_bytes_end_in_one_way_or_the_other(octets: bytes) -> None:
    """No exception but ours."""
    made = wire(3)
    try:
        replies = made.receive(octets)
    except NoRedis as why:
        assert str(why).isprintable()  # noqa: PT017
    else:
        assert len(replies) <= 3
