"""What a backend is told first: the PROXY protocol's header, which says who the client is; before TLS, if there is TLS.

https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet import endpoints
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IProtocol, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from zope.interface import implementer

from netguard.peer import unmapped
from netguard.wire import proxy_v1, proxy_v2
from netguard.wire.proxy_header import Inet, ProxyMisused

_LAYERS = 8
"""How many factories, or endpoints, may lie on one another."""

_WRITERS: Mapping[str, Callable[..., bytes]] = {"v1": proxy_v1.write, "v2": proxy_v2.write}
VERSIONS = tuple(_WRITERS)

_OURS: Mapping[str, bytes] = {"v1": proxy_v1.write(), "v2": proxy_v2.write(local=True)}
"""What is said of a connection that is nobody's but our own, such as a check."""


def header(version: str | None, transport: Any) -> bytes:
    """The header for a client's connection.

    Args:
        version: ``v1`` or ``v2``; None for no header.
        transport: the client's. Where a header of its own has come before, what that said is passed on.
    """
    if version is None:
        return b""
    try:
        return _WRITERS[version](_inet(transport.getPeer()), _inet(transport.getHost()))
    except ProxyMisused:  # UNIX sockets, say, or two families
        return _WRITERS[version]()


def of_a_check(version: str | None) -> bytes:
    """The header for a connection of our own.

    Args:
        version: ``v1`` or ``v2``; None for no header.
    """
    return b"" if version is None else _OURS[version]


def _inet(address: Any) -> Inet | None:
    host = getattr(address, "host", None)
    if host is None:
        return None
    return Inet(unmapped(host).partition("%")[0], address.port)


@implementer(IStreamClientEndpoint)
class Prefaced:
    """An endpoint on whose connections a preface is written before anything else.

    Args:
        endpoint: the endpoint.
    """

    def __init__(self, endpoint: Any) -> None:
        self.endpoint = endpoint

    def connect(self, protocolFactory: Any) -> Deferred[IProtocol]:
        """Connect.

        Args:
            protocolFactory: a :class:`netguard.relay.back.BackFactory`, or one around it.
        """
        inner = protocolFactory
        for _ in range(_LAYERS):
            if hasattr(inner, "preface"):
                break
            inner = inner.wrappedFactory
        connecting: Deferred[IProtocol] = self.endpoint.connect(_Prefacing(protocolFactory, inner.preface))
        return connecting

    def __repr__(self) -> str:
        """Name the endpoint."""
        return f"<prefaced {self.endpoint!r}>"


class _Prefacing(Factory):
    noisy = False

    def __init__(self, wrapped: Any, preface: bytes) -> None:
        self._wrapped = wrapped
        self._preface = preface
        self.watcher = getattr(wrapped, "watcher", None)

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """The protocol, which lets the preface go first. There is no layer in between that would stay."""
        protocol = self._wrapped.buildProtocol(addr)
        begin = protocol.makeConnection

        def makeConnection(transport: Any) -> None:
            del protocol.makeConnection
            transport.write(self._preface)
            begin(transport)

        protocol.makeConnection = makeConnection
        return protocol


_TLS: Any = endpoints._WrapperEndpoint  # noqa: SLF001 - what wrapClientTLS makes has no public name


def prefaced(endpoint: Any) -> Any:
    """An endpoint that does the same, with the preface before TLS.

    Args:
        endpoint: any client endpoint. TLS may lie on top of it as ``tls:`` and ``wrapClientTLS`` put it there.
    """
    if type(endpoint) is not _TLS:
        return Prefaced(endpoint)
    same = copy.copy(endpoint)
    same._wrappedEndpoint = prefaced(endpoint._wrappedEndpoint)  # noqa: SLF001 - there is no public way in
    return same
