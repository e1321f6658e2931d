"""Applications that say what happened to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer


class Application(Protocol):
    """Takes what comes, and remembers it.

    Attributes:
        received: the bytes that came.
        reason: why the connection was lost; None while it lives.
        calls: every call of its transport, in order: a name, and what came with it.
        reactions: what to do in such a call, once, by its name.
    """

    def __init__(self) -> None:
        self.received = bytearray()
        self.reason: BaseException | None = None
        self.calls: list[tuple[Any, ...]] = []
        self.reactions: dict[str, Callable[[], object]] = {}

    def _called(self, name: str, *about: Any) -> None:
        self.calls.append((name, *about))
        self.reactions.pop(name, lambda: None)()

    def connectionMade(self) -> None:
        """The connection is there."""
        self._called("made")

    def dataReceived(self, data: bytes) -> None:
        """Bytes came."""
        self.received += data
        self._called("data", data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is over."""
        self.reason = reason.value
        self._called("lost", type(reason.value))


class Echo(Application):
    """Answers with what came."""

    def dataReceived(self, data: bytes) -> None:
        """Answer."""
        super().dataReceived(data)
        self.transport.write(data)  # type: ignore[union-attr]


@implementer(IHalfCloseableProtocol)
class HalfCloseable(Application):
    """Goes on when one direction is closed."""

    def readConnectionLost(self) -> None:
        """The peer will send no more."""
        self._called("read lost")

    def writeConnectionLost(self) -> None:
        """The peer will take no more."""
        self._called("write lost")
