"""Letting somebody into a mailbox: the account, the name, the mailbox, and when a refusal may be known.

The rules of this file:

* An unknown user, a wrong secret, a name that nobody can have, and accounts that cannot be asked are answered
  at the same moment, a fixed time after the command. If finding out took longer, at the next multiple of it.
* No name reaches the opener of mailboxes that could be anything but the name of a user.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from attrs import frozen

from netguard.accounts.names import check_name, from_wire
from netguard.pop3.mailbox_errors import MailboxInUse
from netguard.wire.pop3_events import Apop, Denial, Password

if TYPE_CHECKING:
    from collections.abc import Callable

    from netguard.accounts.interface import Account, Accounts
    from netguard.connection import Connection
    from netguard.pop3.interface import Mailbox, Opener


@frozen
class Entered:
    """A login that succeeded.

    Args:
        user: the name of the account.
        mailbox: the mailbox, held for this session.
    """

    user: str
    mailbox: Mailbox


@frozen
class Refused:
    """A login that failed.

    Args:
        denial: what the client may know.
        at_once: whether it may know it now; otherwise only at the fixed moment.
        guessed: whether it was for what the client sent, rather than for trouble of ours.
    """

    denial: Denial
    at_once: bool = False
    guessed: bool = False


@frozen
class Door:
    """What lets people in.

    Args:
        accounts: knows who they are.
        opener: finds and opens their mailboxes.
        trouble: told what was being done when an exception (the one being handled) came.
    """

    accounts: Accounts
    opener: Opener
    trouble: Callable[[str], None]

    async def enter(self, login: Apop | Password, stamp: bytes, wanted: Callable[[], bool]) -> Entered | Refused:
        """Check the credentials, then open the mailbox; never fails.

        Args:
            login: what the client sent.
            stamp: the timestamp that the digest of an APOP must be over.
            wanted: whether the client is still there; a mailbox is not opened for nobody.
        """
        try:
            account = await self._account(login, stamp)
        except Exception:  # noqa: BLE001 - whatever fails in a store of accounts, the session goes on
            self.trouble("checking credentials")
            return Refused(Denial.TROUBLE)
        if account is None:
            return Refused(Denial.CREDENTIALS, guessed=True)
        if not wanted():
            return Refused(Denial.CREDENTIALS)
        try:
            return Entered(account.name, await self.opener.open(check_name(account.name)))
        except MailboxInUse:
            return Refused(Denial.IN_USE, at_once=True)
        except Exception:  # noqa: BLE001 - whatever fails in a mailbox, the session goes on
            self.trouble("opening a mailbox")
            return Refused(Denial.TROUBLE, at_once=True)

    async def _account(self, login: Apop | Password, stamp: bytes) -> Account | None:
        if isinstance(login, Apop):
            account = await self.accounts.check_apop(login.name, stamp, login.digest)
        else:
            account = await self.accounts.check_password(login.name, login.password)
        # Asked in any case, so that a name which cannot be costs what a name costs which is not there.
        return account if _possible(login.name) else None


def _possible(name: bytes) -> bool:
    try:
        check_name(from_wire(name))
    except ValueError:
        return False
    return True


def seconds_left(elapsed: float, period: float) -> float:
    """How long to wait until the next multiple of a period.

    Args:
        elapsed: seconds since the command came.
        period: seconds; 0 for no wait at all.
    """
    return period - elapsed % period if period > 0 else 0.0


def blame(guarded: Connection | None, login: Apop | Password, refused: Refused, key: bytes) -> None:
    """Tell the guards of a failed login, once its answer may be known: the time of a penalty is an answer, too.

    The same name with the same password counts once: that is a mail program that knows no better. With APOP the same
    secret looks different each time.

    Args:
        guarded: the connection, or what it was: who goes away without waiting for the answer has guessed all the same.
        login: what the client sent.
        refused: why it failed.
        key: a random key of this process, so that nobody can guess the password back from what is told.
    """
    if refused.guessed and guarded is not None:
        digest = None
        if isinstance(login, Password):
            digest = hashlib.blake2b(login.name + b"\0" + login.password, key=key, digest_size=16).digest()
        guarded.misdeed("failed-login", once=digest)


def pseudonym(name: bytes, key: bytes) -> str:
    """What stands in the log for a name that was refused: it may be a password in the wrong field.

    Args:
        name: the name as it came.
        key: a random key of this process, so that the name cannot be guessed back.
    """
    return hashlib.blake2b(name, key=key, digest_size=8).hexdigest()
