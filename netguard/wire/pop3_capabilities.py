"""What CAPA answers (RFC 2449): what works here and now, and nothing else."""

from __future__ import annotations

_ALWAYS = b"+OK capabilities follow\r\nTOP\r\nUIDL\r\nPIPELINING\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\n"


def before_login(*, secure: bool, stls: bool) -> bytes:
    """The capabilities before login.

    Args:
        secure: whether the connection is inside TLS: USER is listed only where it is taken.
        stls: whether TLS can be started, which is so before it is on.
    """
    if secure:
        return _ALWAYS + b"USER\r\n.\r\n"
    return _ALWAYS + (b"STLS\r\n.\r\n" if stls else b".\r\n")


def after_login(*, secure: bool) -> bytes:
    """The capabilities after login; only then is it told what serves here.

    Args:
        secure: whether the connection is inside TLS.
    """
    return _ALWAYS + (b"USER\r\n" if secure else b"") + b"IMPLEMENTATION netguard\r\n.\r\n"
