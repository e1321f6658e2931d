"""The mechanisms of this server: which a connection may be offered, and the small ones themselves.

PLAIN (RFC 4616), LOGIN, CRAM-MD5 (RFC 2195), EXTERNAL (RFC 4422, appendix A) and OAUTHBEARER (RFC 7628). SCRAM and
OTP have files of their own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netguard.wire import otp_sasl, sasl, scram
from netguard.wire.otp_sasl import OtpServer
from netguard.wire.saslprep import saslprep
from netguard.wire.scram import ScramServer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# In the order in which they are offered, best first: a client takes the first that it knows.
SCRAM_PLUS, SCRAM, EXTERNAL, OAUTHBEARER = scram.PLUS, scram.MECHANISM, "EXTERNAL", "OAUTHBEARER"
OTP, CRAM_MD5, PLAIN, LOGIN = otp_sasl.MECHANISM, "CRAM-MD5", "PLAIN", "LOGIN"
ALL = (SCRAM_PLUS, SCRAM, EXTERNAL, OAUTHBEARER, OTP, CRAM_MD5, PLAIN, LOGIN)
# CRAM-MD5 needs an open secret and is guessed offline, and LOGIN is PLAIN for who knows no better: both only for who
# asks.
DEFAULT = (SCRAM_PLUS, SCRAM, EXTERNAL, OAUTHBEARER, OTP, PLAIN)
# What may not pass in clear.
_ONLY_IN_TLS = {EXTERNAL, OAUTHBEARER, PLAIN, LOGIN}

_MOST_SECRET = 1024
_MOST_TOKEN = 8192
_DIGEST = re.compile(rb"[0-9a-f]{32}")
_GS2 = re.compile(r"(?:n|y|(?P<bound>p=[A-Za-z0-9.-]+)),(?:a=(?P<authzid>(?:[^\0,=]|=2C|=3D)+))?,")
_PAIR = re.compile(r"(?P<key>[A-Za-z]+)=(?P<value>[\t\r\n -~]*)")
_BEARER = re.compile(r"bearer +(?P<token>[A-Za-z0-9\-._~+/]+=*)", re.IGNORECASE)
_PORT = re.compile(r"\d{1,5}")
_MOST_PORT = 65535
# RFC 6750, section 3.1, in the form of RFC 7628, section 3.2.2.
_INVALID_TOKEN = b'{"status":"invalid_token","schemes":"bearer"}'


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a connection is like, as far as mechanisms care.

    Attributes:
        enabled: the mechanisms, of `ALL`, that the operator wants and whose questions the accounts can answer.
        secure: whether it is inside TLS.
        bindings: the data of the TLS channel by the name of a binding, as `tls-exporter`; without it no -PLUS.
        certificate: whether the client showed a certificate that names somebody.
    """

    enabled: tuple[str, ...] = DEFAULT
    secure: bool = False
    bindings: Mapping[str, bytes] = field(default_factory=dict)
    certificate: bool = False

    @property
    def offered(self) -> tuple[str, ...]:
        """The mechanisms for CAPA, best first: those that this connection could use now, and no others."""
        missing = set() if self.secure else set(_ONLY_IN_TLS)
        if not self.bindings:
            missing.add(SCRAM_PLUS)
        if not self.certificate:
            missing.add(EXTERNAL)
        return tuple(name for name in ALL if name in self.enabled and name not in missing)

    def start(self, name: str, random: Callable[[int], bytes], host: str) -> sasl.Mechanism | None:
        """Begin a login; None for a mechanism that this connection is not offered.

        Args:
            name: the mechanism's, in upper case.
            random: gives so many random octets.
            host: the name of this server, for CRAM-MD5's challenge.
        """
        if name not in self.offered:
            return None
        if name in (SCRAM, SCRAM_PLUS):
            return ScramServer(
                scram.base64(random(scram.NONCE_OCTETS)),
                offered_plus=SCRAM_PLUS in self.offered,
                bindings=self.bindings if name == SCRAM_PLUS else None,
            )
        if name == CRAM_MD5:
            return CramMd5Server(f"<{random(_CRAM_OCTETS).hex()}@{host}>".encode("ascii"))
        return _SIMPLE[name]()


_CRAM_OCTETS = 16


class PlainServer(sasl.Mechanism):
    """PLAIN: authorisation identity, name and password, parted by NUL (RFC 4616)."""

    def __init__(self) -> None:
        super().__init__(PLAIN, self._message)

    def _message(self, message: bytes) -> sasl.Step:
        parts = message.split(b"\0")
        if len(parts) != 3 or not all(parts[1:]):  # noqa: PLR2004 - the three that the class names
            return sasl.malformed("not three words parted by NUL")
        if max(len(parts[0]), len(parts[1])) > sasl.MAX_NAME or len(parts[2]) > _MOST_SECRET:
            return sasl.malformed("a name or password too long")
        try:
            authzid, name = (saslprep(part.decode()) for part in parts[:2])
        except ValueError:
            return sasl.malformed("a name that is no UTF-8, or that SASLprep refuses")
        self._acting_as_oneself = sasl.same(authzid, name)
        return self._ask(sasl.CheckPassword(name.encode(), parts[2]), self._checked)

    def _checked(self, account: str | None) -> sasl.Step:
        return _checked(account if self._acting_as_oneself else None)


class LoginServer(sasl.Mechanism):
    """LOGIN: name and password, each asked for (never a standard; draft-murchison-sasl-login)."""

    def __init__(self) -> None:
        super().__init__(LOGIN, self._named)

    def begin(self, initial: bytes | None) -> sasl.Step:
        """Ask for the name, unless it came along."""
        return super().begin(initial) if initial else self._challenge(b"Username:", self._named)

    def _named(self, name: bytes) -> sasl.Step:
        if not name or len(name) > sasl.MAX_NAME or b"\0" in name:
            return sasl.malformed("not a name")
        self._name = name
        return self._challenge(b"Password:", self._told)

    def _told(self, password: bytes) -> sasl.Step:
        if not password or len(password) > _MOST_SECRET or b"\0" in password:
            return sasl.malformed("not a password")
        return self._ask(sasl.CheckPassword(self._name, password), _checked)


class CramMd5Server(sasl.Mechanism):
    """CRAM-MD5: the HMAC of a challenge with a secret that both sides know (RFC 2195).

    Args:
        challenge: with its angle brackets, never used before.
    """

    def __init__(self, challenge: bytes) -> None:
        super().__init__(CRAM_MD5, self._digested)
        self._sent = challenge

    def begin(self, initial: bytes | None) -> sasl.Step:
        """Send the challenge; there is nothing that a client could say before it."""
        if initial is not None:
            return sasl.malformed("initial response where none is due")
        return self._challenge(self._sent, self._digested)

    def _digested(self, response: bytes) -> sasl.Step:
        name, space, digest = response.rpartition(b" ")
        if not space or not name or len(name) > sasl.MAX_NAME or b"\0" in name or not _DIGEST.fullmatch(digest):
            return sasl.malformed("not a name and a digest")
        return self._ask(sasl.CheckCram(name, self._sent, digest), _checked)


class ExternalServer(sasl.Mechanism):
    """EXTERNAL: the client's certificate says who it is (RFC 4422, appendix A)."""

    def __init__(self) -> None:
        super().__init__(EXTERNAL, self._named)

    def _named(self, authzid: bytes) -> sasl.Step:
        try:
            name = saslprep(authzid.decode())
        except ValueError:
            return sasl.malformed("a name that is no UTF-8, or that SASLprep refuses")
        if len(authzid) > sasl.MAX_NAME:
            return sasl.malformed("a name too long")
        self._wanted = name
        return self._ask(sasl.CheckCertificate(name), self._checked)

    def _checked(self, account: str | None) -> sasl.Step:
        return _checked(account if account is not None and sasl.same(self._wanted, account) else None)


class OAuthBearerServer(sasl.Mechanism):
    """OAUTHBEARER: a token that somebody else gave to the client (RFC 7628)."""

    def __init__(self) -> None:
        super().__init__(OAUTHBEARER, self._message)

    def _message(self, message: bytes) -> sasl.Step:
        question = _bearer(message)
        if isinstance(question, sasl.Failure):
            return question
        self._wanted = question.name
        return self._ask(question, self._checked)

    def _checked(self, account: str | None) -> sasl.Step:
        if account is not None and sasl.same(self._wanted, account):
            return sasl.Success(account)
        return self._challenge(_INVALID_TOKEN, self._told)

    def _told(self, _: bytes) -> sasl.Step:
        # The client owes one octet, 0x01, which says only that it has understood.
        return sasl.WRONG


_SIMPLE: dict[str, Callable[[], sasl.Mechanism]] = {
    EXTERNAL: ExternalServer,
    OAUTHBEARER: OAuthBearerServer,
    OTP: OtpServer,
    PLAIN: PlainServer,
    LOGIN: LoginServer,
}


def _checked(account: str | None) -> sasl.Step:
    return sasl.WRONG if account is None else sasl.Success(account)


def _bearer(message: bytes) -> sasl.CheckToken | sasl.Failure:
    """Read a client's initial response: a GS2 header and pairs, each ended by 0x01 (RFC 7628, section 3.1)."""
    header, *parts = message.decode("utf-8", "replace").split("\x01")
    gs2 = _GS2.fullmatch(header)
    pairs = [_PAIR.fullmatch(part) for part in parts[:-2]]
    if gs2 is None or gs2["bound"] or len(message) > _MOST_TOKEN or parts[-2:] != ["", ""]:
        return sasl.malformed("malformed OAUTHBEARER message")
    values = {pair["key"]: pair["value"] for pair in pairs if pair is not None}
    bearer, port = _BEARER.fullmatch(values.get("auth", "")), values.get("port", "0")
    if bearer is None or len(values) != len(pairs) or not _PORT.fullmatch(port) or int(port) > _MOST_PORT:
        return sasl.malformed("malformed OAUTHBEARER message")
    try:
        name = saslprep((gs2["authzid"] or "").replace("=2C", ",").replace("=3D", "="))
    except ValueError:
        return sasl.malformed("a name that SASLprep refuses")
    return sasl.CheckToken(name, bearer["token"], values.get("host", ""), int(port))
