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
from contextlib import contextmanager
from typing import TYPE_CHECKING

from netguard.page_cache import WRITE, look_at_hand, open_at_hand
from netguard.pop3.mailbox_errors import MailboxInUse, MailboxTrouble

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCK_NAME = "netguard-pop3.lock"
"""The name of the lock file in the mailbox directory, beside ``new``, ``cur`` and ``tmp``."""

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC

_held: set[tuple[int, int]] = set()
"""The mailboxes that this process holds, by device and inode: two spellings of a path are one mailbox."""

_held_guard = threading.Lock()


class MailboxLock:
    """The exclusive right to one mailbox. Made by :meth:`acquire` or :meth:`at_hand` only."""

    __slots__ = ("_descriptor", "_mailbox")

    def __init__(self, mailbox: tuple[int, int], descriptor: int) -> None:
        self._mailbox = mailbox
        self._descriptor: int | None = descriptor

    @classmethod
    def acquire(cls, path: str) -> MailboxLock:
        """Lock the mailbox directory at `path`; nobody who holds it is waited for.

        Raises:
            MailboxInUse: another session, here or in another process, holds it.
            MailboxTrouble: the lock file is not a regular file.
            OSError: the directory or the file cannot be opened, or the file system knows no locks.
        """
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with _entered(path, os.fstat(directory)) as mailbox:
                return cls(mailbox, _locked(path, os.open(LOCK_NAME, _FLAGS, 0o600, dir_fd=directory)))
        finally:
            os.close(directory)

    @classmethod
    def at_hand(cls, path: str) -> MailboxLock | None:
        """The same without waiting for a disk, on a local file system; None if that is not possible.

        Raises:
            MailboxInUse, MailboxTrouble, OSError: as :meth:`acquire` does.
        """
        directory = look_at_hand(path)
        if directory is None:
            return None
        with _entered(path, directory) as mailbox:
            descriptor = open_at_hand(f"{path}/{LOCK_NAME}", WRITE)
            if descriptor is not None:
                return cls(mailbox, _locked(path, descriptor))
        _forget(mailbox)
        return None

    def release(self) -> None:
        """Give the mailbox back; later calls do nothing."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)
            _forget(self._mailbox)


@contextmanager
def _entered(path: str, directory: os.stat_result) -> Iterator[tuple[int, int]]:
    """Enter a mailbox in the table of this process; if what follows fails, it is taken out again."""
    mailbox = (directory.st_dev, directory.st_ino)
    with _held_guard:
        if mailbox in _held:
            raise MailboxInUse(f"{path}: another session of this process holds it")
        _held.add(mailbox)
    try:
        yield mailbox
    except BaseException:
        _forget(mailbox)
        raise


def _forget(mailbox: tuple[int, int]) -> None:
    """Take `mailbox` out of the table of this process."""
    with _held_guard:
        _held.discard(mailbox)


def _locked(path: str, descriptor: int) -> int:
    """Return the descriptor of the lock file, locked; close it, if that fails."""
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
