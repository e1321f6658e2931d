"""What is promised of entries: what is written can be read, and what is anything else is nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netguard.fleet.entries import Entry, is_position
from netguard.fleet.ledger import LONGEST

PARTS: dict[str, dict[str, Any]] = {
    "max-per-peer": {"192.0.2.7": 3},
    "penalty": {"2001:db8::": [30.5, 0, "malformed"], "192.0.2.1": None},
}


def test_what_is_written_can_be_read() -> None:
    """News, states, and last words."""
    news = Entry(7, {**PARTS, "connect-rate-per-peer": {}})
    assert Entry.news_of(news.encoded()) == Entry(7, PARTS)
    assert Entry.state_of(news.encoded()) is None
    state = Entry(7, PARTS, "1700000000000-3")
    assert Entry.state_of(state.encoded()) == state
    assert Entry.news_of(state.encoded()) == Entry(7)
    last = Entry(8, leaving=True)
    assert Entry.news_of(last.encoded()) == last
    assert json.loads(news.encoded()) == {"v": 1, "n": 7, "news": PARTS}


@pytest.mark.parametrize(
    "octets",
    [
        b"", b"{", b"[]", b"1", b"null", b'"x"', b"{}", b"\xff", b'{"v":1}', b'{"v":2,"n":1}', b'{"v":"1","n":1}',
        b'{"v":1,"n":-1}', b'{"v":1,"n":1.0}', b'{"v":1,"n":true}', b'{"v":1,"n":1e400}', b'{"v":1,"n":NaN}',
        b'{"v":1,"n":9007199254740992}', b'{"v":1,"n":1,"news":{"a":{"b":Infinity}}}', b"[" * 100_000,
        b'{"v":1,"n":1,"x":' + b"9" * 10_000 + b"}", b'{"v":1,"n":1,"x":"' + b"x" * LONGEST + b'"}',
    ],
)  # fmt: skip
def test_what_nobody_of_this_version_writes_is_nothing(octets: bytes) -> None:
    """However large or deep it is."""
    assert Entry.news_of(octets) is None
    assert Entry.state_of(octets) is None


@pytest.mark.parametrize("after", [None, "", "0", "x-1", "1-", "-1", "1-1 ", "1" * 20 + "-0", "\u0661-0", 3, ["0-0"]])
def test_a_state_needs_a_position(after: Any) -> None:
    """It is handed back to the ledger, which has to know it."""
    assert not is_position(after)
    assert Entry.state_of(json.dumps({"v": 1, "n": 1, "after": after, "state": PARTS}).encode()) is None


@pytest.mark.parametrize("value", [None, [], 3, "x"])
def test_parts_of_another_form_are_left_out(value: Any) -> None:
    """The others are not."""
    assert Entry.news_of(json.dumps({"v": 1, "n": 1, "news": value}).encode()) == Entry(1)
    mixed = json.dumps({"v": 1, "n": 1, "news": {"a": value, "b": {"c": 1}}, "leaving": value}).encode()
    assert Entry.news_of(mixed) == Entry(1, {"b": {"c": 1}})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_any_json_is_read_or_not(value: Any) -> None:
    """Without an exception."""
    for about in (value, {"v": 1, "n": 1, "news": value, "state": value, "after": "0-0"}):
        for read in (Entry.news_of, Entry.state_of):
            found = read(json.dumps(about).encode())
            assert found is None or all(isinstance(each, dict) for each in found.parts.values())
