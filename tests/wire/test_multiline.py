"""Messages on their way to the wire, against a plain line-by-line oracle."""

from __future__ import annotations

import itertools
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netguard.wire.multiline import WireLines, WireOctets

if TYPE_CHECKING:
    from collections.abc import Iterable


def oracle_lines(message: bytes) -> list[bytes]:
    """The lines of a stored message without their ends, read the slow and obvious way."""
    *ended, last = message.split(b"\n")
    return [line.removesuffix(b"\r") for line in ended] + ([last] if last else [])


def oracle(message: bytes, top: int | None = None) -> tuple[bytes, int]:
    """The reply for `message`, terminator included, and the octets that it counts as."""
    lines = oracle_lines(message)
    # An unended last line can hold nothing but content, so it is never the blank line.
    if top is not None and b"" in lines:
        lines = lines[: lines.index(b"") + 1 + top]
    stuffed = [b"." + line if line.startswith(b".") else line for line in lines]
    return b"".join(line + b"\r\n" for line in stuffed) + b".\r\n", sum(len(line) + 2 for line in lines)


def encode(chunks: Iterable[bytes], top: int | None = None) -> tuple[bytes, int]:
    """The reply that WireLines makes of `chunks`, and its count."""
    encoder = WireLines(top)
    reply = b"".join([encoder.feed(chunk) for chunk in chunks])
    reply += encoder.finish()
    return reply, encoder.octets


def count(chunks: Iterable[bytes]) -> int:
    """What WireOctets counts for `chunks`."""
    counter = WireOctets()
    for chunk in chunks:
        counter.feed(chunk)
    return counter.octets


def split(message: bytes, cuts: Iterable[int]) -> list[bytes]:
    """`message` cut at the given places."""
    edges = [0, *sorted(cut % (len(message) + 1) for cut in cuts), len(message)]
    return [message[start:end] for start, end in itertools.pairwise(edges)]


# Mostly the bytes that matter, so that every edge case is met often; sometimes anything.
messages = st.one_of(
    st.lists(
        st.sampled_from([b".", b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\n\n", b"a", b"\x00", b"\xff", b".."]),
        max_size=40,
    ).map(b"".join),
    st.binary(max_size=200),
)
tops = st.one_of(st.none(), st.integers(0, 6), st.just(10**30))


@given(messages, tops, st.lists(st.integers(0, 500), max_size=8))
def test_split_anywhere_equals_the_oracle(message: bytes, top: int | None, cuts: list[int]) -> None:
    """Whole, split anywhere, or byte by byte: reply and count are those of the line-by-line oracle."""
    expected = oracle(message, top)
    assert encode([message], top) == expected
    assert encode(split(message, cuts), top) == expected
    assert encode([message[i : i + 1] for i in range(len(message))], top) == expected


@given(messages, st.lists(st.integers(0, 500), max_size=8))
def test_count_equals_the_encoder(message: bytes, cuts: list[int]) -> None:
    """The counter gives what the encoder sends, however the message is cut."""
    expected = oracle(message)[1]
    assert count([message]) == expected
    assert count(split(message, cuts)) == expected
    assert count([message[i : i + 1] for i in range(len(message))]) == expected


@pytest.mark.parametrize(
    ("stored", "wire", "octets"),
    [
        (b"", b".\r\n", 0),
        (b"\n", b"\r\n.\r\n", 2),
        (b"\r\n", b"\r\n.\r\n", 2),
        (b"a", b"a\r\n.\r\n", 3),
        (b"a\n", b"a\r\n.\r\n", 3),
        (b"a\r\n", b"a\r\n.\r\n", 3),
        (b"a\r\nb\nc", b"a\r\nb\r\nc\r\n.\r\n", 9),
        (b"a\r\r\n", b"a\r\r\n.\r\n", 4),
        (b"a\rb\n", b"a\rb\r\n.\r\n", 5),
        (b"a\r", b"a\r\r\n.\r\n", 4),
        (b"a\r.\n", b"a\r.\r\n.\r\n", 5),
        (b"\x00\xff\n", b"\x00\xff\r\n.\r\n", 4),
        (b".", b"..\r\n.\r\n", 3),
        (b".\n", b"..\r\n.\r\n", 3),
        (b"..\r\n", b"...\r\n.\r\n", 4),
        (b"a\n.\n+OK forged\n", b"a\r\n..\r\n+OK forged\r\n.\r\n", 18),
    ],
)
def test_known_messages(stored: bytes, wire: bytes, octets: int) -> None:
    """Each kind of message has one form on the wire, and its size leaves out stuffing and terminator."""
    assert encode([stored]) == (wire, octets)
    assert count([stored]) == octets


def test_dot_after_an_edge_is_stuffed() -> None:
    """A dot that begins a line and a chunk is stuffed; one that only begins a chunk is not."""
    assert encode([b"a\n", b".\n", b"b", b".\n"])[0] == b"a\r\n..\r\nb.\r\n.\r\n"


def test_line_end_over_an_edge_is_not_doubled() -> None:
    """A CR LF that is split between two chunks stays one line end, and the next line's dot is seen."""
    assert encode([b"a\r", b"\n", b".b\r", b"\n.\r", b"\r\n"])[0] == b"a\r\n..b\r\n..\r\r\n.\r\n"


def test_empty_chunks_change_nothing() -> None:
    """An empty chunk between CR and LF does not forget the CR."""
    assert encode([b"", b"a\r", b"", b"\n"])[0] == b"a\r\n.\r\n"
    assert count([b"", b"a\r", b"", b"\n"]) == 3


@pytest.mark.parametrize(
    ("top", "wire"),
    [
        (0, b"A: b\r\n\r\n.\r\n"),
        (1, b"A: b\r\n\r\n..one\r\n.\r\n"),
        (2, b"A: b\r\n\r\n..one\r\n\r\n.\r\n"),
        (3, b"A: b\r\n\r\n..one\r\n\r\nthree\r\n.\r\n"),
        (4, b"A: b\r\n\r\n..one\r\n\r\nthree\r\n.\r\n"),
        (2**80, b"A: b\r\n\r\n..one\r\n\r\nthree\r\n.\r\n"),
    ],
)
def test_top_gives_exactly_the_lines(top: int, wire: bytes) -> None:
    """TOP n is the headers, the blank line and n body lines, and a huge n is the whole message."""
    for stored in (b"A: b\n\n.one\n\nthree", b"A: b\r\n\r\n.one\r\n\r\nthree\r\n"):
        assert encode([stored], top)[0] == wire


def test_top_without_a_blank_line_is_the_whole_message() -> None:
    """A message that is all headers is sent to its end, with no separator invented."""
    assert encode([b"A: b\nC: d"], 0)[0] == b"A: b\r\nC: d\r\n.\r\n"


def test_top_of_a_message_that_begins_with_the_blank_line() -> None:
    """A message without headers begins with its blank line, and the body is counted from there."""
    assert encode([b"\none\ntwo\n"], 1)[0] == b"\r\none\r\n.\r\n"


def test_top_tells_when_it_needs_no_more() -> None:
    """`done` comes with the last wanted line, and what is fed after it is ignored."""
    encoder = WireLines(1)
    assert encoder.feed(b"A: b\n\n") == b"A: b\r\n\r\n"
    states = [encoder.done]
    assert encoder.feed(b"one\ntwo") == b"one\r\n"
    states.append(encoder.done)
    assert states == [False, True]
    assert encoder.feed(b"three\n") == b""
    assert encoder.finish() == b".\r\n"
    assert encoder.octets == len(b"A: b\r\n\r\none\r\n")


def test_a_negative_top_is_refused() -> None:
    """A negative number of lines is a defect of the caller and is said to be one."""
    with pytest.raises(ValueError, match="0 or more, not -1"):
        WireLines(-1)


def test_finish_ends_once() -> None:
    """After the terminator nothing follows, whatever is asked."""
    encoder = WireLines()
    encoder.feed(b"a")
    assert encoder.finish() == b"\r\n.\r\n"
    assert encoder.done
    assert encoder.finish() == b""
    assert encoder.feed(b"b") == b""
    assert encoder.octets == 3


def test_output_is_at_most_twice_the_input() -> None:
    """The worst message, all line ends and dots, grows to no more than twice its size; nothing is kept."""
    encoder = WireLines()
    chunk = b"\n." * 32768
    tracemalloc.start()
    sizes = [len(encoder.feed(chunk)) for _ in range(16)]
    kept, _peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert max(sizes) <= 2 * len(chunk)
    assert kept < 4096
