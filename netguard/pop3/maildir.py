"""The names of files in a Maildir, and how one of them is opened. Blocking file work, for threads.

A file's *base name* is its name up to the first ``:`` or ``,``. What follows (flags, ``,S=``, ``,W=``)
changes when another program marks the message, and the folder changes when it moves from ``new`` to ``cur``;
the base name stays, so a message is known by it and by nothing else.

Whoever can write into a Maildir can put anything there. Only regular files are mail; a symbolic link, a pipe,
a device or a directory is skipped and reported, and can neither leak another file nor block a thread: folders
and files are opened without following links, and files without waiting.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from typing import TYPE_CHECKING

from netguard.pop3.mailbox_errors import MailboxTrouble, MailGone

if TYPE_CHECKING:
    from collections.abc import Sequence

FOLDERS = ("new", "cur")
"""Where mail lies, in this order: a message that moves from ``new`` to ``cur`` is met twice, not missed."""

CHUNK = 65536
"""Bytes read at a time."""

_LONGEST_SIZE = 15
"""Fifteen digits hold any file; more is no size."""

_CLAIMS = re.compile(rf",W=([0-9]{{1,{_LONGEST_SIZE}}})(?:[:,].*|$)", re.MULTILINE)  # one of each line
_CLAIM_TOO_LATE = re.compile(r":[^\n]*,W=")

# The process or the machine has run out of something: no message is to blame, none may be left out for it.
_SHORTAGE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})


def base_name(name: str) -> str:
    """Return the part of a file name that never changes."""
    return name.partition(":")[0].partition(",")[0]


def wire_size_hint(name: str) -> int | None:
    """Return the size on the wire that the file name claims with ``,W=``, in octets, or None.

    That is Dovecot's and Courier's hint: the octets with every line end counted as CRLF, as RFC 1939 wants it.
    """
    return _claim(name, ",W=")


def wire_size_hints(names: Sequence[str]) -> list[int | None]:
    """The same of many file names: at the speed of C where each claims one size, as all that one server wrote do."""
    text = "\n".join(names)
    if names and text.count(",W=") == len(names) == text.count("\n") + 1:
        claims = _CLAIMS.findall(text)
        if len(claims) == len(names) and not _CLAIM_TOO_LATE.search(text):
            return list(map(int, claims))
    return [wire_size_hint(name) for name in names]


def stored_size_hint(name: str) -> int | None:
    """Return the size of the file that its name claims with ``,S=``, in bytes, or None: Maildir++ counts with it."""
    return _claim(name, ",S=")


def _claim(name: str, key: str) -> int | None:
    before, _, claim = name.partition(key)
    digits = claim.partition(":")[0].partition(",")[0]
    # isdecimal alone also takes other scripts' digits.
    if digits.isdecimal() and digits.isascii() and len(digits) <= _LONGEST_SIZE and ":" not in before:
        return int(digits)
    return None


def open_folder(mailbox: str, folder: str) -> int:
    """Return a descriptor of ``new`` or ``cur``, which the caller closes. Raises OSError."""
    return os.open(f"{mailbox}/{folder}", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def open_mail(mailbox: str, place: str, directory: int | None = None) -> tuple[int, int]:
    """Open one message.

    Args:
        mailbox: the Maildir's directory.
        place: folder and file name.
        directory: a descriptor of the folder, if the caller has it open.

    Returns:
        its descriptor, which the caller closes, and its stored size in bytes.

    Raises:
        FileNotFoundError: it is not in that place any more.
        MailGone: it is not a file that may be sent.
        MailboxTrouble: the process is out of descriptors or memory.
        OSError: the folder cannot be opened.
    """
    folder, _, name = place.partition("/")
    opened = open_folder(mailbox, folder) if directory is None else directory
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        descriptor = os.open(name, flags, dir_fd=opened)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in _SHORTAGE:
            raise MailboxTrouble(f"{mailbox}: {error.strerror}") from error
        raise MailGone(error.strerror) from error
    finally:
        if directory is None:
            os.close(opened)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise MailGone("not a regular file")
    return descriptor, status.st_size


def open_beside(mailbox: str, name: str) -> tuple[int, os.stat_result]:
    """Open a file of bookkeeping beside the folders: this server's own, or another program's.

    Returns:
        its descriptor, which the caller closes, and its status.

    Raises:
        FileNotFoundError: it is not there.
        OSError: it cannot be opened, or is no regular file.
    """
    descriptor = os.open(f"{mailbox}/{name}", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", f"{mailbox}/{name}")
    return descriptor, status
