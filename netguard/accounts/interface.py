"""What a service needs from accounts, and nothing about how they are kept.

The rules of this file:

* A wrong secret, an unknown user and a user without that kind of credential are one answer, None, after equal
  work: who asks must not learn which names exist.
* Trouble is not an answer. When the store cannot be asked, or too many ask, the Deferred fails with
  :class:`AccountsTrouble`, which a POP3 session turns into ``[SYS/TEMP]`` (RFC 3206).
* No exception, log line or representation carries a secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from attrs import frozen

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred


class AccountsTrouble(Exception):
    """The accounts cannot be used. Its text is one line for the operator; it is not for the client."""


@frozen
class Account:
    """A user who proved to be one.

    Args:
        name: the user's name as it is stored: 1 to 64 octets, never a path (see
            :mod:`netguard.accounts.names`).
    """

    name: str


class Accounts(Protocol):
    """Checks of credentials. A session and its tests depend on this only."""

    def check_apop(self, name: bytes, timestamp: bytes, digest: bytes) -> Deferred[Account | None]:
        """Check a login by APOP (RFC 1939, section 7).

        Args:
            name: the user's name as the client sent it.
            timestamp: what the greeting offered, with its angle brackets.
            digest: lower-case hexadecimal MD5 of timestamp and secret, as the client sent it.

        Returns:
            The account, or None; fails with AccountsTrouble.
        """
        ...

    def check_password(self, name: bytes, password: bytes) -> Deferred[Account | None]:
        """Check a name and a password, which came over an encrypted connection.

        Args:
            name: the user's name as the client sent it.
            password: the password as the client sent it.

        Returns:
            The account, or None; fails with AccountsTrouble.
        """
        ...
