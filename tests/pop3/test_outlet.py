"""The way out of a session: few writes, and a brake."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.interfaces import IPushProducer
from twisted.internet.testing import StringTransport
from zope.interface.verify import verifyObject

from netguard.pop3.outlet import BATCH, Outlet


class Place:
    """An outlet, its transport, and how often it was resumed."""

    def __init__(self) -> None:
        self.transport: Any = StringTransport()
        self.resumed = 0
        self.outlet = Outlet(self.transport, self._count)

    def _count(self) -> None:
        self.resumed += 1


@pytest.fixture
def place() -> Place:
    """A new outlet."""
    return Place()


def test_interface(place: Place) -> None:
    """An outlet is a push producer, and registered as one."""
    assert verifyObject(IPushProducer, place.outlet)
    assert place.transport.producer is place.outlet
    assert place.transport.streaming


def test_small_answers_are_gathered(place: Place) -> None:
    """Nothing is written before a flush, and then once."""
    place.outlet.put(b"a")
    place.outlet.put(b"b")
    assert place.transport.value() == b""
    place.outlet.flush()
    assert place.transport.value() == b"ab"
    assert place.outlet.octets == 2
    place.outlet.flush()
    assert place.transport.value() == b"ab"


def test_much_is_written_without_a_flush(place: Place) -> None:
    """What reaches a batch leaves at once; one octet less waits."""
    place.outlet.put(b"x" * (BATCH - 1))
    assert place.transport.value() == b""
    place.outlet.put(b"x")
    assert len(place.transport.value()) == BATCH


def test_room(place: Place) -> None:
    """Room is there at once while the transport takes more, and otherwise when it does again."""
    fired: list[bool] = []
    place.outlet.room().addCallback(fired.append)
    assert fired == [True]
    place.outlet.pauseProducing()
    place.outlet.room().addCallback(fired.append)
    assert fired == [True]
    place.outlet.resumeProducing()
    assert fired == [True, True]
    assert place.resumed == 1
    place.outlet.resumeProducing()
    assert fired == [True, True]


@pytest.mark.parametrize("end", ["close", "lost"])
def test_no_room_after_the_end(place: Place, end: str) -> None:
    """Who waits for room when the connection ends, or asks afterwards, learns that none is wanted."""
    fired: list[bool] = []
    place.outlet.pauseProducing()
    place.outlet.room().addCallback(fired.append)
    getattr(place.outlet, end)()
    assert fired == [False]
    place.outlet.room().addCallback(fired.append)
    assert fired == [False, False]
    place.outlet.resumeProducing()
    assert place.resumed == 0


def test_close(place: Place) -> None:
    """Closing writes what was gathered, takes the producer away and closes the transport, once."""
    place.outlet.put(b"bye")
    place.outlet.close()
    assert place.transport.value() == b"bye"
    assert place.transport.producer is None
    assert place.transport.disconnecting
    place.outlet.close()
    place.outlet.put(b"x" * BATCH)
    assert place.transport.value() == b"bye"
    assert place.outlet.octets == 3


def test_lost(place: Place) -> None:
    """After the connection is lost nothing is written, nor the transport touched."""
    place.outlet.put(b"a")
    place.outlet.stopProducing()
    place.outlet.lost()
    place.outlet.flush()
    place.outlet.close()
    assert place.transport.value() == b""
    assert not place.transport.disconnecting


def test_where_a_transport_can_be_prompt_it_is() -> None:
    """Answers that come at any moment leave in the same turn, and the end with the last of them."""

    class Prompt(StringTransport):
        """Notes what is done promptly."""

        def __init__(self) -> None:
            super().__init__()
            self.prompt: list[bytes] = []

        def promptly(self, do: Any, *args: object) -> None:
            """Note."""
            before = len(self.value())
            do(*args)
            self.prompt.append(self.value()[before:])

    transport: Any = Prompt()
    outlet = Outlet(transport, lambda: None)
    outlet.put(b"hello")
    outlet.flush()
    assert transport.prompt == [b"hello"]
    outlet.put(b"x" * BATCH)  # one who asks for much is not to keep others waiting
    assert transport.prompt == [b"hello"]
    outlet.put(b"bye")
    outlet.close()
    assert transport.prompt[-1] == b"bye"
    assert transport.disconnecting
