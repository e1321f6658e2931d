"""What is in a Maildir: names, hostile entries, sizes. Blocking file work, for threads.

A file's *base name* is its name up to the first ``:`` or ``,``. What follows (flags, ``,S=``, ``,W=``)
changes when another program marks the message, and the folder changes when it moves from ``new`` to ``cur``;
the base name stays, so a message is known by it and by nothing else.

Whoever can write into a Maildir can put anything there. Only regular files are mail; a symbolic link, a pipe,
a device or a directory is skipped and reported, and can neither leak another file nor block a thread: folders
and files are opened without following links, and files without waiting.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from typing import TYPE_CHECKING, NamedTuple

from attrs import Factory, define

from netguard.pop3.mailbox_errors import MailboxTrouble, MailGone

if TYPE_CHECKING:
    from netguard.pop3.slices import Steps

FOLDERS = ("new", "cur")
"""Where mail lies, in this order: a message that moves from ``new`` to ``cur`` is met twice, not missed."""

CHUNK = 65536
"""Bytes read at a time."""

_SKIPS_KEPT = 10
_ENTRIES_A_STEP = 32
_LISTINGS = 3

# Dovecot's and Courier's hint: the message's octets with every line end counted as CRLF, which is what RFC
# 1939 wants. Fifteen digits hold any file; more is no hint.
_WIRE_SIZE = re.compile(r",W=([0-9]{1,15})(?:,|\Z)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

# The process or the machine has run out of something: no message is to blame, none may be left out for it.
_SHORTAGE = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})


class File(NamedTuple):
    """Where a message was last seen: folder and file name, as in ``cur/1700000000.M1P2.host:2,S``, and inode."""

    place: str
    inode: int


@define
class Listing:
    """The mail in a Maildir at one time.

    Text and numbers in plain dictionaries: Python's garbage collector looks at every other object again and
    again, and stops the whole process meanwhile, for 0.1 s with a few big mailboxes.

    Attributes:
        places: a file for each base name: folder and file name, as in ``cur/1700000000.M1P2.host:2,S``.
        inodes: its inode.
        twins: the others, where several different files have one base name.
        skipped: the first few entries that are no mail, each with the reason.
        skips: how many entries were skipped in all.
    """

    places: dict[str, str] = Factory(dict)
    inodes: dict[str, int] = Factory(dict)
    twins: dict[str, list[File]] = Factory(dict)
    skipped: list[tuple[str, str]] = Factory(list)
    skips: int = 0

    def add(self, base: str, file: File) -> None:
        """Enter a file. One that was seen under another name has been renamed, and the later name counts."""
        if self.inodes.setdefault(base, file.inode) == file.inode:
            self.places[base] = file.place
        else:
            others = [twin for twin in self.twins.get(base, ()) if twin.inode != file.inode]
            self.twins[base] = [*others, file]

    def all_of(self, base: str) -> list[File]:
        """Return every file of that base name, in an order that does not change when files are renamed."""
        if base not in self.places:
            return []
        files = [File(self.places[base], self.inodes[base])]
        if base in self.twins:
            files = sorted(files + self.twins[base], key=lambda file: file.inode)
        return files

    def find(self, base: str, inode: int) -> File | None:
        """Return the file of that base name: the only one, or among several the one with that inode."""
        files = self.all_of(base)
        if len(files) == 1:
            return files[0]
        return next((file for file in files if file.inode == inode), None)

    def skip(self, place: str, reason: str) -> None:
        """Note an entry that is no mail."""
        self.skips += 1
        if len(self.skipped) < _SKIPS_KEPT:
            self.skipped.append((place, reason))


def base_name(name: str) -> str:
    """Return the part of a file name that never changes."""
    return name.partition(":")[0].partition(",")[0]


def wire_size_hint(name: str) -> int | None:
    """Return the size on the wire that the file name claims with ``,W=``, in octets, or None."""
    claim = _WIRE_SIZE.search(name.partition(":")[0])
    return int(claim[1]) if claim else None


def list_mail(mailbox: str) -> Steps[Listing]:
    """List the mail in the Maildir at `mailbox`, without opening it.

    A file that is renamed while its folder is read may be met under neither name (POSIX, readdir), and a
    client that keeps mail on the server would take it for deleted. So a folder that changed meanwhile is read
    again, a few times.

    Raises:
        OSError: ``new`` or ``cur`` cannot be read, or is a symbolic link.
    """
    listing = Listing()
    for _ in range(_LISTINGS):
        listing = Listing()
        steady = True
        for folder in FOLDERS:
            steady &= yield from _list_folder(mailbox, folder, listing)
        if steady:
            break
    return listing


def open_folder(mailbox: str, folder: str) -> int:
    """Return a descriptor of ``new`` or ``cur``, which the caller closes. Raises OSError."""
    return os.open(f"{mailbox}/{folder}", os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def open_mail(mailbox: str, place: str) -> tuple[int, int]:
    """Open one message.

    Returns:
        its descriptor, which the caller closes, and its stored size in bytes.

    Raises:
        FileNotFoundError: it is not in that place any more.
        MailGone: it is not a file that may be sent.
        MailboxTrouble: the process is out of descriptors or memory.
        OSError: the folder cannot be opened.
    """
    folder, _, name = place.partition("/")
    directory = open_folder(mailbox, folder)
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        descriptor = os.open(name, flags, dir_fd=directory)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in _SHORTAGE:
            raise MailboxTrouble(f"{mailbox}: {error.strerror}") from error
        raise MailGone(error.strerror) from error
    finally:
        os.close(directory)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise MailGone("not a regular file")
    return descriptor, status.st_size


def _list_folder(mailbox: str, folder: str, listing: Listing) -> Steps[bool]:
    """Add one folder to `listing`; return whether it stayed as it was meanwhile."""
    descriptor = open_folder(mailbox, folder)
    try:
        before = os.fstat(descriptor).st_mtime_ns
        with os.scandir(descriptor) as entries:
            for count, entry in enumerate(entries):
                if not count % _ENTRIES_A_STEP:
                    yield
                place = f"{folder}/{entry.name}"
                base = base_name(entry.name)
                unfit = _unfit(entry, base)
                if unfit is None:
                    listing.add(base, File(place, entry.inode()))
                else:
                    listing.skip(place, unfit)
        return os.fstat(descriptor).st_mtime_ns == before
    finally:
        os.close(descriptor)


def _unfit(entry: os.DirEntry[str], base: str) -> str | None:
    """Return why an entry is no mail, or None."""
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
