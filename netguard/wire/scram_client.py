"""SCRAM-SHA-256 and -PLUS, the client's side (RFC 5802, RFC 7677): for tests, and for who has to log in elsewhere.

It trusts nothing: a nonce that does not begin with its own, too few or too many iterations, and a server that cannot
prove to know the verifier are refused.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import TYPE_CHECKING

from netguard.wire.saslprep import prepared_password, saslprep
from netguard.wire.scram import LEAST_ITERATIONS, MOST_ITERATIONS, base64, exclusive_or, mac
from netguard.wire.strict_base64 import decode

if TYPE_CHECKING:
    from collections.abc import Callable

_SERVER_FIRST = re.compile(
    rb"r=(?P<nonce>[!-+\-.-~]+),s=(?P<salt>[A-Za-z0-9+/]+=*),i=(?P<iterations>[1-9]\d{0,6})(?:,.*)?"
)
_SERVER_FINAL = re.compile(rb"v=(?P<verifier>[A-Za-z0-9+/]+=*)(?:,.*)?")


class ServerRefused(Exception):
    """The server broke the standard, failed to prove itself, or is not who it should be. It is their defect."""


class ScramClient:
    """One login by SCRAM: `first` is the initial response, then `receive` answers each challenge.

    Args:
        name: the user's.
        password: the user's.
        nonce: printable ASCII without commas, never used before.
        binding: name and data of the channel, for `-PLUS`.
        can_bind: whether it could have bound, and the server offered no `-PLUS`; the server then finds a downgrade.
        authzid: who to act as; empty for oneself.

    Raises:
        ValueError: when SASLprep refuses the name, or leaves nothing of it.
    """

    def __init__(
        self,
        name: str,
        password: bytes,
        nonce: bytes,
        *,
        binding: tuple[str, bytes] | None = None,
        can_bind: bool = False,
        authzid: str = "",
    ) -> None:
        flag = f"p={binding[0]}" if binding else "y" if can_bind else "n"
        acting = f"a={_escaped(authzid)}" if authzid else ""
        self._header = f"{flag},{acting},".encode()
        self._channel = binding[1] if binding else b""
        self._password = password
        self._nonce = nonce
        said = _escaped(name)
        if not said:
            raise ValueError("an empty name")
        self._bare = b"n=" + said.encode() + b",r=" + nonce
        self._next: Callable[[bytes], bytes] = self._server_first

    @property
    def first(self) -> bytes:
        """The client-first-message."""
        return self._header + self._bare

    def receive(self, challenge: bytes) -> bytes:
        """The response to a challenge.

        Raises:
            ServerRefused: when the server does not know the password either, or breaks the standard.
        """
        return self._next(challenge)

    def _server_first(self, message: bytes) -> bytes:
        found = _SERVER_FIRST.fullmatch(message)
        salt = None if found is None else decode(found["salt"])
        if found is None or not salt:
            raise ServerRefused("malformed server-first-message")
        if not found["nonce"].startswith(self._nonce) or found["nonce"] == self._nonce:
            raise ServerRefused("the server's nonce does not continue the client's")
        iterations = int(found["iterations"])
        if not LEAST_ITERATIONS <= iterations <= MOST_ITERATIONS:
            raise ServerRefused(f"{iterations} iterations, which is not {LEAST_ITERATIONS} to {MOST_ITERATIONS}")
        bare = b"c=" + base64(self._header + self._channel) + b",r=" + found["nonce"]
        salted = hashlib.pbkdf2_hmac("sha256", prepared_password(self._password), salt, iterations)
        client_key = mac(salted, b"Client Key")
        signed = b",".join((self._bare, message, bare))
        self._expected = mac(mac(salted, b"Server Key"), signed)
        self._next = self._server_final
        return bare + b",p=" + base64(exclusive_or(client_key, mac(hashlib.sha256(client_key).digest(), signed)))

    def _server_final(self, message: bytes) -> bytes:
        found = _SERVER_FINAL.fullmatch(message)
        if found is None or not hmac.compare_digest(decode(found["verifier"]) or b"", self._expected):
            raise ServerRefused("the server does not know the verifier")
        self._next = self._nothing_more
        return b""

    @staticmethod
    def _nothing_more(_: bytes) -> bytes:
        raise ServerRefused("a challenge after the last")


def _escaped(name: str) -> str:
    return saslprep(name).replace("=", "=3D").replace(",", "=2C")
