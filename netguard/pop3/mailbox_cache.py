"""What a session saw of a mailbox, kept in one file for the next ones: sizes, unique-ids, and where all lay.

Nothing depends on it: a file that is missing, broken, or of another time costs the work that it would have
saved. So it needs no lock and no fsync, and is put in its place by a rename. The
folders' stamps in it prove that nothing changed since, and then the folders need not be read.

Who owns a mailbox can write anything into the file. It may lie about sizes, to its owner's own harm, but no
place in it leads out of the two folders, and no unique-id is ill-formed.

The form, by lines: a header in JSON; for each thousand messages five lines with their base names and their places
(parted by NUL), sizes, inodes, and unique-ids (none, if they are the base names); at the end the CRC-32 of all that.
It is made so that reading it needs no loop over messages.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any
from zlib import crc32

from netguard.pop3.listing import Listing
from netguard.pop3.maildir import FOLDERS, open_beside
from netguard.pop3.snapshot import Messages, Snapshot
from netguard.pop3.unique_ids import are_plain, are_well_formed
from netguard.stamp import Stamp

if TYPE_CHECKING:
    from netguard.pop3.foreign_lists import ForeignList, LookAt
    from netguard.pop3.slices import Steps

NAME = "netguard-pop3.cache"
"""The name of the file, beside ``new`` and ``cur``."""

_NEW_NAME = f"{NAME}.new"
_VERSION = 1
_MESSAGES_A_BLOCK = 1000
_LONGEST_LINE = 1 << 20
_LARGEST = 256 * 1024 * 1024
_ABANDONED = 60.0
"""Seconds after which a file that is being written is taken to be left over from a crash."""

_ODD = ("/.", "/:", "/,", "/\0")
"""What is in no place: a hidden file, or one without a base name."""

_FEW = 64
"""A mailbox of fewer messages is listed as fast as its file is read."""


class CacheBroken(Exception):
    """The file is not what was written."""


def worth_keeping(snapshot: Snapshot) -> bool:
    """Whether the next session is spared work by what this one saw."""
    if snapshot.remembered:
        return False
    return snapshot.counted > 0 or (len(snapshot.messages) >= _FEW and bool(snapshot.listing.stamps))


def load(mailbox: str, kind: str = "native") -> Steps[Snapshot | None]:
    """Read what was kept of a mailbox.

    Args:
        mailbox: the Maildir's directory.
        kind: whose unique-ids are used; those of another kind are not.

    Returns:
        None if there is nothing.

    Raises:
        CacheBroken: the file is not what was written.
        OSError: it cannot be read, or is no regular file.
    """
    try:
        descriptor, status = open_beside(mailbox, NAME)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        if status.st_size > _LARGEST:
            raise CacheBroken(f"larger than {_LARGEST} bytes")
        try:
            return (yield from _read(file, kind))
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as why:
            raise CacheBroken(f"{type(why).__name__}: {why}") from None


def is_current(mailbox: str, snapshot: Snapshot, foreign: ForeignList | None = None, look: LookAt = os.lstat) -> bool:
    """Whether nothing has changed in the mailbox since.

    Args:
        mailbox: the Maildir's directory.
        snapshot: what was seen.
        foreign: whose unique-ids are used, or None.
        look: looks at a path, which need not be possible.

    Raises:
        OSError: a folder cannot be looked at.
    """
    stamps = snapshot.listing.stamps
    # In the order in which a message moves: one that does so just now is in what we know of its old place.
    for folder in FOLDERS:
        found = look(f"{mailbox}/{folder}") if folder in stamps else None
        if found is None or Stamp.of(found) != stamps[folder]:
            return False
    return foreign is None or (snapshot.list_stamp is not None and snapshot.list_stamp == foreign.stamp(mailbox, look))


def save(mailbox: str, snapshot: Snapshot, kind: str = "native") -> Steps[None]:
    """Keep what a session saw of a mailbox. Two that do so at once are one that does and one that does not.

    Args:
        mailbox: the Maildir's directory.
        snapshot: what it saw.
        kind: whose unique-ids are used.

    Raises:
        OSError: the file cannot be written.
    """
    directory = os.open(mailbox, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        descriptor = _create(directory)
        if descriptor is None:
            return
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield from _write(file, snapshot, kind)
            os.rename(_NEW_NAME, NAME, src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            with suppress(OSError):
                os.unlink(_NEW_NAME, dir_fd=directory)
            raise
    finally:
        os.close(directory)


def drop(mailbox: str) -> None:
    """Remove what was kept. Raises OSError."""
    with suppress(FileNotFoundError):
        os.unlink(f"{mailbox}/{NAME}")  # noqa: PTH108 - one way beside os.open


def _create(directory: int) -> int | None:
    """Make the new file; None if somebody else is writing it now."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with suppress(FileExistsError):
        return os.open(_NEW_NAME, flags, 0o600, dir_fd=directory)
    with suppress(FileNotFoundError, FileExistsError):
        if abs(time.time() - os.stat(_NEW_NAME, dir_fd=directory, follow_symlinks=False).st_mtime) > _ABANDONED:
            os.unlink(_NEW_NAME, dir_fd=directory)
            return os.open(_NEW_NAME, flags, 0o600, dir_fd=directory)
    return None


def _write(file: IO[bytes], snapshot: Snapshot, kind: str) -> Steps[None]:
    messages, listing = snapshot.messages, snapshot.listing
    header = {
        "netguard-pop3-cache": _VERSION,
        "messages": len(messages),
        "folders": listing.stamps,
        "uidl": kind,
        "list": snapshot.list_stamp,
    }
    check = _put(file, json.dumps(header).encode() + b"\n", 0)
    for start in range(0, len(messages), _MESSAGES_A_BLOCK):
        part = slice(start, start + _MESSAGES_A_BLOCK)
        names, uids = messages.names[part], messages.uids[part]
        lines = (
            os.fsencode("\0".join(names)),
            os.fsencode("\0".join(listing.places[part])),
            _numbers(messages.sizes[part]),
            _numbers(listing.inodes[part]),
            b"" if uids == names and are_plain(names) else " ".join(uids).encode(),
        )
        check = _put(file, b"\n".join(lines) + b"\n", check)
        yield
    file.write(b"%08x\n" % check)


def _numbers(numbers: Any) -> bytes:
    return " ".join(map(str, numbers)).encode()


def _put(file: IO[bytes], data: bytes, check: int) -> int:
    file.write(data)
    return crc32(data, check)


class _Lines:
    """The lines of the file, without their ends."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.check = 0

    def next(self) -> bytes:
        line = self._file.readline(_LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise ValueError("it ends early, or a line is too long")
        self.check = crc32(line, self.check)
        return line[:-1]


def _read(file: IO[bytes], kind: str) -> Steps[Snapshot]:
    lines = _Lines(file)
    header = json.loads(lines.next())
    if header["netguard-pop3-cache"] != _VERSION:
        raise ValueError("of another version")
    listing, sizes, uids = Listing(), Messages().sizes, []
    while len(listing.names) < header["messages"]:
        names, places = os.fsdecode(lines.next()).split("\0"), _places(lines.next())
        sizes.extend(map(int, lines.next().split()))
        listing.add(names, places, map(int, lines.next().split()))
        uids += _uids(lines.next(), names)
        if not len(uids) == len(sizes) == len(listing.inodes) == len(listing.places) == len(listing.names):
            raise ValueError("columns of different lengths")
        yield
    check = lines.check
    if lines.next() != b"%08x" % check or len(uids) != header["messages"] or min(sizes, default=0) < 0:
        raise ValueError("its checksum is wrong")
    list_stamp = None
    if header["uidl"] == kind:
        listing.stamps = {folder: Stamp(*map(int, stamp)) for folder, stamp in header["folders"].items()}
        list_stamp = Stamp(*map(int, header["list"])) if header["list"] else None
    return Snapshot(Messages(listing.names, sizes, uids), listing, list_stamp, remembered=True)


def _places(line: bytes) -> list[str]:
    """Places of messages. None of them may lead out of the two folders."""
    text = f"\0{os.fsdecode(line)}\0"
    places = text[1:-1].split("\0")
    inside = text.count("\0new/") + text.count("\0cur/") == text.count("/") == len(places)
    if not inside or any(odd in text for odd in _ODD):
        raise ValueError("a place outside the folders")
    return places


def _uids(line: bytes, names: list[str]) -> list[str]:
    if not line:
        if not are_plain(names):
            raise ValueError("a unique-id that is none")
        return names
    uids = line.decode("ascii").split(" ")
    if not are_well_formed(uids):
        raise ValueError("a unique-id that is none")
    return uids
