"""Who is at the other end, as far as it is known, and by which address it is counted."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from socket import AF_INET, AF_INET6, inet_pton
from typing import TYPE_CHECKING

from attrs import define, field, frozen
from twisted.internet.address import IPv4Address, IPv6Address

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress

    from netguard.units import Prefix

_IPV4_BITS, _IPV6_BITS = 32, 128
_MAPPED = "::ffff:"
_FIRST_FREE_PORT = 1024

PREFIX_HELP = "How many leading bits of an address make one peer: of IPv4, then of IPv6."


@frozen
class Peer:
    """The provenances of what is known are kept apart.

    Args:
        seen: the address that the socket says.
        claimed: the address that a trusted proxy said for it, or None.
        claims: what else was said, by name; nothing of it has been verified.
        name: the verdict on the peer's name (:mod:`netguard.verdict`), or None where nobody asked.
        ident: what the peer's ident server claims, or why it does not; None where nobody asked.
    """

    seen: IAddress | None
    claimed: IAddress | None = None
    claims: Mapping[str, object] = field(factory=dict, hash=False)
    name: object = None
    ident: object = field(default=None, hash=False)

    @property
    def effective(self) -> IAddress | None:
        """The address that limits and rules go by."""
        return self.seen if self.claimed is None else self.claimed

    @property
    def privileged_port(self) -> bool:
        """Whether the peer's port is one that, on UNIX, needs privileges: which proves nothing."""
        return 0 < getattr(self.effective, "port", 0) < _FIRST_FREE_PORT


@define
class Known:
    """What is known of a peer beyond its socket's address; most connections have no such thing.

    Args:
        seen: the address that the socket says.
    """

    seen: IAddress | None
    claimed: IAddress | None = None
    destination: IAddress | None = None
    claims: Mapping[str, object] = field(factory=dict)
    name: object = None
    ident: object = None
    privileged: bool = False

    def peer(self) -> Peer:
        """The same as a value."""
        return Peer(self.seen, self.claimed, self.claims, self.name, self.ident)


def address_of(host: str, port: int) -> IPv4Address | IPv6Address:
    """The address object of a TCP peer; an IPv4-mapped IPv6 address is an IPv4 address."""
    host = unmapped(host)
    return (IPv6Address if ":" in host else IPv4Address)("TCP", host, port)


def named(address: IAddress | None) -> str | None:
    """The name of a peer of which nothing else is known: one behind a proxy, which has resolved it."""
    name = getattr(address, "hostname", None)
    return name.decode("ascii", "backslashreplace") if isinstance(name, bytes) else None


def unmapped(host: str) -> str:
    """A host with the wrapping of an IPv4-mapped IPv6 address taken off."""
    return host[len(_MAPPED) :] if host.startswith(_MAPPED) and "." in host else host


def peer_key(host: str, prefix: Prefix) -> str | tuple[int, int]:
    """By what a peer is counted: its address, cut to a prefix.

    Args:
        host: an address in text form, as sockets give it; a zone (``%eth0``) does not count. Any other text, which
            transports that are no sockets may have, is one peer as it is.
        prefix: how many bits make one peer.
    """
    if ":" not in host and prefix.ipv4 == _IPV4_BITS:
        return host
    return _key(host, prefix.ipv4, prefix.ipv6)


@lru_cache(maxsize=256)  # guard after guard asks about the same peer
def _key(host: str, ipv4: int, ipv6: int) -> str | tuple[int, int]:
    host = unmapped(host)
    try:
        if ":" in host:
            packed = inet_pton(AF_INET6, host.partition("%")[0])
            return (6, int.from_bytes(packed, "big") >> (_IPV6_BITS - ipv6))
        if ipv4 == _IPV4_BITS:
            return host
        return (4, int.from_bytes(inet_pton(AF_INET, host), "big") >> (_IPV4_BITS - ipv4))
    except OSError:
        return host
