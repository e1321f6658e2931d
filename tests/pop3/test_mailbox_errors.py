"""The three ways in which a mailbox fails."""

from __future__ import annotations

import itertools

from netguard.pop3.mailbox_errors import MailboxInUse, MailboxTrouble, MailGone


def test_each_failure_is_told_apart() -> None:
    """No failure is a kind of another, nor of OSError, so that each gets its own reply."""
    kinds = [MailboxInUse, MailboxTrouble, MailGone, OSError]
    assert not any(issubclass(one, other) for one, other in itertools.permutations(kinds, 2))


def test_the_text_is_kept_for_the_log() -> None:
    """What went wrong can be read from the exception."""
    assert str(MailboxTrouble("/srv/mail/alice: no such directory")) == "/srv/mail/alice: no such directory"
