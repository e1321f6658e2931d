"""Letting somebody into a mailbox: the account, the name, the mailbox.

The rules of this file:

* No name reaches the opener of mailboxes that could be anything but the name of a user.
* Nothing here fails: whatever is wrong with accounts or mailboxes is trouble, which is told to the operator.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen

from netguard.accounts.names import check_name, from_wire
from netguard.pop3.mailbox_errors import MailboxInUse
from netguard.wire import sasl
from netguard.wire.pop3_events import Apop, Denial, Disproved, Password, Proved

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from netguard.accounts.interface import Account
    from netguard.pop3.interface import Mailbox
    from netguard.pop3.settings import Settings


@frozen
class Entered:
    """A login that succeeded.

    Args:
        account: whose it was.
        mailbox: the mailbox, held for this session.
    """

    account: Account
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
class Found:
    """The answer to a question of a mechanism's.

    Args:
        answer: as the question says.
    """

    answer: object


@frozen
class Door:
    """What lets people in.

    Args:
        settings: who knows them, who opens their mailboxes, and on what terms.
        trouble: told what was being done when an exception (the one being handled) came.
    """

    settings: Settings
    trouble: Callable[[str], None]

    async def consult(self, question: sasl.Question, identities: Callable[[], Collection[str]]) -> Found | Refused:
        """Answer a mechanism's question; never fails.

        Args:
            question: what it wants to know.
            identities: the names that the client's certificate proves.
        """
        try:
            if isinstance(question, sasl.CheckCertificate):
                return Found(await self.settings.accounts.check_identity(question.name, identities()))
            return Found(await self.settings.accounts.answer(question))
        except Exception:  # noqa: BLE001 - whatever fails in a store of accounts, the session goes on
            self.trouble("checking credentials")
            return Refused(Denial.TROUBLE)

    async def enter(
        self, login: Apop | Password | Proved | Disproved, stamp: bytes, wanted: Callable[[], bool]
    ) -> Entered | Refused:
        """Check the credentials, then open the mailbox; never fails.

        Args:
            login: what the client sent, or has proved.
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
        if self.settings.delays.too_soon(account.name):
            return Refused(Denial.TOO_SOON, at_once=True)
        return await self._open(account)

    async def _open(self, account: Account) -> Entered | Refused:
        try:
            entered = Entered(account, await self._opened(account))
        except MailboxInUse:
            return Refused(Denial.IN_USE, at_once=True)
        except Exception:  # noqa: BLE001 - whatever fails in a mailbox, the session goes on
            self.trouble("opening a mailbox")
            return Refused(Denial.TROUBLE, at_once=True)
        self.settings.delays.note(account.name, self.settings.terms.login_delay_of(account))
        return entered

    def _opened(self, account: Account) -> Awaitable[Mailbox]:
        return self.settings.opener.open(check_name(account.name), account.mailbox)

    async def _account(self, login: Apop | Password | Proved | Disproved, stamp: bytes) -> Account | None:
        if isinstance(login, Disproved):
            return None
        if isinstance(login, Proved):
            return await self.settings.accounts.account(login.name)
        if isinstance(login, Apop):
            account = await self.settings.accounts.check_apop(login.name, stamp, login.digest)
        else:
            account = await self.settings.accounts.check_password(login.name, login.password)
        # Asked in any case, so that a name which cannot be costs what a name costs which is not there.
        return account if _possible(login.name) else None


def _possible(name: bytes) -> bool:
    try:
        check_name(from_wire(name))
    except ValueError:
        return False
    return True
