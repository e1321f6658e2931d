"""What a session needs of mailboxes is what a Maildir gives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netguard.pop3.interface import Mailbox, Reading
from netguard.pop3.maildrop import MaildirOpener, Maildrop
from netguard.pop3.reading import Reading as FileReading

if TYPE_CHECKING:
    from netguard.pop3.interface import Opener


def _names(kind: type) -> set[str]:
    return {name for name in vars(kind) if not name.startswith("_")}


def test_maildirs_have_all_that_sessions_need() -> None:
    """A Maildir's opener, mailbox and reading have every method of the interface (the types are mypy's part)."""
    opener: Opener = MaildirOpener("{user}")
    assert callable(opener.open)
    assert _names(Mailbox) <= set(dir(Maildrop))
    assert _names(Reading) <= set(dir(FileReading))
    assert _names(Mailbox) == {"messages", "read", "commit", "release"}
    assert _names(Reading) == {"next", "close"}
