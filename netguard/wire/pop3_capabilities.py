"""What CAPA answers (RFC 2449, RFC 5034, RFC 6856): what works here and now, and nothing else."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netguard.wire.mechanisms import Circumstances

_ALWAYS = (
    b"+OK capabilities follow\r\nTOP\r\nUIDL\r\nPIPELINING\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nUTF8 USER\r\nLANG\r\n"
)


def before_login(circumstances: Circumstances, *, stls: bool) -> bytes:
    """The capabilities before login.

    Args:
        circumstances: what the connection is like: USER, and each mechanism of SASL, is listed only where it is taken.
        stls: whether TLS can be started, which is so before it is on.
    """
    starts = b"STLS\r\n" if stls and not circumstances.secure else b""
    return _ALWAYS + _logins(circumstances) + starts + b".\r\n"


def after_login(circumstances: Circumstances, *, login_delay: float | None, expire: float | None) -> bytes:
    """The capabilities after login; only then is it told what serves here.

    Args:
        circumstances: what the connection is like; USER and SASL are the same in both states (RFC 2449, section 6).
        login_delay: the least time from one login of this user to the next, seconds; None for no such rule.
        expire: how long a message of this user is kept, days, `math.inf` for ever; None where nothing is said.
    """
    delay = b"" if login_delay is None else b"LOGIN-DELAY %d\r\n" % math.ceil(login_delay)
    kept = b"" if expire is None else b"EXPIRE NEVER\r\n" if expire == math.inf else b"EXPIRE %d\r\n" % expire
    return _ALWAYS + _logins(circumstances) + delay + kept + b"IMPLEMENTATION netguard\r\n.\r\n"


def _logins(circumstances: Circumstances) -> bytes:
    user = b"USER\r\n" if circumstances.secure else b""
    mechanisms = " ".join(circumstances.offered).encode("ascii")
    return user + (b"SASL " + mechanisms + b"\r\n" if mechanisms else b"")
