"""A start that ends with one line."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING

import pytest

from netguard.one_line import end_in_one_line

if TYPE_CHECKING:
    from tests.conftest import Logged


def test_an_error_that_nobody_catches_is_one_line(monkeypatch: pytest.MonkeyPatch, logged: Logged) -> None:
    """In the log and on the terminal; other exceptions are as before, and so is one that was expected earlier."""
    others: list[BaseException] = []
    terminal = io.StringIO()
    monkeypatch.setattr(sys, "excepthook", lambda _kind, error, _trace: others.append(error))
    monkeypatch.setattr(sys, "__stderr__", terminal)
    monkeypatch.setattr(sys, "argv", ["/usr/bin/twistd"])
    earlier, last, other = OSError("earlier"), OSError("no such port"), ValueError("another")
    end_in_one_line(earlier)
    end_in_one_line(last)
    for each in (earlier, other):
        sys.excepthook(type(each), each, None)
    assert others == [earlier, other]
    assert terminal.getvalue() == ""
    sys.excepthook(OSError, last, None)
    assert others == [earlier, other]
    assert terminal.getvalue() == "twistd: no such port\n"
    assert [event["error"] for event in logged.events if "error" in event] == [last]
    monkeypatch.setattr(sys, "__stderr__", None)  # where there is no terminal, the log has it
    sys.excepthook(OSError, last, None)
    assert [event["error"] for event in logged.events if "error" in event] == [last, last]
