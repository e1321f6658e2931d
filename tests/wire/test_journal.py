"""The journal's native protocol: any value goes in and comes out as it was, and no value makes another field."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netguard.wire.journal import LONGEST_NAME, encode, name_of, stream_of


def decode(entry: bytes) -> list[tuple[str, bytes]]:
    """The fields of an entry, as systemd reads them: the test's own reader."""
    fields = []
    while entry:
        head, _, rest = entry.partition(b"\n")
        name, equals, value = head.partition(b"=")
        if not equals:
            length = int.from_bytes(rest[:8], "little")
            value, end, rest = rest[8 : 8 + length], rest[8 + length : 9 + length], rest[9 + length :]
            assert end == b"\n"
        fields.append((name.decode("ascii"), value))
        entry = rest
    return fields


def test_an_entry_is_its_fields() -> None:
    """The example of systemd's documentation, with a value that has a line end."""
    fields = [("MESSAGE", "hello"), ("PRIORITY", "6"), ("DETAILS", "one\ntwo")]
    assert encode(fields) == b"MESSAGE=hello\nPRIORITY=6\nDETAILS\n\x07\0\0\0\0\0\0\0one\ntwo\n"


_names = st.from_regex(r"\A[A-Z][A-Z0-9_]{0,63}\Z")


@given(st.lists(st.tuples(_names, st.text()), max_size=8))
def test_any_value_comes_out_as_it_went_in(fields: list[tuple[str, str]]) -> None:
    """Equals signs, NULs, line ends; what UTF-8 has not got is escaped."""
    assert decode(encode(fields)) == [(name, value.encode("utf-8", "backslashreplace")) for name, value in fields]


@pytest.mark.parametrize("name", ["", "_PID", "1A", "a", "A B", "A=", "A\nB", "\u00c4", "A" * 65])
def test_a_name_that_the_journal_would_not_take_is_refused(name: str) -> None:
    """Above all those that only the journal itself may set."""
    with pytest.raises(ValueError, match="no name of a field"):
        encode([(name, "x")])


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("client.address", "N_CLIENT_ADDRESS"),
        ("bytes_in", "N_BYTES_IN"),
        ("a--b..c", "N_A_B_C"),
        ("_pid", "N_PID"),
        ("x" * 200, ("N_" + "X" * 200)[:LONGEST_NAME]),
    ],
)
def test_a_word_becomes_a_name(word: str, name: str) -> None:
    """Capitals and underscores, within the length."""
    assert name_of(word, "N_") == name
    assert encode([(name, "")]) == name.encode() + b"=\n"


@pytest.mark.parametrize(("word", "prefix"), [("", ""), ("", "N_"), ("...", "N_"), ("1", ""), ("\u00e4", "")])
def test_what_cannot_be_a_name_is_refused(word: str, prefix: str) -> None:
    """Nobody guesses."""
    with pytest.raises(ValueError, match="cannot be the name"):
        name_of(word, prefix)


@pytest.mark.parametrize(
    ("variable", "stream"),
    [
        ("8:1234", (8, 1234)),
        (None, None),
        ("", None),
        ("8", None),
        ("8:", None),
        (":8", None),
        ("8:x", None),
        ("-8:1", None),
        ("\u0668:1", None),
        ("8:1:2", None),
    ],
)
def test_the_variable_says_which_stream_is_the_journal(variable: str | None, stream: tuple[int, int] | None) -> None:
    """Device and inode, or nothing."""
    assert stream_of(variable) == stream
