"""A TCP transport for connections of our own that sends at once what it can, instead of asking the kernel first.

It can be told from Twisted's by nothing but the time it takes. It needs TCP_NODELAY, which it sets.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import IReactorFDSet, IStreamClientEndpoint
from zope.interface import implementer

from netguard.native.connecting import Connecting
from netguard.native.prompt import PromptServer

if TYPE_CHECKING:
    from twisted.python.failure import Failure


class PromptClient(PromptServer):
    """One connection of our own, once it is made: like one that was accepted, but that it sends at any moment.

    Args:
        sock: its socket.
        address: the peer's.
        reactor: who tells it what can be read and written.
    """

    _tlsClientDefault = True
    _shouldShutdown = False  # no other process has its socket, so closing it is enough

    def __init__(self, sock: socket.socket, address: tuple[Any, ...], reactor: Any) -> None:
        super().__init__(sock, None, address, None, 0, reactor)

    @property
    def protocol(self) -> Any:
        """Who gets what is read."""
        return self.upper

    @protocol.setter
    def protocol(self, protocol: Any) -> None:
        self.upper = protocol

    def write(self, data: bytes) -> None:
        """Send, and keep for later what the kernel does not take."""
        self.promptly(self.write_soon if type(data) is bytes and not self.TLS else super().write, data)

    def loseWriteConnection(self) -> None:
        """Close our direction, behind all that was written."""
        if self.connected and not (self._tempDataBuffer or self._waits or self._inside or self.TLS):
            self._writeDisconnected = True
            self._closeWriteConnection()
        else:
            super().loseWriteConnection()

    def logPrefix(self) -> str:
        """The application's prefix, as Twisted has it."""
        if not self.logstr:
            self.logstr = f"{self._getLogPrefix(self.upper)},client"
        return self.logstr

    def __repr__(self) -> str:
        """Name the application, and the peer."""
        return f"<{type(self.upper).__name__} to {self.client[0]}:{self.client[1]}>"


@implementer(IStreamClientEndpoint)
class PromptEndpoint:
    """Connects by TCP, to a host that is given by its address or by its name.

    Args:
        reactor: one that watches descriptors.
        host: the host. Its name is looked up each time.
        port: its port.
        within: seconds that a connection may take.
        bind: host and port to connect from; None for any.
    """

    def __init__(self, reactor: Any, host: str, port: int, within: float = 30.0, bind: Any = None) -> None:
        self._reactor = reactor
        self._host = host
        self._port = port
        self._within = within
        self._bind = bind
        self._known = isIPAddress(host) or isIPv6Address(host)

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        """Connect.

        Args:
            protocolFactory: makes the protocol once there is a connection. It may have an attribute ``watcher``: who
                is to watch the connection, the reactor or one of its groups.

        Returns:
            Fires with the protocol, perhaps before this returns.
        """
        if self._known:
            return self._connect(self._host, protocolFactory)
        looking: Deferred[Any] = maybeDeferred(self._reactor.resolve, self._host)
        return looking.addCallback(self._connect, protocolFactory)

    def begin(self, protocolFactory: Any, failed: Callable[[Failure], object]) -> Any:
        """Connect, for somebody to whom the protocol tells that it is connected.

        Args:
            protocolFactory: as above.
            failed: called with why there is no connection, if there is none; perhaps before this returns.

        Returns:
            What has a ``cancel``, which gives up.
        """
        if not self._known:
            return self.connect(protocolFactory).addErrback(failed)
        connecting = self._connecting(protocolFactory, _nothing, failed)
        connecting.begin(self._host, self._port, protocolFactory, self._within, self._bind)
        return connecting

    def _connect(self, address: str, factory: Any) -> Deferred[Any]:
        done: Deferred[Any] = Deferred(lambda _: connecting.cancel())
        connecting = self._connecting(factory, done.callback, done.errback)
        connecting.begin(address, self._port, factory, self._within, self._bind)
        return done

    def _connecting(self, factory: Any, made: Callable[[Any], object], failed: Any) -> Connecting:
        return Connecting(getattr(factory, "watcher", None) or self._reactor, PromptClient, made, failed)

    def __repr__(self) -> str:
        """Name host and port."""
        return f"<{type(self).__name__} to {self._host}:{self._port}>"


def _nothing(_: object) -> None:
    """What is done with a protocol that knows by itself that it is connected."""


def prompt(endpoint: Any) -> Any:
    """An endpoint that does the same by transports that send at once, if it is Twisted's own for TCP.

    Args:
        endpoint: any client endpoint; another one is answered as it is.
    """
    if type(endpoint) is not TCP4ClientEndpoint or not IReactorFDSet.providedBy(endpoint._reactor):  # noqa: SLF001
        return endpoint
    plain: Any = endpoint
    bind = plain._bindAddress  # noqa: SLF001 - there is no public way to ask
    if bind is not None and not isinstance(bind, tuple):
        return endpoint
    return PromptEndpoint(plain._reactor, plain._host, plain._port, plain._timeout, bind)  # noqa: SLF001
