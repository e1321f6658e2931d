"""Tests for netguard.process.live_events: what happens, for whoever watches, and what was too much for them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import LogPublisher

from netguard.events import Event
from netguard.process.live_events import AT_A_TIME, MOST, PERIOD, LiveEvents


class Stage:
    """Somebody who watches.

    Args:
        names: what they want to see.
    """

    def __init__(self, *names: str) -> None:
        self.transport = StringTransport()
        self.clock = Clock()
        self.publisher = LogPublisher()
        self.live = LiveEvents(self.transport.write, names, self.clock, self.publisher)
        self.count = 0

    def tell(self, name: str, times: int = 1) -> None:
        """Something happens."""
        for _ in range(times):
            self.count += 1
            event: Any = {"netguard": Event(name, {"session": self.count}), "log_time": 1.0}
            self.publisher(event)

    def seen(self) -> list[Any]:
        """What was written so far, each event by its session, what was lost by its count below zero."""
        rows = [json.loads(line) for line in self.transport.value().splitlines()]
        return [-each["count"] if each["event"] == "lost" else each["session"] for each in rows]


def test_events_come_as_lines_in_their_order() -> None:
    """A moment later; lines of others in the log are none."""
    stage = Stage()
    stage.tell("refused")
    stage.publisher({"log_format": "something else"})
    stage.tell("closed")
    assert stage.seen() == []
    stage.clock.advance(PERIOD)
    assert stage.seen() == [1, 2]
    assert not stage.clock.getDelayedCalls()


def test_only_what_is_wanted_comes() -> None:
    """By name."""
    stage = Stage("refused", "cut")
    for name in ("closed", "refused", "settled", "cut"):
        stage.tell(name)
    stage.clock.advance(PERIOD)
    assert stage.seen() == [2, 4]


def test_a_flood_is_bounded_and_what_was_lost_is_told_where_it_was() -> None:
    """Twice: the reader knows between which events it has missed how many."""
    stage = Stage()
    stage.tell("refused", MOST + 7)
    stage.clock.advance(PERIOD)
    assert len(stage.seen()) == AT_A_TIME
    stage.tell("refused", AT_A_TIME + 3)
    for _ in range(30):
        stage.clock.advance(PERIOD)
    stage.tell("closed")
    stage.clock.advance(PERIOD)
    seen = stage.seen()
    assert seen[:MOST] == list(range(1, MOST + 1))
    assert seen[MOST] == -7
    lost = -sum(each for each in seen if each < 0)
    assert len([each for each in seen if each > 0]) + lost == stage.count
    assert seen[-1] == stage.count


def test_a_reader_that_does_not_read_costs_a_bounded_amount() -> None:
    """However long it takes, and what comes afterwards is what waited."""
    stage = Stage()
    stage.live.resumeProducing()
    assert not stage.clock.getDelayedCalls()
    stage.live.pauseProducing()
    stage.tell("refused", 5 * MOST)
    stage.clock.advance(60)
    assert stage.seen() == []
    assert not stage.clock.getDelayedCalls()
    stage.live.resumeProducing()
    stage.live.resumeProducing()
    for _ in range(20):
        stage.clock.advance(PERIOD)
    assert stage.seen() == [*range(1, MOST + 1), -4 * MOST]


def test_a_pause_in_the_middle_holds_the_rest() -> None:
    """The transport says so while it is written to."""
    stage = Stage()
    stage.tell("refused", AT_A_TIME * 2)
    stage.clock.advance(PERIOD)
    stage.live.pauseProducing()
    stage.clock.advance(10)
    assert len(stage.seen()) == AT_A_TIME
    stage.live.resumeProducing()
    stage.clock.advance(PERIOD)
    assert len(stage.seen()) == AT_A_TIME * 2


@pytest.mark.parametrize("how", ["stop", "cancel"])
def test_it_ends_once_and_leaves_nothing_behind(how: str) -> None:
    """No observer, no timer."""
    stage = Stage()
    ended: list[dict[str, int]] = []
    stage.live.done.addCallback(ended.append)
    stage.tell("refused", MOST + 2)
    stage.clock.advance(PERIOD)
    stage.live.stopProducing() if how == "stop" else stage.live.done.cancel()
    stage.live.stopProducing()
    stage.tell("closed")
    assert ended == [{"told": AT_A_TIME, "lost": 2, "untold": MOST - AT_A_TIME + 1}]
    assert not stage.clock.getDelayedCalls()
    stage.clock.advance(1)
    assert len(stage.seen()) == AT_A_TIME
