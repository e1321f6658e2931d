"""Refuse a file of secrets that somebody else could read, change or swap.

The rules of this file:

* The directory is opened once, and the file is looked at through that descriptor, without following a
  symlink. The file itself is not opened: closing a second descriptor would drop the locks that SQLite holds
  on it in this process (POSIX locks belong to the process, not to the descriptor).
* In the directory itself nobody else may create anything, so what was looked at is what SQLite opens a moment
  later. A sticky directory like /tmp is refused as well: others cannot replace the file there, but they can
  plant a ``-journal`` beside it, which SQLite would play back into the accounts. A directory *above* may be
  sticky: nobody can rename in it what is not theirs.
* Only this process's user and root may own any of it, for an owner can always change the mode.
"""

from __future__ import annotations

import os
import shlex
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from netguard.accounts.interface import AccountsTrouble

if TYPE_CHECKING:
    from collections.abc import Iterator

_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_PRIVATE = 0o600


def look(path: Path) -> os.stat_result:
    """Look at a file of secrets, and at the directories that lead to it.

    Args:
        path: where it is.

    Raises:
        AccountsTrouble: one line with the path, what was found, and what to do about it.
        FileNotFoundError: when the directory is in order and has no such file.
    """
    with _directory(path) as directory:
        found = os.stat(path.name, dir_fd=directory, follow_symlinks=False)
    judge(path, found)
    return found


def judge(path: Path, found: os.stat_result) -> None:
    """Refuse a file for what `os.stat` says about it, links not followed.

    Raises:
        AccountsTrouble: as `look` does.
    """
    if stat.S_ISLNK(found.st_mode):
        raise AccountsTrouble(f"accounts file {path} is a symlink; name the file that it leads to")
    if not stat.S_ISREG(found.st_mode):
        raise AccountsTrouble(f"accounts file {path} is not a regular file")
    _judge_owner(f"accounts file {path}", path, found)
    if found.st_mode & _OTHERS:
        raise AccountsTrouble(
            f"accounts file {path} is open to others (mode {_mode(found)}, must be 0600);"
            f" run: chmod 600 {shlex.quote(str(path))}"
        )


def create(path: Path) -> None:
    """Make an empty file of mode 0600, whatever the umask is; leave one that exists alone.

    Raises:
        AccountsTrouble: when its directory is not safe, or it cannot be made.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with _directory(path) as directory:
        try:
            made = os.open(path.name, flags, _PRIVATE, dir_fd=directory)
        except FileExistsError:
            return
        except OSError as error:
            raise AccountsTrouble(f"accounts file {path} cannot be created: {error.strerror}") from None
    try:
        os.fchmod(made, _PRIVATE)  # a umask may have taken the owner's bits
    finally:
        os.close(made)


@contextmanager
def _directory(path: Path) -> Iterator[int]:
    """Open the directory of a file, judge it and all above it, and close it at the end."""
    directory = Path(os.path.realpath(path.parent))
    try:
        opened = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise AccountsTrouble(f"accounts file {path}: directory {directory}: {error.strerror}") from None
    try:
        _judge_directory(path, directory, os.fstat(opened), sticky_helps=False)
        for above in directory.parents:
            _judge_directory(path, above, above.stat(), sticky_helps=True)
        yield opened
    finally:
        os.close(opened)


def _judge_directory(path: Path, directory: Path, found: os.stat_result, *, sticky_helps: bool) -> None:
    _judge_owner(f"accounts file {path} is in {directory}, which", directory, found)
    if not found.st_mode & _OTHERS_WRITE:
        return
    sticky = bool(found.st_mode & stat.S_ISVTX)
    if sticky and sticky_helps:
        return
    remedy = (
        "others could plant a journal beside it; use a directory of its own with mode 0700"
        if sticky
        else f"run: chmod go-w {shlex.quote(str(directory))}"
    )
    raise AccountsTrouble(
        f"accounts file {path} is in {directory}, which others may write to (mode {_mode(found)}); {remedy}"
    )


def _judge_owner(what: str, path: Path, found: os.stat_result) -> None:
    mine = os.geteuid()
    if found.st_uid not in {0, mine}:
        raise AccountsTrouble(
            f"{what} belongs to user id {found.st_uid}, not to root or to this process's user id {mine};"
            f" run: chown {mine} {shlex.quote(str(path))}"
        )


def _mode(found: os.stat_result) -> str:
    return f"{stat.S_IMODE(found.st_mode):04o}"
