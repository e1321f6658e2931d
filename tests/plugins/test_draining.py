"""``--drain``: the signals begin it, the process ends behind it, and how it ends tells what happened."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from pytest_twisted import blockon
from twisted.internet.error import ReactorNotRunning
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock, deferLater
from twisted.python.usage import UsageError

from netguard.guards.idle_timeout import IdleTimeout
from netguard.plugins import draining
from netguard.plugins.draining import PATIENCE, SIGNALS, Life
from netguard.process.drain import Drain
from netguard.testing import Dialogue, Echo, connect

if TYPE_CHECKING:
    from tests.conftest import Logged


class Reactor(Clock):
    """A clock that is a reactor as far as its end is concerned."""

    def __init__(self) -> None:
        super().__init__()
        self.done: list[Any] = []
        self.triggers: list[Any] = []
        self.starting: list[Any] = []
        self.running = True

    def callFromThread(self, do: Any) -> None:
        """At once."""
        do()

    def callWhenRunning(self, do: Any) -> None:
        """At once, as when it runs."""
        do()

    def addSystemEventTrigger(self, *about: Any) -> None:
        """Remember."""
        self.triggers.append(about)

    def stop(self) -> None:
        """Remember."""
        if not self.running:
            raise ReactorNotRunning
        self.done.append("stop")

    def sigTerm(self, number: int, _: object) -> None:
        """What the real one has for SIGTERM, and for SIGINT."""
        self.done.append(number)


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    """A reactor that has taken the signals; they do again at the end what they did before."""
    from twisted.internet import reactor as real

    blockon(deferLater(real, 0))  # what it does to signals, it does when it begins
    before = {number: signal.getsignal(number) for number in SIGNALS}
    fake = Reactor()
    for number in SIGNALS:
        signal.signal(number, fake.sigTerm)
    yield fake
    for number, handler in before.items():
        signal.signal(number, handler)


def running(reactor: Reactor, within: float | None = 30.0) -> tuple[Dialogue, Life]:
    """A service with one connection."""
    peer = connect(IdleTimeout("1h"), Echo, clock=reactor)
    house = peer.factory.service
    life = Life(house, None if within is None else Drain(house, reactor, within), reactor, "test")
    life.startService()
    return peer, life


def send(number: int) -> None:
    """A signal to ourselves."""
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_drain_that_cuts_nobody_ends_with_status_0(number: int, reactor: Reactor, logged: Logged) -> None:
    """The reactor is stopped when the last connection is gone, and not before."""
    peer, life = running(reactor)
    send(number)
    assert reactor.done == []
    peer.advance(4)
    assert (peer.lost, reactor.done) == (True, ["stop"])
    life.stopService()
    ((phase, event, tell),) = reactor.triggers
    assert (phase, event) == ("after", "shutdown")
    tell()
    assert [each["pid"] for each in logged.named("started")] == [os.getpid()]
    (stopped,) = logged.named("stopped")
    assert (stopped["connections"], stopped["cut"], stopped["service"]) == (1, 0, "test")
    assert stopped["drained"] <= stopped["duration"] == 4


def test_a_signal_ends_an_application_that_takes_too_long_to_stop(
    reactor: Reactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And not one that is about to be done: what it still has to close is closed."""
    died: list[int] = []
    monkeypatch.setattr(draining, "die_by", died.append)
    peer, _ = running(reactor)
    send(signal.SIGTERM)
    while not reactor.done:
        peer.advance(0.25)
    assert reactor.done == ["stop"]
    send(signal.SIGTERM)
    reactor.advance(PATIENCE - 0.5)
    send(signal.SIGINT)
    assert died == []
    reactor.advance(0.5)
    send(signal.SIGTERM)
    assert died == [signal.SIGTERM]
    assert reactor.done == ["stop"]


@pytest.mark.parametrize("second", SIGNALS)
def test_a_second_signal_cuts_and_then_the_first_does_as_ever(second: int, reactor: Reactor) -> None:
    """So twistd ends itself by the signal, and who looks at the status knows."""
    peer, _ = running(reactor)
    peer.feed(b"x")
    send(signal.SIGTERM)
    send(second)
    peer.advance(0.25)
    assert peer.lost
    assert reactor.done == [signal.SIGTERM]


def test_the_deadline_cuts_too(reactor: Reactor) -> None:
    """With the same status."""
    peer, _ = running(reactor, 5.0)
    peer.takes(0)
    peer.feed(b"x")
    send(signal.SIGINT)
    peer.advance(6)
    assert reactor.done == [signal.SIGINT]


def test_a_drain_that_somebody_else_began_ends_the_process_too(reactor: Reactor) -> None:
    """The first signal in it is no second one."""
    peer, life = running(reactor)
    assert life._drain is not None
    life._drain.begin()
    send(signal.SIGTERM)
    assert not peer.lost
    peer.advance(4)
    assert reactor.done == ["stop"]


def test_an_application_that_has_a_handler_of_its_own_is_asked_to_end(reactor: Reactor) -> None:
    """After the drain, whose outcome it does not know."""
    heard: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    peer, _ = running(reactor)
    send(signal.SIGTERM)
    assert heard == []
    peer.advance(4)
    assert (heard, reactor.done) == ([signal.SIGTERM], [])


def test_a_signal_that_is_ignored_stays_so(reactor: Reactor) -> None:
    """A shell has put us into the background, and Ctrl-C is not for us."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    running(reactor)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_a_reactor_that_stops_otherwise_is_not_held(reactor: Reactor) -> None:
    """Nothing waits, nothing is stopped twice, and a signal ends what still hangs."""
    peer, life = running(reactor)
    peer.feed(b"x")
    send(signal.SIGTERM)
    reactor.running = False
    life.stopService()
    assert reactor.sigTerm not in [signal.getsignal(each) for each in SIGNALS]
    peer.vanish()
    assert reactor.done == []


def test_a_service_that_never_ran_tells_nothing(reactor: Reactor, logged: Logged) -> None:
    """Its start failed before the reactor ran."""
    waiting: list[Any] = []
    late: Any = reactor
    late.callWhenRunning = waiting.append
    _, life = running(reactor)
    life.stopService()
    for each in waiting:
        each()
    assert (reactor.triggers, logged.named("started")) == ([], [])


def test_switched_off_everything_is_as_ever(reactor: Reactor, logged: Logged) -> None:
    """But that it starts and stops is told."""
    _, life = running(reactor, None)
    send(signal.SIGTERM)
    assert reactor.done == [signal.SIGTERM]
    life.stopService()
    assert signal.getsignal(signal.SIGTERM) == reactor.sigTerm
    reactor.triggers[0][2]()
    (stopped,) = logged.named("stopped")
    assert "drained" not in stopped


class Given(dict[str, Any]):
    """The options, as far as they matter here."""

    parent = None


def test_the_option_is_a_time_or_off(reactor: Reactor) -> None:
    """What it cannot be is one line; other concerns find what it makes."""
    with pytest.raises(UsageError, match=r"^--drain .*'soon'"):
        draining.check(Given(drain="soon"))  # type: ignore[arg-type]
    from twisted.application.service import MultiService

    for text, offered in (("off", False), ("5s", True)):
        house = IdleTimeout("1h").wrap(Factory.forProtocol(Echo), reactor).service
        given: Any = Given(drain=text)
        draining.check(given)
        draining.equip(MultiService(), house, given)
        assert ("drain" in house.offers) is offered
