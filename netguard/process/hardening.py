"""What this process holds in memory stays there: no core dump, and no debugger of the same user."""

from __future__ import annotations

import ctypes
import os
import resource

_PR_GET_DUMPABLE, _PR_SET_DUMPABLE = 3, 4


def forbid_dumps() -> str | None:
    """Let nobody but root read this process's memory, neither alive nor dead.

    ``RLIMIT_CORE`` holds for programs that it starts, too, but not where cores go to a program (core(5)).
    ``PR_SET_DUMPABLE`` (prctl(2)) forbids cores of any kind, and ptrace(2) and ``/proc/PID/mem`` to processes of the
    same user. A change of the user resets it: call this after privileges were dropped. The files of
    ``/proc/self`` belong to root from then on; the process itself may go on reading them.

    Returns:
        What could not be done, in one line; None when all is well.
    """
    try:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        prctl = ctypes.CDLL(None, use_errno=True).prctl
    except (OSError, ValueError, AttributeError) as why:
        return f"core dumps cannot be switched off here: {why}"
    if prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0):
        return f"debuggers cannot be kept out here: {os.strerror(ctypes.get_errno())}"
    return None


def is_dumpable() -> bool:
    """Whether others of the same user may read this process's memory."""
    return bool(ctypes.CDLL(None).prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0))
