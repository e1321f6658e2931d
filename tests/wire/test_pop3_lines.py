"""A client's bytes as lines, in bounds."""

from __future__ import annotations

import pytest

from netguard.wire.pop3_lines import MAX_LINE, Lines, TooLong


def test_lines_come_one_by_one() -> None:
    """However they came; the rest waits."""
    lines = Lines()
    assert lines.take() is None
    lines.add(b"ONE\r\nTW")
    assert lines.take() == b"ONE"
    assert (lines.take(), lines.pending) == (None, 2)
    lines.add(b"O\r\n\r\n")
    assert (lines.take(), lines.take(), lines.take(), lines.pending) == (b"TWO", b"", None, 0)


def test_only_crlf_ends_a_line() -> None:
    """A bare CR or LF is a part of it."""
    lines = Lines()
    lines.add(b"A\nB\rC\r")
    assert lines.take() is None
    lines.add(b"\n")
    assert lines.take() == b"A\nB\rC"


@pytest.mark.parametrize("longest", [2, 10, MAX_LINE])
def test_longest_line(longest: int) -> None:
    """So many octets with the CRLF are a line; one more is the end, whether its CRLF has come or not."""
    lines = Lines()
    lines.add(b"x" * (longest - 2) + b"\r\n")
    assert lines.take(longest) == b"x" * (longest - 2)
    for too_long in (b"x" * (longest - 1) + b"\r\n", b"x" * longest, b"x" * (longest - 1) + b"\r"):
        lines.add(too_long)
        with pytest.raises(TooLong):
            lines.take(longest)
        assert lines.pending == 0


def test_one_octet_less_may_still_become_a_line() -> None:
    """The CR may be the last octet that fits but one."""
    lines = Lines()
    lines.add(b"x" * (MAX_LINE - 2) + b"\r")
    assert lines.take() is None
    lines.add(b"\n")
    assert lines.take() == b"x" * (MAX_LINE - 2)


def test_drop() -> None:
    """What waits can be forgotten."""
    lines = Lines()
    lines.add(b"A\r\nB\r\n")
    lines.take()
    lines.drop()
    assert (lines.take(), lines.pending) == (None, 0)


def test_what_the_next_line_begins_with() -> None:
    """Not the one that was taken."""
    lines = Lines()
    lines.add(b"AB\r\nCD")
    assert (lines.begins_with(b"A"), lines.begins_with(b"AC")) == (True, False)
    lines.take()
    assert lines.begins_with(b"CD")
    assert not lines.begins_with(b"CDE")
