"""What is wrong in a mailbox, told to the person who runs the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

Report: TypeAlias = Callable[[str, dict[str, object]], None]
"""Is told the event's name and its fields, foreign text as it is: :func:`netguard.events.emit`, or its like."""


def tell(report: Report, mailbox: str, entry: str, reason: str) -> None:
    """Report one thing that is wrong.

    Args:
        report: is told.
        mailbox: the Maildir's directory.
        entry: the name of the file, which anybody may have chosen; empty when it is about several.
        reason: what is wrong with it.
    """
    report("mailbox", {"mailbox": mailbox, "reason": reason, "entry": entry})
