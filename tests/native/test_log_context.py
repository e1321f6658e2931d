"""Whose name stands in Twisted's log."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.python import context, log

from netguard.native.log_context import call_as, name_of


class Member:
    """A connection, as far as its name goes."""

    def logPrefix(self) -> str:
        """Its name."""
        return "Echo,1,192.0.2.1"


class Buggy:
    """One whose application cannot even say its name."""

    def logPrefix(self) -> str:
        """Fail."""
        raise ZeroDivisionError


def test_what_is_said_is_said_by_the_connection_and_what_else_was_known_stays(logged: Any) -> None:
    """As with Twisted's own function; what is said later is not."""
    call_as(Member(), lambda: log.msg("x"))
    log.callWithContext({"system": "outside", "more": 1}, call_as, Member(), lambda: log.msg("x"))
    context.call({"other": 1}, call_as, Member(), lambda: log.msg("x"))
    log.msg("x")
    said = [(each["log_system"], each.get("more")) for each in logged.events if each.get("message") == ("x",)]
    assert said == [("Echo,1,192.0.2.1", None), ("Echo,1,192.0.2.1", 1), ("Echo,1,192.0.2.1", None), ("-", None)]


def test_what_is_raised_passes_and_the_name_goes(logged: Any) -> None:
    """Nothing of it stays behind."""
    with pytest.raises(ZeroDivisionError):
        call_as(Member(), lambda: 1 // 0)
    log.msg("x")
    assert logged.events[-1]["log_system"] == "-"


def test_an_application_that_cannot_say_its_name_is_served_all_the_same(logged: Any) -> None:
    """Twisted says so in the log, and so do we."""
    assert name_of(Member()) == "Echo,1,192.0.2.1"
    called: list[int] = []
    call_as(Buggy(), lambda: called.append(1))
    assert called == [1]
    assert len(logged.take_failures(ZeroDivisionError)) == 1
