"""Tests for netguard.process.heartbeat: a line now and then, whatever happens."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
from twisted.internet.task import Clock

from netguard.errors import OptionError
from netguard.guards.idle_timeout import IdleTimeout
from netguard.process.heartbeat import Heartbeat, interval
from netguard.process.vitals import Vitals
from netguard.testing import Dialogue, connect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Reactor(Clock):
    """A clock that is called from threads and signals, too."""

    def callFromThread(self, do: Callable[[], object]) -> None:
        """In the next turn."""
        self.callLater(0, do)


@pytest.fixture
def reactor() -> Reactor:
    """The time of everything here."""
    return Reactor()


@pytest.fixture
def peer(reactor: Reactor) -> Dialogue:
    """A connection."""
    return connect(IdleTimeout("1h"), clock=reactor)


@pytest.fixture
def heartbeat(peer: Dialogue, reactor: Reactor) -> Iterator[Heartbeat]:
    """A heart that beats every minute."""
    made = Heartbeat(Vitals(peer.factory.service), 60.0, reactor)
    made.startService()
    yield made
    made.stopService()


@pytest.mark.parametrize(
    ("text", "seconds"), [("60s", 60.0), ("1", 1.0), ("2m", 120.0), ("off", None), ("none", None), (None, None)]
)
def test_an_interval_is_a_duration_or_off(text: str | None, seconds: float | None) -> None:
    """As for every option that can be switched off."""
    assert interval(text) == seconds


@pytest.mark.parametrize("text", ["999ms", "0", "often", "-1s", "", "1s;reboot", "\x1b[2J"])
def test_what_is_no_interval_is_refused(text: str) -> None:
    """So is one that would make a log of nothing but heartbeats."""
    with pytest.raises(OptionError, match="heartbeat: "):
        interval(text)


def test_a_line_comes_at_every_interval(heartbeat: Heartbeat, peer: Dialogue, reactor: Reactor, logged: Any) -> None:
    """With the figures since the beginning and since the line before."""
    peer.feed(b"12345")
    peer.advance(59.75)
    assert logged.named("heartbeat") == []
    peer.advance(0.25)
    peer.feed(b"123")
    peer.advance(60)
    first, second = logged.named("heartbeat")
    assert (first["uptime"], first["connections"], first["bytes_in"], first["new.bytes_in"]) == (60.0, 1, 5, 5)
    assert (second["uptime"], second["bytes_in"], second["new.bytes_in"], second["since"]) == (120.0, 8, 3, 60.0)
    assert second["interval"] == "1m"
    assert heartbeat.setting == "1m"


def test_a_loop_that_was_stuck_shows(heartbeat: Heartbeat, peer: Dialogue, reactor: Reactor, logged: Any) -> None:
    """In the line that comes late for it, and in no later one."""
    peer.advance(50)
    reactor.advance(15)
    peer.advance(60)
    first, second = logged.named("heartbeat")
    assert (first["uptime"], first["lag_median"], first["lag_worst"]) == (65.0, 0.0, 14.75)
    assert second["lag_worst"] == 0.0


def test_a_service_without_connections_beats(reactor: Reactor, logged: Any) -> None:
    """And its lag is measured by the beat itself."""
    peer = connect(IdleTimeout("1h"), clock=reactor)
    peer.vanish()
    heart = Heartbeat(Vitals(peer.factory.service), 60.0, reactor)
    heart.startService()
    reactor.advance(70)
    heart.stopService()
    assert [each["lag_worst"] for each in logged.named("heartbeat")] == [10.0]
    reactor.advance(1)
    assert not reactor.getDelayedCalls()


def test_the_signal_switches_it(heartbeat: Heartbeat, reactor: Reactor, logged: Any) -> None:
    """Off with a last line, on with a first one; twice in a row, too."""

    def settings() -> list[str]:
        os.kill(os.getpid(), signal.SIGUSR2)
        reactor.advance(0)
        return [each["interval"] for each in logged.named("heartbeat")]

    assert settings() == ["off"]
    reactor.advance(600)
    assert settings() == ["off", "1m"]
    reactor.advance(60)
    assert settings() == ["off", "1m", "1m", "off"]


def test_it_may_begin_switched_off(peer: Dialogue, reactor: Reactor, logged: Any) -> None:
    """Then it is switched on at an interval of its own, or at the usual one."""
    heart = Heartbeat(Vitals(peer.factory.service), None, reactor)
    heart.startService()
    peer.advance(600)
    heart.off()
    assert logged.named("heartbeat") == []
    assert heart.setting == "off"
    heart.on(5.0)
    peer.advance(5)
    assert [each["interval"] for each in logged.named("heartbeat")] == ["5s", "5s"]
    heart.on()
    assert heart.setting == "5s"
    heart.stopService()


def test_companions_come_along_with_the_beat(
    heartbeat: Heartbeat, peer: Dialogue, reactor: Reactor, logged: Any
) -> None:
    """With every line; or as often as they ask, whether lines are told or not; and one that fails, fails alone."""
    beats: list[float] = []

    def fail() -> None:
        raise RuntimeError("no")

    heartbeat.when_beat(fail)
    heartbeat.when_beat(lambda: beats.append(reactor.seconds()))
    peer.advance(60)
    assert beats == [60.0]
    heartbeat.when_beat(lambda: None, within=25.0)
    peer.advance(60)
    assert beats == [60.0, 85.0, 110.0, 120.0]
    assert len(logged.named("heartbeat")) == 2
    heartbeat.off()
    peer.advance(50)
    assert beats[4:] == [145.0, 170.0]
    assert len(logged.take_failures(RuntimeError)) == 6


def test_a_loop_that_is_stuck_has_no_beat(heartbeat: Heartbeat, reactor: Reactor) -> None:
    """Late beats are not made up for, so a watchdog that is fed by them starves."""
    beats: list[float] = []
    heartbeat.when_beat(lambda: beats.append(reactor.seconds()), within=10.0)
    reactor.advance(45)
    assert beats == [45.0]
