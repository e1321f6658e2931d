"""The address of a peer as one value that is quick to look up: what networks, rules and tables of peers go by."""

from __future__ import annotations

from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from netguard.units import Prefix

Packed = bytes | str | None
"""4 or 16 bytes, as an address stands in a packet's header. A peer whose host is no address, as it may be with
transports that are no sockets, has that text, and one without a host has None."""

_IPV4 = 4
_MAPPED = bytes(10) + b"\xff\xff"
_NOTHING = [bytes(length) for length in range(17)]


def packed(host: str) -> bytes | None:
    """An address as it stands in a packet's header.

    Args:
        host: an address in text form, as sockets give it; a zone (``%eth0``) does not count.

    Returns:
        4 or 16 bytes; IPv4-mapped IPv6 addresses are IPv4 addresses. None for any other text.
    """
    try:
        if ":" not in host:
            return inet_pton(AF_INET, host)
        address = inet_pton(AF_INET6, host.partition("%")[0] if "%" in host else host)
    except (OSError, ValueError):  # no address; not even a possible text
        return None
    return address[12:] if address[:12] == _MAPPED else address


def pack(host: str | None) -> Packed:
    """The same for whatever host a peer may have."""
    return None if host is None else packed(host) or host


def unpacked(address: bytes) -> str:
    """An address as text."""
    return inet_ntop(AF_INET if len(address) == _IPV4 else AF_INET6, address)


def peer_key(address: Packed, prefix: Prefix) -> Packed:
    """By what a peer is counted: its address, of which only a prefix is left.

    Args:
        address: the address. Text that is none is one peer as it is.
        prefix: how many bits make one peer.
    """
    if type(address) is not bytes:
        return address
    size = len(address)
    bits = prefix.ipv4 if size == _IPV4 else prefix.ipv6
    if bits == size << 3:
        return address
    whole, rest = bits >> 3, bits & 7
    if rest:
        partly = bytes((address[whole] & 0xFF00 >> rest & 0xFF,))
        return address[:whole] + partly + _NOTHING[size - whole - 1]
    return address[:whole] + _NOTHING[size - whole]
