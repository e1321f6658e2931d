"""What is promised of ItemCounter: the length of the longest item, whatever the chunks and the delimiter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netguard.wire.items import ItemCounter


def _longest(stream: bytes, delimiter: bytes) -> int:
    """The truth: of whole items, and of the one left open, without what may be the beginning of a delimiter."""
    *whole, left = stream.split(delimiter)
    begun = next((n for n in range(len(delimiter) - 1, 0, -1) if left.endswith(delimiter[:n])), 0)
    return max(len(left) - begun, 0, *map(len, whole))


def _fed(items: ItemCounter, *chunks: bytes) -> list[int]:
    return [items.feed(chunk) for chunk in chunks]


@pytest.mark.parametrize("delimiter", [b"\n", b"\r\n", b"\n\n", b"aab", b"abab"])
@pytest.mark.parametrize("limit", [0, 1, 5])
def test_an_item_of_exactly_the_limit_is_within_it(delimiter: bytes, limit: int) -> None:
    """One byte more is not; the delimiter does not count."""
    inside, outside = b"x" * limit + delimiter, b"x" * (limit + 1) + delimiter
    assert max(_fed(ItemCounter(limit, delimiter), inside * 3, inside, *(bytes([each]) for each in inside))) <= limit
    assert _fed(ItemCounter(limit, delimiter), inside, outside)[1] == limit + 1
    assert max(_fed(ItemCounter(limit, delimiter), *(bytes([each]) for each in inside + outside))) == limit + 1


def test_an_endless_item_grows() -> None:
    """Whether its delimiter comes or not."""
    items = ItemCounter(10, b"\n")
    assert _fed(items, b"x" * 10, b"x", b"x" * 100, b"\n", b"x" * 10) == [0, 11, 111, 111, 0]


def test_a_delimiter_may_come_in_pieces() -> None:
    """What looks like its beginning counts only once it turns out to be none."""
    items = ItemCounter(3, b"\r\n")
    assert max(_fed(items, b"abc", b"\r", b"\n")) <= 3
    assert _fed(items, b"abc\r", b"\r", b"\n")[1:] == [4, 4]
    assert _fed(items, b"abc\r", b"x")[1:] == [5]


def test_a_delimiter_that_overlaps_itself_is_found_from_the_front() -> None:
    """As whoever receives the items finds it: three line feeds are an empty line and the beginning of another."""
    items = ItemCounter(100, b"\n\n")
    assert items.feed(b"a\n\n\nbc") == 3
    assert items.run == 3


@given(
    st.sampled_from([b"\n", b"\r\n", b"\n\n", b"aab", b"abab", b"aba"]),
    st.lists(st.text("ab\r\n", max_size=12).map(str.encode), max_size=12),
    st.integers(0, 8),
)
def test_whole_is_split_anywhere(delimiter: bytes, chunks: list[bytes], limit: int) -> None:
    """At every chunk's end, some item was seen to exceed the limit exactly when one does."""
    items, whole, most, before = ItemCounter(limit, delimiter), ItemCounter(limit, delimiter), 0, b""
    for chunk in chunks:
        most = max(most, items.feed(chunk))
        before += chunk
        truth = _longest(before, delimiter)
        assert (most > limit) == (truth > limit)
        assert most <= limit or most == truth
        assert len(items.tail) < len(delimiter)
    alone = whole.feed(before)
    assert (alone > limit) == (most > limit)
    assert whole.run == items.run


@given(
    st.sampled_from([b"\n", b"\r\n", b"\n\n", b"aab"]),
    st.lists(st.text("ab\r\n", max_size=12).map(str.encode), max_size=12),
    st.integers(0, 8),
)
def test_a_whole_chunk_need_not_be_fed(delimiter: bytes, chunks: list[bytes], limit: int) -> None:
    """One of up to `whole` bytes that ends with the delimiter brings no item that is too long, and changes nothing."""
    items = ItemCounter(limit, delimiter)
    for chunk in chunks:
        whole = len(chunk) <= items.whole and chunk.endswith(delimiter)
        before = (items.run, items.tail, items.whole)
        longest = items.feed(chunk)
        if whole:
            assert longest <= limit
            assert (items.run, items.tail, items.whole) == before


def test_an_open_item_must_be_fed() -> None:
    """A whole chunk is one that begins where an item begins; an overlapping delimiter leaves none."""
    items = ItemCounter(3, b"\r\n")
    assert items.whole == 5
    items.feed(b"a")
    assert items.whole < 0
    items.feed(b"\r\n")
    assert items.whole == 5
    assert ItemCounter(3, b"\n\n").whole < 0
