"""What a session needs of mailboxes, and nothing about how they are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Collection, Sequence

    from netguard.wire.pop3_events import Entry


class Reading(Protocol):
    """One message on its way out."""

    def next(self) -> Awaitable[bytes]:
        """The next octets as they go on the wire; none at the end. Fails when they cannot be read."""

    def close(self) -> None:
        """Read no more; harmless at any time, and more than once."""


class Mailbox(Protocol):
    """An open mailbox: what was in it at login, held for one session alone.

    Attributes:
        messages: the messages; a message's number is its index plus one.
    """

    @property
    def messages(self) -> Sequence[Entry]:
        """The messages; a message's number is its index plus one."""

    def read(self, index: int, top: int | None = None, *, utf8: bool = True) -> Awaitable[Reading]:
        """Begin to read a message; fails with MailGone, or anything else when it cannot be read now.

        Args:
            index: which message.
            top: None for the whole message; else its header and so many lines of its body.
            utf8: whether its header may have UTF-8 in it.
        """

    def commit(self, deleted: Collection[int]) -> Awaitable[int]:
        """Remove messages for good.

        Args:
            deleted: their indexes.

        Returns:
            How many of them could not be removed.
        """

    def release(self) -> None:
        """Let other sessions have the mailbox."""


class Opener(Protocol):
    """Finds and opens a user's mailbox."""

    def open(self, user: str, where: str | None = None) -> Awaitable[Mailbox]:
        """Open the mailbox for one session; fails with MailboxInUse, or anything else when out of order.

        Args:
            user: the name of the account.
            where: where its mailbox is, when the account says so itself; None for where it is by rule.
        """
