"""Ports on which the guards come before TLS: a PROXY header stands in front of the handshake.

Twisted's ways to listen with TLS put it around the factory, so that nothing inside ever sees what came before. A port
that was opened through :class:`BeforeTls` belongs to the guarded factory itself, which begins TLS on the connections
that its guards have let in.
"""

from __future__ import annotations

import copy
from typing import Any

from twisted.protocols.tls import TLSMemoryBIOFactory

from netguard.factory import GuardedFactory

_LAYERS = 8
"""How many endpoints may lie on one another."""


class BeforeTls:
    """A reactor whose ports begin TLS when the guards have decided.

    Args:
        reactor: the real one, which does everything else.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def listenSSL(self, port: int, factory: Any, contextFactory: Any, backlog: int = 50, interface: str = "") -> Any:
        """Listen by TCP; TLS is the guarded factory's to begin."""
        return self.listenTCP(port, TLSMemoryBIOFactory(contextFactory, False, factory), backlog, interface)

    def listenTCP(self, port: int, factory: Any, *args: Any, **kwargs: Any) -> Any:
        """Listen by TCP."""
        return self._reactor.listenTCP(port, _taken_out(factory), *args, **kwargs)

    def listenUNIX(self, address: Any, factory: Any, *args: Any, **kwargs: Any) -> Any:
        """Listen on a UNIX socket."""
        return self._reactor.listenUNIX(address, _taken_out(factory), *args, **kwargs)

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: int, factory: Any) -> Any:
        """Listen on a socket that somebody else has opened."""
        return self._reactor.adoptStreamPort(fileDescriptor, addressFamily, _taken_out(factory))

    def __getattr__(self, name: str) -> Any:
        """Everything else is the reactor's own."""
        return getattr(self._reactor, name)


def _taken_out(factory: Any) -> Any:
    """The guarded factory out of the TLS around it, which it will begin by itself; any other factory as it is."""
    guarded = getattr(factory, "wrappedFactory", None)
    if not (isinstance(factory, TLSMemoryBIOFactory) and isinstance(guarded, GuardedFactory)):
        return factory
    guarded.begin_tls_by(factory)
    return guarded


def listening_before_tls(endpoint: Any) -> Any:
    """An endpoint that does the same, but whose ports begin TLS when the guards have decided.

    Args:
        endpoint: one of Twisted's server endpoints. Another author's is answered as it is: nobody knows what it does.
    """
    return _through(endpoint, _LAYERS)


def _through(endpoint: Any, layers: int) -> Any:
    about = getattr(endpoint, "__dict__", {})
    inner = {name: about[name] for name in ("endpoint", "_wrappedEndpoint") if name in about and layers}
    changes = {name: _through(each, layers - 1) for name, each in inner.items()}
    if not changes:
        changes = {name: BeforeTls(about[name]) for name in ("reactor", "_reactor") if name in about}
    if not changes:
        return endpoint
    same = copy.copy(endpoint)
    vars(same).update(changes)
    return same
