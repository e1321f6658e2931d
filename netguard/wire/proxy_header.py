"""What a PROXY protocol header says, whichever its version, and the two ways in which reading or writing can fail."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple, TypeAlias

from netguard.wire.proxy_tlv import NOTHING, Claims


class ProxyMisused(Exception):
    """Our side used a reader that had answered, or asked for a header that cannot be. Never a peer's doing."""


class ProxyRefused(Exception):
    """What the peer sent is no PROXY protocol header. The text is this project's own, never the peer's.

    Args:
        problem: what is wrong.
        missing: nothing like a header begins there; otherwise a header began and is malformed.
    """

    def __init__(self, problem: str, *, missing: bool = False) -> None:
        super().__init__(problem)
        self.problem = problem
        self.missing = missing


class Inet(NamedTuple):
    """An IPv4 or IPv6 address and its port.

    Attributes:
        host: in the usual text form; an IPv4-mapped IPv6 address ends with its IPv4 address.
        port: 0 to 65535.
    """

    host: str
    port: int


Address: TypeAlias = Inet | bytes
"""An internet address, or the path of a UNIX socket as it came, without its padding."""


class Transport(Enum):
    """What the forwarded connection runs on; the value is its half of version 2's fourteenth byte."""

    UNSPEC = 0
    STREAM = 1
    DGRAM = 2


@dataclass(frozen=True, slots=True)
class Header:
    """One PROXY protocol header.

    Attributes:
        version: 1 or 2.
        local: the proxy connected for itself, say to check our health: it speaks for nobody.
        transport: what the forwarded connection runs on; UNSPEC when that is not told.
        source: who connected to the proxy, or None when that is not told.
        destination: what it connected to, or None.
        claims: what else the proxy says.
    """

    version: int
    local: bool = False
    transport: Transport = Transport.UNSPEC
    source: Address | None = None
    destination: Address | None = None
    claims: Claims = field(default=NOTHING)

    @property
    def peer(self) -> Address | None:
        """Whose connection this is, or None: then it is the one that the socket shows.

        So it is for LOCAL, UNKNOWN and UNSPEC, and for datagrams, since a stream carries none: the specification wants
        a combination that a receiver does not serve to be taken as UNSPEC.
        """
        return self.source if self.transport is Transport.STREAM else None
