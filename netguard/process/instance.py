"""One instance of a service: a lock that dies with its process.

The lock is ``flock(2)`` on a file that is never unlinked: two who open the same name hold the same file, the kernel
lets one of them in, and gives the lock back when the last process that inherited it has ended, however it ended. What
stands in the file, a process id, is for people; nobody decides by it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from pathlib import Path

_LONGEST = 32
_PATIENCE = 1.0
"""Seconds that are spent on waiting for the holder of a lock to say who it is: it has just begun."""


class InstanceError(Exception):
    """The lock cannot be had. The text is one line for the operator."""


class AlreadyRunningError(InstanceError):
    """Another process holds the lock.

    Args:
        path: the lock's file.
        pid: who that is, as far as it has said.
    """

    def __init__(self, path: Path, pid: int | None) -> None:
        self.path = path
        self.pid = pid
        who = "another process" if pid is None else f"process {pid}"
        super().__init__(f"is running already: {who} holds the lock {path}")


class SingleInstance:
    """Holds a lock for as long as this process, or one that it has forked, lives.

    Args:
        path: the lock's file. It is made when it is not there, and never removed.
        owner: the id of the user that the process will become, to whom the file may belong; None when it stays as it
            is. A third user's file is not trusted.
    """

    def __init__(self, path: str | Path, owner: int | None = None) -> None:
        self.path = Path(path)
        self.owner = owner
        self._file: int | None = None

    @property
    def held(self) -> bool:
        """Whether the lock is ours."""
        return self._file is not None

    @property
    def descriptor(self) -> int | None:
        """The file's, whose holder holds the lock; None while it is not ours."""
        return self._file

    def inherit(self, descriptor: int) -> bool:
        """Hold the lock by a descriptor of one who holds it; whoever of the two ends last gives it back.

        Args:
            descriptor: the file's. It is ours from now on, or closed.

        Returns:
            Whether it is the file of that name.
        """
        try:
            there, here = self.path.stat(), os.fstat(descriptor)
            same = (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)
        except OSError:
            same = False
        if same:
            self._file = descriptor
        else:
            os.close(descriptor)
        return same

    def acquire(self) -> None:
        """Take the lock, or say who has it.

        Raises:
            AlreadyRunningError: another process holds it.
            InstanceError: the file cannot be opened, or is no file of ours.
        """
        if self._file is not None:
            return
        file = self._open()
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = _read(file)
            os.close(file)
            raise AlreadyRunningError(self.path, pid) from None
        except OSError as why:
            os.close(file)
            raise InstanceError(f"cannot lock {self.path}: {why.strerror}") from None
        self._file = file
        self.claim()

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            file = os.open(self.path, flags, 0o644)
        except OSError as why:
            reason = "it is a symbolic link" if why.errno == errno.ELOOP else why.strerror
            raise InstanceError(f"cannot open the lock {self.path}: {reason}") from None
        about = os.fstat(file)
        if not stat.S_ISREG(about.st_mode):
            os.close(file)
            raise InstanceError(f"the lock {self.path} is not an ordinary file")
        if about.st_uid not in (0, os.geteuid(), self.owner):
            os.close(file)
            raise InstanceError(f"the lock {self.path} belongs to another user, who could hold it for ever")
        return file

    def claim(self) -> None:
        """Write the id of this process into the file; to be called again after a fork."""
        if self._file is not None:
            text = f"{os.getpid()}\n".encode()
            os.pwrite(self._file, text, 0)
            os.ftruncate(self._file, len(text))

    def give_to(self, uid: int, gid: int | None = None) -> None:
        """Let the file belong to the user that the process will become.

        Args:
            uid: the user's id.
            gid: the group's; unchanged when it is None.

        Raises:
            OSError: it cannot be given away.
        """
        if self._file is not None:
            os.fchown(self._file, uid, -1 if gid is None else gid)

    def release(self) -> None:
        """Give the lock back; the end of the process does that by itself."""
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None


def _read(file: int) -> int | None:
    """Who holds the lock; it may be about to say so."""
    until = time.monotonic() + _PATIENCE
    while True:
        word = os.pread(file, _LONGEST, 0).strip()
        if word.isdigit():
            return int(word)
        if time.monotonic() > until:
            return None
        time.sleep(0.01)
