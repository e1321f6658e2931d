"""The tallies of one connection: the object that the hot path touches.

A meter sits where the bytes pass (the first kind is :class:`netguard.wrapper.Wrapper`, around any transport). It
adds and compares; everything else happens in :class:`netguard.connection.Connection`, when a mark is crossed or when
the sweep finds that the connection has to think.

The sweep looks only at meters that are due, or through which something passed since the last sweep. It is the sweep
that says when a byte came: at its own moment, up to a tick too late, so that a limit never strikes early, not even
after the reactor has been busy for longer than the limit.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import inf
from typing import Any, Protocol, TypeVar

from netguard.outflow import progress, queued
from netguard.taps import Tap

CLOSED = -1
"""A mark that every byte crosses: what follows goes the slow way."""


class Thinker(Protocol):
    """Who decides what a crossed mark means."""

    def look(self, now: float) -> None:
        """A sweep found this connection due, or active."""


class Outgoing:
    """What is on its way to the peer.

    Attributes:
        since: when bytes began to wait for the peer.
        took: when it last took some.
        base: the figure of :func:`netguard.outflow.progress` then.
        figure: the same, as last seen.
    """

    __slots__ = ("base", "figure", "since", "took")

    def __init__(self, now: float, figure: int) -> None:
        self.since = self.took = now
        self.base = self.figure = figure


class Meter:
    """Tallies, marks and the next moment to think, of one connection.

    Attributes:
        received: bytes that came.
        sent: bytes that the application wrote.
        answered: what ``received`` was when the application last wrote.
        noticed: what ``received`` was when the sweep last looked.
        taken: what ``sent`` was when the peer was last seen to have taken everything.
        active: the moment at which the sweep last saw activity: a byte that came, or that the peer took.
        received_mark, sent_mark: more than this many bytes, and the connection has to think.
        tap: who sees chunks before they are delivered, or None.
        due: the moment from which the sweep lets the connection think.
        incoming: moment and ``received`` at which the exchange in flight began, or None.
        outgoing: what waits for the peer, or None.
    """

    __slots__ = (
        "active",
        "answered",
        "connection",
        "due",
        "incoming",
        "noticed",
        "outgoing",
        "received",
        "received_mark",
        "sent",
        "sent_mark",
        "taken",
        "tap",
        "transport",
    )

    transport: Any
    tap: Tap | None
    incoming: tuple[float, int] | None
    outgoing: Outgoing | None
    received_mark: float
    sent_mark: float

    def __init__(self, connection: Thinker, now: float) -> None:
        self.connection = connection
        self.transport = None
        self.tap = None
        self.received = self.sent = self.answered = self.noticed = self.taken = 0
        self.received_mark = self.sent_mark = self.due = inf
        self.active = now
        self.incoming = None
        self.outgoing = None

    @property
    def queued(self) -> int:
        """Bytes written that have not left this process."""
        return queued(self.transport) + self.held_back()

    def held_back(self) -> int:
        """Bytes written that have not reached the transport; a meter that can hold writes has some."""
        return 0

    @property
    def below(self) -> Any:
        """The transport as the guards use it, past the application's side of it."""
        return self.transport

    def close(self) -> None:
        """Let nothing pass any more, and abort the transport if there is one."""
        self.received_mark = self.sent_mark = CLOSED
        self.due = inf
        if self.transport is not None:
            abort(self.transport)

    def part(self, text: bytes) -> None:
        """Let nothing pass any more, and close the transport after a last text."""
        self.received_mark = self.sent_mark = CLOSED
        self.below.write(text)
        self.below.loseConnection()

    def hold_reading(self) -> None:
        """Stop reading from the transport, if it can do that."""
        getattr(self.below, "pauseProducing", _nothing)()

    def release_reading(self) -> None:
        """Read again."""
        getattr(self.below, "resumeProducing", _nothing)()

    def hold_writing(self) -> None:
        """Let what is written go the slow way, on which it waits; a meter that can hold writes does more here."""
        self.sent_mark = CLOSED

    def release_writing(self) -> None:
        """Pass on what was held back; a meter that can hold writes has something to do here."""

    def notice(self, now: float) -> None:
        """Bring the exchanges in both directions up to date; called by the sweep."""
        begun = self.incoming
        if begun is not None and self.answered > begun[1]:
            begun = None
        if begun is None and self.received > self.answered:
            begun = (now, self.answered)
        self.incoming = begun
        if self.received != self.noticed:
            self.noticed = self.received
            self.active = now
        if self.sent != self.taken:
            self._notice_outgoing(now)

    def _notice_outgoing(self, now: float) -> None:
        figure, outstanding = progress(self.transport, self.sent)
        outgoing = self.outgoing
        if not outstanding:
            self.taken = self.sent
            self.outgoing = None
            self.active = now
        elif outgoing is None:
            self.outgoing = Outgoing(now, figure)
        elif figure > outgoing.figure:
            outgoing.figure = figure
            outgoing.took = now
            self.active = now


def abort(transport: Any) -> None:
    """End a connection without waiting for anything; a transport that cannot do that (stdio, processes) is closed."""
    getattr(transport, "abortConnection", transport.loseConnection)()


def _nothing() -> None:
    pass


Kind = TypeVar("Kind", bound=Meter)


def needing_thought(meters: Iterable[Kind], now: float) -> list[Kind]:
    """The meters that are due or active, of all that live. This is the whole cost of an idle connection."""
    return [each for each in meters if each.due <= now or each.sent != each.taken or each.received != each.noticed]
