"""The client endpoint through a proxy: SOCKS 4, 4a, 5, or HTTP CONNECT, around any client endpoint that leads to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import idna
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IReactorTime, IStreamClientEndpoint
from zope.interface import implementer

from netguard import units
from netguard.clients.tunnel import Attempt
from netguard.proxy_url import Credentials, ProxyURL
from netguard.wire.http_connect import HttpConnect
from netguard.wire.socks4 import Socks4
from netguard.wire.socks5 import Socks5
from netguard.wire.tunnel import Host, Negotiation, Unsendable, target

WITHIN = 30.0
"""Seconds for connecting to the proxy and negotiating with it."""


Make = Callable[[Host, int, Credentials | None], Negotiation]


def _socks4(host: Host, port: int, who: Credentials | None) -> Negotiation:
    return Socks4(host, port, _user(who), names=False)


def _socks4a(host: Host, port: int, who: Credentials | None) -> Negotiation:
    return Socks4(host, port, _user(who))


def _user(who: Credentials | None) -> bytes:
    if who is not None and who.secret:
        raise Unsendable("SOCKS 4 has no secrets, only user names; version 5 has both")
    return who.encoded()[0] if who is not None else b""


def _socks5(host: Host, port: int, who: Credentials | None) -> Negotiation:
    return Socks5(host, port, who.encoded() if who is not None else None)


def _http(host: Host, port: int, who: Credentials | None) -> Negotiation:
    return HttpConnect(host, port, who.encoded() if who is not None else None)


VERSIONS: Mapping[str, Make] = {"4": _socks4, "4a": _socks4a, "5": _socks5, "http": _http}
"""The kinds of proxies, by what `version` may be."""


def encoded(host: str) -> str:
    """A host as a proxy can be told it: international names in their ASCII form (IDNA 2008).

    Raises:
        Unsendable: it is no name.
    """
    if host.isascii():
        return host
    try:
        return idna.encode(host, uts46=True).decode("ascii")
    except idna.IDNAError:
        raise Unsendable(f"{host[:60]!r} is no international domain name") from None


def _way(reactor: Any, host: str, port: int) -> IStreamClientEndpoint:
    """The way to a proxy over TCP; an address needs no look-up, which would take a thread."""
    for kind, known in ((TCP4ClientEndpoint, isIPAddress), (TCP6ClientEndpoint, isIPv6Address)):
        if known(host):
            way: IStreamClientEndpoint = kind(reactor, host, port)
            return way
    return HostnameEndpoint(reactor, host, port)


def through(reactor: Any, proxy: ProxyURL, within: float | str = WITHIN) -> Callable[[str, int], SOCKSEndpoint]:
    """Makes endpoints through one proxy, from a host and a port: what netguard's other clients take as ``connect``.

    Args:
        reactor: connects to the proxy, and tells the time.
        proxy: what its URL says.
        within: seconds, or a duration as text, for each connection.
    """
    return lambda host, port: SOCKSEndpoint.from_proxy(reactor, proxy, host, port, within)


@implementer(IStreamClientEndpoint)
class SOCKSEndpoint:
    """Connects to a host through a proxy, which resolves the host's name.

    The application's transport is the connection to the proxy: its peer is the proxy. TLS to the host itself is put
    inside by ``twisted.internet.endpoints.wrapClientTLS`` around this endpoint.

    Args:
        proxy_endpoint: a client endpoint that leads to the proxy: over TCP, TLS, a UNIX socket, or another proxy.
        host: whom to connect to: a name, international ones too, or an address.
        port: a number, or a service by name.
        version: 5, 4, ``4a`` or ``http``.
        credentials: who we are, for proxies that want to know. SOCKS 4 knows only a user. With ``http`` they go to the
            proxy unasked, with 5 only if it asks; in clear, unless the way to the proxy is TLS.
        within: seconds (or a duration as text) for connecting to the proxy and negotiating with it, together.
        reactor: the clock; the global reactor unless given.

    Raises:
        Unsendable: the proxy cannot be told this host, port or credentials.
        ValueError: there is no such version, service or duration.
    """

    def __init__(
        self,
        proxy_endpoint: IStreamClientEndpoint,
        host: str,
        port: int | str,
        version: int | str = 5,
        credentials: Credentials | None = None,
        within: float | str = WITHIN,
        *,
        reactor: IReactorTime | None = None,
    ) -> None:
        self.proxy = proxy_endpoint
        self.where = target(encoded(host), units.port(port))
        self.within: float = units.duration(within)
        self.version = str(version)
        if self.version not in VERSIONS:
            raise ValueError(f"{self.version[:60]!r} is not a kind of proxy: {', '.join(VERSIONS)}")
        self._credentials = credentials
        self._reactor = reactor
        self._prepared: Negotiation | None = self._prepare()  # what cannot be said is told now

    def __repr__(self) -> str:
        """Where it leads, and by which way; no credentials."""
        host, port = self.where
        return f"<SOCKSEndpoint {host} {port} version={self.version} through {self.proxy!r}>"

    @classmethod
    def from_url(
        cls, reactor: Any, url: str, host: str, port: int | str, within: float | str = WITHIN
    ) -> SOCKSEndpoint:
        """An endpoint through the proxy that a URL names, as in ``ALL_PROXY``.

        Args:
            reactor: connects to the proxy, and tells the time.
            url: ``socks5h://user:secret@proxy.example:1080``. The schemes are ``socks4``, ``socks4a``, ``socks5``,
                ``socks5h`` (the same: the proxy always resolves), and ``http``.
            host: whom to connect to.
            port: a number, or a service by name.
            within: seconds, or a duration as text.

        Raises:
            Unsendable: as above.
            ValueError: the URL names no proxy. Its text is not repeated: it may have a secret in it.
        """
        return cls.from_proxy(reactor, ProxyURL.parse(url), host, port, within)

    @classmethod
    def from_proxy(
        cls, reactor: Any, proxy: ProxyURL, host: str, port: int | str, within: float | str = WITHIN
    ) -> SOCKSEndpoint:
        """The same for a URL that has been read already."""
        way = _way(reactor, proxy.host, proxy.port)
        return cls(way, host, port, proxy.version, proxy.credentials, within, reactor=reactor)

    def clock(self) -> IReactorTime:
        """Tells the time."""
        if self._reactor is None:
            from twisted.internet import reactor

            self._reactor = IReactorTime(reactor)
        return self._reactor

    def negotiation(self) -> Negotiation:
        """A new negotiation; the first is the one that was made to see whether there can be any."""
        prepared, self._prepared = self._prepared, None
        return self._prepare() if prepared is None else prepared

    def _prepare(self) -> Negotiation:
        return VERSIONS[self.version](*self.where, self._credentials)

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect.

        Args:
            protocolFactory: the application's; its protocol is built when the tunnel is there.

        Returns:
            The application's protocol, connected. Or the failure of the endpoint to the proxy; a child of
            :class:`netguard.wire.tunnel.ProxyError` that says why the proxy did not connect us, ``ProxyTimeout`` among
            them. Cancelling it closes everything.
        """
        return Attempt(self, protocolFactory).begin()
