"""What sessions saw of small mailboxes, kept in memory for the next ones.

A client that looks for new mail mostly finds none. What proves that nothing has changed are the stamps of both folders,
as with the file of :mod:`netguard.pop3.mailbox_cache`; whoever recalls something has to ask for them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netguard.pop3.maildir import FOLDERS

if TYPE_CHECKING:
    from netguard.pop3.snapshot import Snapshot

MOST = 65_536
"""Messages that are remembered in all, some 250 bytes each."""

_FOR_A_MAILBOX = 4
"""What a mailbox counts beside its messages, so that empty ones are bounded, too."""


class MailboxMemory:
    """What was seen of mailboxes; those that were not asked for since the longest time go first.

    Args:
        most: messages in all; of one mailbox, a quarter of that.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._left = most
        self._seen: dict[str, Snapshot] = {}

    def __len__(self) -> int:
        """How many mailboxes are remembered."""
        return len(self._seen)

    def note(self, mailbox: str, snapshot: Snapshot) -> None:
        """Remember what was seen, instead of what was seen before; nothing, if the next session could not trust it.

        Args:
            mailbox: the Maildir's directory.
            snapshot: what was seen.
        """
        self.forget(mailbox)
        listing, weight = snapshot.listing, _weight(snapshot)
        if weight <= self._most // 4 and snapshot.local and not listing.skips and set(FOLDERS) <= listing.stamps.keys():
            self._seen[mailbox] = snapshot
            self._left -= weight
        while self._left < 0:
            self.forget(next(iter(self._seen)))

    def recall(self, mailbox: str) -> Snapshot | None:
        """What was seen of a mailbox, or None."""
        snapshot = self._seen.pop(mailbox, None)
        if snapshot is not None:
            self._seen[mailbox] = snapshot  # as the last one that was asked for
        return snapshot

    def forget(self, mailbox: str) -> None:
        """Remember nothing of a mailbox."""
        snapshot = self._seen.pop(mailbox, None)
        if snapshot is not None:
            self._left += _weight(snapshot)


def _weight(snapshot: Snapshot) -> int:
    return len(snapshot.messages) + _FOR_A_MAILBOX
