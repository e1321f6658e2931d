"""Why a mailbox, or one message of it, cannot be served.

The texts are for the log of the person who runs the server; they may name paths, so no client ever sees them.
"""

from __future__ import annotations


class MailboxInUse(Exception):
    """Another session holds the mailbox: the reply is ``-ERR [IN-USE]`` (RFC 2449, section 8.1.2)."""


class MailboxTrouble(Exception):
    """The mailbox cannot be opened, read or written now: the reply is ``-ERR [SYS/TEMP]`` (RFC 3206)."""


class MailGone(Exception):
    """One message has vanished since the session began, or may not be sent: the reply is a plain ``-ERR``."""
