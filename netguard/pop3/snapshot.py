"""The maildrop at the moment of login: which messages, in which order, how big, under which unique-id.

Order is that of the base names, which begin with the time of delivery, or that of another server whose
unique-ids are used. Sizes are octets on the wire (RFC 1939, section 11): what was once counted is remembered,
else the file name's ``,W=`` is believed until the message is read, and all others are counted.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from itertools import starmap
from typing import TYPE_CHECKING, NamedTuple, cast, overload

from attrs import Factory, define

from netguard.pop3.counting import Counter
from netguard.pop3.foreign_lists import ForeignList, Given
from netguard.pop3.listing import Listing, list_mail
from netguard.pop3.maildir import wire_size_hint, wire_size_hints
from netguard.pop3.slices import Steps, sorted_in_slices
from netguard.pop3.unique_ids import unique_ids
from netguard.stamp import Stamp

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_MESSAGES_A_STEP = 256


class Message(NamedTuple):
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

    Only text and numbers are kept, for the reason that the module `listing` gives.

    Attributes:
        names: their base names.
        sizes: their octets on the wire.
        uids: their unique-ids.
        octets: the size of them all.
    """

    __slots__ = ("names", "octets", "sizes", "uids")

    def __init__(self, names: Iterable[str] = (), sizes: Iterable[int] = (), uids: Iterable[str] = ()) -> None:
        self.names = list(names)
        self.sizes = array("q", sizes)
        self.uids = list(uids)
        self.octets = sum(self.sizes)

    def corrected(self, sizes: Mapping[int, int]) -> Messages:
        """The same, where some sizes turned out to be others.

        Args:
            sizes: the true ones, by index.
        """
        new = Messages()
        new.names, new.uids, new.sizes = self.names, self.uids, self.sizes[:]
        for index, size in sizes.items():
            new.sizes[index] = size
        new.octets = self.octets + sum(size - self.sizes[index] for index, size in sizes.items())
        return new

    def __len__(self) -> int:
        return len(self.names)

    def __iter__(self) -> Iterator[Message]:
        return map(Message, self.names, self.sizes, self.uids)

    @overload
    def __getitem__(self, index: int) -> Message: ...
    @overload
    def __getitem__(self, index: slice) -> list[Message]: ...
    def __getitem__(self, index: int | slice) -> Message | list[Message]:
        if isinstance(index, slice):
            return list(starmap(Message, zip(self.names[index], self.sizes[index], self.uids[index], strict=True)))
        return Message(self.names[index], self.sizes[index], self.uids[index])


@define
class Snapshot:
    """What a session works on.

    Attributes:
        messages: in the order of their numbers.
        listing: where each was last seen, at the same position.
        list_stamp: what proves that the other server's list has not changed, or None.
        counted: how many messages had to be read for their sizes.
        remembered: whether it is what a session before had seen, since nothing changed.
        local: whether the mailbox is on a file system of this machine's own.
    """

    messages: Messages = Factory(Messages)
    listing: Listing = Factory(Listing)
    list_stamp: Stamp | None = None
    counted: int = 0
    remembered: bool = False
    local: bool = False


class Taking:
    """The making of a snapshot.

    Args:
        mailbox: the Maildir's directory.
        before: what a session before had seen, or None.
        foreign: whose unique-ids are used, or None.
    """

    def __init__(self, mailbox: str, before: Snapshot | None = None, foreign: ForeignList | None = None) -> None:
        self._mailbox = mailbox
        self._before = before
        self._foreign = foreign
        self._found = Listing()
        self._sizes = array("q")
        self._counter: Counter | None = None

    def run(self) -> Steps[Snapshot]:
        """Look at the whole Maildir. An entry that cannot be mail is left out, and noted.

        Raises:
            MailboxTrouble: the process is out of descriptors or memory, or another server's list is broken.
            OSError: ``new`` or ``cur`` cannot be read, or is a symbolic link.
        """
        given = (yield from self._foreign.read(self._mailbox)) if self._foreign else Given()
        listing = yield from list_mail(self._mailbox, self._before.listing if self._before else None)
        order = yield from _ordered(listing, given)
        self._counter = Counter(self._mailbox, listing)
        try:
            yield from self._size_all(listing, order, self._counter)
        finally:
            self._counter.close()
        found = self._found
        uids = yield from unique_ids(found.names, found.inodes, listing.sharers(), given)
        found.skipped, found.skips = listing.skipped, listing.skips
        if not self._counter.lost:
            found.stamps = listing.stamps
        return Snapshot(Messages(found.names, self._sizes, uids), found, given.stamp, self._counter.counted)

    def _size_all(self, listing: Listing, order: Sequence[int], counter: Counter) -> Steps[None]:
        """Find the size of each message, in order, and leave out those that turn out to be no mail."""
        known = yield from _Known.of(self._before)
        for start in range(0, len(order), _MESSAGES_A_STEP):
            part = order[start : start + _MESSAGES_A_STEP]
            names = [listing.names[position] for position in part]
            places = [listing.places[position] for position in part]
            inodes = [listing.inodes[position] for position in part]
            sizes = known.sizes(names, inodes, places)
            if None not in sizes:
                self._found.add(names, places, inodes)
                self._sizes.extend(cast("list[int]", sizes))
            else:
                yield from self._size_each(zip(names, places, inodes, sizes, strict=True), counter)
            yield

    def _size_each(self, rows: Iterable[tuple[str, str, int, int | None]], counter: Counter) -> Steps[None]:
        """The same, where some must be counted."""
        for name, place, inode, size in rows:
            found = (place, inode, size) if size is not None else (yield from counter.count(name, place, inode))
            if found is not None:
                self._found.add((name,), found[:1], found[1:2])
                self._sizes.append(found[2])

    def partial(self) -> Snapshot | None:
        """What is known when the work was given up, if it is worth keeping: the sizes of messages that were read."""
        if self._counter is None or not self._counter.counted:
            return None
        count = len(self._sizes)
        found = Listing(self._found.names[:count], self._found.places[:count], self._found.inodes[:count])
        return Snapshot(Messages(found.names, self._sizes, found.names), found, counted=self._counter.counted)


@define
class _Known:
    """Sizes that were counted before: of a file of the same name and inode."""

    size_of: dict[str, int] = Factory(dict)
    inode_of: dict[str, int] = Factory(dict)

    @classmethod
    def of(cls, before: Snapshot | None) -> Steps[_Known]:
        known = cls()
        if before is not None:
            for start in range(0, len(before.messages), _MESSAGES_A_STEP):
                part = slice(start, start + _MESSAGES_A_STEP)
                names = before.messages.names[part]
                known.size_of.update(zip(names, before.messages.sizes[part], strict=True))
                known.inode_of.update(zip(names, before.listing.inodes[part], strict=True))
                yield
        return known

    def sizes(self, names: list[str], inodes: list[int], places: list[str]) -> list[int | None]:
        """The size of each of these messages, as far as it is known or their files' names claim it."""
        if not self.size_of:
            return wire_size_hints(places)
        inode_of, size_of = self.inode_of.get, self.size_of
        return [
            size_of[name] if inode_of(name) == inode else wire_size_hint(place)
            for name, inode, place in zip(names, inodes, places, strict=True)
        ]


def _ordered(listing: Listing, given: Given) -> Steps[Sequence[int]]:
    """The positions of a listing in the order of message numbers."""
    positions = yield from listing.once()
    names, numbers = listing.names, given.numbers
    if not numbers:
        return (yield from sorted_in_slices(positions, names.__getitem__))
    last = 1 << 32

    def key(position: int) -> str:
        name = names[position]
        return f"{numbers.get(name, last):010} {name}"

    return (yield from sorted_in_slices(positions, key))
