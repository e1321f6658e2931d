"""Sizes that nobody has written down: messages are read to count their octets on the wire."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from netguard.pop3.listing import list_mail
from netguard.pop3.mailbox_errors import MailGone
from netguard.pop3.maildir import CHUNK, open_folder, open_mail
from netguard.wire.multiline import WireOctets

if TYPE_CHECKING:
    from netguard.pop3.listing import Listing
    from netguard.pop3.slices import Steps

# Another program that marks mail while it is counted costs a listing for each; one that removes mail would
# cost one for each message, so there is a bound.
_LISTINGS = 8


def count_octets(mailbox: str, place: str, directory: int | None = None) -> Steps[int]:
    """Return the octets on the wire of one message, by reading it. Raises what `open_mail` raises."""
    descriptor, left = open_mail(mailbox, place, directory)
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


class Counter:
    """Counts messages whose size nobody knows; follows one that is renamed meanwhile.

    Args:
        mailbox: the Maildir's directory.
        listing: what was in it; what turns out to be no mail is noted there.

    Attributes:
        counted: how many messages were read.
        lost: whether one could not be counted where it was first seen.
    """

    def __init__(self, mailbox: str, listing: Listing) -> None:
        self.counted = 0
        self.lost = False
        self._mailbox = mailbox
        self._listing = listing
        self._listings = _LISTINGS
        self._folders: dict[str, int] = {}

    def count(self, name: str, place: str, inode: int) -> Steps[tuple[str, int, int] | None]:
        """Return where a message is, its inode and its size, or None if it is not there or is no mail."""
        self.counted += 1
        while True:
            try:
                size = yield from count_octets(self._mailbox, place, self._folder(place[:3]))
            except MailGone as unfit:
                self.lost = True
                self._listing.skip(place, str(unfit))
                return None
            except FileNotFoundError:
                self.lost = True
                if self._listings == 0:
                    return None
            else:
                return place, inode, size
            self._listings -= 1
            anew = yield from list_mail(self._mailbox)
            yield from anew.index()
            found = anew.find(name, inode)
            if found is None:
                return None
            place, inode = anew.places[found], anew.inodes[found]

    def close(self) -> None:
        """Close the folders."""
        for descriptor in self._folders.values():
            os.close(descriptor)
        self._folders = {}

    def _folder(self, folder: str) -> int:
        if folder not in self._folders:
            self._folders[folder] = open_folder(self._mailbox, folder)
        return self._folders[folder]
