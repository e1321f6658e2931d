"""The kinds of credential: what a secret of each may be, how one is made, and what is stored of it.

A further kind is one more entry of `KINDS`, and its rows need no new table.
"""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING

from attrs import frozen

from netguard.accounts import passwords

if TYPE_CHECKING:
    from collections.abc import Callable

APOP = "apop"
PASSWORD = "password"  # noqa: S105 - the name of a kind

# 160 bits, in 32 characters of a-z and 2-7: nothing to quote, and one double click selects it.
_RANDOM_OCTETS = 20

# ``PASS `` and CRLF leave this much of the 255 octets of a command line (RFC 2449, section 4).
LONGEST_SECRET = 248

# RFC 1939, section 7: an APOP secret should be considerably longer than the 8 characters of its example. One
# overheard login lets anybody guess at it offline, at the speed of MD5.
_APOP_ADVISED = 16


@frozen
class Kind:
    """One kind of credential.

    Args:
        name: how it is called on the command line and in the store.
        summary: what it is for, in a few words.
        stored: from a secret to the text that is kept.
    """

    name: str
    summary: str
    stored: Callable[[str], str]


def _hashed(secret: str) -> str:
    return passwords.hashed(secret.encode())


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(APOP, "for APOP: kept as it is, since both sides need it; never travels", str),
        Kind(PASSWORD, "for USER and PASS inside TLS: only its Argon2id verifier is kept", _hashed),
    )
}


def generate() -> str:
    """A random secret of 160 bits, as 32 characters of ``a-z`` and ``2-7``."""
    return base64.b32encode(os.urandom(_RANDOM_OCTETS)).decode("ascii").lower()


def check_secret(secret: str) -> str:
    """Return the secret unchanged when a POP3 client can send it. A complaint never repeats it.

    Raises:
        ValueError: when it is empty, has a control character (a line end, a NUL), or is too long for a
            command line.
    """
    if not secret:
        raise ValueError("the secret is empty")
    if any(ord(character) < ord(" ") or character == "\x7f" for character in secret):
        raise ValueError("the secret has a control character, which no POP3 client can send")
    octets = len(secret.encode())
    if octets > LONGEST_SECRET:
        raise ValueError(
            f"the secret has {octets} octets, and {LONGEST_SECRET} are the most that fit a POP3 command line"
        )
    return secret


def advice(kind: str, secret: str) -> str | None:
    """What an operator should know about this secret, or None."""
    if kind == APOP and len(secret) < _APOP_ADVISED:
        return (
            f"the APOP secret has {len(secret)} characters: an overheard login lets it be guessed offline;"
            f" give {_APOP_ADVISED} or more, or use --generate"
        )
    return None
