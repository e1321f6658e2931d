"""What a group of connections can serve (:mod:`netguard.native.group`)."""

from __future__ import annotations

from typing import Any


class Member:
    """What a group can serve. Whoever else asks it to be watched is watched by the reactor itself.

    Attributes:
        logstr: its prefix in the log, once that was asked for.
        moves: whether its reads pass on by themselves what comes, and speak to no application.
    """

    logstr = ""
    moves = _inside = _wanted = False


def number_of(member: Any) -> int:
    """Its descriptor; -1 when it is over."""
    try:
        return int(member.socket.fileno())
    except AttributeError:
        return -1
