"""What a version 2 PROXY header says beside the addresses: fields of type, length and value (section 2.2).

The rules of this file:

* Every length is checked against what holds it; bytes that are left over are an error.
* A known type that comes twice is an error: two programs would read two different values.
* Texts are what the specification says they are, UTF-8 or ASCII; anything else is an error. They may well hold
  control characters, so whoever logs one escapes it.
* An unknown type is kept as it is, an unknown type inside SSL is passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

ALPN, AUTHORITY, CRC32C, NOOP, UNIQUE_ID = 0x01, 0x02, 0x03, 0x04, 0x05
SSL = 0x20
SSL_VERSION, SSL_CN, SSL_CIPHER, SSL_SIG_ALG, SSL_KEY_ALG = 0x21, 0x22, 0x23, 0x24, 0x25
SSL_GROUP, SSL_SIG_SCHEME, SSL_CLIENT_CERT = 0x26, 0x27, 0x28
NETNS = 0x30

CLIENT_SSL, CLIENT_CERT_CONN, CLIENT_CERT_SESS = 0x01, 0x02, 0x04
"""Bits of an SSL field: the client came by TLS; it showed a certificate in this connection; earlier in this session."""

CHECKSUM = 4
"""Octets of a CRC32C field's value."""
LONGEST_UNIQUE_ID = 128

_HEAD = 3  # one octet of type, two of length
_SSL_HEAD = 5  # one octet of bits, four of the outcome of the verification
_MOST = 0xFFFF

Field = tuple[int, bytes]

_TEXTS = {AUTHORITY: ("authority", "utf-8"), NETNS: ("netns", "ascii")}
_SSL_TEXTS = {
    SSL_VERSION: ("version", "ascii"),
    SSL_CN: ("cn", "utf-8"),
    SSL_CIPHER: ("cipher", "ascii"),
    SSL_SIG_ALG: ("sig_alg", "ascii"),
    SSL_KEY_ALG: ("key_alg", "ascii"),
    SSL_GROUP: ("group", "ascii"),
    SSL_SIG_SCHEME: ("sig_scheme", "ascii"),
}


@dataclass(frozen=True, slots=True)
class Ssl:
    """How the client's connection to the proxy was secured, as the proxy says it.

    Attributes:
        client: the bits ``CLIENT_SSL``, ``CLIENT_CERT_CONN``, ``CLIENT_CERT_SESS``.
        verify: 0 when a certificate was shown and verified; but some proxies say 0, too, where none was shown. Ask
            ``verified``.
        version: of TLS, as in ``TLSv1.3``.
        cn: the common name of the client's certificate. It means nothing unless ``verified``.
        cipher: the cipher in use.
        sig_alg: by what the certificate that the proxy showed is signed.
        key_alg: what its key is.
        group: by what the keys were agreed.
        sig_scheme: by what the proxy signed the handshake.
        client_cert: the client's certificate (DER). It means nothing unless ``verified``.
    """

    client: int
    verify: int
    version: str | None = None
    cn: str | None = None
    cipher: str | None = None
    sig_alg: str | None = None
    key_alg: str | None = None
    group: str | None = None
    sig_scheme: str | None = None
    client_cert: bytes | None = None

    @property
    def secure(self) -> bool:
        """Whether the client came by TLS."""
        return bool(self.client & CLIENT_SSL)

    @property
    def verified(self) -> bool:
        """Whether the client came by TLS, showed a certificate, and the proxy verified it."""
        return self.secure and bool(self.client & (CLIENT_CERT_CONN | CLIENT_CERT_SESS)) and self.verify == 0

    def fields(self) -> Iterator[Field]:
        """The fields inside, as they are written."""
        for kind, (name, encoding) in _SSL_TEXTS.items():
            text: str | None = getattr(self, name)
            if text is not None:
                yield kind, text.encode(encoding)
        if self.client_cert is not None:
            yield SSL_CLIENT_CERT, self.client_cert

    def encode(self) -> bytes:
        """The value of the SSL field."""
        return bytes([self.client]) + self.verify.to_bytes(4, "big") + encode(self.fields())


@dataclass(frozen=True, slots=True)
class Claims:
    """What a proxy says of a connection beside its addresses. All of it is the proxy's word, and some the client's.

    Attributes:
        authority: the host name that the client asked for (SNI).
        alpn: the protocol that the client and the proxy agreed on.
        unique_id: the proxy's own name for the connection, up to 128 octets.
        netns: the name of the network namespace.
        ssl: how the client's connection was secured.
        others: fields whose types the specification leaves to others, in the order in which they came.
    """

    authority: str | None = None
    alpn: bytes | None = None
    unique_id: bytes | None = None
    netns: str | None = None
    ssl: Ssl | None = None
    others: tuple[Field, ...] = ()

    def mapping(self) -> dict[str, object]:
        """Those that were made, by name."""
        return {name: value for name in self.__slots__ if (value := getattr(self, name)) not in (None, ())}

    def fields(self) -> Iterator[Field]:
        """The fields, as they are written."""
        if self.alpn is not None:
            yield ALPN, self.alpn
        if self.authority is not None:
            yield AUTHORITY, self.authority.encode()
        if self.unique_id is not None:
            if len(self.unique_id) > LONGEST_UNIQUE_ID:
                raise ValueError(f"a unique id has up to {LONGEST_UNIQUE_ID} octets, not {len(self.unique_id)}")
            yield UNIQUE_ID, self.unique_id
        if self.ssl is not None:
            yield SSL, self.ssl.encode()
        if self.netns is not None:
            yield NETNS, self.netns.encode("ascii")
        yield from self.others


NOTHING = Claims()


def encode(fields: Iterable[Field]) -> bytes:
    """Write fields one after another.

    Raises:
        ValueError: a value is longer than its length field can say.
    """
    written = bytearray()
    for kind, value in fields:
        if len(value) > _MOST:
            raise ValueError(f"a field has up to {_MOST} octets, not {len(value)}")
        written += bytes([kind]) + len(value).to_bytes(2, "big") + value
    return bytes(written)


def split(block: bytes) -> Iterator[tuple[int, bytes, int]]:
    """The fields of a block: type, value, and where in the block the value begins.

    Raises:
        ValueError: a length leads out of the block, or bytes are left over.
    """
    at = 0
    while at < len(block):
        start = at + _HEAD
        if start > len(block):
            raise ValueError("bytes are left over behind the last field")
        at = start + int.from_bytes(block[start - 2 : start], "big")
        if at > len(block):
            raise ValueError("a field leads out of what holds it")
        yield block[start - _HEAD], block[start:at], start


def checksum_place(block: bytes) -> int | None:
    """Where in a block the value of its CRC32C field begins, or None when it has none.

    Raises:
        ValueError: as :func:`split`; the field has another length, or comes twice.
    """
    places = [start for kind, value, start in split(block) if kind == CRC32C and _fits(value, CHECKSUM)]
    if len(places) > 1:
        raise ValueError("a field comes twice")
    return places[0] if places else None


def _fits(value: bytes, length: int) -> bool:
    if len(value) != length:
        raise ValueError("a checksum has another length than 4")
    return True


def read(block: bytes) -> Claims:
    """What the fields of a header say.

    Raises:
        ValueError: a length, a text or a repetition is wrong.
    """
    said: dict[int, bytes] = {}
    others: list[Field] = []
    for kind, value, _ in split(block):
        if kind in _KNOWN:
            _once(said, kind, value)
        elif kind not in (NOOP, CRC32C):
            others.append((kind, value))
    if len(said.get(UNIQUE_ID, b"")) > LONGEST_UNIQUE_ID:
        raise ValueError("a unique id is longer than 128 octets")
    return Claims(
        alpn=said.get(ALPN),
        unique_id=said.get(UNIQUE_ID),
        ssl=_read_ssl(said[SSL]) if SSL in said else None,
        others=tuple(others),
        **_texts(said, _TEXTS),
    )


_KNOWN = frozenset({ALPN, AUTHORITY, UNIQUE_ID, SSL, NETNS})


def _read_ssl(value: bytes) -> Ssl:
    if len(value) < _SSL_HEAD:
        raise ValueError("an SSL field is shorter than 5 octets")
    said: dict[int, bytes] = {}
    for kind, inner, _ in split(value[_SSL_HEAD:]):
        if kind in _SSL_TEXTS or kind == SSL_CLIENT_CERT:
            _once(said, kind, inner)
    verify = int.from_bytes(value[1:_SSL_HEAD], "big")
    return Ssl(value[0], verify, client_cert=said.get(SSL_CLIENT_CERT), **_texts(said, _SSL_TEXTS))


def _once(said: dict[int, bytes], kind: int, value: bytes) -> None:
    if kind in said:
        raise ValueError("a field comes twice")
    said[kind] = value


def _texts(said: Mapping[int, bytes], names: Mapping[int, tuple[str, str]]) -> dict[str, str]:
    texts = {}
    for kind, (name, encoding) in names.items():
        if kind in said:
            try:
                texts[name] = said[kind].decode(encoding)
            except UnicodeDecodeError:
                raise ValueError("a text is not in the encoding that it must have") from None
    return texts


def _table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)  # noqa: PLW2901 - the division, bit by bit
        table.append(value)
    return tuple(table)


_CRC32C = _table()


def crc32c(data: bytes) -> int:
    """The checksum of RFC 3720, appendix B.4 (Castagnoli), which Python's library does not have."""
    value = 0xFFFFFFFF
    for octet in data:
        value = value >> 8 ^ _CRC32C[(value ^ octet) & 0xFF]
    return value ^ 0xFFFFFFFF
