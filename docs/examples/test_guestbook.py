"""Tests of a protocol that times itself."""

from __future__ import annotations

from netguard.mixins.deadlines import PhaseTimedOut, ReadTimedOut, WriteTimedOut
from netguard.testing import MemoryTransport
from twisted.internet.task import Clock

from guestbook import Guestbook


def talk() -> tuple[Guestbook, MemoryTransport, Clock]:
    """A connected guestbook, its transport and its time."""
    clock, book = Clock(), Guestbook()
    book.clock = clock  # the mixin looks for it
    transport = MemoryTransport(clock, book, None)
    book.makeConnection(transport)
    clock.advance(0)
    return book, transport, clock


def test_who_does_not_introduce_himself_is_cut() -> None:
    """A byte now and then does not help."""
    book, transport, clock = talk()
    for _ in range(31):
        transport.deliver(b"x")
        clock.advance(1)
    clock.advance(0)
    assert isinstance(book.why, PhaseTimedOut)
    assert book.why.name == "introduction"


def test_who_falls_silent_is_cut() -> None:
    """After five minutes."""
    book, transport, clock = talk()
    transport.deliver(b"Alice\r\n")
    clock.pump([1.0] * 302)
    assert isinstance(book.why, ReadTimedOut)


def test_who_does_not_read_is_cut() -> None:
    """Although bytes come from him all the time."""
    book, transport, clock = talk()
    transport.takes(0)
    transport.deliver(b"Alice\r\n")
    for _ in range(70):
        transport.deliver(b"again\r\n")
        clock.advance(1)
    assert isinstance(book.why, WriteTimedOut)


def test_nothing_is_left_behind() -> None:
    """No timer outlives the connection."""
    _, transport, clock = talk()
    transport.vanish()
    assert not clock.getDelayedCalls()


# mypy: disable-error-code="import-not-found"
