"""What is in a Maildir at one time. Blocking file work, in steps for threads.

Everything is kept in columns, text in lists and numbers in arrays. Python's garbage collector looks at every
other object again and again and stops the whole process meanwhile, for 0.1 s with a few big mailboxes; and a
hundred thousand entries are gone through at the speed of C, not of Python.
"""

from __future__ import annotations

import os
import re
import time
from array import array
from itertools import islice
from typing import TYPE_CHECKING

from attrs import Factory, define

from netguard.pop3.maildir import FOLDERS, base_name, open_folder
from netguard.stamp import Stamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from netguard.pop3.slices import Steps

_SKIPS_KEPT = 10
_ENTRIES_A_STEP = 256
_LISTINGS = 3
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@define
class Listing:
    """The mail in a Maildir at one time, one position a file. A file that was met twice is there twice.

    Attributes:
        names: base names.
        places: folder and file name, as in ``cur/1700000000.M1P2.host:2,S``.
        inodes: inodes.
        stamps: of each folder that was steady and old enough, what will prove that it has not changed.
        skipped: the first few entries that are no mail, each with the reason.
        skips: how many entries were skipped in all.
    """

    names: list[str] = Factory(list)
    places: list[str] = Factory(list)
    inodes: array[int] = Factory(lambda: array("Q"))
    stamps: dict[str, Stamp] = Factory(dict)
    skipped: list[tuple[str, str]] = Factory(list)
    skips: int = 0
    _last: dict[str, int] = Factory(dict)
    _several: dict[str, list[int]] = Factory(dict)

    def add(self, names: Iterable[str], places: Iterable[str], inodes: Iterable[int]) -> None:
        """Enter files."""
        self.names += names
        self.places += places
        self.inodes.extend(inodes)

    def skip(self, place: str, reason: str) -> None:
        """Note an entry that is no mail."""
        self.skips += 1
        if len(self.skipped) < _SKIPS_KEPT:
            self.skipped.append((place, reason))

    def index(self) -> Steps[None]:
        """Make `all_of` and `find` possible."""
        last = self._last
        for start in range(0, len(self.names), _ENTRIES_A_STEP):
            part = self.names[start : start + _ENTRIES_A_STEP]
            last.update(zip(part, range(start, start + len(part)), strict=True))
            yield
        if len(last) == len(self.names):
            return
        for position, name in enumerate(self.names):
            if not position % _ENTRIES_A_STEP:
                yield
            if last[name] != position:
                self._several.setdefault(name, []).append(position)

    def all_of(self, name: str) -> Sequence[int]:
        """The position of every file of that base name, in an order that does not change when files are renamed.

        Two of one inode are one file, which was renamed while it was listed; the later place counts.
        """
        if name not in self._last:
            return ()
        if name not in self._several:
            return (self._last[name],)
        by_inode = {self.inodes[position]: position for position in (*self._several[name], self._last[name])}
        return [by_inode[inode] for inode in sorted(by_inode)]

    def find(self, name: str, inode: int) -> int | None:
        """The position of the file of that base name: the only one, or among several the one with that inode."""
        positions = self.all_of(name)
        if len(positions) == 1:
            return positions[0]
        return next((position for position in positions if self.inodes[position] == inode), None)

    def sharers(self) -> dict[str, int]:
        """How many files have a base name, where it is more than one; after `once`."""
        return {name: count for name in self._several if (count := len(self.all_of(name))) > 1}

    def once(self) -> Steps[Sequence[int]]:
        """The positions of all files, each file once."""
        seen: set[str] = set()
        for start in range(0, len(self.names), _ENTRIES_A_STEP):
            seen.update(self.names[start : start + _ENTRIES_A_STEP])
            yield
        if len(seen) == len(self.names):
            return range(len(self.names))
        yield from self.index()
        return [position for name in self._last for position in self.all_of(name)]


def list_mail(mailbox: str, before: Listing | None = None) -> Steps[Listing]:
    """List the mail in the Maildir at `mailbox`, without opening it.

    A file that is renamed while its folder is read may be met under neither name (POSIX, readdir), and a
    client that keeps mail on the server would take it for deleted. So a folder that changed meanwhile is read
    again, a few times.

    Args:
        mailbox: its directory.
        before: what was there at another time; a folder that its stamp proves to be unchanged is not read.

    Raises:
        OSError: ``new`` or ``cur`` cannot be read, or is a symbolic link.
    """
    listing = Listing()
    for _ in range(_LISTINGS):
        listing = Listing()
        steady = True
        for folder in FOLDERS:
            steady &= yield from _list_folder(mailbox, folder, listing, before)
        if steady:
            break
    return listing


def _list_folder(mailbox: str, folder: str, listing: Listing, before: Listing | None) -> Steps[bool]:
    """Add one folder to `listing`; return whether it stayed as it was meanwhile."""
    descriptor = open_folder(mailbox, folder)
    try:
        moment = time.time_ns()
        stamp = Stamp.of(os.fstat(descriptor))
        if before is not None and before.stamps.get(folder) == stamp:
            yield from _copy(folder, before, listing)
            listing.stamps[folder] = stamp
            return True
        skips = listing.skips
        with os.scandir(descriptor) as entries:
            while some := list(islice(entries, _ENTRIES_A_STEP)):
                _add(folder, some, listing)
                yield
        steady = Stamp.of(os.fstat(descriptor)) == stamp
    finally:
        os.close(descriptor)
    # An entry that was skipped may become mail without a change of its folder: by chmod, for one.
    if steady and stamp.proves(moment) and listing.skips == skips:
        listing.stamps[folder] = stamp
    return steady


def _copy(folder: str, before: Listing, listing: Listing) -> Steps[None]:
    """Add the files of a folder as they were."""
    for start in range(0, len(before.places), _ENTRIES_A_STEP):
        rows = zip(
            before.names[start : start + _ENTRIES_A_STEP],
            before.places[start : start + _ENTRIES_A_STEP],
            before.inodes[start : start + _ENTRIES_A_STEP],
            strict=True,
        )
        own = [row for row in rows if row[1].startswith(folder)]
        if own:
            listing.add(*zip(*own, strict=True))
        yield


def _add(folder: str, entries: list[os.DirEntry[str]], listing: Listing) -> None:
    """Add entries of a folder, if they are mail."""
    names = [entry.name for entry in entries]
    if not _all_fit(entries, names):
        reasons = [_unfit(entry) for entry in entries]
        for name, reason in zip(names, reasons, strict=True):
            if reason is not None:
                listing.skip(f"{folder}/{name}", reason)
        entries = [entry for entry, reason in zip(entries, reasons, strict=True) if reason is None]
        names = [entry.name for entry in entries]
    listing.add(
        [name.partition(":")[0].partition(",")[0] for name in names],  # base_name, without a call for each
        [f"{folder}/{name}" for name in names],
        [entry.inode() for entry in entries],
    )


def _all_fit(entries: list[os.DirEntry[str]], names: list[str]) -> bool:
    """Whether all are mail, at the speed of C; if not, each is looked at by itself."""
    text = "/" + "/".join(names)  # no name holds a slash
    try:
        regular = all(entry.is_file(follow_symlinks=False) for entry in entries)
    except OSError:
        return False
    return regular and text.isprintable() and "/." not in text and "/:" not in text and "/," not in text


def _unfit(entry: os.DirEntry[str]) -> str | None:
    """Return why an entry is no mail, or None."""
    base = base_name(entry.name)
    if base.startswith("."):
        return "its name begins with a dot"
    if not base:
        return "its name has nothing before its first ':' or ','"
    if _CONTROL.search(entry.name):
        return "its name holds control characters"
    try:
        regular = entry.is_file(follow_symlinks=False)
    except OSError as error:
        return f"cannot be looked at: {error.strerror}"
    return None if regular else "not a regular file"
