"""What both ends of a pair do alike: pass on bytes, pauses and ends.

* What one peer sends is written to the other; a peer that does not take it holds the one that sends it, so that a pair
  never keeps more than what its transports hold: 64 KiB and one read (64 KiB, with TLS 256), each way, or what is in a
  pipe (1 MiB, for 16 at a time; :mod:`netguard.relay.pump`).
* A peer that has sent everything (FIN) ends one direction only. Both are closed when both have.
* What ends unclean on one side ends unclean on the other, by a reset, but only when the other has taken all that was
  there for it: who sends an answer and then resets has sent an answer.
* Inside TLS there is no half-close that is safe to forward as an end: ``close_notify`` is sent, and what still comes
  before the peer's own is passed on.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IHandshakeListener, IPushProducer, ISSLTransport
from twisted.internet.protocol import Protocol
from zope.interface import implementer

from netguard.relay.pump import Pump, pump

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from netguard.relay.pipes import Pipes
    from netguard.relay.stalls import Stalls


@implementer(IHalfCloseableProtocol, IHandshakeListener, IPushProducer)
class Side(Protocol):
    """One end of a pair; towards the other end, it is what produces.

    Args:
        stalls: watches what waits for it when nobody else does.

    Attributes:
        other: the other end; None while there is none, or no more.
        finished: whether its peer has sent everything.
        fed: whether the other end is what produces for its transport.
        outflow: moves what its peer sends to the other end; None where the transports do it.
        inflow: moves what the other end's peer sends to it.
    """

    other: Side | None = None
    outflow: Pump | None = None
    inflow: Pump | None = None
    finished = fed = False
    transport: Any

    def __init__(self, stalls: Stalls) -> None:
        self.stalls = stalls

    def connectionMade(self) -> None:
        """There is a connection: nothing of what passes is to wait for an acknowledgement of what went before."""
        if not hasattr(self.transport, "promptly"):  # such a transport knows that
            with suppress(AttributeError, OSError):  # of UNIX sockets, and of whatever a foreign endpoint has
                self.transport.setTcpNoDelay(True)

    def join(self, other: Side, pipes: Pipes) -> None:
        """Be one end of a pair; the other one is to do the same.

        Args:
            other: the other end.
            pipes: where pipes are to be had.
        """
        self.other = other
        self.outflow = other.inflow = pump(self, other, pipes)
        if self.outflow is None:
            self.carry()
        else:
            self.dataReceived = self._carried  # type: ignore[method-assign]
        most = getattr(other.transport, "most", 0)
        if most > getattr(self.transport, "most", most):
            self.transport.most = most  # what goes into TLS is to go by few calls, as what comes out of it does

    def carry(self) -> None:
        """From here on, what is read here may go through the transports, and the other one may hold us for it."""
        other = self.other
        if other is None or other.fed:
            return
        other.fed = True
        other.transport.registerProducer(self, True)
        # What is read here is written there, with nothing in between; it leaves at once, if the transport can do that.
        write, promptly = other.transport.write, getattr(other.transport, "promptly", None)
        self.dataReceived = write if promptly is None else partial(promptly, write)  # type: ignore[method-assign]

    def _carried(self, data: bytes) -> None:
        self.carry()
        self.dataReceived(data)

    # as a producer of what the other end is written

    def pauseProducing(self) -> None:
        """The other end's peer takes no more for now."""
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:
        """It does again."""
        if not self.finished:
            self.transport.resumeProducing()

    def stopProducing(self) -> None:
        """The other end is gone, as it will say by itself."""

    # the ends

    def readConnectionLost(self) -> None:
        """Our peer has sent everything."""
        if not self.finished:
            self.finished = True
            if self.other is not None:
                self.other.conclude()

    def writeConnectionLost(self) -> None:
        """Our peer has been told that nothing more comes."""

    def conclude(self) -> None:
        """Nothing more will be written to this end: tell its peer, behind all that was; leave, if that was the last."""
        if self.fed:
            self._starve()
        if self.finished and self.other is not None:
            self.other.leave()
            if self.connected:  # the other's end may have been ours, too
                self.leave()
        elif ISSLTransport.providedBy(self.transport):
            self.transport.loseConnection()
        else:
            self.transport.loseWriteConnection()

    def _starve(self) -> None:
        """Nobody produces for this end any more."""
        self.fed = False
        self.transport.unregisterProducer()

    def leave(self) -> None:
        """Close once all has been written; that may be now."""
        if self.connected:
            leave = getattr(self.transport, "leave", None)  # which closes at once, if it can
            if leave is None:
                self.transport.loseConnection()
            else:
                leave()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]  # Twisted has a default here
        """Our connection is over, and so will be the other one."""
        self.connected = 0
        if self.stalls.watches:
            self.stalls.forget(self.transport)
        other, self.other = self.other, None
        self._hear_no_more()
        if self.inflow is not None:
            self.inflow.drop()
            self.inflow = None
        if other is not None:
            other.bereave(broken=not isinstance(reason.value, ConnectionDone))

    def bereave(self, *, broken: bool) -> None:
        """The other end is gone.

        Args:
            broken: whether it ended by anything but an orderly close.
        """
        self.other = None
        self._hear_no_more()
        if self.fed:
            self._starve()
        if broken:
            self.transport.pauseProducing()
            self.stalls.watch(self.transport, stuck=self._abort, taken=self._abort)
        else:
            self.leave()

    def _hear_no_more(self) -> None:
        """What our peer still sends is for nobody."""
        self.__dict__.pop("dataReceived", None)
        if self.outflow is not None:
            self.outflow.stop()
            self.outflow = None

    def _abort(self, _: float) -> None:
        self.transport.abortConnection()

    def handshakeCompleted(self) -> None:
        """The TLS handshake is over."""
