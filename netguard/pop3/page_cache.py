"""Opening and reading what is in memory already: the file work that the reactor's thread may do, since it cannot wait.

To hand work to a thread and its result back costs more than such an opening and a read together.
"""

from __future__ import annotations

import ctypes
import os
import sys
from struct import pack
from typing import Final

_LONG = ctypes.c_long
_OPENAT2: Final = 437  # its number on all machines, but Alpha's
_AT_FDCWD: Final = -100
_NO_SYMLINKS, _CACHED = 0x04, 0x20  # RESOLVE_..., of <linux/openat2.h>
_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_HOW: Final = pack("QQQ", _FLAGS, 0, _NO_SYMLINKS | _CACHED)

_NOWAIT: Final[int | None] = getattr(os, "RWF_NOWAIT", None)


def _system_call() -> ctypes._NamedFuncPointer | None:
    if sys.platform != "linux" or os.uname().machine == "alpha":
        return None
    call = ctypes.CDLL(None).syscall
    call.argtypes = [_LONG, _LONG, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t]
    call.restype = _LONG
    return call


_call = _system_call()


def open_at_hand(path: str) -> int | None:
    """Open a file for reading, if the kernel knows every part of its path by heart (Linux's ``RESOLVE_CACHED``).

    Args:
        path: the file. No part of it may be a symbolic link.

    Returns:
        a descriptor, which the caller closes, of whatever it is; opening it waited for nothing. None if it would have
        to be waited for, is not known to need none, or cannot be opened: a thread finds out why.
    """
    if _call is None:
        return None
    descriptor: int = _call(_OPENAT2, _AT_FDCWD, os.fsencode(path), _HOW, len(_HOW))
    return None if descriptor < 0 else descriptor


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
