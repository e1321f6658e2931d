"""What one session did, for its line in the log, and what went wrong in it."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import define
from OpenSSL import SSL

from netguard.application import connection_of
from netguard.events import describe, printable
from netguard.wire import otp
from netguard.wire.pop3_events import Apop, Password

if TYPE_CHECKING:
    from collections.abc import Callable

    from netguard.accounts.interface import Account
    from netguard.wire.pop3_events import Login

    Report = Callable[[str, dict[str, object]], None]
    """Takes a word of the vocabulary of :mod:`netguard.events`, and the fields of the event."""


@define
class Record:
    """What one session did.

    Args:
        mechanism: how its user logged in, "apop", "password" or a mechanism of SASL; "-" before.
        tls: whether it was inside TLS at the end.
        denied: how many logins failed.
        retrieved: how many messages were sent whole by RETR.
        deleted: how many messages were removed at QUIT.
        octets_in: what came.
        octets_out: what was written.
        user: who logged in, or None.
        claimed: a pseudonym for the last name that was refused, or None.
        reason: why it ended, or None while it goes on.
    """

    mechanism: str = "-"
    tls: bool = False
    denied: int = 0
    retrieved: int = 0
    deleted: int = 0
    octets_in: int = 0
    octets_out: int = 0
    user: str | None = None
    claimed: str | None = None
    reason: str | None = None

    def fields(self, duration: float) -> dict[str, object]:
        """The session as fields of a log line, foreign text last.

        Args:
            duration: seconds that it lasted.
        """
        fields: dict[str, object] = {
            "reason": self.reason,
            "duration": round(duration, 3),
            "tls": self.tls,
            "mechanism": self.mechanism,
            "denied": self.denied,
            "retrieved": self.retrieved,
            "deleted": self.deleted,
            "bytes_in": self.octets_in,
            "bytes_out": self.octets_out,
        }
        if self.claimed is not None:
            fields["claimed"] = self.claimed
        if self.user is not None:
            fields["user"] = self.user
        return fields


def mechanism_of(login: Login) -> str:
    """How somebody logs in, in the words of the log.

    Args:
        login: what the machine asked for.
    """
    match login:
        case Apop():
            return "apop"
        case Password():
            return "password"
    return login.mechanism.lower()


def running_out(account: Account) -> dict[str, object] | None:
    """The fields that warn of a user's last one-time passwords; None where nobody needs to be warned.

    Args:
        account: who logged in.
    """
    if account.otp_left is None or account.otp_left >= otp.LOW:
        return None
    return {"left": account.otp_left, "limit": otp.LOW, "user": account.name}


def whose(transport: Any) -> dict[str, object]:
    """The fields that say whose session it is: the peer's address, and its number where guards give one.

    Args:
        transport: the transport of the session.
    """
    fields = describe(transport.getPeer())
    guarded = connection_of(transport)
    if guarded is not None:
        fields["session"] = guarded.number
    return fields


def word_for(reason: BaseException | None) -> str:
    """One word of the log for why a connection was lost; the connection's own last event says more.

    Args:
        reason: what the transport was lost for.
    """
    return "TLSFailed" if isinstance(reason, SSL.Error) else type(reason).__name__


def failure_fields(doing: str) -> dict[str, object]:
    """The exception that is being handled as fields of a log line: one bounded line, no traceback.

    Args:
        doing: what was being done when it came.
    """
    problem = sys.exception()
    frame = traceback.extract_tb(problem.__traceback__ if problem else None)[-1]
    return {
        "doing": doing,
        "where": f"{Path(frame.filename).name}:{frame.lineno}",
        "problem": printable(f"{type(problem).__name__}: {problem}"),
    }
