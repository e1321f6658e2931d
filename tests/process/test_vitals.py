"""Tests for netguard.process.vitals: the figures of a service at one moment."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from netguard.errors import Expelled, Idle, LoginTooSlow, NoFirstByte
from netguard.guards.connection_limit import ConnectionLimit
from netguard.guards.idle_timeout import IdleTimeout
from netguard.load.signals import Signals
from netguard.policy import Policy
from netguard.process.vitals import TOTALS, Vitals, by_guard
from netguard.testing import Dialogue, connect


@pytest.fixture
def peer() -> Dialogue:
    """A connection of a service with two guards."""
    peer = connect(Policy(IdleTimeout("5s"), ConnectionLimit(total=2)))
    peer.factory.service.signals = Signals.fixed({"rss": 4096.0, "fds": None})
    return peer


def test_a_reading_has_what_is_and_what_was(peer: Dialogue) -> None:
    """The bytes of those who are there and of those who are gone; what the machine does not say is None."""
    vitals = Vitals(peer.factory.service)
    assert vitals.read().uptime == 0.0
    vitals.begin()
    other = connect(peer.factory)
    assert connect(peer.factory).refused
    other.feed(b"123")
    other.vanish()
    peer.feed(b"12345")
    peer.advance(2)
    reading = vitals.read()
    assert (reading.connections, reading.peak, reading.uptime) == (1, 2, 2.0)
    assert list(reading.totals) == list(TOTALS)
    assert list(reading.totals.values()) == [2, 1, 0, 1, 8, 8, 0]
    assert reading.refused == {"ConnectionLimit": 1}
    assert (reading.rss, reading.fds) == (4096.0, None)


def test_a_line_has_everything_flat_but_what_cannot_be_read(peer: Dialogue) -> None:
    """By guard, too."""
    assert connect(peer.factory).refused is False
    assert connect(peer.factory).refused
    peer.advance(6)
    fields = Vitals(peer.factory.service).read().fields()
    assert fields["cut.IdleTimeout"] == fields["cut"] == 2
    assert fields["refused.ConnectionLimit"] == 1
    assert fields["rss"] == 4096
    assert "fds" not in fields


def test_what_is_new_is_told_without_what_is_not(peer: Dialogue) -> None:
    """The differences to an earlier reading; a guard that had not been heard of began at nothing."""
    vitals = Vitals(peer.factory.service)
    vitals.begin()
    before = vitals.read()
    peer.advance(6)
    assert vitals.read().since(before) == {"since": 6.0, "new.cut": 1, "new.cut.IdleTimeout": 1}
    assert vitals.read().since(evolve(before, uptime=5.0))["since"] == 1.0


def test_observers_are_told_apart(peer: Dialogue) -> None:
    """Nobody was cut, but somebody would have been."""
    watched: Any = connect(IdleTimeout("5s", observe=True))
    watched.advance(6)
    reading = Vitals(watched.factory.service).read()
    assert reading.parts == {"would_cut.IdleTimeout": 1}


def test_reasons_of_one_guard_are_one_count() -> None:
    """One that no guard gave stands by its own name."""
    counted = {Idle: 2, NoFirstByte: 1, Expelled: 4, LoginTooSlow: 1}
    assert by_guard(counted.items()) == {"IdleTimeout": 2, "FirstByteTimeout": 1, "Expelled": 4, "LoginTimeout": 1}
