"""Where a session's messages are now: opens and removes them, and follows files that other programs move.

Blocking file work, in steps for threads.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from attrs import Factory, define

from netguard.page_cache import open_at_hand
from netguard.pop3.listing import list_mail
from netguard.pop3.mailbox_errors import MailboxTrouble, MailGone
from netguard.pop3.maildir import FOLDERS, open_folder, open_mail
from netguard.pop3.quota import Freed

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable, Sequence

    from netguard.pop3.slices import Steps

_MESSAGES_A_STEP = 32


@define
class MailFiles:
    """The files of a session's messages, by index.

    Args:
        mailbox: the Maildir's directory.
        names: base name of each message.
        places: where each was last seen, folder and file name.
        inodes: the inode of each.
    """

    mailbox: str
    names: Sequence[str]
    places: list[str]
    inodes: array[int]
    _gone: set[int] = Factory(set)

    def open(self, index: int) -> Steps[tuple[int, int]]:
        """Open a message; look for it once if it has moved.

        Returns:
            its descriptor, which the caller closes, and its stored size in bytes.

        Raises:
            MailGone: it has vanished, or is not a file that may be sent.
            MailboxTrouble: the mailbox cannot be read.
        """
        for searched in (False, True):
            if searched:
                yield from self._find_all()
            if index in self._gone:
                break
            try:
                return open_mail(self.mailbox, self.places[index])
            except FileNotFoundError:
                continue
            except OSError as error:
                raise MailboxTrouble(f"{self.mailbox}: {error}") from error
        raise MailGone("vanished since the session began")

    def open_at_hand(self, index: int) -> tuple[int, int] | None:
        """The same for the reactor's thread: None if it has to be waited for, or anything is not as it should be."""
        descriptor = None if index in self._gone else open_at_hand(f"{self.mailbox}/{self.places[index]}")
        if descriptor is None:
            return None
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            os.close(descriptor)
            return None
        return descriptor, status.st_size

    def remove(self, indexes: Sequence[int]) -> Steps[dict[int, str]]:
        """Remove messages, and see to it that this is on the disk. One that has vanished counts as removed.

        What was removed is taken off the mailbox's quota, if it has one.

        Returns:
            those that could not be removed, each with the reason.

        Raises:
            MailboxTrouble: a folder cannot be opened, looked through or written to the disk.
        """
        refused: dict[int, str] = {}
        folders: dict[str, int] = {}
        freed = Freed(self.mailbox)
        try:
            for folder in FOLDERS:
                folders[folder] = open_folder(self.mailbox, folder)
            missing = yield from self._unlink(folders, indexes, refused, freed)
            if missing:
                yield from self._find_all()
                found = [index for index in missing if index not in self._gone]
                yield from self._unlink(folders, found, refused, freed)
            for descriptor in folders.values():
                os.fsync(descriptor)
        except OSError as error:
            raise MailboxTrouble(f"{self.mailbox}: {error}") from error
        finally:
            freed.note()
            for descriptor in folders.values():
                os.close(descriptor)
        return refused

    def _unlink(
        self, folders: dict[str, int], indexes: Iterable[int], refused: dict[int, str], freed: Freed
    ) -> Steps[list[int]]:
        """Remove messages where they were last seen; return those that are not there."""
        missing = []
        for index in indexes:
            yield
            folder, _, name = self.places[index].partition("/")
            try:
                size = freed.size(name, folders[folder])
                os.unlink(name, dir_fd=folders[folder])
                freed.add(size)
            except FileNotFoundError:
                missing.append(index)
            except OSError as error:
                refused[index] = str(error.strerror)
        return missing

    def _find_all(self) -> Steps[None]:
        """Look for every message at once: a program that marks them all costs one listing, not one each."""
        try:
            listing = yield from list_mail(self.mailbox)
        except OSError as error:
            raise MailboxTrouble(f"{self.mailbox}: {error}") from error
        yield from listing.index()
        gone = set()
        for index, name in enumerate(self.names):
            if not index % _MESSAGES_A_STEP:
                yield
            found = listing.find(name, self.inodes[index])
            if found is None:
                gone.add(index)
            else:
                self.places[index], self.inodes[index] = listing.places[found], listing.inodes[found]
        self._gone = gone
