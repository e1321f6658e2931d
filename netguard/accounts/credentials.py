"""The kinds of credential: what a secret of each may be, how one is made, and what is stored of it.

A further kind is one more entry of `KINDS`, and its rows need no new table.
"""

from __future__ import annotations

import base64
import os
from typing import TYPE_CHECKING

from attrs import field, frozen

from netguard.accounts import passwords, totp
from netguard.wire import otp, scram
from netguard.wire.saslprep import prepared_password

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SCRAM = "scram-sha-256"
PASSWORD = "password"  # noqa: S105 - the name of a kind
APOP = "apop"
OTP = "otp"
TOTP = "totp"

# 160 bits, in 32 characters of a-z and 2-7: nothing to quote, and one double click selects it.
_RANDOM_OCTETS = 20

# ``PASS `` and CRLF leave this much of the 255 octets of a command line (RFC 2449, section 4).
LONGEST_SECRET = 248

# RFC 1939, section 7: an APOP secret should be considerably longer than the 8 characters of its example. One
# overheard login lets anybody guess at it offline, at the speed of MD5.
_APOP_ADVISED = 16

OTP_ALGORITHM = "sha1"  # RFC 2289 recommends it over MD5
OTP_SEQUENCE = 500
_ISSUER = "netguard"


@frozen
class Kind:
    """One kind of credential.

    Args:
        name: how it is called on the command line and in the store.
        summary: what it is for, in a few words.
        check: returns a secret that may be one of this kind, or raises ValueError without repeating it.
        stored: from a secret, and the iterations of SCRAM verifiers in this store, to the text that is kept.
        shown: from a user's name and a secret that was made here to what that user needs.
    """

    name: str
    summary: str
    check: Callable[[str], str]
    stored: Callable[[str, int], str]
    shown: Callable[[str, str], str] = lambda _, secret: secret


def generate() -> str:
    """A random secret of 160 bits, as 32 characters of ``a-z`` and ``2-7``."""
    return base64.b32encode(os.urandom(_RANDOM_OCTETS)).decode("ascii").lower()


def new_seed() -> str:
    """A random seed of a chain of one-time passwords."""
    return otp.new_seed(os.urandom(5))


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


def check_phrase(secret: str) -> str:
    """Return the pass phrase unchanged when generators of one-time passwords take it (RFC 2289, section 6).

    Raises:
        ValueError: when it is too short, too long, or has characters that are not ASCII.
    """
    check_secret(secret)
    if not secret.isascii() or not otp.LEAST_PHRASE <= len(secret) <= otp.MOST_PHRASE:
        raise ValueError(
            f"a pass phrase for one-time passwords has {otp.LEAST_PHRASE} to {otp.MOST_PHRASE} characters of ASCII"
        )
    return secret


def check_totp(secret: str) -> str:
    """Return the secret unchanged when it is one of TOTP, in base32.

    Raises:
        ValueError: as `netguard.accounts.totp.secret_of` does.
    """
    totp.secret_of(secret)
    return secret


def scram_verifier(secret: str, iterations: int) -> str:
    """The verifier of a password for SCRAM-SHA-256, with a fresh random salt, as it is stored."""
    return str(scram.Verifier.of(secret.encode(), os.urandom(scram.SALT_OCTETS), iterations))


@frozen
class Chain:
    """A chain of one-time passwords that begins.

    Args:
        stored: what is kept of it.
        passwords: number and six words of each, in the order of their use; no repr shows them.
    """

    stored: str
    passwords: Iterable[tuple[int, str]] = field(repr=False)


def begin_chain(phrase: str, count: int, algorithm: str = OTP_ALGORITHM) -> Chain:
    """Begin a chain of one-time passwords with a random seed.

    Args:
        phrase: of which they are made; see `check_phrase`.
        count: how many, 1 to 9,998.
        algorithm: `sha1` or `md5`.
    """
    passwords = otp.chain(algorithm, phrase.encode(), seed := new_seed(), count + 1)
    words = [(number, otp.to_words(password)) for number, password in enumerate(passwords)]
    return Chain(str(otp.State(algorithm, count + 1, seed, passwords[-1])), words[count:0:-1])


def challenge(stored: str) -> str:
    """What a generator of one-time passwords is to be told for the next one of a chain."""
    return otp.State.parse(stored).challenge.removesuffix(" ext")


def iterations(stored: str) -> int:
    """What a stored SCRAM verifier costs."""
    return scram.Verifier.parse(stored).iterations


def _hashed(secret: str, _: int) -> str:
    return passwords.hashed(prepared_password(secret.encode()))


def _chain(secret: str, _: int) -> str:
    return begin_chain(secret, OTP_SEQUENCE - 1).stored


def _prepared(secret: str, _: int) -> str:
    # As a client hashes it (RFC 6856, section 2.2): letters that are composed in another way are the same secret.
    return prepared_password(secret.encode()).decode()


def _clock(secret: str, _: int) -> str:
    return str(totp.Totp(totp.secret_of(secret)))


def _uri(name: str, secret: str) -> str:
    return totp.Totp(totp.secret_of(secret)).uri(name, _ISSUER)


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            SCRAM,
            "a password, for SCRAM, and for PASS inside TLS: only its verifier is kept",
            check_secret,
            scram_verifier,
        ),
        Kind(PASSWORD, "a password, for PASS inside TLS: only its Argon2id verifier is kept", check_secret, _hashed),
        Kind(APOP, "for APOP: kept as it is, since both sides need it; never travels", check_secret, _prepared),
        Kind(
            OTP, "one-time passwords of RFC 2289, from a pass phrase: only the last one is kept", check_phrase, _chain
        ),
        Kind(TOTP, "codes of an authenticator app, typed behind the password: kept as it is", check_totp, _clock, _uri),
    )
}
DEFAULT = SCRAM
# Passwords that a person types; with TOTP they are no longer enough alone.
TYPED = (SCRAM, PASSWORD)


def advice(kind: str, secret: str) -> str | None:
    """What an operator should know about this secret, or None."""
    if kind == APOP and len(secret) < _APOP_ADVISED:
        return (
            f"the APOP secret has {len(secret)} characters: an overheard login lets it be guessed offline;"
            f" give {_APOP_ADVISED} or more, or use --generate"
        )
    return None
