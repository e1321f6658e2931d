"""What all POP3 sessions of one service share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from attrs import Attribute, field, frozen

from netguard.wire import apop

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IReactorTime

    from netguard.accounts.interface import Accounts
    from netguard.pop3.interface import Opener
    from netguard.pop3.record import Report


def _fits_a_greeting(_: Settings, __: Attribute[str], hostname: str) -> None:
    apop.timestamp(bytes(apop.NONCE_OCTETS), hostname)


def _not_negative(_: Settings, attribute: Attribute[float], seconds: float) -> None:
    if not seconds >= 0:
        raise ValueError(f"{attribute.name} must be 0 seconds or more, and is {seconds}")


@frozen(eq=False)
class Settings:
    """What all POP3 sessions of one service share; its factory's arguments say what each is.

    Raises:
        ValueError: for a host name that cannot stand in a greeting, or a negative time.
    """

    accounts: Accounts
    opener: Opener
    reactor: IReactorTime
    tls: Any
    hostname: str = field(validator=_fits_a_greeting)
    answer_failures_after: float = field(validator=_not_negative)
    random: Callable[[int], bytes]
    report: Report
    #: Makes pseudonyms of names that were refused; without it no reader of the log can guess a name back.
    key: bytes = field(init=False, repr=False, factory=lambda: os.urandom(16))

    def stamp(self) -> bytes:
        """A fresh timestamp for one greeting."""
        return apop.timestamp(self.random(apop.NONCE_OCTETS), self.hostname)
