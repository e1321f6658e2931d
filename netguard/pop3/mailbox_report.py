"""What is wrong in a mailbox, told to the person who runs the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from twisted.logger import Logger

Report: TypeAlias = Callable[[str, dict[str, object]], None]
"""Is told the event's name and its fields; foreign text in them is escaped and bounded."""

_log = Logger()
_SHOWN = 120


def log_report(event: str, fields: dict[str, object]) -> None:
    """Log what is wrong in a mailbox, as a warning: `mailbox`, `reason` and `entry` are its fields."""
    _log.warn("{event} {mailbox}: {reason}: {entry}", event=event, **fields)


def tell(report: Report, mailbox: str, entry: str, reason: str) -> None:
    """Report one thing that is wrong.

    Args:
        report: is told.
        mailbox: the Maildir's directory.
        entry: the name of the file; anybody may have chosen it.
        reason: what is wrong with it.
    """
    shown = ascii(entry if len(entry) <= _SHOWN else f"{entry[:_SHOWN]}...")
    report("malformed", {"mailbox": mailbox, "entry": shown, "reason": reason})
