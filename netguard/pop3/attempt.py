"""What somebody tried to log in with: for guards, who count it, and for the log, which must not tell it."""

from __future__ import annotations

import hashlib

from attrs import field, frozen

from netguard.wire import sasl
from netguard.wire.pop3_events import Apop, Consult, Login, Password


@frozen
class Attempt:
    """A login that was tried.

    Args:
        name: the user's name as it came; empty when a token or a certificate is to say it.
        secret: what was tried, where the same looks the same each time; with APOP, SCRAM and CRAM-MD5 it does not. No
            repr shows it.
    """

    name: bytes = b""
    secret: bytes | None = field(default=None, repr=False)

    @classmethod
    def of(cls, login: Login) -> Attempt | None:
        """What a request of the machine's is about; None when it says nothing of it."""
        match login:
            case Apop(name):
                return cls(name)
            case Password(name, password) | Consult(_, sasl.CheckPassword(name, password)):
                return cls(name, password)
            case Consult(_, sasl.CheckCram(name)):
                return cls(name)
            case Consult(_, sasl.CheckToken(text, token)):
                return cls(text.encode(), token.encode())
            case Consult(_, sasl.FindVerifier(text) | sasl.FindOtp(text) | sasl.CheckCertificate(text)):
                return cls(text.encode())
        return None

    def token(self, key: bytes) -> bytes | None:
        """The same for the same name and secret, and of no use to anybody who wants to know them; None without one.

        Args:
            key: a random key of this process, so that nobody can guess them back.
        """
        if self.secret is None:
            return None
        return hashlib.blake2b(self.name + b"\0" + self.secret, key=key, digest_size=16).digest()

    def pseudonym(self, key: bytes) -> str:
        """What stands in the log for a name that was refused: it may be a password in the wrong field.

        Args:
            key: a random key of this process, so that the name cannot be guessed back.
        """
        return hashlib.blake2b(self.name, key=key, digest_size=8).hexdigest()
