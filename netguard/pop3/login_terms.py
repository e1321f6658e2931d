"""On what terms a service lets people in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import Attribute, field, frozen

from netguard.pop3.channel import KINDS, names_in
from netguard.wire import mechanisms

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.x509 import Certificate

    from netguard.accounts.interface import Account


def _not_negative(_: LoginTerms, attribute: Attribute[Any], number: float | None) -> None:
    if number is not None and not number >= 0:
        raise ValueError(f"{attribute.name} must be 0 or more, and is {number}")


def _known(_: LoginTerms, __: Attribute[tuple[str, ...]], names: tuple[str, ...]) -> None:
    for name in names:
        if name not in mechanisms.ALL:
            raise ValueError(f"{name!r} is none of the mechanisms {', '.join(mechanisms.ALL)}")


def _a_kind(_: LoginTerms, __: Attribute[str], kind: str) -> None:
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is none of the kinds of name {', '.join(KINDS)}")


def _nobody_can_say(_: object) -> None:
    """Certificates count for nothing."""


@frozen(kw_only=True)
class LoginTerms:
    """On what terms a service lets people in.

    Args:
        mechanisms: the mechanisms of SASL that may be used, of :data:`netguard.wire.mechanisms.ALL`; those whose
            questions the accounts cannot answer are left out.
        certificate_names: which names in a client's certificate are names of users: `email`, `dns` or `uri`.
        certificate_of: the client's certificate, by the transport of its session, if it was verified; where nobody can
            say so, nobody logs in with one.
        answer_failures_after: seconds from a failed login's last line to its answer.
        login_delay: the least time from one login of a user to the next, seconds, for users who have none of their
            own; None for no such rule.
        expire: how long a message that was retrieved is kept, days, `math.inf` for ever, for users who have nothing of
            their own; None to say nothing of it. It is told to clients (RFC 2449, section 6.7); whatever removes old
            mail is not a part of this server.

    Raises:
        ValueError: for a negative time or an unknown word.
    """

    mechanisms: tuple[str, ...] = field(default=mechanisms.DEFAULT, converter=tuple[str, ...], validator=_known)
    certificate_names: str = field(default="email", validator=_a_kind)
    certificate_of: Callable[[object], Certificate | None] = _nobody_can_say
    answer_failures_after: float = field(default=2.0, validator=_not_negative)
    login_delay: float | None = field(default=None, validator=_not_negative)
    expire: float | None = field(default=None, validator=_not_negative)

    def identities(self, transport: object) -> tuple[str, ...]:
        """The names of users that the client's certificate proves, by the transport of its session."""
        certificate = self.certificate_of(transport)
        return () if certificate is None else names_in(certificate, self.certificate_names)

    def login_delay_of(self, account: Account) -> float | None:
        """The least time from one login of this user to the next, seconds; None for no such rule."""
        return self.login_delay if account.login_delay is None else account.login_delay

    def expire_of(self, account: Account) -> float | None:
        """How long a message of this user is kept, days; None where nothing is said."""
        return self.expire if account.expire is None else account.expire
