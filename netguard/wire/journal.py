r"""The native protocol of systemd's journal: one entry is one datagram of fields.

A field is ``NAME=value\n``; a value that has a line end in it has its length before it instead, as 64 bits, the lowest
octet first (systemd, "Native Journal Protocol"). Names are of capital letters, digits and underscores, begin with a
letter, and have at most 64 octets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

LONGEST_NAME = 64
_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,63}")
_OTHER = re.compile(r"[^A-Z0-9]+")


@lru_cache(maxsize=256)
def name_of(word: str, prefix: str = "") -> str:
    """The name of a field: ``client.address`` is ``CLIENT_ADDRESS``.

    Args:
        word: what it is called elsewhere.
        prefix: stands before it.

    Raises:
        ValueError: nothing of it can be a name.
    """
    name = (prefix + _OTHER.sub("_", word.upper()).strip("_"))[:LONGEST_NAME]
    if name == prefix or not _NAME.fullmatch(name):
        raise ValueError(f"{word!a} cannot be the name of a field")
    return name


def encode(fields: Iterable[tuple[str, str]]) -> bytes:
    """One entry.

    Args:
        fields: names and values, in any order; a name may come several times. What UTF-8 has not got is escaped.

    Raises:
        ValueError: a name is none that the journal would take.
    """
    return b"".join(_field(name, value) for name, value in fields)


def _field(name: str, value: str) -> bytes:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!a} is no name of a field")
    octets = value.encode("utf-8", "backslashreplace")
    if b"\n" not in octets:
        return b"%s=%s\n" % (name.encode("ascii"), octets)
    return b"%s\n%s%s\n" % (name.encode("ascii"), len(octets).to_bytes(8, "little"), octets)


def stream_of(variable: str | None) -> tuple[int, int] | None:
    """What ``JOURNAL_STREAM`` says: device and inode of the stream that goes to the journal (systemd.exec(5)).

    Args:
        variable: its value; None when it is not set.

    Returns:
        The two numbers; None where there are none.
    """
    device, colon, inode = (variable or "").partition(":")
    if not colon or not (device.isascii() and device.isdigit() and inode.isascii() and inode.isdigit()):
        return None
    return int(device), int(inode)
