"""The client's end of a pair."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.interfaces import ISSLTransport
from twisted.internet.protocol import Factory
from zope.interface import implementer

from netguard.application import connection_of, cut, note, turn_away
from netguard.drainable import IDrainable
from netguard.errors import BackendStalled, NoBackend
from netguard.outflow import queued
from netguard.process.drain import is_at_rest
from netguard.relay.dial import Dial
from netguard.relay.side import Side

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress
    from twisted.python.failure import Failure

    from netguard.relay.attempt import Attempt
    from netguard.relay.service import Relay

HELD = 16 * 1024
"""Bytes of a client that may come before its backend is there; the read that brings more is the last."""


@implementer(IDrainable)
class Front(Side):
    """What speaks to the client.

    Args:
        relay: finds a backend.
    """

    _dial: Dial | None = None
    _paused = False

    def __init__(self, relay: Relay) -> None:
        super().__init__(relay.stalls)
        self.relay = relay
        self._held: list[bytes] = []
        self._size = 0

    def connectionMade(self) -> None:
        """A client is there; inside TLS, it costs no backend anything before its handshake is over."""
        super().connectionMade()
        if not ISSLTransport.providedBy(self.transport):
            self.handshakeCompleted()

    def handshakeCompleted(self) -> None:
        """Find a backend."""
        if self._dial is None:
            preface, watcher = self.relay.preface(self.transport), getattr(self.transport, "reactor", None)
            self._dial = Dial(self.relay, preface, self._found, self._lost, watcher)
            self._dial.search()

    def dataReceived(self, data: bytes) -> None:
        """Keep what comes before the backend is there."""
        self._held.append(data)
        self._size += len(data)
        if self._size > HELD and not self._paused:
            self._paused = True
            self.transport.pauseProducing()

    def _found(self, attempt: Attempt) -> None:
        back = attempt.back
        note(self.transport, "relayed", backend=attempt.backend.name)
        if self._paused:
            self.transport.resumeProducing()  # before the backend can hold it again
        back.join(self, self.relay.pipes)
        self.join(back, self.relay.pipes)
        if self._held:
            back.transport.write(b"".join(self._held))
            self._held.clear()
        if self.finished:
            back.conclude()

    def _lost(self, tries: int) -> None:
        self._held.clear()
        turn_away(self.transport, NoBackend(observed=tries))

    def pauseProducing(self) -> None:
        """The backend takes no more for now: see to it that it will."""
        super().pauseProducing()
        if self.other is not None:
            self.stalls.watch(self.other.transport, stuck=self._stuck)

    def resumeProducing(self) -> None:
        """It does again."""
        super().resumeProducing()
        if self.other is not None:
            self.stalls.forget(self.other.transport)

    def drain(self) -> None:
        """The service will end: what is under way goes on, until it rests."""

    def depart(self) -> bool:
        """End a pair in which nothing is under way."""
        connection, other = connection_of(self.transport), self.other
        if connection is None or other is None or queued(other.transport):
            return False
        if not is_at_rest(connection, passes_on=True):
            return False
        self.leave()
        return True

    def _stuck(self, waited: float) -> None:
        cut(self.transport, BackendStalled(self.stalls.limit, waited))

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]  # Twisted has a default here
        """The client is gone, whatever was to become of it."""
        super().connectionLost(reason)
        if self._dial is not None:
            self._dial.stop()
            self._dial = None
        self._held.clear()


class RelayFactory(Factory):
    """What a listening port of a relay serves.

    Args:
        relay: the backends. Several ports may have the same.
    """

    noisy = False

    def __init__(self, relay: Relay) -> None:
        self.relay = relay

    def buildProtocol(self, addr: IAddress | None) -> Front:
        """One client."""
        return Front(self.relay)
