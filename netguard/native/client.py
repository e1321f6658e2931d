"""A TCP transport for connections of our own that sends at once what it can, instead of asking the kernel first.

It can be told from Twisted's by nothing but the time it takes. It needs TCP_NODELAY, which it sets.
"""

from __future__ import annotations

import copy
from typing import Any

from twisted.internet import tcp
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.interfaces import IReactorFDSet

_Client: Any = tcp.Client  # half of it is not annotated
_Connector: Any = tcp.Connector


class PromptClient(_Client):  # type: ignore[misc]
    """One connection of our own, made as Twisted's connector makes it."""

    producer: Any
    dataBuffer: bytes
    connected: int

    def _connectDone(self) -> None:
        self.setTcpNoDelay(True)
        super()._connectDone()

    def write(self, data: bytes) -> None:
        """Send, and keep for later what the kernel does not take; whatever is not plain goes Twisted's way."""
        plain = type(data) is bytes and self.connected and not (self.TLS or self.dataBuffer or self._tempDataBuffer)
        waits = self.producer is not None and not self.streamingProducer  # for being told that all was written
        if not plain or waits or self.disconnecting or self._writeDisconnecting or self._aborting or not data:
            super().write(data)
            return
        try:
            sent = self.socket.send(data)
        except OSError:  # doWrite will find what it is, after what can still be read has been
            sent = 0
        if sent < len(data):
            super().write(data[sent:])


class _PromptConnector(_Connector):  # type: ignore[misc]
    def _makeTransport(self) -> PromptClient:
        return PromptClient(self.host, self.port, self.bindAddress, self, self.reactor)


class _Prompting:
    """A reactor whose TCP connections send at once.

    Args:
        reactor: the real one, which does everything else.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def connectTCP(
        self, host: str, port: int, factory: Any, timeout: float = 30, bindAddress: Any = None
    ) -> _PromptConnector:
        """Connect."""
        connector = _PromptConnector(host, port, factory, timeout, bindAddress, self._reactor)
        connector.connect()
        return connector


def prompt(endpoint: Any) -> Any:
    """An endpoint that does the same by transports that send at once, if it is Twisted's own for TCP.

    Args:
        endpoint: any client endpoint; another one is answered as it is.
    """
    if type(endpoint) is not TCP4ClientEndpoint or not IReactorFDSet.providedBy(endpoint._reactor):  # noqa: SLF001
        return endpoint
    same = copy.copy(endpoint)
    same._reactor = _Prompting(endpoint._reactor)  # noqa: SLF001 - there is no public way in
    return same
