"""One session a mailbox (RFC 1939, section 4): a lock that cannot outlive its holder.

Two layers. `flock` on a file in the mailbox excludes other processes and is dropped by the kernel when its
process dies, however it dies, so there is no stale lock and no time to wait for. A table in this process
excludes its own sessions also where `flock` belongs to the process rather than to the open file, as over NFS.
There, closing any descriptor of the file would drop the lock, so the table is asked before the file is
opened.

The file is never removed: whoever removes a lock file lets two others lock two different files of one name.
"""

from __future__ import annotations

import fcntl
import os
import stat
import threading

from netguard.pop3.mailbox_errors import MailboxInUse, MailboxTrouble

LOCK_NAME = "netguard-pop3.lock"
"""The name of the lock file in the mailbox directory, beside ``new``, ``cur`` and ``tmp``."""

_held: set[tuple[int, int]] = set()
"""The mailboxes that this process holds, by device and inode: two spellings of a path are one mailbox."""

_held_guard = threading.Lock()


class MailboxLock:
    """The exclusive right to one mailbox. Made by :meth:`acquire` only."""

    __slots__ = ("_descriptor", "_mailbox")

    def __init__(self, mailbox: tuple[int, int], descriptor: int) -> None:
        self._mailbox = mailbox
        self._descriptor: int | None = descriptor

    @classmethod
    def acquire(cls, path: str) -> MailboxLock:
        """Lock the mailbox directory at `path` without waiting.

        Raises:
            MailboxInUse: another session, here or in another process, holds it.
            MailboxTrouble: the lock file is not a regular file.
            OSError: the directory or the file cannot be opened, or the file system knows no locks.
        """
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            status = os.fstat(directory)
            mailbox = (status.st_dev, status.st_ino)
            with _held_guard:
                if mailbox in _held:
                    raise MailboxInUse(f"{path}: another session of this process holds it")
                _held.add(mailbox)
            try:
                return cls(mailbox, _locked_file(directory, path))
            except BaseException:
                _forget(mailbox)
                raise
        finally:
            os.close(directory)

    def release(self) -> None:
        """Give the mailbox back; later calls do nothing."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
            _forget(self._mailbox)


def _forget(mailbox: tuple[int, int]) -> None:
    """Take `mailbox` out of the table of this process."""
    with _held_guard:
        _held.discard(mailbox)


def _locked_file(directory: int, path: str) -> int:
    """Return the descriptor of the lock file, locked."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(LOCK_NAME, flags, 0o600, dir_fd=directory)
    try:
        regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        if regular:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
    except BlockingIOError:
        os.close(descriptor)
        raise MailboxInUse(f"{path}: another process holds {LOCK_NAME}") from None
    except OSError:
        os.close(descriptor)
        raise
    os.close(descriptor)
    raise MailboxTrouble(f"{path}/{LOCK_NAME} is not a regular file; remove it")
