"""Unique-ids that Dovecot or Courier gave out: their lists, read so that no client downloads anything again.

A list that is there but cannot be read is trouble, and no login: unique-ids of another form would make every
client download all its mail again. A single line that cannot be read, such as the last one while Dovecot
appends to it, is left out.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

from attrs import Factory, define, frozen

from netguard.pop3.mailbox_errors import MailboxTrouble
from netguard.pop3.maildir import base_name, open_beside
from netguard.stamp import Stamp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from netguard.pop3.slices import Steps

_LINES_A_STEP = 256
_LONGEST_LINE = 4096
_LARGEST = 256 * 1024 * 1024

NOWHERE = Stamp(0, 0, 0, 0, 0)
"""The stamp of a list that is not there."""

Row: TypeAlias = tuple[str, str, int | None]
"""Base name, unique-id, and the number by which that server orders its messages, if it does."""

LookAt: TypeAlias = Callable[[str], "os.stat_result | None"]
"""Looks at a path, links not followed: `os.lstat`, or what knows when it would have to wait."""

Reader: TypeAlias = Callable[[Iterator[bytes]], Iterator[Row | None]]
"""Takes the lines of a list; gives a row or None for each. Raises ValueError if it is none."""


@define
class Given:
    """The unique-ids that somebody else gave out.

    Attributes:
        ids: by base name.
        numbers: by which their messages are ordered, by base name.
        stamp: what proves that the list has not changed, or None if it may be changing now.
    """

    ids: dict[str, str] = Factory(dict)
    numbers: dict[str, int] = Factory(dict)
    stamp: Stamp | None = None

    def add(self, name: str, uid: str, number: int | None) -> None:
        """Enter a message; the last line about one counts."""
        self.ids[name] = uid
        if number is not None:
            self.numbers[name] = number


@frozen
class ForeignList:
    """Another server's list of unique-ids.

    Args:
        name: its file's name, beside ``new`` and ``cur``.
        reader: reads its lines.
    """

    name: str
    reader: Reader

    def stamp(self, mailbox: str, look: LookAt = os.lstat) -> Stamp | None:
        """What the list is now; None if that cannot be seen.

        Args:
            mailbox: the Maildir's directory.
            look: looks at a path, which need not be possible.
        """
        try:
            found = look(f"{mailbox}/{self.name}")
        except FileNotFoundError:
            return NOWHERE
        except OSError:
            return None
        return None if found is None else Stamp.of(found, folder=False)

    def read(self, mailbox: str) -> Steps[Given]:
        """Read the list of a mailbox; a mailbox without one has no such ids.

        Raises:
            MailboxTrouble: the list cannot be read.
        """
        given = Given()
        moment = time.time_ns()
        try:
            descriptor, status = open_beside(mailbox, self.name)
            with os.fdopen(descriptor, "rb") as file:
                lines = iter(lambda: file.readline(_LONGEST_LINE), b"")
                _check_size(status.st_size)
                for count, row in enumerate(self.reader(lines)):
                    if not count % _LINES_A_STEP:
                        yield
                    if row is not None:
                        given.add(*row)
        except FileNotFoundError:
            given.stamp = NOWHERE
        except (OSError, ValueError) as why:
            raise MailboxTrouble(f"{mailbox}/{self.name} cannot be read, so unique-ids would change: {why}") from why
        else:
            stamp = Stamp.of(status, folder=False)
            given.stamp = stamp if stamp.proves(moment) else None
        return given


def dovecot(lines: Iterator[bytes]) -> Iterator[Row | None]:
    """Read a ``dovecot-uidlist``, version 3 or 1.

    The id of a message is its own ``P`` field if it has one, else Dovecot's default, ``%08Xu%08Xv``: its uid and
    the uidvalidity of the mailbox in hexadecimal.
    """
    version, *fields = next(lines, b"").split()
    if version == b"3":
        validity = _number(next((field[1:] for field in fields if field.startswith(b"V")), b""))
    elif version == b"1":
        validity = _number(fields[0] if fields else b"")
    else:
        raise ValueError("no dovecot-uidlist of version 1 or 3")
    if validity is None:
        raise ValueError("it has no uidvalidity")
    for line in lines:
        yield _dovecot_row(line, validity, b":" if version == b"3" else b" ")


def _dovecot_row(line: bytes, validity: int, mark: bytes) -> Row | None:
    head, found, name = line.partition(b" " + mark if mark == b":" else mark)
    number, _, extras = head.partition(b" ")
    uid = _number(number)
    if uid is None or not found or not line.endswith(b"\n"):
        return None
    own = next((field[1:] for field in extras.split() if field.startswith(b"P")), b"")
    return base_name(os.fsdecode(name[:-1])), own.decode("ascii", "replace") or f"{uid:08x}{validity:08x}", uid


def courier(lines: Iterator[bytes]) -> Iterator[Row | None]:
    """Read a ``courierpop3dsizelist`` of version 2 or 3. The id of a message is ``UID<number>-<uidvalidity>``."""
    header = next(lines, b"").split()
    if header[:1] not in ([b"/2"], [b"/3"]):
        raise ValueError("no courierpop3dsizelist of version 2 or 3")
    for line in lines:
        yield _courier_row(line)


def _courier_row(line: bytes) -> Row | None:
    name, _, ids = line.rstrip(b"\n").rpartition(b" ")
    name, _, _size = name.rpartition(b" ")
    number, validity = (_number(each) for each in (*ids.split(b":"), b"", b"")[:2])
    if not name or number is None or validity is None or not line.endswith(b"\n"):
        return None
    base = base_name(os.fsdecode(name))
    return base, f"UID{number}-{validity}" if number else base, None


def _number(digits: bytes) -> int | None:
    """A number of 32 bits; both servers have no larger ones."""
    return int(digits) if digits.isdigit() and len(digits) <= len("4294967295") else None


FOREIGN: Mapping[str, ForeignList] = MappingProxyType(
    {
        "dovecot": ForeignList("dovecot-uidlist", dovecot),
        "courier": ForeignList("courierpop3dsizelist", courier),
    }
)
"""Those that can be read, by name."""


def _check_size(size: int) -> None:
    if size > _LARGEST:
        raise ValueError(f"it is larger than {_LARGEST} bytes")


def kinds() -> Iterable[str]:
    """The values of ``--uidl``."""
    return ("native", *FOREIGN)
