"""Who is behind a proxy, as the proxy says it; and nobody else is believed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

from attrs import field
from attrs import frozen as value
from twisted.internet.address import UNIXAddress
from twisted.internet.interfaces import IAddress

from netguard.errors import ProxyHeaderMalformed, ProxyHeaderMissing, ProxyHeaderUnexpected
from netguard.guard import LATER, Connection, Gate, Guard, Heard, House, Later, Newcomer, Reader, Stages, frozen
from netguard.networks import Networks, Telling, networks
from netguard.options import option
from netguard.peer import address_of
from netguard.wire.proxy_header import Address, ProxyRefused
from netguard.wire.proxy_protocol import HeaderReader, is_header

UNIX = "unix"
WITHIN, WITHIN_OBSERVED = 60.0, 3.0
"""Seconds for a header, should ``handshake`` allow that many; and how long one is waited for where only observed: the
specification says three at least, and who is let in without a header must not wait for long."""


def _words(sources: Any) -> Iterator[Any]:
    if isinstance(sources, str):
        yield from (each.strip() for each in sources.split(","))
    elif isinstance(sources, Iterable) and not isinstance(sources, Networks | bytes | bytearray):
        for each in sources:
            yield from _words(each)
    else:
        yield sources


@value
class Proxies:
    """Who is to send PROXY headers.

    Args:
        networks: of proxies that connect by TCP.
        unix: whether those that connect by a UNIX socket do, too.
    """

    networks: Networks = field(factory=Networks)
    unix: bool = False

    @classmethod
    def read(cls, sources: Any) -> Proxies:
        """Networks as :class:`netguard.networks.Networks` has them, and the word ``unix``; one of either at least.

        Raises:
            ValueError: something else is among them, or nothing is.
        """
        if isinstance(sources, Proxies):
            return sources
        words = list(_words(sources))
        others = [each for each in words if each != UNIX]
        return cls(networks(others) if others or not words else Networks(), UNIX in words)

    def __str__(self) -> str:
        """Write them as an operator would."""
        return ",".join([*([UNIX] if self.unix else []), *([str(self.networks)] if self.networks else [])])

    def contain(self, newcomer: Newcomer) -> bool:
        """Whether the socket of a connection is one of theirs."""
        if newcomer.packed is None:
            return self.unix and isinstance(newcomer.address, UNIXAddress)
        return self.networks.contains(newcomer.packed)


proxies = Telling("proxies", "networks such as 10.0.0.0/8,2001:db8::/32, or unix", Proxies.read, str, many=True)


@frozen
class ProxyProtocol(Guard):
    """Believe a PROXY protocol header of those who must send one, and end the connections of others that do.

    Trust is decided on the address of the socket. The header of a listed source names the peer for every later guard,
    for the application and for the log; without one, or with a malformed one, the connection is refused. One that
    speaks for nobody (LOCAL, UNKNOWN) leaves the socket's address in force. What follows the header is the
    application's, be it another header. In observe mode headers are read and believed, and nobody is refused.

    Args:
        sources: the networks of the proxies, and ``unix`` for whoever connects by a UNIX socket.
    """

    sources: Proxies = option(
        "proxy-from",
        proxies,
        "Networks (or unix) from which each connection must begin with a PROXY protocol header; others must not.",
    )

    before_tls: ClassVar[bool] = True

    def install(self, house: House) -> Stages:
        """Ask the socket: what the later guards ask about is what the header says."""
        return Stages(socket=Gate(self.is_listed, self.watch, self.hear))

    def is_listed(self, newcomer: Newcomer) -> Later | None:
        """Those who must send a header are heard before anything else is decided about them."""
        return LATER if self.sources.contain(newcomer) else None

    def hear(self, connection: Connection) -> Reader:
        """Hear the header."""
        return _Listed(connection, WITHIN_OBSERVED if self.observe else WITHIN)

    def watch(self, connection: Connection) -> Reader | None:
        """Look out for a header that must not come."""
        if connection.awaits_tls:
            return _Unlisted(connection)
        connection.tap(self.look)
        return None

    def look(self, connection: Connection, data: bytes) -> None:
        """Look at the first bytes; what may yet become a header is looked at further."""
        connection.untap(self.look)
        if is_header(data) is not False:
            watch = _Unlisted(connection)
            connection.tap(watch.look)
            watch.look(connection, data)


class _Listed:
    """Reads the header of a source that must send one.

    Args:
        connection: whose it is.
        within: seconds for it.
    """

    def __init__(self, connection: Connection, within: float) -> None:
        self.connection = connection
        self.within = within
        self.reader = HeaderReader()

    def receive(self, data: bytes) -> Heard | None:
        """Hear some bytes; none, when there is no more time."""
        if not data:
            self.connection.refuse(ProxyHeaderMissing(self.within, self.connection.age))
            return Heard(self.reader.begun)
        try:
            found = self.reader.receive(data)
        except ProxyRefused as why:
            self.connection.refuse(ProxyHeaderMissing() if why.missing else ProxyHeaderMalformed(None, why.problem))
            return Heard(self.reader.begun)
        if found is None:
            return None
        header, rest = found
        told = header.peer is not None
        destination = _address(header.destination) if told else None
        return Heard(rest, _address(header.peer), destination, header.claims.mapping())


class _Unlisted:
    """Looks at the first bytes of a source that must not send a header.

    Nobody is delayed for it: what may yet become a header is the application's at once, and before TLS the peer speaks
    first in any case.

    Args:
        connection: whose they are.
    """

    __slots__ = ("begun", "connection")

    last: ClassVar[bool] = True
    """Whoever it is, it is counted before it says anything."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.begun = b""

    def receive(self, data: bytes) -> Heard | None:
        """Hear the first bytes of TLS."""
        told = self._is_header(data)
        return Heard(self.begun) if told is not None or not data else None

    def look(self, connection: Connection, data: bytes) -> None:
        """Look at what the application gets."""
        if self._is_header(data) is not None:
            self.begun = b""
            connection.untap(self.look)

    def _is_header(self, data: bytes) -> bool | None:
        self.begun = data if not self.begun else self.begun + data
        told = is_header(self.begun)
        if told:
            self.connection.cut(ProxyHeaderUnexpected())
        return told


def _address(address: Address | None) -> IAddress | None:
    if address is None:
        return None
    return UNIXAddress(address or None) if isinstance(address, bytes) else address_of(address.host, address.port)
