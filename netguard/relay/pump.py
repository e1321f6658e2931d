"""Bytes from one end's socket to the other's by the shortest way, while nobody has to look at them.

It lies between two transports of our own without TLS. Whatever is not plain (a mark that is crossed, a guard that sees
every chunk, a peer that takes less than there is) goes the way that bytes go without it, through the transports, where
all of it is decided. Here nothing is but how bytes are moved:

* by ``recv`` and ``send`` through one buffer of the process, which is best for what is short;
* after two reads that filled it, by ``splice`` through a pipe, for a third of the cost; little is read again.

What a peer does not take at once waits in the pipe, and counts as waiting in its transport (``PromptServer.piped``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from errno import EINVAL, ENOSYS, EOPNOTSUPP, EPERM
from typing import TYPE_CHECKING, Any

from twisted.internet.main import CONNECTION_DONE, CONNECTION_LOST

from netguard.native.client import PromptClient
from netguard.native.prompt import PromptServer
from netguard.native.server import Server
from netguard.relay.pipes import SIZE

if TYPE_CHECKING:
    from netguard.relay.pipes import Pipe, Pipes

READ = 64 * 1024
"""Bytes of one read."""

FULL = 2
"""So many full reads in a row, and more is expected than is worth copying."""

WORTH = 4096
"""Bytes that have to be moved at once for the next to be moved without being copied."""

_CANNOT = (EINVAL, ENOSYS, EPERM, EOPNOTSUPP)
_buffer = bytearray(READ)
_view = memoryview(_buffer)


class Pump(ABC):
    """What the reads of one end's transport do.

    Args:
        end: that end (:class:`netguard.relay.side.Side`).
        sink: the other end's transport.
        meter: the tallies of the guarded one of both.
        pipes: where pipes are to be had.
    """

    __slots__ = ("_end", "_full", "_pipe", "_pipes", "_recv", "_send", "meter", "sink", "source")

    def __init__(self, end: Any, sink: Any, meter: Any, pipes: Pipes) -> None:
        self._end = end
        self.source = source = end.transport
        self.sink = sink
        self.meter = meter
        self._pipes = pipes
        self._pipe: Pipe | None = None
        self._full = 0
        self._recv = source.socket.recv_into
        self._send = sink.socket.send
        source.doRead, source.moves = self.read, True

    # what the two directions have of their own

    @abstractmethod
    def read(self) -> Any:
        """Read what is there, and send it."""

    @abstractmethod
    def room(self) -> float:
        """Bytes that may pass before somebody has to look."""

    @abstractmethod
    def count(self, moved: int) -> None:
        """Count bytes that have passed."""

    # what is not as usual

    def _deliver(self, count: int) -> None:
        """Let bytes that were read go the long way."""
        self.source.promptly(self.source.upper.dataReceived, bytes(_view[:count]))

    def _finished(self) -> Any:
        """The source's peer has sent everything, of which its end can be told without going through the reactor."""
        source = self.source
        if source._waits:  # noqa: SLF001 - of our own family; the reactor may be about to call doWrite
            return CONNECTION_DONE
        source.ends_in_order()
        self._end.readConnectionLost()
        if source.connected and source._reads:  # noqa: SLF001
            source.stopReading()
        return None

    def _keep(self, sent: int, count: int) -> None:
        """Let the transport keep what the kernel did not take; it has been counted."""
        self._end.carry()
        PromptServer.write(self.sink, bytes(_view[sent:count]))

    def _weigh(self, count: int) -> None:
        """A read was full, or the one before was."""
        self._full = self._full + 1 if count == READ else 0
        if self._full >= FULL and self._pipes.most:
            self.source.doRead = self.splice

    # large amounts

    def splice(self) -> Any:
        """Move what is there."""
        room = 0.0 if self.sink._waits else min(self.room(), SIZE)  # noqa: SLF001 - of our own family
        pipe = self._pipes.borrow() if room > 0 else None
        if pipe is None:
            return self.read()
        try:
            moved = pipe.fill(self.source.socket.fileno(), int(room))
        except OSError as why:
            self._pipes.give_back(pipe)
            return self._not_filled(why)
        if not moved:
            self._pipes.give_back(pipe)
            return self._finished()
        self.count(moved)
        if moved < WORTH:
            self._copy_again()
        self._pipe = pipe
        if self._emptied():
            self._release()
        else:
            self._wait()
        return None

    def _not_filled(self, why: OSError) -> Any:
        if why.errno in _CANNOT:
            self._pipes.most = 0  # a sandbox forbids it, say
            self._copy_again()
            return None
        return None if isinstance(why, BlockingIOError) else CONNECTION_LOST

    def _copy_again(self) -> None:
        self._full = 0
        self.source.doRead = self.read

    def _emptied(self) -> bool:
        """Whether the peer has taken all that is in the pipe; that it is gone will be found by :meth:`go_on`."""
        try:
            return self._pipe is None or self._pipe.empty(self.sink.socket.fileno())
        except OSError:
            return False

    def _wait(self) -> None:
        """The peer takes no more for now: have the rest wait in the pipe, and no more come."""
        self._end.carry()
        sink = self.sink
        sink.piped = self._pipe.holds if self._pipe else 0
        sink.doWrite = self.go_on
        sink.startWriting()
        sink.producerPaused = True
        sink.producer.pauseProducing()

    def go_on(self) -> Any:
        """The peer takes again, or is gone; behind what is in the pipe comes what the transport has to do."""
        pipe, sink = self._pipe, self.sink
        try:
            if pipe is not None and not pipe.empty(sink.socket.fileno()):
                sink.piped = pipe.holds
                return None
        except OSError:
            return CONNECTION_LOST
        self._release()
        return sink.doWrite()

    def _release(self) -> None:
        pipe, self._pipe = self._pipe, None
        if pipe is not None:
            self._pipes.give_back(pipe)
        self.sink.piped = 0
        _take_off(self.sink, "doWrite", self)

    def stop(self) -> None:
        """Its source will not be read any more; what is on its way still arrives."""
        _take_off(self.source, "doRead", self)
        self.source.moves = False

    def drop(self) -> None:
        """Its sink is gone, and all that was for it."""
        if self._pipe is not None:
            self._release()


def _take_off(transport: Any, name: str, pump: Pump) -> None:
    """Let a transport do by itself what a pump does for it; an abort has put something else there."""
    if getattr(transport.__dict__.get(name), "__self__", None) is pump:
        del transport.__dict__[name]


class Inward(Pump):
    """From the client, whose bytes are counted as received, to the backend."""

    __slots__ = ()

    def read(self) -> Any:
        """Read what is there, and send it."""
        try:
            count = self._recv(_buffer)
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        if not count:
            return self._finished()
        meter, sink = self.meter, self.sink
        received = meter.received + count
        if received > meter.received_mark or meter.tap is not None or sink._waits:  # noqa: SLF001 - of our own family
            self._deliver(count)
            return None
        meter.received = received
        try:
            sent = self._send(_view[:count])
        except OSError:  # doWrite will find what it is, after what can still be read has been
            sent = 0
        if sent < count:
            self._keep(sent, count)
        if count == READ or self._full:
            self._weigh(count)
        return None

    def room(self) -> float:
        """Bytes that may come before somebody has to look."""
        meter = self.meter
        return 0.0 if meter.tap is not None else float(meter.received_mark - meter.received)

    def count(self, moved: int) -> None:
        """Count bytes that came."""
        self.meter.received += moved


class Outward(Pump):
    """From the backend to the client, to whom bytes are counted as sent."""

    __slots__ = ()

    def read(self) -> Any:
        """Read what is there, and send it."""
        try:
            count = self._recv(_buffer)
        except BlockingIOError:
            return None
        except OSError:
            return CONNECTION_LOST
        if not count:
            return self._finished()
        meter, sink = self.meter, self.sink
        total = meter.sent + count
        if total > meter.sent_mark or sink._waits:  # noqa: SLF001 - of our own family
            self._deliver(count)
            return None
        meter.sent = total
        meter.answered = meter.received
        try:
            sent = self._send(_view[:count])
        except OSError:  # doWrite will find what it is, after what can still be read has been
            sent = 0
        if sent < count:
            self._keep(sent, count)
        if count == READ or self._full:
            self._weigh(count)
        return None

    def room(self) -> float:
        """Bytes that may be sent before somebody has to look."""
        return float(self.meter.sent_mark - self.meter.sent)

    def count(self, moved: int) -> None:
        """Count bytes that were sent."""
        meter = self.meter
        meter.sent += moved
        meter.answered = meter.received


def pump(end: Any, other: Any, pipes: Pipes) -> Pump | None:
    """Let what one end's peer sends go to the other's by the shortest way, if both are such that this can be.

    Args:
        end: the one.
        other: the other.
        pipes: where pipes are to be had.

    Returns:
        What does it from now on; None where bytes go through the transports.
    """
    source, sink = end.transport, other.transport
    kinds = (type(source), type(sink))
    if kinds == (Server, PromptClient) and source.upper is source.meter:
        return Inward(end, sink, source.meter, pipes)
    if kinds == (PromptClient, Server) and sink.upper is sink.meter:
        return Outward(end, sink, sink.meter, pipes)
    return None
