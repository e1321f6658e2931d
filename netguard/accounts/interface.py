"""What a service needs from accounts, and nothing about how they are kept.

The rules of this file:

* A wrong secret, an unknown user and a user without that kind of credential are one answer, None, after equal
  work: who asks must not learn which names exist.
* Trouble is not an answer. When the store cannot be asked, or too many ask, the Deferred fails with
  :class:`AccountsTrouble`, which a POP3 session turns into ``[SYS/TEMP]`` (RFC 3206).
* No exception, log line or representation carries a secret.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Collection

    from twisted.internet.defer import Deferred

    from netguard.wire.sasl import Question


class AccountsTrouble(Exception):
    """The accounts cannot be used. Its text is one line for the operator; it is not for the client."""


@frozen
class Account:
    """A user who proved to be one.

    Args:
        name: the user's name as it is stored: 1 to 64 octets, never a path (see
            :mod:`netguard.accounts.names`).
        mailbox: the path of the user's Maildir; None for where the service looks.
        login_delay: the least time from one login to the next, seconds; None for the service's.
        expire: how long a message that was retrieved is kept, days, `math.inf` for ever; None for the service's.
        lifetime: when to end a session, seconds; None for the service's.
        max_out: when to end a session, bytes sent; None for the service's.
        otp_left: how many one-time passwords the user has left; None for one who has none, or where it was not asked.
    """

    name: str
    mailbox: str | None = None
    login_delay: float | None = None
    expire: float | None = None
    lifetime: float | None = None
    max_out: int | None = None
    otp_left: int | None = None


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


class SaslAccounts(Accounts, Protocol):
    """Accounts that a session can ask what SASL mechanisms want to know."""

    @property
    def mechanisms(self) -> Collection[str]:
        """The SASL mechanisms, of `netguard.wire.mechanisms.ALL`, whose questions can be answered."""
        ...

    def answer(self, question: Question) -> Deferred[Any]:
        """Answer a mechanism's question, as the question's own words say, after equal work for known and unknown.

        Args:
            question: any but :class:`~netguard.wire.sasl.CheckCertificate`, which the connection knows more about.

        Returns:
            The answer; fails with AccountsTrouble.
        """
        ...

    def check_identity(self, wanted: str, identities: Collection[str]) -> Deferred[str | None]:
        """Who is it whose certificate names these?

        Args:
            wanted: who the client wants to be; empty when the certificate shall decide.
            identities: the names that the certificate proves, in the form of names of users.

        Returns:
            The name of the only account that it can be, or None; fails with AccountsTrouble.
        """
        ...

    def account(self, name: str) -> Deferred[Account | None]:
        """The account of a user who proved to be one, by the name in a mechanism's success.

        Returns:
            The account; None when it is not there (any more); fails with AccountsTrouble.
        """
        ...
