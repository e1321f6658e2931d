"""Version 1 of the PROXY protocol: one line of text (section 2.1 of the specification).

The rules of this file:

* The line has up to 107 octets with its CRLF. Only CRLF ends it; words are parted by one space.
* Numbers are decimal digits without a leading zero or sign; a port is up to 65535, an IPv4 address is four octets.
* An address belongs to the family that the line names. An IPv6 address may end in the form of an IPv4 address
  (RFC 4291, section 2.2): real proxies write mapped ones so. It has no zone.
* Behind ``UNKNOWN`` and a space, whatever comes before the CRLF is passed over.
* A word is judged when it is whole, and while it is not, as soon as it cannot become right any more.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address

from netguard.wire.proxy_header import Header, Inet, ProxyMisused, ProxyRefused, Transport

SIGNATURE = b"PROXY "
LONGEST = 107
"""Octets of the longest line, with its CRLF."""

_END = b"\r\n"
_UNKNOWN = b"UNKNOWN"
_BEGUN_IPV4 = re.compile(rb"[0-9.]{0,15}")
_BEGUN_IPV6 = re.compile(rb"[0-9A-Fa-f:.]{0,45}")
_BEGUN_PORT = re.compile(rb"(?:0|[1-9][0-9]{0,4})?")
_HIGHEST_PORT = 65535
_WORDS, _HOSTS = 5, 2
_OTHER_FAMILY = "a line of version 1 names another family than TCP4, TCP6 and UNKNOWN"


def read(begun: bytes) -> tuple[Header, int] | None:
    """Read a line that begins with the signature.

    Args:
        begun: what has come so far; more than the line is fine.

    Returns:
        The header and how many octets it has; None while the line may still become one.

    Raises:
        ProxyRefused: it cannot.
    """
    end = begun.find(_END, 0, LONGEST)
    line = begun[len(SIGNATURE) : LONGEST if end < 0 else end]
    if line.startswith(_UNKNOWN):
        header = _unknown(line[len(_UNKNOWN) :], whole=end >= 0)
    else:
        header = _known(line, whole=end >= 0)
    if end < 0:
        if len(begun) >= LONGEST:
            raise ProxyRefused("a line of version 1 has no CRLF within 107 octets")
        return None
    return header, end + len(_END)


def _unknown(rest: bytes, *, whole: bool) -> Header:
    if rest and not rest.startswith(b" ") and (whole or rest != b"\r"):
        raise ProxyRefused("UNKNOWN is followed by neither a space nor CRLF")
    return Header(1)


def _known(line: bytes, *, whole: bool) -> Header:
    """The header, of a whole line; of another, nothing that counts."""
    words = line.split(b" ")
    if len(words) > _WORDS or (whole and len(words) < _WORDS):
        raise ProxyRefused("a line of version 1 has another number of words")
    family, *rest = words
    if not rest:
        if not any(name.startswith(family) for name in (*_FAMILIES, _UNKNOWN)):
            raise ProxyRefused(_OTHER_FAMILY)
        return _NOT_YET
    if family not in _FAMILIES:
        raise ProxyRefused(_OTHER_FAMILY)
    begins, address = _FAMILIES[family]
    ended = rest if whole else rest[:-1]
    hosts = [address(word) for word in ended[:_HOSTS]]
    ports = [_port(word) for word in ended[_HOSTS:]]
    if whole:
        ends = [Inet(*each) for each in zip(hosts, ports, strict=True)]
        return Header(1, transport=Transport.STREAM, source=ends[0], destination=ends[1])
    # A CR may be the beginning of the line's end where the line may end.
    last = rest[-1].removesuffix(b"\r") if len(words) == _WORDS else rest[-1]
    if not (begins if len(ended) < _HOSTS else _BEGUN_PORT).fullmatch(last):
        raise ProxyRefused("an address or port of version 1 has a wrong character or is too long")
    return _NOT_YET


_NOT_YET = Header(1)


def _ipv4(word: bytes) -> str:
    try:
        return str(IPv4Address(word.decode("ascii")))
    except ValueError:
        raise ProxyRefused("an address of version 1 is no IPv4 address") from None


def _ipv6(word: bytes) -> str:
    try:
        if _BEGUN_IPV6.fullmatch(word):
            return host_of(IPv6Address(word.decode("ascii")))
    except ValueError:
        pass
    raise ProxyRefused("an address of version 1 is no IPv6 address")


def host_of(address: IPv6Address) -> str:
    """The text of an address; Python's own writes mapped addresses differently from release to release."""
    mapped = address.ipv4_mapped
    return str(address) if mapped is None else f"::ffff:{mapped}"


def _port(word: bytes) -> int:
    if not word or not _BEGUN_PORT.fullmatch(word) or int(word) > _HIGHEST_PORT:
        raise ProxyRefused("a port of version 1 is no number from 0 to 65535 in its shortest form")
    return int(word)


_FAMILIES: dict[bytes, tuple[re.Pattern[bytes], Callable[[bytes], str]]] = {
    b"TCP4": (_BEGUN_IPV4, _ipv4),
    b"TCP6": (_BEGUN_IPV6, _ipv6),
}


def write(source: Inet | None = None, destination: Inet | None = None) -> bytes:
    """The line for a connection from ``source`` to ``destination``; for an unknown one, without them.

    Raises:
        ProxyMisused: one of them is missing, or no address and port, or they are of two families.
    """
    if source is None and destination is None:
        return SIGNATURE + _UNKNOWN + _END
    if source is None or destination is None:
        raise ProxyMisused("a header names both ends or none")
    family = "TCP6" if ":" in source.host else "TCP4"
    line = f"PROXY {family} {source.host} {destination.host} {source.port} {destination.port}\r\n"
    try:
        done = read(line.encode("ascii"))
    except (ProxyRefused, ValueError) as why:
        raise ProxyMisused(f"no header of version 1 has {source} and {destination}: {why}") from None
    if done is None or done[1] != len(line):
        raise ProxyMisused(f"no header of version 1 has {source} and {destination}")
    return line.encode("ascii")
