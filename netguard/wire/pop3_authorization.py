"""A POP3 session before its login: STLS, APOP, USER and PASS, AUTH (RFC 1939, RFC 2595, RFC 5034).

The rules of this file:

* A password is neither taken nor asked for outside TLS.
* A timestamp is good for one APOP. PASS counts only directly behind USER. Only PASS takes spaces.
* While a mechanism of SASL waits for a response, every line is one.
* Nothing that was said before TLS counts inside it, UTF8 included: RFC 6856 wants no STLS behind it.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from netguard.wire import apop, sasl, sasl_lines
from netguard.wire import pop3_capabilities as capabilities
from netguard.wire.pop3_events import Apop, Consult, Denial, Disproved, Password, Proved, StartTls
from netguard.wire.pop3_lines import MAX_LINE
from netguard.wire.pop3_phase import ANYWHERE, QUIT, TRANSACTION, Bad, Command, End, Phase, Said, elsewhere

if TYPE_CHECKING:
    from collections.abc import Callable

    from netguard.wire.mechanisms import Circumstances

# Dovecot's limit on commands that cannot be obeyed.
BAD_BEFORE_LOGIN = 3
# Wrong credentials in one connection. APOP has one try in any case.
MAX_DENIED = 3
# AUTH commands in one connection, given up and of unknown mechanisms included: a client that tries all that it knows
# needs fewer.
MAX_ATTEMPTS = 10

# Commands of any kind in one connection, responses of SASL left out; honest clients need some ten.
MAX_COMMANDS = 100

_CLEARTEXT = b"-ERR [SYS/PERM] a password is taken only inside TLS\r\n"
_SECOND_APOP = Bad("second APOP on one timestamp", b"-ERR APOP can be tried once in a connection\r\n")
_MALFORMED_APOP = Bad("malformed APOP", b"-ERR APOP takes a name and a digest\r\n")
_MALFORMED_USER = Bad("malformed USER", b"-ERR USER takes one name\r\n")
_PASS_ALONE = Bad("PASS not directly behind USER", b"-ERR USER first\r\n")
# Who begins with one of these speaks another protocol, and will not learn.
TLS = b"\x16\x03"
TLS_IN_CLEAR = Bad("TLS where it has not begun", b"-ERR this is POP3 in clear, and TLS begins by STLS\r\n", last=True)
_HTTP = re.compile(rb"[A-Z]{3,16} \S+ HTTP/\d", re.IGNORECASE)
_HTTP_HERE = Bad("HTTP", b"-ERR this is POP3, not HTTP\r\n", last=True)
_TOO_MANY_AUTH = End(b"-ERR too many AUTH commands\r\n", "too many AUTH commands")
_TOO_MANY = End(b"-ERR too many commands before login\r\n", "too many commands before login")


class Authorization(Phase):
    """The AUTHORIZATION state of RFC 1939.

    Args:
        circumstances: what the connection is like.
        stls: whether TLS can be started in this connection.
        random: gives so many random octets.
        host: the name of this server.

    Attributes:
        utf8: whether the client said that it reads UTF-8 in headers (RFC 6856).
    """

    __slots__ = (
        *("_attempts_left", "_commands_left", "_denied_left", "_exchange", "_host", "_named", "_random"),
        *("_stamp_spent", "_stls"),
        *("_user_before", "utf8"),
    )

    def __init__(self, circumstances: Circumstances, *, stls: bool, random: Callable[[int], bytes], host: str) -> None:
        super().__init__(circumstances, BAD_BEFORE_LOGIN)
        self._stls = stls
        self._random = random
        self._host = host
        self._stamp_spent = False
        self._named: bytes | None = None
        self._user_before: bytes | None = None
        self._exchange: sasl_lines.Exchange | None = None
        self._denied_left = MAX_DENIED
        self._attempts_left = MAX_ATTEMPTS
        self._commands_left = MAX_COMMANDS
        self.utf8 = False

    def obey(self, line: bytes) -> Said:
        """What comes of a line; unless it is USER, it ends that a PASS counts."""
        if self._exchange is not None:
            return self._said(self._exchange, self._exchange.receive(line))
        if not self._commands_left:
            return _TOO_MANY
        self._commands_left -= 1
        self._user_before, self._named = self._named, None
        return _HTTP_HERE if _HTTP.match(line) else super().obey(line)

    def answered(self, found: object) -> Said:
        """What comes of the answer to a mechanism's question."""
        assert self._exchange is not None  # noqa: S101 - which asked
        return self._said(self._exchange, self._exchange.answer(found))

    def denied(self, denial: Denial) -> bool:
        """A login failed; whether that was one too many."""
        self._over()
        if denial is Denial.CREDENTIALS:
            self._denied_left -= 1
        return self._denied_left <= 0

    def switched(self) -> None:
        """TLS was started. A name that was given before is forgotten already: STLS came behind it."""
        self.circumstances = replace(self.circumstances, secure=True)
        self.utf8 = False

    def _quit(self, _: bytes | None) -> Said:
        return QUIT

    def _capa(self, _: bytes | None) -> Said:
        return capabilities.before_login(self.circumstances, stls=self._stls)

    def _begin_tls(self, _: bytes | None) -> Said:
        if self.circumstances.secure:
            return Bad("STLS inside TLS", b"-ERR TLS is on already\r\n")
        return StartTls() if self._stls else b"-ERR [SYS/PERM] TLS is not available here\r\n"

    def _read_utf8(self, _: bytes | None) -> Said:
        self.utf8 = True
        return b"+OK headers come as they are\r\n"

    def _apop(self, argument: bytes | None) -> Said:
        spent, self._stamp_spent = self._stamp_spent, True
        login = apop.parse(argument or b"")
        if spent:
            return _SECOND_APOP
        return _MALFORMED_APOP if login is None else Apop(*login)

    def _user(self, argument: bytes | None) -> Said:
        if not self.circumstances.secure:
            return _CLEARTEXT
        if not argument or b" " in argument:
            return _MALFORMED_USER
        self._named = argument
        return b"+OK and the password\r\n"

    def _pass(self, argument: bytes | None) -> Said:
        if not self.circumstances.secure:
            return _CLEARTEXT
        if self._user_before is None:
            return _PASS_ALONE
        return Password(self._user_before, argument or b"")

    # SASL

    def _auth(self, argument: bytes | None) -> Said:
        if argument is None:
            names = (name.encode("ascii") + b"\r\n" for name in self.circumstances.offered)
            return b"+OK mechanisms follow\r\n" + b"".join(names) + b".\r\n"
        if self._attempts_left <= 0:
            return _TOO_MANY_AUTH
        self._attempts_left -= 1
        word, space, initial = argument.partition(b" ")
        name = word.upper().decode("ascii", "replace")
        mechanism = self.circumstances.start(name, self._random, self._host)
        if mechanism is None:
            return self._not_offered(name)
        self._exchange = sasl_lines.Exchange(mechanism)
        self.longest = sasl_lines.MAX_LINE
        return self._said(self._exchange, self._exchange.begin(initial if space else None))

    def _not_offered(self, name: str) -> Said:
        inside = replace(self.circumstances, secure=True)
        return _CLEARTEXT if name in inside.offered else b"-ERR this mechanism is not offered here\r\n"

    def _said(self, exchange: sasl_lines.Exchange, step: bytes | sasl.Question | sasl.Outcome) -> Said:
        """What a step of a mechanism's comes to."""
        if isinstance(step, bytes):
            return step
        if isinstance(step, sasl.QUESTIONS):
            return Consult(exchange.mechanism, step)
        self._over()
        return _outcome(exchange.mechanism, step)

    def _over(self) -> None:
        self._exchange = None
        self.longest = MAX_LINE

    COMMANDS: ClassVar = {
        **elsewhere(TRANSACTION, b"-ERR log in first\r\n"),
        b"QUIT": Command(_quit),
        **ANYWHERE,
        b"CAPA": Command(_capa),
        b"STLS": Command(_begin_tls),
        b"UTF8": Command(_read_utf8),
        b"APOP": Command(_apop, None),
        b"AUTH": Command(_auth, None),
        b"USER": Command(_user, None),
        b"PASS": Command(_pass, None),
    }


def _outcome(mechanism: str, outcome: sasl.Outcome) -> Said:
    """What the end of an exchange comes to."""
    if isinstance(outcome, sasl.Success):
        return Proved(mechanism, outcome.name)
    match outcome.why:
        case sasl.Why.CREDENTIALS:
            return Disproved(mechanism)
        case sasl.Why.CANCELLED:
            return b"-ERR cancelled\r\n"
        case sasl.Why.REFUSED:
            return Bad(outcome.problem, b"-ERR [SYS/PERM] " + outcome.problem.encode("ascii") + b"\r\n")
    return Bad(outcome.problem, b"-ERR malformed response\r\n")
