"""A secret that an operator has put into a file, so that it stands on no command line and in no endpoint string."""

from __future__ import annotations

import os
import shlex
import stat

MOST = 4096
"""Octets of such a file."""

_TOO_OPEN = stat.S_IRWXO | stat.S_IWGRP


def read_secret(path: str) -> str:
    """The secret of a file: all of it, without the line end behind it.

    Args:
        path: a regular file, or a link to one, that is closed to others; its group may read it.

    Raises:
        ValueError: it cannot be read, is open to others, or has no secret: one line, which repeats nothing of it.
    """
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as why:
        raise ValueError(f"secret file {path}: {why.strerror}") from None
    except ValueError:
        raise ValueError(f"{path[:60]!a} is not the name of a file") from None
    try:
        _judge(path, os.fstat(opened))
        octets = os.read(opened, MOST + 1)
    finally:
        os.close(opened)
    return _secret(path, octets)


def _judge(path: str, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ValueError(f"secret file {path} is not a regular file")
    if found.st_mode & _TOO_OPEN:
        mode = f"{stat.S_IMODE(found.st_mode):04o}"
        raise ValueError(f"secret file {path} is open to others (mode {mode}); run: chmod 600 {shlex.quote(path)}")


def _secret(path: str, octets: bytes) -> str:
    if len(octets) > MOST:
        raise ValueError(f"secret file {path} has more than {MOST} octets: that is no secret")
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        raise ValueError(f"secret file {path} is not UTF-8 text") from None
    secret = text.removesuffix("\n").removesuffix("\r")
    if not secret or not secret.isprintable():
        raise ValueError(f"secret file {path} has to have one line of visible characters and blanks")
    return secret
