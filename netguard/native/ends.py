"""How an accepted connection ends, as Twisted's do, with less said to a reactor that knows it already."""

from __future__ import annotations

from socket import SHUT_WR
from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.main import CONNECTION_DONE
from twisted.python import log
from twisted.python.failure import Failure

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence


DONE = Failure(CONNECTION_DONE)
"""Why most connections are over; one for all of them, as reactors have it."""


class Ends:
    """The ends of one connection, and of one direction of it.

    Attributes:
        upper: who gets what is read, and hears of the ends; None when it is over.
    """

    socket: socket.socket
    upper: Any
    producer: Any
    disconnected: int
    _closing = 0
    _reads = _shouldShutdown = True
    dataBuffer: bytes
    TLS: bool
    _tempDataBuffer: Sequence[bytes]
    _waits: bool
    _wanted: bool
    _closeSocket: Callable[[bool], None]
    loseConnection: Callable[[], None]
    promptly: Callable[..., None]
    stopReading: Callable[[], None]
    stopWriting: Callable[[], None]

    @property
    def connected(self) -> int:
        """Whether it is not over; there is nothing else that an accepted connection can be."""
        return 1 - self.disconnected

    @property
    def disconnecting(self) -> int:
        """Whether the connection is being closed."""
        return self._closing

    @disconnecting.setter
    def disconnecting(self, closing: int) -> None:
        self._closing = closing

    def leave(self) -> None:
        """Close once all is written: if that is so already, before this returns."""
        waits = self._waits or self._wanted or self._tempDataBuffer or self.dataBuffer or self.producer
        if not (self.disconnected or waits or self.TLS or self._closing):
            self.connectionLost(DONE)
        else:
            self.promptly(self.loseConnection)

    def _postLoseConnection(self) -> Any:
        """Everything is written: close, unless bytes that are held back come first."""
        return CONNECTION_DONE if self._closing else None

    def _closeWriteConnection(self) -> None:
        try:  # noqa: SIM105 - suppress() takes three calls more
            self.socket.shutdown(SHUT_WR)
        except OSError:
            pass
        self._tell("writeConnectionLost")

    def readConnectionLost(self, reason: Failure) -> None:
        """The peer will send no more, and the reactor reads no more: the end, unless the application goes on."""
        self._reads = False
        if not self._tell("readConnectionLost"):
            self.connectionLost(reason)

    def ends_in_order(self) -> None:
        """Nothing more will come, and no process that was forked has the socket: to close it is all its end takes."""
        self._shouldShutdown = False

    def _tell(self, name: str) -> bool:
        if not IHalfCloseableProtocol.providedBy(self._listener()):
            return False
        try:
            getattr(self.upper, name)()
        except BaseException:  # noqa: BLE001 - as Twisted does
            self._broken()
        return True

    def _broken(self) -> None:
        """What is called raised: log it, and end the connection."""
        why = Failure()
        log.err()
        self.connectionLost(why)

    def _listener(self) -> Any:
        """Who says whether it wants to hear of half-closes."""
        return self.upper

    def connectionLost(self, reason: Failure) -> None:
        """It is over, for whatever reason; what comes after the first changes nothing."""
        if self.disconnected:
            return
        self.disconnected = 1
        if self.producer is not None:
            self._stop_producer()
        if self._reads:
            self.stopReading()
        self.stopWriting()
        self._closeSocket(not isinstance(reason.value, ConnectionAborted))
        upper, self.upper = self.upper, None
        del self.socket
        self.__dict__.pop("fileno", None)
        upper.connectionLost(reason)

    def _stop_producer(self) -> None:
        """What it raises must not keep the connection from ending: nobody would ever give its place back."""
        try:
            self.producer.stopProducing()
        except BaseException:  # noqa: BLE001 - whatever it is, the connection is over
            log.err()
        self.producer = None
