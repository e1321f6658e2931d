"""What is in memory already: the file work that the reactor's thread may do, since it cannot wait.

To hand work to a thread and its result back costs more than most of such work. That a file system is one of this
machine's own (:func:`is_local`) is for a thread to find out, beforehand.
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
_CAREFUL: Final = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_ONLY_LOOK: Final = getattr(os, "O_PATH", 0) | os.O_NOFOLLOW | os.O_CLOEXEC

_NOWAIT: Final[int | None] = getattr(os, "RWF_NOWAIT", None)


def _how(flags: int) -> bytes:
    return pack("QQQ", flags, 0, _NO_SYMLINKS | _CACHED)


READ: Final = _how(os.O_RDONLY | _CAREFUL)
"""Open a file to read it."""
WRITE: Final = _how(os.O_RDWR | _CAREFUL)
"""Open a file to write into it."""
LOOK: Final = _how(_ONLY_LOOK)
"""Open whatever it is, to look at it only."""

# The file systems on this machine's own disks and in its memory, by f_type of statfs(2). What others know of a file
# they may have to ask for again: another machine (NFS, CIFS, 9P), or a program (FUSE).
_LOCAL: Final = {
    0xEF53: "ext2, ext3, ext4",
    0x58465342: "XFS",
    0x9123683E: "Btrfs",
    0xF2F52010: "F2FS",
    0x2FC12FC1: "ZFS",
    0xCA451A4E: "bcachefs",
    0x3153464A: "JFS",
    0x01021994: "tmpfs",
    0x794C7630: "overlayfs",
}
_STATFS_OCTETS: Final = 512  # more than it has anywhere


def _library() -> ctypes.CDLL | None:
    if sys.platform != "linux" or os.uname().machine == "alpha":
        return None
    library = ctypes.CDLL(None)
    library.syscall.argtypes = [_LONG, _LONG, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t]
    library.syscall.restype = _LONG
    library.statfs.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
    return library


_libc = _library()


def is_local(path: str) -> bool:
    """Whether a file or folder is on a file system of this machine's own. It may wait: for a thread.

    Args:
        path: the file or folder.
    """
    found = ctypes.create_string_buffer(_STATFS_OCTETS)
    if _libc is None or _libc.statfs(os.fsencode(path), found):
        return False
    return _LONG.from_buffer(found).value in _LOCAL  # f_type comes first


def open_at_hand(path: str, how: bytes = READ) -> int | None:
    """Open a file, if the kernel knows every part of its path by heart (Linux's ``RESOLVE_CACHED``).

    Args:
        path: the file, of a local file system. No part of it may be a symbolic link.
        how: `READ`, `WRITE` or `LOOK`.

    Returns:
        a descriptor, which the caller closes, of whatever it is; opening it waited for nothing. None if it would have
        to be waited for, is not known to need none, or cannot be opened: a thread finds out why.
    """
    if _libc is None:
        return None
    descriptor: int = _libc.syscall(_OPENAT2, _AT_FDCWD, os.fsencode(path), how, len(how))
    return None if descriptor < 0 else descriptor


def look_at_hand(path: str) -> os.stat_result | None:
    """Look at a file or folder, if the kernel knows every part of its path by heart.

    That drops no lock which this process has on it, as it would to open the file and close it.

    Args:
        path: the file, of a local file system. No part of it may be a symbolic link.

    Returns:
        what `os.stat` says; None if it would have to be waited for, or is not known to need none.
    """
    descriptor = open_at_hand(path, LOOK)
    if descriptor is None:
        return None
    try:
        return os.fstat(descriptor)
    except OSError:
        return None
    finally:
        os.close(descriptor)


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
