"""The accounts of one file, as a session asks for them.

The rules of this file:

* Equal work: an unknown user, and one without that kind of credential, cost the same question to the store
  and the same digest or Argon2id run, against a secret or verifier that was made up when the service started.
  What the dummy answers is thrown away.
* Comparisons take a time that does not tell how much was right (:func:`hmac.compare_digest` and its like).
* The store is asked in threads, and Argon2id runs behind a bound.
* Whatever goes wrong inside becomes AccountsTrouble without its cause: the frames of an exception hold
  secrets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from twisted.internet.threads import deferToThread

from netguard.accounts import passwords
from netguard.accounts.bounded import BoundedWork, InThread
from netguard.accounts.credentials import APOP, PASSWORD, generate
from netguard.accounts.interface import Account, AccountsTrouble
from netguard.accounts.names import from_wire
from netguard.accounts.store import Store
from netguard.wire import apop

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from twisted.internet.defer import Deferred

_Result = TypeVar("_Result")

# 64 MiB each, so 128 MiB in all. Two cores do some 11 checks a second, so the last in the queue waits three
# seconds, which a client bears and a login limit allows.
_AT_ONCE = 2
_WAITING = 32


class StoredAccounts:
    """Checks credentials against an accounts file (implements `netguard.accounts.interface.Accounts`).

    The file is opened at the first check. Users who are added or removed while the server runs are seen at
    once.

    Args:
        path: the accounts file; see :class:`netguard.accounts.store.Store`.
        in_thread: runs a function in a thread and returns a Deferred.
        at_once: how many password checks may run at one time, 64 MiB each.
        waiting: how many more may wait; one more fails with AccountsTrouble.
        cost: what a check of a password costs for a user who is unknown: what new passwords are made with.
        digest_matches: whether an APOP digest is right.
        password_matches: whether a password is the one of a verifier.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        in_thread: InThread = deferToThread,
        at_once: int = _AT_ONCE,
        waiting: int = _WAITING,
        cost: passwords.Cost | None = None,
        digest_matches: Callable[[bytes, bytes, bytes], bool] = apop.matches,
        password_matches: Callable[[str, bytes], bool] = passwords.matches,
    ) -> None:
        self._store = Store(path)
        self._in_thread = in_thread
        self._hashing = BoundedWork(in_thread, at_once=at_once, waiting=waiting)
        self._digest_matches = digest_matches
        self._password_matches = password_matches
        self._nobodys_secret = generate()
        self._nobodys_verifier = passwords.nobodys(cost)

    def verify(self) -> None:
        """Look at the file before the service starts. Blocks, and leaves nothing open: a daemon forks next.

        Raises:
            AccountsTrouble: one line for the operator.
        """
        self._store.verify()

    def close(self) -> None:
        """Close the file. A later check opens it again."""
        self._store.close()

    def check_apop(self, name: bytes, timestamp: bytes, digest: bytes) -> Deferred[Account | None]:
        """Check a login by APOP; see `netguard.accounts.interface.Accounts`."""
        return self._in_thread(_without_secrets, self._apop, name, timestamp, digest)

    def check_password(self, name: bytes, password: bytes) -> Deferred[Account | None]:
        """Check a name and a password; see `netguard.accounts.interface.Accounts`."""
        return self._hashing.run(_without_secrets, self._password, name, password)

    def _apop(self, name: bytes, timestamp: bytes, digest: bytes) -> Account | None:
        user = from_wire(name)
        stored = self._store.secret(user, APOP)
        secret = self._nobodys_secret if stored is None else stored
        right = self._digest_matches(timestamp, secret.encode(), digest)
        return Account(user) if right and stored is not None else None

    def _password(self, name: bytes, password: bytes) -> Account | None:
        user = from_wire(name)
        stored = self._store.secret(user, PASSWORD)
        verifier = self._nobodys_verifier if stored is None else stored
        try:
            right = self._password_matches(verifier, password)
        except passwords.UnusableVerifier as unusable:
            raise AccountsTrouble(f"user {user}: {unusable}") from None
        return Account(user) if right and stored is not None else None


def _without_secrets(check: Callable[..., _Result], *args: bytes) -> _Result:
    """Run a check; an exception that leaves it brings neither frames nor a text that could hold a secret."""
    try:
        return check(*args)
    except AccountsTrouble as trouble:
        line = str(trouble)
    except Exception as error:  # noqa: BLE001 - whatever it was, the client gets [SYS/TEMP]
        line = f"a credential could not be checked: {type(error).__name__}"
    raise AccountsTrouble(line)
