"""A port of the parent's: nobody is accepted here, but the sockets stay open."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IListeningPort
from zope.interface import implementer

Asked = tuple[str, int]
"""Where somebody wanted to listen: the interface and the number, as they were written."""


@implementer(IListeningPort)
class SharedPort:
    """Stands for the ports of all workers at one address.

    Args:
        asked: where it was to be.
        sockets: one for each worker, or more, where another instance had more.
        factory: what is served there.
        native: whether the workers' reactor lets our own transport carry connections.
        alone: whether nobody but the workers has the sockets.

    Attributes:
        alone: the same, as it is now.
        connected: whether it listens.
        sockets: the sockets that are still open here.
    """

    _shouldShutdown = False  # they are others', too: to shut one down would do it to them all

    def __init__(
        self, asked: Asked, sockets: Sequence[socket.socket], factory: Any, *, native: bool, alone: bool = True
    ) -> None:
        self.asked = asked
        self.sockets = list(sockets)
        self.factory = factory
        self.native = native
        self.alone = alone
        self.connected = True
        self._host = self.sockets[0].getsockname()
        self.family = self.sockets[0].family

    @property
    def socket(self) -> socket.socket:
        """The first of them."""
        return self.sockets[0]

    def possess(self) -> None:
        """Whoever had the sockets, too, has left."""
        self.alone = True

    def of(self, worker: int, workers: int) -> tuple[int, ...]:
        """The descriptors of one worker's sockets: its own, and its part of those that are one too many.

        Args:
            worker: which, from 0.
            workers: how many there are.
        """
        return tuple(each.fileno() for each in self.sockets[worker::workers])

    def fileno(self) -> int:
        """That of the first."""
        return self.sockets[0].fileno() if self.sockets else -1

    def startListening(self) -> None:
        """It listens from the beginning."""

    def stopListening(self) -> Deferred[None]:
        """Close them here; each stays open where it is served."""
        self.connected = False
        while self.sockets:
            self.sockets.pop().close()
        return succeed(None)

    def startReading(self) -> None:
        """The workers accept."""

    def stopReading(self) -> None:
        """The workers do."""

    def getHost(self) -> IPv4Address | IPv6Address:
        """Where it is."""
        kind = IPv6Address if self.family == socket.AF_INET6 else IPv4Address
        return kind("TCP", *self._host[:2])
