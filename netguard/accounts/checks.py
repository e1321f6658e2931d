"""The accounts of one file, as a session asks for them.

The rules of this file:

* The store is asked in threads, save for who was let in a moment ago, and passwords are hashed behind a bound.
* Whatever goes wrong inside becomes AccountsTrouble without its cause: the frames of an exception hold
  secrets.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.threads import deferToThread

from netguard.accounts.bounded import BoundedWork, InThread
from netguard.accounts.interface import Account, AccountsTrouble
from netguard.accounts.judge import Judge
from netguard.accounts.regulars import Regular, Regulars
from netguard.accounts.store import Store
from netguard.wire import mechanisms, sasl

if TYPE_CHECKING:
    import os
    from collections.abc import Collection

_Result = TypeVar("_Result")
WhoseToken = Callable[[sasl.CheckToken], Awaitable[str | None]]

# 64 MiB each, so 128 MiB in all. Two cores do some 11 checks a second, so the last in the queue waits three
# seconds, which a client bears and a login limit allows.
_AT_ONCE = 2
_WAITING = 32


class StoredAccounts:
    """Checks credentials against an accounts file (implements `netguard.accounts.interface.SaslAccounts`).

    The file is opened at the first check. Users who are added or removed while the server runs are seen at
    once.

    Args:
        path: the accounts file; see :class:`netguard.accounts.store.Store`.
        in_thread: runs a function in a thread and returns a Deferred.
        at_once: how many password checks may run at one time, 64 MiB each.
        waiting: how many more may wait; one more fails with AccountsTrouble.
        whose_token: for OAUTHBEARER: whose bearer token it is, by the name of an account, or None; it has to check
            the token's signature or ask who issued it, its audience, and its time. None for no such logins.
        judge: makes the one who checks; :class:`netguard.accounts.judge.Judge` with other arguments, for instance.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        in_thread: InThread = deferToThread,
        at_once: int = _AT_ONCE,
        waiting: int = _WAITING,
        whose_token: WhoseToken | None = None,
        judge: Callable[[Store], Judge] = Judge,
    ) -> None:
        self._store = Store(path)
        self._judge = judge(self._store)
        self._regulars = Regulars(self._store.path)
        self._in_thread = in_thread
        self._hashing = BoundedWork(in_thread, at_once=at_once, waiting=waiting)
        self._whose_token = whose_token

    def verify(self) -> None:
        """Look at the file before the service starts. Blocks, and leaves nothing open: a daemon forks next.

        Raises:
            AccountsTrouble: one line for the operator.
        """
        self._store.verify()

    def close(self) -> None:
        """Close the file. A later check opens it again."""
        self._store.close()
        self._regulars.forget()

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """All mechanisms, OAUTHBEARER where tokens can be checked; see `netguard.accounts.interface.SaslAccounts`."""
        return tuple(name for name in mechanisms.ALL if name != mechanisms.OAUTHBEARER or self._whose_token is not None)

    def check_apop(self, name: bytes, timestamp: bytes, digest: bytes) -> Deferred[Account | None]:
        """Check a login by APOP; see `netguard.accounts.interface.Accounts`."""
        regular = self._regulars.apop(name, timestamp, digest)
        if regular is not None:
            return succeed(regular)

        def note(found: Regular | None) -> Account | None:
            if found is None:
                return None
            self._regulars.note(name, found)
            return found.account

        return self._ask(self._judge.check_apop, name, timestamp, digest).addCallback(note)

    def check_password(self, name: bytes, password: bytes) -> Deferred[Account | None]:
        """Check a name and a password; see `netguard.accounts.interface.Accounts`."""
        return self._hashing.run(_without_secrets, self._judge.check_password, name, password)

    def account(self, name: str) -> Deferred[Account | None]:
        """Find an account; see `netguard.accounts.interface.SaslAccounts`."""
        return self._ask(self._judge.find_account, name)

    def check_identity(self, wanted: str, identities: Collection[str]) -> Deferred[str | None]:
        """Check a certificate's names; see `netguard.accounts.interface.SaslAccounts`."""
        return self._ask(self._judge.check_identity, wanted, tuple(identities))

    def answer(self, question: sasl.Question) -> Deferred[Any]:
        """Answer a mechanism's question; see `netguard.accounts.interface.SaslAccounts`."""
        judge = self._judge
        answer: Deferred[Any]
        match question:
            case sasl.FindVerifier(name):
                answer = self._ask(judge.find_verifier, name)
            case sasl.FindOtp(name):
                answer = self._ask(judge.find_otp, name)
            case sasl.SpendOtp(name, before, after):
                answer = self._ask(judge.spend_otp, name, before, after)
            case sasl.CheckPassword(name, password):
                answer = self.check_password(name, password).addCallback(_name)
            case sasl.CheckCram(name, challenge, digest):
                answer = self._ask(judge.check_cram, name, challenge, digest).addCallback(_name)
            case sasl.CheckToken() if self._whose_token is not None:
                answer = Deferred.fromCoroutine(self._token(question, self._whose_token))
            case _:
                answer = fail(AccountsTrouble(f"an accounts file cannot answer {type(question).__name__}"))
        return answer

    async def _token(self, question: sasl.CheckToken, whose_token: WhoseToken) -> str | None:
        try:
            name = await whose_token(question)
        except Exception as error:  # noqa: BLE001 - it is not ours, and its frames hold the token
            trouble = f"a bearer token could not be checked: {type(error).__name__}"
        else:
            return None if name is None else _name(await self.account(name))
        raise AccountsTrouble(trouble)

    def _ask(self, check: Callable[..., _Result], *args: object) -> Deferred[_Result]:
        return self._in_thread(_without_secrets, check, *args)


def _name(account: Account | None) -> str | None:
    return None if account is None else account.name


def _without_secrets(check: Callable[..., _Result], *args: object) -> _Result:
    """Run a check; an exception that leaves it brings neither frames nor a text that could hold a secret."""
    try:
        return check(*args)
    except AccountsTrouble as trouble:
        line = str(trouble)
    except Exception as error:  # noqa: BLE001 - whatever it was, the client gets [SYS/TEMP]
        line = f"a credential could not be checked: {type(error).__name__}"
    raise AccountsTrouble(line)
