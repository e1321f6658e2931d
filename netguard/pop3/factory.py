"""The factory of POP3 sessions."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from twisted.internet.protocol import ServerFactory

from netguard import events
from netguard.pop3.login_terms import LoginTerms
from netguard.pop3.session import Pop3Session
from netguard.pop3.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.defer import Deferred
    from twisted.internet.interfaces import IAddress, IReactorTime

    from netguard.accounts.interface import SaslAccounts
    from netguard.pop3.interface import Opener
    from netguard.pop3.record import Report

_LONGEST_ANSWER = 512
"""Octets of an answer with its CRLF (RFC 2449, section 4)."""

_TERMS = LoginTerms()


class Pop3Factory(ServerFactory):
    """Makes POP3 sessions.

    Args:
        accounts: who may log in.
        opener: finds and opens their mailboxes.
        reactor: tells and measures time.
        tls: what STLS starts TLS with (anything that ``startTLS`` takes); None for no STLS.
        hostname: the name of this server in its greeting, of ``A-Z a-z 0-9 . _ -``.
        random: gives so many random octets.
        report: takes the events ``session``, ``malformed`` and ``error`` with their fields.
        terms: on what terms people are let in.

    Raises:
        ValueError: for a host name that cannot stand in a greeting.
    """

    noisy = False

    def __init__(
        self,
        accounts: SaslAccounts,
        opener: Opener,
        *,
        reactor: IReactorTime,
        tls: Any = None,
        hostname: str = "localhost",
        random: Callable[[int], bytes] = os.urandom,
        report: Report = events.emit,
        terms: LoginTerms = _TERMS,
    ) -> None:
        self.settings = Settings(accounts, opener, reactor, tls, hostname, random, report, terms)

    def refusal_text(self, text: str) -> bytes:
        """What a refused client is told instead of a greeting: an answer of POP3 (RFC 3206), within its length.

        Args:
            text: for a person, on one line; what is not ASCII in it becomes a question mark.
        """
        head, end = b"-ERR [SYS/TEMP] ", b"\r\n"
        return head + text.encode("ascii", "replace")[: _LONGEST_ANSWER - len(head + end)] + end

    def when_settled(self) -> Deferred[None]:
        """Fire when no session is removing messages, the client of which may be gone."""
        return self.settings.updates.when_over()

    def buildProtocol(self, addr: IAddress | None) -> Pop3Session:
        """Make the session of one connection (IProtocolFactory)."""
        session = Pop3Session(self.settings)
        session.factory = self
        return session
