"""A POP3 session before its login: STLS, APOP, USER and PASS (RFC 1939, RFC 2595).

The rules of this file:

* A password is neither taken nor asked for outside TLS.
* A timestamp is good for one APOP. PASS counts only directly behind USER. Only PASS takes spaces.
* Nothing that was said before TLS counts inside it.
"""

from __future__ import annotations

from typing import ClassVar

from netguard.wire import apop
from netguard.wire import pop3_capabilities as capabilities
from netguard.wire.pop3_events import Apop, Close, Denial, Password, StartTls
from netguard.wire.pop3_phase import TRANSACTION, Bad, Command, Phase, Said, elsewhere

# Dovecot's limit on commands that cannot be obeyed.
BAD_BEFORE_LOGIN = 3
# Wrong credentials in one connection. APOP has one try in any case.
MAX_DENIED = 3

_CLEARTEXT = b"-ERR [SYS/PERM] a password is taken only inside TLS\r\n"
_SECOND_APOP = Bad("second APOP on one timestamp", b"-ERR APOP can be tried once in a connection\r\n")
_MALFORMED_APOP = Bad("malformed APOP", b"-ERR APOP takes a name and a digest\r\n")
_MALFORMED_USER = Bad("malformed USER", b"-ERR USER takes one name\r\n")
_PASS_ALONE = Bad("PASS not directly behind USER", b"-ERR USER first\r\n")


class Authorization(Phase):
    """The AUTHORIZATION state of RFC 1939.

    Args:
        stls: whether TLS can be started in this connection.
    """

    __slots__ = ("_denied_left", "_named", "_stamp_spent", "_stls", "_user_before")

    def __init__(self, *, stls: bool) -> None:
        super().__init__(secure=False, bad_left=BAD_BEFORE_LOGIN)
        self._stls = stls
        self._stamp_spent = False
        self._named: bytes | None = None
        self._user_before: bytes | None = None
        self._denied_left = MAX_DENIED

    def obey(self, line: bytes) -> Said:
        """What comes of a line; whatever it is, it ends that a PASS counts, unless it is USER."""
        self._user_before, self._named = self._named, None
        return super().obey(line)

    def denied(self, denial: Denial) -> Close | None:
        """A login failed; whether that was one too many."""
        if denial is Denial.CREDENTIALS:
            self._denied_left -= 1
        return None if self._denied_left > 0 else Close("too many failed logins")

    def switched(self) -> None:
        """TLS was started; a name that was given before it is forgotten already, by STLS."""
        self.secure = True

    def _quit(self, _: bytes | None) -> Said:
        return Close("quit")

    def _capa(self, _: bytes | None) -> Said:
        return capabilities.before_login(secure=self.secure, stls=self._stls)

    def _begin_tls(self, _: bytes | None) -> Said:
        if self.secure:
            return Bad("STLS inside TLS", b"-ERR TLS is on already\r\n")
        return StartTls() if self._stls else b"-ERR [SYS/PERM] TLS is not available here\r\n"

    def _apop(self, argument: bytes | None) -> Said:
        spent, self._stamp_spent = self._stamp_spent, True
        login = apop.parse(argument or b"")
        if spent:
            return _SECOND_APOP
        return _MALFORMED_APOP if login is None else Apop(*login)

    def _user(self, argument: bytes | None) -> Said:
        if not self.secure:
            return _CLEARTEXT
        if not argument or b" " in argument:
            return _MALFORMED_USER
        self._named = argument
        return b"+OK and the password\r\n"

    def _pass(self, argument: bytes | None) -> Said:
        if not self.secure:
            return _CLEARTEXT
        if self._user_before is None:
            return _PASS_ALONE
        return Password(self._user_before, argument or b"")

    COMMANDS: ClassVar = {
        **elsewhere(TRANSACTION, b"-ERR log in first\r\n"),
        b"QUIT": Command(_quit),
        b"CAPA": Command(_capa),
        b"STLS": Command(_begin_tls),
        b"APOP": Command(_apop, None),
        b"USER": Command(_user, None),
        b"PASS": Command(_pass, None),
    }
