"""Sizes that are known better than from a file's name, since the message was read.

They live in memory and are few. This is the seat of a cache on disk: what asks here need not know.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# Some 10 MiB if every file of a thousand mailboxes lied.
_MAILBOXES_KEPT = 1000
_SIZES_KEPT = 100


class KnownSizes:
    """True sizes of messages, by mailbox and base name. The oldest is forgotten first."""

    def __init__(self, mailboxes: int = _MAILBOXES_KEPT, sizes: int = _SIZES_KEPT) -> None:
        self._mailboxes = mailboxes
        self._sizes = sizes
        self._known: dict[str, dict[str, int]] = {}

    def of(self, mailbox: str) -> Mapping[str, int]:
        """Return what is known of the messages in `mailbox`: octets on the wire, by base name."""
        return MappingProxyType(self._known.get(mailbox, {}))

    def learn(self, mailbox: str, base: str, octets: int) -> None:
        """Keep the size of a message, in octets on the wire."""
        sizes = self._known.pop(mailbox, {})
        self._known[mailbox] = sizes
        sizes[base] = octets
        _forget_oldest(sizes, self._sizes)
        _forget_oldest(self._known, self._mailboxes)


def _forget_oldest(table: dict[str, int] | dict[str, dict[str, int]], limit: int) -> None:
    """Keep `table` within its limit; a dictionary gives its keys in the order of their coming."""
    if len(table) > limit:
        del table[next(iter(table))]
