"""Secrets that a person hands to a command: from a file, standard input, or a terminal, never as an argument.

No complaint repeats what was read.
"""

from __future__ import annotations

import getpass
import os
import stat
import sys
from pathlib import Path
from typing import BinaryIO

from netguard.accounts.credentials import check_secret
from netguard.commands.contract import Refusal

_MOST_OCTETS = 4096


def read_secrets(path: str, what: str) -> list[str]:
    """Read secrets, one a line; from a terminal, one that is not shown while it is typed.

    Args:
        path: a file, or "-" for standard input.
        what: what a person at a terminal is asked for.

    Raises:
        Refusal: when they cannot be read, or one of them can be no secret.
    """
    source = "standard input" if path == "-" else path
    try:
        lines = [_asked(what)] if path == "-" and sys.stdin.isatty() else _lines(path)
        return [check_secret(line) for line in lines]
    except UnicodeDecodeError:
        raise Refusal(f"{source}: the secret is not UTF-8 text") from None
    except OSError as error:
        raise Refusal(f"{source}: {error.strerror}") from None
    except ValueError as error:
        raise Refusal(f"{source}: {error}") from None


def _asked(what: str) -> str:
    try:
        return getpass.getpass(f"{what} (not shown): ")
    except EOFError:
        return ""


def _lines(path: str) -> list[str]:
    """The lines of a small file, of which the last may lack its line end."""
    if path == "-":
        octets = _octets(sys.stdin.buffer)
    else:
        with Path(path).open("rb") as file:
            if os.fstat(file.fileno()).st_mode & stat.S_IROTH:
                sys.stderr.write(f"netguard: warning: everybody can read {path}; remove it or chmod 600\n")
            octets = _octets(file)
    return [line.removesuffix("\r") for line in octets.decode("utf-8").removesuffix("\n").split("\n")]


def _octets(file: BinaryIO) -> bytes:
    octets = file.read(_MOST_OCTETS + 1)
    if len(octets) > _MOST_OCTETS:
        raise ValueError(f"more than {_MOST_OCTETS} octets are no secret")
    return octets
