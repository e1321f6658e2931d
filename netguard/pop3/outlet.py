"""Where a session's answers leave: few writes, and a brake when the client does not take them.

The transport knows an outlet as its push producer for the whole life of the connection. So whatever a session
makes, be it one message or ten thousand short answers, it stops making it when the transport has enough.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

if TYPE_CHECKING:
    from collections.abc import Callable

# Answers are gathered up to this many octets, which is also what fits one TLS record.
BATCH = 16 * 1024


def _call(do: Callable[..., object], *args: object) -> None:
    do(*args)


def _nobody() -> None:
    """Makes nothing more."""


@implementer(IPushProducer)
class Outlet:
    """The way out of one connection.

    Args:
        transport: a Twisted transport.
        resumed: called when the transport takes more, after it was full.

    Attributes:
        full: whether nothing more should be made now.
        octets: how many were written.
    """

    def __init__(self, transport: Any, resumed: Callable[[], None]) -> None:
        self.full = False
        self.octets = 0
        self._transport = transport
        self._resumed = resumed
        self._gathered: list[bytes] = []
        self._waiting = 0
        self._open = True
        self._promptly = getattr(transport, "promptly", _call)  # netguard's own transport has it
        self._room: Deferred[bool] | None = None
        if hasattr(transport, "setTcpNoDelay"):
            # Without it the end of every message waits some 40 ms for the client's delayed acknowledgement.
            with suppress(OSError):  # a UNIX socket has the method, but not the option
                transport.setTcpNoDelay(True)
        transport.registerProducer(self, True)

    def put(self, data: bytes) -> None:
        """Write these octets, at the latest at the next `flush`."""
        self._gathered.append(data)
        self._waiting += len(data)
        if self._waiting >= BATCH:
            self.flush()

    def flush(self) -> None:
        """Hand over to the transport what was gathered."""
        gathered, self._gathered = self._gathered, []
        if gathered and self._open:
            self.octets += self._waiting
            # What is long goes the long way: the kernel takes megabytes at once, and others would wait for their turn.
            promptly = self._promptly if self._waiting < BATCH else _call
            promptly(self._transport.write, gathered[0] if len(gathered) == 1 else b"".join(gathered))
        self._waiting = 0

    def room(self) -> Deferred[bool]:
        """Fires with True as soon as more should be made, and with False when it never will be wanted."""
        if not self.full or not self._open:
            return succeed(self._open)
        self._room = Deferred()
        return self._room

    def close(self) -> None:
        """End the connection after all that was put."""
        if self._open:
            self._promptly(self._end)
            self._tell(False)

    def _end(self) -> None:
        self.flush()
        self._open = False
        # A transport waits for its producer before it closes.
        self._transport.unregisterProducer()
        self._transport.loseConnection()

    def lost(self) -> None:
        """The connection is gone, and whoever makes what is sent is held no more."""
        self._open = False
        self._gathered = []
        self._resumed = _nobody
        self._tell(False)

    def _tell(self, wanted: bool) -> None:
        room, self._room = self._room, None
        if room is not None:
            room.callback(wanted)

    def pauseProducing(self) -> None:
        """The transport has enough (IPushProducer)."""
        self.full = True

    def resumeProducing(self) -> None:
        """The transport takes more (IPushProducer)."""
        self.full = False
        self._tell(True)
        if self._open:
            self._resumed()

    def stopProducing(self) -> None:
        """The transport is gone; its protocol hears of that by connectionLost (IProducer)."""
