"""The maildrop at the moment of login: which messages, in which order, how big, under which unique-id.

Order is that of the base names, which begin with the time of delivery. Sizes are octets on the wire (RFC
1939, section 11): the file name's ``,W=`` is believed until the message is read, all else is counted.

A unique-id is the base name if that is 1 to 70 characters of 0x21-0x7E (RFC 1939, section 7), else its
SHA-256. A base name that looks like a SHA-256 is hashed too, so that no file can be named to collide with
another's hash. Where different files share a base name, each gets the SHA-256 of base name and inode: that
survives flags, moves and restarts, and no id ever passes from one of them to another, which would hide mail
from a client that keeps a list.
"""

from __future__ import annotations

import hashlib
import os
import re
from array import array
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import overload

from attrs import Factory, define, frozen

from netguard.pop3.mailbox_errors import MailGone
from netguard.pop3.maildir import CHUNK, File, Listing, list_mail, open_mail, wire_size_hint
from netguard.pop3.slices import Steps, sorted_in_slices
from netguard.wire.multiline import WireOctets

_UID = re.compile(r"[!-~]{1,70}")
_LIKE_HASH = re.compile(r"[0-9a-f]{64}")
_HASH_LENGTH = 64
_MESSAGES_A_STEP = 32

# Another program that marks mail while it is counted costs a listing for each; one that removes mail would
# cost one for each message, so there is a bound.
_LISTINGS = 8


@frozen
class Message:
    """One message of a session.

    Attributes:
        name: base name of its file.
        size: octets on the wire, line ends as CRLF, byte-stuffing and terminator not counted.
        uid: unique-id for UIDL.
    """

    name: str
    size: int
    uid: str


class Messages(Sequence[Message]):
    """The messages of a session, in order; each is made when it is asked for.

    Only text and numbers are kept, for the reason that `maildir.Listing` gives.

    Attributes:
        names: their base names.
        octets: the size of them all.
    """

    __slots__ = ("_sizes", "_uids", "names", "octets")

    def __init__(self) -> None:
        self.names: list[str] = []
        self._sizes = array("q")
        self._uids: dict[int, str] = {}
        self.octets = 0

    def append(self, name: str, size: int, uid: str) -> None:
        """Add a message at the end."""
        if uid != name:
            self._uids[len(self.names)] = uid
        self.names.append(name)
        self._sizes.append(size)
        self.octets += size

    def __len__(self) -> int:
        return len(self.names)

    @overload
    def __getitem__(self, index: int) -> Message: ...
    @overload
    def __getitem__(self, index: slice) -> list[Message]: ...
    def __getitem__(self, index: int | slice) -> Message | list[Message]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        name = self.names[index]
        return Message(name, self._sizes[index], self._uids.get(index % len(self), name))


@define
class Snapshot:
    """What a session works on.

    Attributes:
        messages: in the order of their numbers.
        places: where each was last seen, folder and file name.
        inodes: the inode of each.
        skipped: the first few entries that are no mail, each with the reason.
        skips: how many entries were skipped in all.
    """

    messages: Messages = Factory(Messages)
    places: list[str] = Factory(list)
    inodes: array[int] = Factory(lambda: array("Q"))
    skipped: list[tuple[str, str]] = Factory(list)
    skips: int = 0

    def add(self, base: str, file: File, size: int, sharers: int) -> None:
        """Add a message whose base name `sharers` files have."""
        self.messages.append(base, size, _unique_id(base, file.inode, sharers))
        self.places.append(file.place)
        self.inodes.append(file.inode)


def take_snapshot(mailbox: str, known: Mapping[str, int] = MappingProxyType({})) -> Steps[Snapshot]:
    """Look at the whole Maildir at `mailbox`. An entry that cannot be mail is left out, and noted.

    Args:
        mailbox: its directory.
        known: sizes, in octets on the wire, that are known better than from file names, by base name.

    Raises:
        MailboxTrouble: the process is out of descriptors or memory.
        OSError: ``new`` or ``cur`` cannot be read, or is a symbolic link.
    """
    listing = yield from list_mail(mailbox)
    names = yield from sorted_in_slices(list(listing.places))
    snapshot = Snapshot()
    counter = _Counter(mailbox, listing)
    for count, base in enumerate(names):
        if not count % _MESSAGES_A_STEP:
            yield
        files = listing.all_of(base)
        for file in files:
            # What is known of a name is true of a file only if no other has that name.
            size = known.get(base) if len(files) == 1 else None
            if size is None:
                size = wire_size_hint(file.place)
            found = (file, size) if size is not None else (yield from counter.count(base, file))
            if found is not None:
                snapshot.add(base, *found, len(files))
    snapshot.skipped, snapshot.skips = listing.skipped, listing.skips
    return snapshot


def count_octets(mailbox: str, place: str) -> Steps[int]:
    """Return the octets on the wire of one message, by reading it. Raises what `open_mail` raises."""
    descriptor, left = open_mail(mailbox, place)
    try:
        counter = WireOctets()
        while left > 0:
            chunk = os.read(descriptor, min(left, CHUNK))
            if not chunk:
                break
            left -= len(chunk)
            counter.feed(chunk)
            yield
    except OSError as error:
        raise MailGone(f"cannot be read: {error.strerror}") from error
    finally:
        os.close(descriptor)
    return counter.octets


class _Counter:
    """Counts messages whose size nobody knows; follows one that is renamed meanwhile."""

    def __init__(self, mailbox: str, listing: Listing) -> None:
        self._mailbox = mailbox
        self._listing = listing
        self._listings = _LISTINGS

    def count(self, base: str, file: File) -> Steps[tuple[File, int] | None]:
        """Return where the message is and its size, or None if it is not there or is no mail."""
        while True:
            try:
                return file, (yield from count_octets(self._mailbox, file.place))
            except MailGone as unfit:
                self._listing.skip(file.place, str(unfit))
                return None
            except FileNotFoundError:
                if self._listings == 0:
                    return None
            self._listings -= 1
            found = (yield from list_mail(self._mailbox)).find(base, file.inode)
            if found is None:
                return None
            file = found


def _unique_id(base: str, inode: int, sharers: int) -> str:
    """Return the unique-id of a message whose base name `sharers` files have."""
    if sharers > 1:
        return hashlib.sha256(os.fsencode(base) + b"\0%d" % inode).hexdigest()
    if _UID.fullmatch(base) and not (len(base) == _HASH_LENGTH and _LIKE_HASH.fullmatch(base)):
        return base
    return hashlib.sha256(os.fsencode(base)).hexdigest()
