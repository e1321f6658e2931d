"""The sending of one message."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.testing import StringTransport

from netguard.pop3.mailbox_errors import MailGone
from netguard.pop3.outlet import Outlet
from netguard.pop3.transfer import Outcome, Transfer
from netguard.wire.pop3_events import MESSAGE_FOLLOWS, Fetch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.pop3.doubles import Mailbox, World


class Place:
    """A transfer from a mailbox with one message."""

    def __init__(self, world: World, chunks: Sequence[bytes | Exception]) -> None:
        world.opener.mails[0].chunks = chunks
        world.enter()
        self.mailbox: Mailbox = world.mailbox
        self.told: list[str] = []
        self.transport: Any = StringTransport()
        self.outlet = Outlet(self.transport, lambda: None)
        self.transfer = Transfer(self.outlet, self.told.append)
        self.outcome: list[Outcome] = []

    def run(self, top: int | None = None) -> None:
        """Begin."""
        running = Deferred.fromCoroutine(self.transfer.run(self.mailbox, Fetch(0, top)))
        running.addCallback(self.outcome.append)

    def sent(self) -> bytes:
        """What was written."""
        self.outlet.flush()
        return bytes(self.transport.value())


def test_sent_whole(world: World) -> None:
    """A message is sent behind its answer, and closed."""
    place = Place(world, [b"a\r\n", b".\r\n"])
    place.run(top=7)
    assert place.outcome == [Outcome.SENT]
    assert place.sent() == MESSAGE_FOLLOWS + b"a\r\n.\r\n"
    assert place.mailbox.reads == [(0, 7)]
    assert place.mailbox.readings[0].closed


@pytest.mark.parametrize(
    ("chunks", "outcome", "told"),
    [
        ([MailGone()], Outcome.GONE, []),
        ([OSError()], Outcome.UNREADABLE, ["reading a message"]),
        ([b"a", MailGone()], Outcome.BROKEN, []),
        ([b"a", OSError()], Outcome.BROKEN, ["reading a message"]),
    ],
)
def test_failures(world: World, chunks: Sequence[bytes | Exception], outcome: Outcome, told: list[str]) -> None:
    """A failure before the first octet sends nothing; a later one breaks off; each closes the reading."""
    place = Place(world, chunks)
    place.run()
    assert place.outcome == [outcome]
    assert place.told == told
    assert place.sent() == (MESSAGE_FOLLOWS + b"a" if outcome is Outcome.BROKEN else b"")
    assert place.mailbox.readings[0].closed


def test_waits_for_room(world: World) -> None:
    """The next chunk is read when the transport takes more."""
    place = Place(world, [b"a", b"b", b"c"])
    place.outlet.pauseProducing()
    place.run()
    assert place.mailbox.readings[0].taken == 1
    place.outlet.resumeProducing()
    assert place.outcome == [Outcome.SENT]


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_stop(world: World, steps: int) -> None:
    """A transfer that was stopped at any point sends no more, and closes its reading."""
    place = Place(world, [b"a", b"b"])
    world.held.slow = True
    place.run()
    for _ in range(steps):
        world.held.go()
    place.transfer.stop()
    before = place.sent()
    world.held.go_all()
    assert place.outcome == [Outcome.UNWANTED]
    assert place.sent() == before
    assert place.mailbox.readings[0].closed


def test_lost_while_waiting_for_room(world: World) -> None:
    """A transfer whose connection is lost while it waits for room ends."""
    place = Place(world, [b"a", b"b"])
    place.outlet.pauseProducing()
    place.run()
    place.transfer.stop()
    place.outlet.lost()
    assert place.outcome == [Outcome.UNWANTED]
    assert place.mailbox.readings[0].taken == 1
