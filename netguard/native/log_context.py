"""Whose name stands in Twisted's log where none is said: as ``callWithLogger``, in a quarter of its time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.python import context, log

_NAMELESS = "(buggy logPrefix method)"


def call_as(member: Any, do: Callable[[], object]) -> None:
    """Call something whose lines in the log are a connection's.

    Args:
        member: the connection, an ``ILoggingContext``.
        do: what to call; what it raises passes.
    """
    contexts = context.theContextTracker.currentContext().contexts
    outside = contexts[-1].get(log.ILogContext) or context.get(log.ILogContext)
    contexts.append({log.ILogContext: {**outside, "system": name_of(member)}})
    try:
        do()
    finally:
        contexts.pop()


def name_of(member: Any) -> str:
    """What a connection is called in the log, whatever its application does when it is asked."""
    try:
        return str(member.logPrefix())
    except BaseException:  # noqa: BLE001 - as Twisted does
        log.err(system=_NAMELESS)
        return _NAMELESS
