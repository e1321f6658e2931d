"""TLS that a guarded factory begins by itself, behind what its guards have read."""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

_log = Logger(namespace="netguard")


@implementer(IOpenSSLServerConnectionCreator)
class Encryption:
    """Makes the TLS of connections, as a port that listens with TLS does.

    Args:
        tls: any context factory of Twisted's, or a TLS factory, of which everything but what it wraps is used.
        factory: the application's factory, which Twisted asks for protocols to negotiate (ALPN).

    Attributes:
        factory: what makes the TLS of connections by this.
    """

    def __init__(self, tls: Any, factory: Any) -> None:
        self._like = tls if isinstance(tls, TLSMemoryBIOFactory) else TLSMemoryBIOFactory(tls, False, factory)
        self.factory = TLSMemoryBIOFactory(self, False, factory)

    def serverConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """Begin the TLS of one connection on a transport of Twisted's."""
        tlsProtocol.factory.wrappedFactory = self.factory.wrappedFactory
        return self.begin(tlsProtocol)

    def begin(self, protocol: Any) -> SSL.Connection:
        """Begin the TLS of one connection.

        Should the context fail, say for its files are broken now, then so does the handshake. An exception would leave
        Twisted's TLS half made, and nobody would ever hear that the connection is over.

        Args:
            protocol: its TLS; its factory has ours for its ``wrappedFactory``.
        """
        try:
            made: SSL.Connection = self._like._creatorCallable(protocol)  # noqa: SLF001 - it takes every kind of context
        except Exception:  # noqa: BLE001 - whatever it is, nobody gets in
            _log.failure("netguard: TLS cannot begin")
            made = SSL.Connection(SSL.Context(SSL.TLS_METHOD), None)  # it has no certificate
            made.set_accept_state()
        return made
