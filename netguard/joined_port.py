"""Several listening sockets of one address that one process serves: what several workers of another one had.

The kernel spreads newcomers over all sockets of an address, and whoever waits in the queue of one is reset when its
last holder closes it. So all of them stay open, and are served, for as long as the port is.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IListeningPort
from zope.interface import implementer


@implementer(IListeningPort)
class JoinedPort:
    """Ports that are one.

    Args:
        ports: each has a socket of its own, all of them the same address and factory.
    """

    def __init__(self, ports: Sequence[Any]) -> None:
        self.ports = list(ports)

    @property
    def sockets(self) -> list[socket.socket]:
        """All of them, in their order."""
        return [each.socket for each in self.ports]

    @property
    def _shouldShutdown(self) -> bool:
        return bool(self.ports[0]._shouldShutdown)  # noqa: SLF001 - Twisted's

    @_shouldShutdown.setter
    def _shouldShutdown(self, alone: bool) -> None:
        for each in self.ports:
            each._shouldShutdown = alone  # noqa: SLF001 - Twisted's

    def __getattr__(self, name: str) -> Any:
        """Whatever is the same for all, the first says."""
        if name.startswith("__") or name == "ports":
            raise AttributeError(name)
        return getattr(self.ports[0], name)

    def startListening(self) -> None:
        """They listen from the beginning."""

    def stopListening(self) -> Deferred[Any]:
        """Close all."""
        return gatherResults([each.stopListening() for each in self.ports])

    def startReading(self) -> None:
        """Accept from all."""
        for each in self.ports:
            each.startReading()

    def stopReading(self) -> None:
        """Accept from none."""
        for each in self.ports:
            each.stopReading()

    def getHost(self) -> Any:
        """Where they are."""
        return self.ports[0].getHost()


def ports_of(port: Any) -> list[Any]:
    """The ports that a port is made of: one, where it is no joined one.

    Args:
        port: what ``listenTCP`` or its like has answered.
    """
    return port.ports if isinstance(port, JoinedPort) else [port]


def adopt(adopt_one: Callable[..., Any], descriptors: Sequence[int], family: int, factory: Any, backlog: int) -> Any:
    """Listen on sockets of one address.

    Args:
        adopt_one: a reactor's ``adoptStreamPort``.
        descriptors: theirs; they are closed here, since the reactor makes copies.
        family: of the address.
        factory: what is served there.
        backlog: how many may wait at each of them.

    Returns:
        The port.
    """
    made = []
    try:
        for each in descriptors:
            os.set_blocking(each, False)
            made.append(adopt_one(each, family, factory))
            made[-1].backlog = backlog
    finally:
        for each in descriptors:
            os.close(each)
    return made[0] if len(made) == 1 else JoinedPort(made)
