"""Accounts and `twisted.cred`, both ways: ours for its applications, and its checkers for our services.

The rules of this file:

* Trouble is not a wrong password: here it stays AccountsTrouble, whatever another checker failed with.
* Another checker sees passwords, and what APOP and CRAM-MD5 prove; for SCRAM and one-time passwords it has no words.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING, Any

from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.credentials import IUsernameHashedPassword, IUsernamePassword, UsernamePassword
from twisted.cred.error import LoginFailed, UnauthorizedLogin
from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from zope.interface import implementer

from netguard.accounts.checks import StoredAccounts
from netguard.accounts.interface import Account, AccountsTrouble
from netguard.wire import apop, mechanisms, sasl

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Sequence

    from netguard.accounts.interface import Accounts


@implementer(ICredentialsChecker)
class AccountsChecker:
    """Lets the users of our accounts log in to any Twisted application, by name and password.

    A one-time password, or a code behind the password, may be what is given for a password. The avatar's id is the
    name of the account, in UTF-8.

    Args:
        accounts: who they are.
    """

    credentialInterfaces = (IUsernamePassword,)

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    @classmethod
    def of_file(cls, path: str | os.PathLike[str]) -> AccountsChecker:
        """A checker of an accounts file.

        Args:
            path: what `netguard users` has made.

        Raises:
            AccountsTrouble: when it cannot be used.
        """
        accounts = StoredAccounts(path)
        accounts.verify()
        return cls(accounts)

    def close(self) -> None:
        """Close the file; the end of the process does, too. A later login opens it again."""
        if isinstance(self._accounts, StoredAccounts):
            self._accounts.close()

    def requestAvatarId(self, credentials: Any) -> Deferred[bytes | tuple[()]]:
        """Check a name and a password (ICredentialsChecker).

        Args:
            credentials: with `username` and `password`, in octets or text.

        Returns:
            The name of the account; fails with UnauthorizedLogin, or with AccountsTrouble.
        """
        asked = self._accounts.check_password(_octets(credentials.username), _octets(credentials.password))
        return asked.addCallback(_avatar_id)


def _octets(text: bytes | str) -> bytes:
    return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text


def _avatar_id(account: Account | None) -> bytes | tuple[()]:
    if account is None:
        raise UnauthorizedLogin("user unknown or secret wrong")
    return account.name.encode()


@implementer(IUsernameHashedPassword)
class _Proved:
    """What a client proved to know of a password, without sending it.

    Args:
        username: the user's name as the client sent it.
        right: whether this is the password.
    """

    def __init__(self, username: bytes, right: Callable[[bytes], bool]) -> None:
        self.username = username
        self._right = right

    def checkPassword(self, password: bytes | str) -> bool:
        """Whether this is the password (IUsernameHashedPassword)."""
        return self._right(_octets(password))


class ForeignAccounts:
    """Somebody else's checkers, as a netguard service asks for them (implements `SaslAccounts`).

    Args:
        checkers: asked for a password when they take `IUsernamePassword`, and for APOP and CRAM-MD5 when they take
            `IUsernameHashedPassword`; the first that lets somebody in decides.
    """

    def __init__(self, checkers: Sequence[Any]) -> None:
        self._by_password = [each for each in checkers if IUsernamePassword in each.credentialInterfaces]
        self._by_proof = [each for each in checkers if IUsernameHashedPassword in each.credentialInterfaces]

    def verify(self) -> None:
        """Nothing is known of what the checkers need."""

    def close(self) -> None:
        """Nothing is open."""

    @property
    def mechanisms(self) -> tuple[str, ...]:
        """PLAIN, LOGIN and CRAM-MD5, as far as there are checkers for them."""
        by_password = (mechanisms.PLAIN, mechanisms.LOGIN) if self._by_password else ()
        return (*((mechanisms.CRAM_MD5,) if self._by_proof else ()), *by_password)

    def check_apop(self, name: bytes, timestamp: bytes, digest: bytes) -> Deferred[Account | None]:
        """Check a login by APOP; see `netguard.accounts.interface.Accounts`."""
        proved = _Proved(name, lambda secret: apop.matches(timestamp, secret, digest))
        return Deferred.fromCoroutine(_first(self._by_proof, proved))

    def check_password(self, name: bytes, password: bytes) -> Deferred[Account | None]:
        """Check a name and a password; see `netguard.accounts.interface.Accounts`."""
        return Deferred.fromCoroutine(_first(self._by_password, UsernamePassword(name, password)))

    def answer(self, question: sasl.Question) -> Deferred[Any]:
        """Answer a mechanism's question; see `netguard.accounts.interface.SaslAccounts`."""
        match question:
            case sasl.CheckPassword(name, password):
                asked = self.check_password(name, password)
            case sasl.CheckCram(name, challenge, digest):
                proved = _Proved(name, lambda secret: _cram_matches(secret, challenge, digest))
                asked = Deferred.fromCoroutine(_first(self._by_proof, proved))
            case _:
                return fail(AccountsTrouble(f"these accounts cannot answer {type(question).__name__}"))
        return asked.addCallback(lambda account: account and account.name)

    def check_identity(self, wanted: str, identities: Collection[str]) -> Deferred[str | None]:
        """Nobody: another checker cannot say which users there are."""
        return succeed(None)

    def account(self, name: str) -> Deferred[Account | None]:
        """The account of a user who proved to be one; see `netguard.accounts.interface.SaslAccounts`."""
        return succeed(Account(name))


def _cram_matches(secret: bytes, challenge: bytes, digest: bytes) -> bool:
    return hmac.compare_digest(hmac.digest(secret, challenge, "md5").hex().encode("ascii"), digest)


async def _first(checkers: Sequence[Any], credentials: object) -> Account | None:
    """The account of the first checker that lets somebody in."""
    for checker in checkers:
        trouble = ""
        try:
            avatar_id = await maybeDeferred(checker.requestAvatarId, credentials)
        except LoginFailed:
            continue
        except Exception as error:  # noqa: BLE001 - whatever it was, its frames hold the password
            trouble = f"{type(checker).__name__} could not check credentials: {type(error).__name__}"
        if trouble:
            raise AccountsTrouble(trouble)
        return _account(avatar_id)
    return None


def _account(avatar_id: object) -> Account | None:
    """The account that a checker's answer names; nobody, when it is no name (an empty one is `ANONYMOUS`)."""
    try:
        name = _octets(avatar_id).decode("utf-8") if isinstance(avatar_id, bytes | str) else ""
    except UnicodeDecodeError:
        return None
    return Account(name) if name else None
