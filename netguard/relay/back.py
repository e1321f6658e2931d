"""The backend's end of a pair."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import ISSLTransport
from twisted.internet.protocol import Factory

from netguard.relay.side import Side

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress
    from twisted.python.failure import Failure

    from netguard.relay.stalls import Stalls


class Back(Side):
    """What speaks to the backend, from the moment at which that can hear us.

    Args:
        stalls: watches what waits for it.
        answer: called once: with None when the backend is there, behind its TLS handshake if it has one, or with why
            it never was.
        gone: called when a backend that was there is gone.
    """

    def __init__(
        self, stalls: Stalls, answer: Callable[[Failure | None], object], gone: Callable[[], object] | None = None
    ) -> None:
        super().__init__(stalls)
        self._answer: Callable[[Failure | None], object] | None = answer
        self._gone = gone

    def connectionMade(self) -> None:
        """There is a connection; inside TLS, that proves nothing yet."""
        super().connectionMade()
        # Twisted's endpoints put a wrapper between, which hides that a half-close is wanted to be heard of (it tells of
        # one interface, the last that it finds), and which costs a call for each read.
        if getattr(getattr(self.transport, "protocol", None), "_wrappedProtocol", None) is self:
            self.transport.protocol = self
        if not ISSLTransport.providedBy(self.transport):
            self.handshakeCompleted()

    def forget(self) -> None:
        """Tell nobody anything: it will never have a connection."""
        self._answer = self._gone = None

    def handshakeCompleted(self) -> None:
        """The backend is there."""
        answer, self._answer = self._answer, None
        if answer is not None:
            answer(None)

    def leave(self) -> None:
        """Close once all has been written, and do not wait for ever for a backend that takes it."""
        super().leave()
        if self.connected:
            self.stalls.watch(self.transport, stuck=self._abort)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]  # Twisted has a default here
        """It is over, or has never begun."""
        super().connectionLost(reason)
        answer, self._answer = self._answer, None
        gone, self._gone = self._gone, None
        if answer is not None:
            answer(reason)
        elif gone is not None:
            gone()


class BackFactory(Factory):
    """Makes the one end that a try to reach a backend needs.

    Args:
        back: that end.
        preface: what the backend is told first; see :mod:`netguard.relay.preface`.
        watcher: who is to watch the connection, where its endpoint can be told that: the client's reactor, or group
            (:mod:`netguard.native.group`); None for whoever the endpoint has.
    """

    noisy = False

    def __init__(self, back: Back, preface: bytes = b"", watcher: Any = None) -> None:
        self.back = back
        self.preface = preface
        self.watcher = watcher

    def buildProtocol(self, addr: IAddress | None) -> Back:
        """The end."""
        return self.back
