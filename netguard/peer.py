"""Who is at the other end, as far as it is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attrs import define, field, frozen
from twisted.internet.address import IPv4Address, IPv6Address

from netguard.packed import Packed, packed, peer_key

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress

    from netguard.units import Prefix


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
        seen: the address that the socket says, where another one counts.
    """

    seen: IAddress | None = None
    claimed: IAddress | None = None
    destination: IAddress | None = None
    claims: Mapping[str, object] = field(factory=dict)
    name: object = None
    ident: object = None
    privileged: bool = False
    notes: Mapping[str, object] = field(factory=dict)

    def peer(self, here: IAddress | None) -> Peer:
        """The same as a value.

        Args:
            here: the address that counts.
        """
        return Peer(here if self.claimed is None else self.seen, self.claimed, self.claims, self.name, self.ident)


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


class Addressed:
    """Whoever has an address that limits and rules go by.

    Attributes:
        host: the address as text without its port; None for peers without one.
        port: its port.
        packed: the host in the form in which it is looked up; see :mod:`netguard.packed`.
        known_by: the prefix for which it was last asked by what it is counted; the answer is ``known_as``.
    """

    __slots__ = ("host", "known_as", "known_by", "packed", "port")

    host: str | None
    port: int
    packed: Packed
    known_by: Prefix | None
    known_as: Packed

    def be(self, host: str | None, port: int) -> None:
        """Have this address."""
        self.host = unmapped(host) if host is not None and host[:1] == ":" else host
        self.port = port
        self.packed = None if host is None else packed(host) or host
        self.known_by = self.known_as = None

    def be_as(self, other: Addressed) -> None:
        """Have the same address as another."""
        self.host, self.port, self.packed = other.host, other.port, other.packed
        self.known_by, self.known_as = other.known_by, other.known_as

    def key(self, prefix: Prefix) -> Packed:
        """By what the peer is counted."""
        if prefix is not self.known_by:
            self.known_by, self.known_as = prefix, peer_key(self.packed, prefix)
        return self.known_as


class Caller(Addressed):
    """A peer for which nothing has been made yet; see :class:`netguard.verbs.Newcomer`.

    Args:
        host: its address, as its socket has it.
        port: its port.
        now: the present moment.

    Attributes:
        rest: what is left to do with its connection, once that is there (:class:`netguard.opening.Rest`).
    """

    __slots__ = ("now", "rest")

    rest: Any

    def __init__(self, host: str, port: int, now: float) -> None:
        self.be(host, port)
        self.now = now

    @property
    def address(self) -> IPv4Address | IPv6Address:
        """The address that counts for this peer."""
        return address_of(str(self.host), self.port)
