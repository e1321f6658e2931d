"""Reading what is in memory already: the one file work that the reactor's thread may do, since it cannot wait."""

from __future__ import annotations

import os
from typing import Final

_NOWAIT: Final[int | None] = getattr(os, "RWF_NOWAIT", None)


def read_at_hand(descriptor: int, length: int) -> bytes | None:
    """Read on in a file, if that needs no disk (Linux's ``RWF_NOWAIT``).

    Args:
        descriptor: the file.
        length: bytes to read at the most.

    Returns:
        what was read, or None if it would have to be waited for, or is not known to need none.
    """
    if _NOWAIT is None:
        return None
    buffer = bytearray(length)
    try:
        count = os.preadv(descriptor, [buffer], -1, _NOWAIT)  # -1: where it was read to, and further from there
    except OSError:  # EAGAIN, or a file system that does not know; a true error comes again in the thread
        return None
    return bytes(memoryview(buffer)[:count])
