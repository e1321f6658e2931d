"""Version 2 of the PROXY protocol: a binary block (section 2.2 of the specification).

The rules of this file:

* The 16 octets in front say how long the block behind them is. More than the caller's limit is refused then.
* With ``LOCAL``, family and block are passed over. An unknown command, family or transport is an error.
* The block holds the addresses of its family, at their exact lengths, and then fields. Where the family is UNSPEC,
  nothing says where fields would begin, so the block is passed over.
* A checksum (CRC32C) that is there must be right.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from netguard.wire import proxy_tlv
from netguard.wire.proxy_header import Address, Header, Inet, ProxyMisused, ProxyRefused, Transport
from netguard.wire.proxy_tlv import NOTHING, Claims
from netguard.wire.proxy_v1 import host_of

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
FRONT = 16
"""Octets before the block."""
LONGEST_BLOCK = 0xFFFF
"""Octets of the longest block that can be written."""

_VERSION = 0x20
_LOCAL, _PROXY = 0x20, 0x21
_UNSPEC, _INET, _INET6, _UNIX = 0, 1, 2, 3
_ADDRESSES = {_UNSPEC: 0, _INET: 12, _INET6: 36, _UNIX: 216}
"""Octets of both addresses, by family."""
_PATH = 108
"""Octets of the path of a UNIX socket."""


def size(begun: bytes, limit: int) -> int | None:
    """How many octets a header that begins with the signature has.

    Args:
        begun: what has come so far.
        limit: octets of the longest block that is taken.

    Returns:
        The octets; None while that cannot be known.

    Raises:
        ProxyRefused: it is no header that can be taken, as far as its first 16 octets tell.
    """
    command, family = begun[12:13], begun[13:14]
    if command and command[0] & 0xF0 != _VERSION:
        raise ProxyRefused("a block of version 2 has another version")
    if command and command[0] not in (_LOCAL, _PROXY):
        raise ProxyRefused("a block of version 2 has an unknown command")
    proxied = command == bytes([_PROXY])
    if proxied and family and (family[0] >> 4 not in _ADDRESSES or family[0] & 0x0F > Transport.DGRAM.value):
        raise ProxyRefused("a block of version 2 has an unknown family or transport")
    if len(begun) < FRONT:
        return None
    block = int.from_bytes(begun[14:FRONT], "big")
    if block > limit:
        raise ProxyRefused(f"a block of version 2 is longer than {limit} octets")
    if proxied and block < _ADDRESSES[family[0] >> 4]:
        raise ProxyRefused("a block of version 2 is shorter than the addresses of its family")
    return FRONT + block


def read(whole: bytes) -> Header:
    """Read a header that is whole, and whose first 16 octets :func:`size` has judged.

    Raises:
        ProxyRefused: it is malformed.
    """
    family = whole[13] >> 4
    if whole[12] == _LOCAL:
        return Header(2, local=True)
    if family == _UNSPEC:
        return Header(2)
    start = FRONT + _ADDRESSES[family]
    try:
        _verify(whole, start)
        claims = proxy_tlv.read(whole[start:])
    except ValueError as why:
        raise ProxyRefused(f"a block of version 2 is malformed: {why}") from None
    source, destination = _read_addresses(family, whole[FRONT:start])
    return Header(2, transport=Transport(whole[13] & 0x0F), source=source, destination=destination, claims=claims)


def _verify(whole: bytes, start: int) -> None:
    place = proxy_tlv.checksum_place(whole[start:])
    if place is None:
        return
    at = start + place
    end = at + proxy_tlv.CHECKSUM
    zeroed = whole[:at] + bytes(proxy_tlv.CHECKSUM) + whole[end:]
    if proxy_tlv.crc32c(zeroed) != int.from_bytes(whole[at:end], "big"):
        raise ValueError("the checksum is wrong")


def _read_addresses(family: int, block: bytes) -> tuple[Address, Address]:
    if family == _UNIX:
        return block[:_PATH].rstrip(b"\0"), block[_PATH:].rstrip(b"\0")
    one = (len(block) - 4) // 2
    ports = int.from_bytes(block[-4:-2], "big"), int.from_bytes(block[-2:], "big")
    source, destination = (_host(each) for each in (block[:one], block[one : 2 * one]))
    return Inet(source, ports[0]), Inet(destination, ports[1])


def _host(packed: bytes) -> str:
    return host_of(IPv6Address(packed)) if len(packed) == 16 else str(IPv4Address(packed))  # noqa: PLR2004 - octets


def write(
    source: Address | None = None,
    destination: Address | None = None,
    *,
    local: bool = False,
    transport: Transport = Transport.STREAM,
    claims: Claims = NOTHING,
    checksum: bool = False,
) -> bytes:
    """The block for a connection from ``source`` to ``destination``; for an unknown one, without them.

    Args:
        source: who connected to us.
        destination: what it connected to.
        local: we connect for ourselves; nothing else is told then.
        transport: what the forwarded connection runs on.
        claims: what else we say; only with addresses, since without them nobody could find it.
        checksum: whether to add a CRC32C.

    Raises:
        ProxyMisused: one address is missing or impossible, they are of two families, or there is too much to say.
    """
    if local or (source is None and destination is None):
        if claims != NOTHING:
            raise ProxyMisused("a header that names no addresses has no place for claims")
        return SIGNATURE + bytes([_LOCAL if local else _PROXY, _UNSPEC, 0, 0])
    if source is None or destination is None:
        raise ProxyMisused("a header names both ends or none")
    try:
        family, block = _write_addresses(source, destination)
        block += proxy_tlv.encode(claims.fields())
        if checksum:
            block += proxy_tlv.encode([(proxy_tlv.CRC32C, bytes(proxy_tlv.CHECKSUM))])
        front = bytes([_PROXY, family << 4 | transport.value]) + len(block).to_bytes(2, "big")
    except (ValueError, OverflowError) as why:
        raise ProxyMisused(f"no header of version 2 says that: {why}") from None
    whole = SIGNATURE + front + block
    if checksum:
        whole = whole[: -proxy_tlv.CHECKSUM] + proxy_tlv.crc32c(whole).to_bytes(proxy_tlv.CHECKSUM, "big")
    return whole


def _write_addresses(source: Address, destination: Address) -> tuple[int, bytes]:
    if isinstance(source, bytes) or isinstance(destination, bytes):
        return _UNIX, b"".join(_path(each) for each in (source, destination))
    kinds = IPv6Address if ":" in source.host else IPv4Address
    packed = kinds(source.host).packed + kinds(destination.host).packed
    ports = source.port.to_bytes(2, "big") + destination.port.to_bytes(2, "big")
    return (_INET6 if kinds is IPv6Address else _INET), packed + ports


def _path(path: Address) -> bytes:
    if not isinstance(path, bytes) or len(path) > _PATH or path.endswith(b"\0"):
        raise ValueError(f"a UNIX socket has a path of up to {_PATH} octets")
    return path.ljust(_PATH, b"\0")
