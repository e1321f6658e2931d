"""A file that lines are appended to, for years: others move it away, disks fill up, and users change.

The rules of this file:

* A line is written whole or not at all, and never into a file that somebody else could have put there as a link.
* A file that was moved or removed is followed to its path: when told, and by itself within a second.
* What cannot be reopened or rotated goes on being written where it is: no line is lost for that.
"""

from __future__ import annotations

import errno
import math
import os
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

MODE = 0o640
"""What others may do with the file at most: its owner writes, its group reads."""
_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
_EVERY = 1.0
"""Seconds between two looks at the path."""


class LogFile:
    """Appends lines to a file.

    Args:
        path: the file; made when it is not there.
        most: bytes after which it is rotated; None when others do that.
        keep: how many older files stay, as ``path.1`` (the youngest) and so on.
        seconds: a monotonic clock.
        complain: told in one line, once, when the file cannot be reopened or rotated.

    Raises:
        OSError: it cannot be opened, or is no file that lines could be appended to.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        most: int | None = None,
        keep: int = 5,
        seconds: Callable[[], float] = time.monotonic,
        complain: Callable[[str], object] = lambda _: None,
    ) -> None:
        self.path: Path | None = Path(path).absolute()
        self.most = most
        self.keep = keep
        self.complain = complain
        self._seconds = seconds
        self._complained = ""
        self._torn = False
        self._take(_opened(self.path))

    def _take(self, opened: int) -> None:
        about = os.fstat(opened)
        self._file = opened
        self._place = (about.st_dev, about.st_ino)
        self._ordinary = stat.S_ISREG(about.st_mode)
        self._size = about.st_size
        self._looked = self._seconds()

    def write(self, line: bytes) -> None:
        """Append a line, or nothing.

        Args:
            line: with its end.

        Raises:
            OSError: the disk is full, or does not work.
        """
        if self._ordinary:
            self._look(self._seconds())
            if self.most is not None and self._size and self._size + len(line) > self.most:
                self._rotate()
        self._append(b"\n" + line if self._torn else line)
        self._torn = False

    def tend(self) -> None:
        """Rotate it when it has become too large, whoever has written to it."""
        if self._ordinary:
            self._look(self._seconds())
            if self.most is not None and self._size > self.most:
                self._rotate()

    def _append(self, line: bytes) -> None:
        sent = 0
        try:
            while sent < len(line):
                sent += os.write(self._file, line[sent:])
        except OSError:
            if sent:
                self._take_back(sent)
            raise
        self._size += sent

    def _take_back(self, sent: int) -> None:
        """Remove the beginning of a line whose rest found no room."""
        self._torn = True
        with suppress(OSError):
            os.ftruncate(self._file, os.fstat(self._file).st_size - sent)
            self._torn = False

    def _look(self, now: float) -> None:
        """Follow the path, where another file is there by now; see what became of this one's size."""
        if 0 <= now - self._looked < _EVERY or self.path is None:
            return
        self._looked = now
        try:
            about = self.path.lstat()
        except OSError:
            self.try_reopen()
        else:
            if (about.st_dev, about.st_ino) == self._place:
                self._size = about.st_size
            else:
                self.try_reopen()

    def reopen(self) -> None:
        """Open what is at the path now, and make it when nothing is there.

        Raises:
            OSError: that cannot be; lines go where they went before.
        """
        if self.path is None:
            raise OSError(errno.ENOENT, "it lies outside of --chroot")
        opened, before = _opened(self.path), self._file
        self._take(opened)
        os.close(before)

    def try_reopen(self) -> None:
        """Open what is at the path now; complain when that cannot be."""
        try:
            self.reopen()
        except OSError as why:
            self._complain(f"cannot reopen {self.path}: {words(why)}")
        else:
            self._complained = ""

    def _rotate(self) -> None:
        self._looked = -math.inf
        self._look(self._seconds())  # nobody shall find another's file renamed
        path = self.path
        if path is None or not self._size:
            return
        try:
            if _numbered(path, 0).is_file():  # a rotation was interrupted: end it, or this file would be lost
                self._shift(path)
            # First the one that may refuse, as an append-only file does: the older ones would be shifted for nothing.
            path.rename(_numbered(path, 0))
            self._shift(path)
            self.reopen()
        except OSError as why:
            self._size = 0  # until the next look: to try again for every line would cost much
            self._complain(f"cannot rotate {path}: {words(why)}")
        else:
            self._complained = ""

    def _shift(self, path: Path) -> None:
        """Let ``path.0`` be ``path.1``, and those that are older move up, as far as a number is free; else one goes."""
        free = next((number for number in range(1, self.keep) if not _numbered(path, number).exists()), self.keep)
        for number in range(free - 1, -1, -1):
            with suppress(FileNotFoundError):  # somebody has just removed it
                _numbered(path, number).rename(_numbered(path, number + 1))

    def move_into(self, root: str) -> None:
        """Say that the process's root is another one now.

        Args:
            root: the new root, as it was called before; a file outside of it can be neither reopened nor rotated.
        """
        if self.path is None:
            return
        try:
            self.path = Path("/") / self.path.relative_to(Path(root).absolute())
        except ValueError:
            outside, self.path = self.path, None
            self._complain(f"cannot reopen or rotate {outside}: it lies outside of --chroot {root}")

    def look_ahead(self) -> None:
        """Complain now of what this user could not do later: rotate the file."""
        if self.most is not None and self._ordinary and self.path is not None:
            folder = self.path.parent
            if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
                self._complain(f"cannot rotate {self.path}: user {os.geteuid()} may not write in {folder}")

    def give_to(self, uid: int, gid: int | None) -> None:
        """Let the file belong to the user that the process will become.

        Args:
            uid: the user's id.
            gid: the group's; unchanged when it is None.
        """
        if self._ordinary:
            with suppress(OSError):  # not root: then nobody changes who it is, either
                os.fchown(self._file, uid, -1 if gid is None else gid)

    def close(self) -> None:
        """Write no more."""
        os.close(self._file)

    def _complain(self, reason: str) -> None:
        if reason != self._complained:
            self._complained = reason
            self.complain(reason)


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


def _opened(path: Path) -> int:
    opened = os.open(path, _FLAGS, MODE)
    about = os.fstat(opened)
    mode = stat.S_IMODE(about.st_mode)
    if stat.S_ISREG(about.st_mode):
        if mode & ~MODE:
            with suppress(OSError):  # somebody else's file, who lets us append
                os.fchmod(opened, mode & MODE)
    elif not stat.S_ISCHR(about.st_mode):
        os.close(opened)
        raise OSError(errno.EINVAL, "it is not an ordinary file")
    return opened


def words(why: OSError) -> str:
    """What is wrong, for a person.

    Args:
        why: what was raised.
    """
    return "it is a symbolic link" if why.errno == errno.ELOOP else why.strerror or str(why)
