"""SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, the server's side (RFC 5802, RFC 7677; bindings of RFC 9266 and RFC 5929).

The rules of this file:

* The server keeps a verifier, from which nobody can log in, and neither side ever sends the password.
* An unknown user gets a salt that is always the same for that name, and is refused only at the end, like a
  known one with a wrong proof.
* Messages are read exactly as the RFC's grammar says: attributes in their order, `m=` refused, names with `=2C`
  and `=3D` only. Everything of the client's first message is in the proof, byte for byte.
* A client that can bind to the channel, and believes that this server cannot while it offered it, was lied to by
  somebody between them: that is refused, and said.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from binascii import b2a_base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netguard.wire import sasl
from netguard.wire.saslprep import prepared_password, saslprep
from netguard.wire.strict_base64 import decode

if TYPE_CHECKING:
    from collections.abc import Mapping

MECHANISM = "SCRAM-SHA-256"
PLUS = "SCRAM-SHA-256-PLUS"

# 144 bits, which base64 writes without padding; RFC 5802 leaves the length open.
NONCE_OCTETS = 18
SALT_OCTETS = 16
# RFC 7677 section 4 asks for 4,096 at least. The client pays for it, and the server where a password is typed.
LEAST_ITERATIONS = 4096
MOST_ITERATIONS = 1_000_000
_MOST_MESSAGE = 2048
LEAST_SALT = 8
MOST_SALT = 64
_HASH_OCTETS = 32

_NONCE = rb"[!-+\-.-~]"  # printable but for the comma
_BASE64 = rb"[A-Za-z0-9+/]+=*"
_FLAG = rb"(?P<flag>n|y|p=(?P<binding>[A-Za-z0-9.-]{1,64}))"
_NAME = rb"(?:[^\0,=]|=2C|=3D)+"
# Optional extensions are ignored; what has a meaning somewhere, `m=` above all, is no extension.
_EXTENSIONS = rb"(?:,[A-Zbdf-hj-loqtuw-z]=[^\0,]+)*"
_FIRST = re.compile(
    rb"(?P<header>" + _FLAG + rb",(?:a=(?P<authzid>" + _NAME + rb"))?,)"
    rb"(?P<bare>n=(?P<name>" + _NAME + rb"),r=(?P<nonce>" + _NONCE + rb"{1,256})" + _EXTENSIONS + rb")"
)
_FINAL = re.compile(
    rb"(?P<bare>c=(?P<binding>" + _BASE64 + rb"),r=(?P<nonce>" + _NONCE + rb"+)" + _EXTENSIONS + rb")"
    rb",p=(?P<proof>" + _BASE64 + rb")"
)
_VERIFIER = re.compile(
    r"SCRAM-SHA-256\$(?P<iterations>[1-9]\d{0,6}):(?P<salt>[A-Za-z0-9+/]+=*)"
    r"\$(?P<stored>[A-Za-z0-9+/]{43}=):(?P<server>[A-Za-z0-9+/]{43}=)"
)


def mac(key: bytes, text: bytes) -> bytes:
    """HMAC-SHA-256."""
    return hmac.digest(key, text, "sha256")


def exclusive_or(left: bytes, right: bytes) -> bytes:
    """Two texts of the length of a hash, bit by bit."""
    return (int.from_bytes(left) ^ int.from_bytes(right)).to_bytes(_HASH_OCTETS)


def base64(data: bytes) -> bytes:
    """In base64, on one line."""
    return b2a_base64(data, newline=False)


@dataclass(frozen=True, slots=True)
class Verifier:
    """What a server keeps of a password (RFC 5802, section 3).

    Attributes:
        salt: 8 to 64 octets.
        iterations: how often PBKDF2 hashes, 4,096 to 1,000,000.
        stored_key: the hash of the client's key, 32 octets; no repr shows it.
        server_key: 32 octets, with which the server proves to know the verifier; no repr shows it.
        mock: whether it is nobody's, and no proof is right.
    """

    salt: bytes
    iterations: int
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)
    mock: bool = False

    @classmethod
    def of(cls, password: bytes, salt: bytes, iterations: int) -> Verifier:
        """The verifier of a password, which is prepared by SASLprep first. This takes the time of the iterations."""
        salted = hashlib.pbkdf2_hmac("sha256", prepared_password(password), salt, iterations)
        stored_key = hashlib.sha256(mac(salted, b"Client Key")).digest()
        return cls(salt, iterations, stored_key, mac(salted, b"Server Key"))

    @classmethod
    def parse(cls, text: str) -> Verifier:
        """Read the form of RFC 5803, `SCRAM-SHA-256$iterations:salt$StoredKey:ServerKey` with base64.

        Raises:
            ValueError: for another form, or a value out of its bounds. The message tells nothing of the text.
        """
        found = _VERIFIER.fullmatch(text)
        if found is None:
            raise ValueError("it is not a SCRAM-SHA-256 verifier")
        salt, stored, server = (decode(found[part].encode()) for part in ("salt", "stored", "server"))
        if salt is None or stored is None or server is None:
            raise ValueError("a part of the SCRAM-SHA-256 verifier is not base64")
        return cls.checked(salt, int(found["iterations"]), stored, server)

    @classmethod
    def checked(cls, salt: bytes, iterations: int, stored_key: bytes, server_key: bytes) -> Verifier:
        """A verifier whose values are within their bounds.

        Raises:
            ValueError: saying which is not.
        """
        if not LEAST_SALT <= len(salt) <= MOST_SALT:
            raise ValueError(f"a SCRAM salt has {LEAST_SALT} to {MOST_SALT} octets, not {len(salt)}")
        if not LEAST_ITERATIONS <= iterations <= MOST_ITERATIONS:
            raise ValueError(
                f"a SCRAM-SHA-256 verifier has {LEAST_ITERATIONS} to {MOST_ITERATIONS} iterations, not {iterations}"
            )
        if not len(stored_key) == len(server_key) == _HASH_OCTETS:
            raise ValueError(f"the keys of a SCRAM-SHA-256 verifier have {_HASH_OCTETS} octets each")
        return cls(salt, iterations, stored_key, server_key)

    def __str__(self) -> str:
        """The form of RFC 5803, which `parse` reads."""
        salt, stored, server = (base64(part).decode("ascii") for part in (self.salt, self.stored_key, self.server_key))
        return f"SCRAM-SHA-256${self.iterations}:{salt}${stored}:{server}"

    def matches(self, password: bytes) -> bool:
        """Whether this is the password, compared in constant time. This takes the time of the iterations."""
        made = Verifier.of(password, self.salt, self.iterations)
        return hmac.compare_digest(made.stored_key, self.stored_key) and not self.mock


def mock(secret: bytes, name: str, iterations: int) -> Verifier:
    """What an unknown user gets: the same salt at each try, of which nobody can tell that it is nobody's.

    Args:
        secret: random octets that this server keeps for good.
        name: the user's.
        iterations: those of the users who exist.
    """
    seed = mac(secret, b"SCRAM-SHA-256\0" + name.encode())
    salt, stored, server = (mac(seed, part) for part in (b"salt", b"stored", b"server"))
    return Verifier(salt[:SALT_OCTETS], iterations, stored, server, mock=True)


class ScramServer(sasl.Mechanism):
    """One login by SCRAM.

    Args:
        nonce: printable ASCII without commas, of `NONCE_OCTETS` random octets or more, never used before.
        offered_plus: whether this connection was offered `SCRAM-SHA-256-PLUS`.
        bindings: the channel's data by the binding's name; given for `-PLUS`, None for the mechanism without it.
    """

    def __init__(self, nonce: bytes, *, offered_plus: bool, bindings: Mapping[str, bytes] | None = None) -> None:
        super().__init__(MECHANISM if bindings is None else PLUS, self._first)
        self._bindings = bindings
        self._offered_plus = offered_plus
        self._nonce = nonce
        self._channel = b""

    def _first(self, message: bytes) -> sasl.Step:
        found = _FIRST.fullmatch(message) if len(message) <= _MOST_MESSAGE else None
        if found is None:
            return sasl.malformed("malformed client-first-message")
        try:
            name, authzid = (_saslname(found[part] or b"") for part in ("name", "authzid"))
        except ValueError:
            return sasl.malformed("a name that is no UTF-8, or that SASLprep refuses")
        if not name or len(found["name"]) > sasl.MAX_NAME:
            return sasl.malformed("an empty name, or one too long")
        if refused := self._bind(found["flag"], (found["binding"] or b"").decode("ascii")):
            return refused
        self._header = found["header"]
        self._bare, self._nonce = found["bare"], found["nonce"] + self._nonce
        self._name = name
        self._possible = sasl.same(authzid, name)
        return self._ask(sasl.FindVerifier(name), self._found)

    def _bind(self, flag: bytes, binding: str) -> sasl.Failure | None:
        """Refuse what does not fit the mechanism's name; else note the channel's data."""
        if self._bindings is None:
            if flag == b"y" and self._offered_plus:
                return sasl.Failure(sasl.Why.REFUSED, "SCRAM downgrade: the client was not shown -PLUS")
            return sasl.malformed("channel binding without -PLUS") if binding else None
        if not binding:
            return sasl.malformed("-PLUS without channel binding")
        if binding not in self._bindings:
            return sasl.Failure(sasl.Why.REFUSED, "unsupported channel binding")
        self._channel = self._bindings[binding]
        return None

    def _found(self, verifier: Verifier) -> sasl.Step:
        self._verifier = verifier
        salt = base64(verifier.salt)
        self._answered = b"r=" + self._nonce + b",s=" + salt + b",i=%d" % verifier.iterations
        return self._challenge(self._answered, self._final)

    def _final(self, message: bytes) -> sasl.Step:
        found = _FINAL.fullmatch(message) if len(message) <= _MOST_MESSAGE else None
        proof = None if found is None else decode(found["proof"])
        if found is None or proof is None or len(proof) != _HASH_OCTETS:
            return sasl.malformed("malformed client-final-message")
        if found["nonce"] != self._nonce:
            return sasl.malformed("the nonce of another exchange")
        if not hmac.compare_digest(found["binding"], base64(self._header + self._channel)):
            return sasl.Failure(sasl.Why.REFUSED, "channel binding does not match")
        verifier = self._verifier
        signed = b",".join((self._bare, self._answered, found["bare"]))
        client_key = exclusive_or(proof, mac(verifier.stored_key, signed))
        right = hmac.compare_digest(hashlib.sha256(client_key).digest(), verifier.stored_key)
        if not right or verifier.mock or not self._possible:
            return sasl.WRONG
        # POP3 has no place for data in a success (RFC 5034, section 4), so it is one more challenge.
        return self._challenge(b"v=" + base64(mac(verifier.server_key, signed)), self._seen)

    def _seen(self, message: bytes) -> sasl.Step:
        return sasl.malformed("data where none is due") if message else sasl.Success(self._name)


def _saslname(escaped: bytes) -> str:
    """A name out of a message, prepared.

    Raises:
        ValueError: when it is no UTF-8, or is refused by SASLprep.
    """
    text = escaped.decode("utf-8").replace("=2C", ",").replace("=3D", "=")
    return saslprep(text)
