"""Tests for netguard.commands.keyboard: bytes of a terminal are keys, and the terminal is left as it was."""

from __future__ import annotations

import os
import pty
import termios

import pytest

from netguard.commands.keyboard import Keyboard, keys


@pytest.mark.parametrize(
    ("data", "pressed"),
    [
        (b"q", ["q"]),
        (b"/a\x7f\r", ["/", "a", "backspace", "enter"]),
        (b"\x1b[A\x1b[Bj\x1bOA\x1bOB", ["up", "down", "j", "up", "down"]),
        (b"\x1b", ["escape"]),
        (b"\x1bx", ["escape", "x"]),
        (b"\x00\x01\xff\xc3\xbc\t", []),
        (b"", []),
        (b"\x08\n", ["backspace", "enter"]),
    ],
)
def test_bytes_are_keys(data: bytes, pressed: list[str]) -> None:
    """What is none is left out."""
    assert list(keys(data)) == pressed


def test_keys_come_at_once_and_unseen() -> None:
    """And afterwards as before."""
    ours, theirs = pty.openpty()
    try:
        before = termios.tcgetattr(theirs)
        with Keyboard(theirs) as keyboard:
            assert keyboard.wait(0.0) == []
            assert keyboard.wait(-1.0) == []
            os.write(ours, b"jk")
            assert keyboard.wait(30.0) == ["j", "k"]
            assert not termios.tcgetattr(theirs)[3] & (termios.ECHO | termios.ICANON)
        assert termios.tcgetattr(theirs) == before
    finally:
        os.close(theirs)
        os.close(ours)


@pytest.mark.parametrize("side", [0, 1])
def test_a_terminal_that_is_gone_has_no_keys(side: int) -> None:
    """It says so, whether reading ends or fails."""
    ends = pty.openpty()
    keyboard = Keyboard(ends[side])
    os.close(ends[1 - side])
    with pytest.raises(EOFError):
        keyboard.wait(30.0)
    os.close(ends[side])


def test_what_is_no_terminal_has_no_keys() -> None:
    """As a pipe."""
    reading, writing = os.pipe()
    try:
        with pytest.raises(OSError, match="Inappropriate"):
            Keyboard(reading)
    finally:
        os.close(reading)
        os.close(writing)
