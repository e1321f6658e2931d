"""APOP (RFC 1939, section 7): a login by a digest over the greeting's timestamp and a shared secret.

The rules of this file:

* A timestamp is ``<local@host>`` with only ``A-Z a-z 0-9 . _ -`` on both sides: real clients (mpop) take a
  server with any other character in its banner to lack APOP.
* It is fresh for every connection, from at least 128 random bits, so that a digest that was overheard is
  worthless, and the client's MD5 is never asked over text that an attacker chose (CVE-2007-1558).
* Digests are compared in constant time, and only in the lower-case form that the RFC asks for.
"""

from __future__ import annotations

import hashlib
import hmac
import re

# 128 bits, the least that makes a greeting unguessable and its repetition negligible.
NONCE_OCTETS = 16

_HOST = re.compile(r"[A-Za-z0-9._-]{1,255}\Z")
_DIGEST = re.compile(rb"[0-9a-f]{32}\Z")


def timestamp(nonce: bytes, host: str) -> bytes:
    """The timestamp of one greeting, with its angle brackets.

    Args:
        nonce: random octets, at least 16, never used before.
        host: the name of this server, 1 to 255 characters of ``A-Z a-z 0-9 . _ -``.

    Raises:
        ValueError: when the nonce is too short, or the host name has other characters.
    """
    if len(nonce) < NONCE_OCTETS:
        message = f"an APOP nonce needs at least {NONCE_OCTETS} random octets, not {len(nonce)}"
        raise ValueError(message)
    if not _HOST.match(host):
        message = "the host name in an APOP greeting may only have A-Z a-z 0-9 . _ -"
        raise ValueError(message)
    return f"<{nonce.hex()}@{host}>".encode("ascii")


def parse(argument: bytes) -> tuple[bytes, bytes] | None:
    """Split what follows ``APOP`` on a command line into name and digest.

    Args:
        argument: one name and 32 lower-case hexadecimal digits, parted by one space.

    Returns:
        The name and the digest as they came, or None when the argument has another form.
    """
    name, space, given = argument.partition(b" ")
    if not name or not space or not _DIGEST.match(given):
        return None
    return name, given


def digest(stamp: bytes, secret: bytes) -> bytes:
    """The digest that proves knowledge of the secret: lower-case hexadecimal MD5 (RFC 1939, section 7).

    Args:
        stamp: the greeting's timestamp, with its angle brackets.
        secret: what client and server share.
    """
    return hashlib.md5(stamp + secret, usedforsecurity=False).hexdigest().encode("ascii")


def matches(stamp: bytes, secret: bytes, given: bytes) -> bool:
    """Whether a digest is the right one, compared in a time that does not tell how much of it was right.

    Args:
        stamp: the greeting's timestamp, with its angle brackets.
        secret: what client and server share.
        given: the digest that the client sent.
    """
    return hmac.compare_digest(digest(stamp, secret), given)
