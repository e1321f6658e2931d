"""The quota file of a Maildir++, kept right when messages are removed.

``maildirsize`` begins with a line that says what is allowed; each line after it is a size in bytes and a count
of messages that were added, or, with minus signs, removed. Whoever delivers or removes appends one. A
mailbox without that file has no quota, and costs one look for it.
"""

from __future__ import annotations

import os
import stat

from netguard.pop3.maildir import stored_size_hint

NAME = "maildirsize"
"""The name of the file, beside ``new`` and ``cur``."""


class Freed:
    """What is removed in one session.

    Args:
        mailbox: the Maildir's directory.
    """

    def __init__(self, mailbox: str) -> None:
        self._mailbox = mailbox
        self._bytes = 0
        self._messages = 0
        self._counts = _has_quota(mailbox)

    def size(self, name: str, folder: int) -> int:
        """The bytes that a message counts with: what its name claims, as all others count it, else its size.

        Args:
            name: its file.
            folder: a descriptor of the folder.

        Raises:
            FileNotFoundError: it is not there.
            OSError: it cannot be looked at.
        """
        if not self._counts:
            return 0
        claimed = stored_size_hint(name)
        return os.stat(name, dir_fd=folder, follow_symlinks=False).st_size if claimed is None else claimed

    def add(self, size: int) -> None:
        """Count a message that was removed."""
        self._bytes += size
        self._messages += 1

    def note(self) -> None:
        """Write what was removed into the file. If that fails, the file is a guess, which its users count anew."""
        if not self._counts or not self._messages:
            return
        try:
            flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            descriptor = os.open(f"{self._mailbox}/{NAME}", flags)
        except OSError:
            return
        try:
            # One write, so that two programs that append do not mix their lines.
            os.write(descriptor, b"%d %d\n" % (-self._bytes, -self._messages))
        except OSError:
            pass
        finally:
            os.close(descriptor)


def _has_quota(mailbox: str) -> bool:
    try:
        return stat.S_ISREG(os.lstat(f"{mailbox}/{NAME}").st_mode)
    except OSError:
        return False
