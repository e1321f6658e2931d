"""Tests for netguard.meter."""

from __future__ import annotations

from math import inf
from typing import Any

import pytest
from attrs import define
from twisted.internet.testing import StringTransport

from netguard.meter import CLOSED, Meter, abort, needing_thought


@define
class Thinker:
    """Decides nothing."""

    looked: float = 0.0

    def look(self, now: float) -> None:
        """Remember."""
        self.looked = now


@define
class Pipe:
    """A transport that can be told how much of what was written waits."""

    dataBuffer: bytes = b""
    calls: str = ""

    def loseConnection(self) -> None:
        """Close."""
        self.calls += "lose "

    def pauseProducing(self) -> None:
        """Pause."""
        self.calls += "pause "

    def resumeProducing(self) -> None:
        """Resume."""
        self.calls += "resume "


class OpenPipe(Pipe):
    """The same, with attributes of its own, as real transports have."""

    def __init__(self) -> None:
        super().__init__()
        self.__dict__["dataBuffer"] = b""

    def waits(self, count: int) -> None:
        """So many bytes wait."""
        self.__dict__["dataBuffer"] = b"x" * count


def meter(now: float = 100.0) -> Meter:
    """A meter with a transport."""
    made = Meter(Thinker(), now)
    made.transport = OpenPipe()
    return made


def test_an_idle_meter_needs_no_thought_until_it_is_due() -> None:
    """It is due at its moment, and not before."""
    each: Any = meter()
    assert needing_thought([each], 1e9) == []
    each.due = 200.0
    assert needing_thought([each], 199.9) == []
    assert needing_thought([each], 200.0) == [each]


def test_a_meter_through_which_something_passed_needs_thought_once() -> None:
    """A byte that came is activity at the moment of the sweep."""
    each: Any = meter()
    each.received = 5
    assert needing_thought([each], 101.0) == [each]
    each.notice(101.0)
    assert needing_thought([each], 101.0) == []
    assert each.active == 101.0
    each.notice(102.0)
    assert each.active == 101.0


def test_an_exchange_in_begins_with_the_first_byte_and_ends_with_an_answer() -> None:
    """Bytes that come after the answer begin another."""
    each: Any = meter()
    each.received = 5
    each.notice(101.0)
    assert each.incoming == (101.0, 0)
    each.received = 9
    each.notice(102.0)
    assert each.incoming == (101.0, 0)
    each.answered = 9
    each.notice(103.0)
    assert [each.incoming] == [None]
    each.received = 10
    each.notice(104.0)
    assert each.incoming == (104.0, 9)
    each.answered, each.received = 10, 12
    each.notice(105.0)
    assert each.incoming == (105.0, 10)


def test_an_exchange_out_lasts_until_the_peer_has_taken_everything() -> None:
    """What the peer takes is activity, what we write is not."""
    each: Any = meter()
    each.sent = 10
    each.transport.waits(10)
    each.notice(101.0)
    assert each.outgoing is not None
    assert (each.outgoing.since, each.outgoing.took, each.active) == (101.0, 101.0, 100.0)
    each.sent = 30
    each.transport.waits(30)
    each.notice(102.0)
    assert (each.outgoing.took, each.active) == (101.0, 100.0)
    each.transport.waits(29)
    each.notice(103.0)
    assert (each.outgoing.since, each.outgoing.took, each.active) == (101.0, 103.0, 103.0)
    assert each.outgoing.figure - each.outgoing.base == 1
    assert needing_thought([each], 104.0) == [each]
    each.transport.waits(0)
    each.notice(104.0)
    assert each.outgoing is None
    assert (each.taken, each.active) == (30, 104.0)
    assert needing_thought([each], 104.0) == []


def test_a_closed_meter_lets_nothing_pass_and_is_never_due() -> None:
    """With a transport or without."""
    for transport in (OpenPipe(), None):
        each: Any = meter()
        each.due = 5
        each.transport = transport
        each.close()
        assert (each.received_mark, each.sent_mark, each.due) == (CLOSED, CLOSED, inf)
        if transport is not None:
            assert transport.calls == "lose "


def test_the_transport_is_held_where_it_can_be() -> None:
    """One without these methods is left alone, and so is none."""
    each: Any = meter()
    each.hold_reading()
    each.release_reading()
    assert each.transport.calls == "pause resume "
    for transport in (object(), None):
        each.transport = transport
        each.hold_reading()
        each.release_reading()
    each.hold_writing()
    assert each.sent_mark == CLOSED
    each.release_writing()
    assert each.held_back() == 0


def test_what_waits_in_the_transport_is_queued() -> None:
    """Nothing else holds anything back here."""
    each: Any = meter()
    each.transport.waits(7)
    assert each.queued == 7


@pytest.mark.parametrize("transport", [StringTransport(), OpenPipe()])
def test_abort_ends_a_connection_as_well_as_the_transport_can(transport: Any) -> None:
    """By an abort, or by closing."""
    abort(transport)
    assert transport.disconnected if isinstance(transport, StringTransport) else transport.calls == "lose "
