"""What all POP3 sessions of one service share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from attrs import Attribute, field, frozen

from netguard.pop3.channel import bindings
from netguard.pop3.login_delays import LoginDelays
from netguard.pop3.updates import Updates
from netguard.secret import Secret
from netguard.wire import apop
from netguard.wire.mechanisms import EXTERNAL, Circumstances

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IReactorTime

    from netguard.accounts.interface import SaslAccounts
    from netguard.pop3.interface import Opener
    from netguard.pop3.login_terms import LoginTerms
    from netguard.pop3.record import Report


def _fits_a_greeting(_: Settings, __: Attribute[str], hostname: str) -> None:
    apop.timestamp(bytes(apop.NONCE_OCTETS), hostname)


@frozen(eq=False)
class Settings:
    """What all POP3 sessions of one service share; its factory's arguments say what each is.

    Raises:
        ValueError: for a host name that cannot stand in a greeting.
    """

    accounts: SaslAccounts
    opener: Opener
    reactor: IReactorTime
    tls: Any
    hostname: str = field(validator=_fits_a_greeting)
    random: Callable[[int], bytes]
    report: Report
    terms: LoginTerms
    #: Who has to wait for the next login.
    delays: LoginDelays = field(init=False)
    #: Who is removing messages.
    updates: Updates = field(init=False, factory=Updates)
    #: Those of the mechanisms whose questions the accounts can answer.
    enabled: tuple[str, ...] = field(init=False)
    #: What a connection is like outside TLS.
    clear: Circumstances = field(init=False)
    #: Makes pseudonyms of names that were refused; without it no reader of the log can guess a name back.
    key: Secret = field(init=False, factory=lambda: Secret(os.urandom(16)))

    @delays.default
    def _delays(self) -> LoginDelays:
        return LoginDelays(self.reactor)

    @enabled.default
    def _enabled(self) -> tuple[str, ...]:
        return tuple(name for name in self.terms.mechanisms if name in self.accounts.mechanisms)

    @clear.default
    def _clear(self) -> Circumstances:
        return Circumstances(self.enabled)

    def inside_tls(self, transport: object) -> Circumstances:
        """What a connection is like inside TLS, whose handshake is over.

        Args:
            transport: what its session has.
        """
        names = self.terms.identities(transport) if EXTERNAL in self.enabled else ()
        return Circumstances(self.enabled, secure=True, bindings=bindings(transport), certificate=bool(names))

    def stamp(self) -> bytes:
        """A fresh timestamp for one greeting."""
        return apop.timestamp(self.random(apop.NONCE_OCTETS), self.hostname)
