"""A protocol that times itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netguard import TimeoutMixin
from twisted.protocols.basic import LineOnlyReceiver

if TYPE_CHECKING:
    from twisted.internet.interfaces import ITransport
    from twisted.python.failure import Failure


class Guestbook(LineOnlyReceiver, TimeoutMixin):
    """Asks for a name, then takes entries."""

    transport: ITransport
    greeting = b"Who are you?"
    name: bytes | None = None
    why: BaseException | None = None

    def connectionMade(self) -> None:
        """Greet, and begin to time."""
        self.startPhase("introduction", "30s")
        self.setReadTimeout("5m")
        self.setWriteTimeout("60s")
        self.transport.write(self.greeting + b"\r\n")

    def lineReceived(self, line: bytes) -> None:
        """A name, or an entry."""
        if self.name is None:
            self.name = line
            self.endPhase("introduction")
        self.transport.write(b"Thank you.\r\n")

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]  # Twisted's has a default
        """Remember why; there is no timer to cancel."""
        self.why = reason.value
