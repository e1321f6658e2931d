"""Tests for netguard.service: what the ports of a service share."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock

from netguard.errors import OptionError
from netguard.guard import Misdeed
from netguard.guards.first_byte_timeout import FirstByteTimeout
from netguard.guards.write_stall import WriteStall
from netguard.policy import Policy
from netguard.service import Service
from netguard.testing import Application, connect


class Port:
    """A port that remembers whether it accepts."""

    def __init__(self) -> None:
        self.connected = True
        self.accepts = True

    def stopReading(self) -> None:
        """Stop."""
        self.accepts = False

    def startReading(self) -> None:
        """Go on."""
        self.accepts = True


@pytest.fixture
def service() -> Service:
    """A service of its own."""
    clock: Any = Clock()
    return Service(lambda: clock)


def test_the_population_is_that_of_all_ports() -> None:
    """And a factory that nobody holds any more has no part in it."""
    policy, inner, clock = Policy(FirstByteTimeout("1h")), Factory.forProtocol(Application), Clock()
    first = policy.wrap(inner, clock)
    second = policy.wrap(inner, clock, beside=first)
    peers = [connect(first), connect(second), connect(second)]
    assert first.service is second.service
    assert first.service.population == 3
    peers[0].vanish()
    assert second.service.population == 2


def test_every_tick_is_told_once_however_many_ports_sweep(service: Service) -> None:
    """The sweeps of one moment are one tick; it goes on while somebody wants it to."""
    ticks: list[float] = []
    answers = [True, False]

    def tick(now: float) -> bool:
        ticks.append(now)
        return answers.pop(0)

    service.each_tick(tick)
    goes_on: list[bool] = []
    for now in (1.0, 1.05, 1.25):
        service.tick(now, 0.25)
        goes_on.append(service.restless)
    assert goes_on == [True, True, False]
    assert ticks == [1.0, 1.25]


def test_a_restless_service_goes_on_without_connections() -> None:
    """As one that has to find out that it has recovered; then it rests."""
    factory = Policy(FirstByteTimeout("1h")).wrap(Factory.forProtocol(Application), clock := Clock())
    ticks: list[float] = []

    def tick(now: float) -> bool:
        ticks.append(now)
        return len(ticks) < 4

    factory.service.each_tick(tick)
    peer = connect(factory)
    peer.advance(0.25)
    peer.vanish()
    peer.advance(5)
    assert len(ticks) == 4
    assert not clock.getDelayedCalls()


def test_strained_connections_have_less_time_until_they_are_settled() -> None:
    """A tenth, at once, also those that are there already; and all of it again afterwards."""
    peers = [connect(FirstByteTimeout("60s"))]
    factory = peers[0].factory
    peers += [connect(factory), connect(factory)]
    connections: list[Any] = [each.connection for each in peers]
    connections[1].settle()
    peers[0].advance(5)
    factory.service.tighten(0.1)
    peers[0].advance(1.5)
    assert [each.lost for each in peers] == [True, False, True]
    factory.service.tighten(1.0)
    later = connect(factory)
    later.advance(59)
    assert not later.lost
    later.advance(2)
    assert later.lost


def test_a_strained_service_has_less_time_for_newcomers() -> None:
    """From their first moment on."""
    factory = connect(FirstByteTimeout("60s")).factory
    factory.service.tighten(0.1)
    peer = connect(factory)
    peer.advance(5.5)
    assert not peer.lost
    peer.advance(1)
    assert peer.lost


def test_misdeeds_are_told_to_all_who_judge(service: Service) -> None:
    """With the connection they are of."""
    heard: list[Any] = []
    service.when_misdeed(lambda *about: heard.append(about))
    service.when_misdeed(lambda *about: heard.append(about))
    service.misdeed("connection", Misdeed("malformed"))
    assert heard == [("connection", Misdeed("malformed"))] * 2


def test_a_cut_for_cause_is_a_misdeed() -> None:
    """Of the weight of its reason; an end that is nobody's fault is none."""
    heard: list[Misdeed] = []
    peer: Any = connect(WriteStall("5s"))
    peer.factory.service.when_misdeed(lambda _, misdeed: heard.append(misdeed))
    peer.takes(0)
    peer.feed(b"x")
    peer.advance(6)
    assert [each.kind for each in heard] == ["cut"] * bool(type(peer.connection.reason).weight)
    connect(peer.factory)
    peer.factory.abort_all()
    assert len(heard) <= 1


def test_what_can_be_read_again_is(service: Service, logged: Any) -> None:
    """All of it, although one part cannot be; what cannot is told, and stays."""
    read: list[int] = []

    def broken() -> None:
        raise OptionError("rules:3: no")

    service.when_reloaded(lambda: read.append(1))
    assert service.reload()
    assert logged.named("reloaded")
    service.when_reloaded(broken)
    service.when_reloaded(lambda: read.append(2))
    assert not service.reload()
    assert read == [1, 1, 2]
    assert not service.reload(OptionError("accounts: no"))
    told = [each["reason"] for each in logged.named("reload_failed")]
    assert told == ["rules:3: no", "accounts: no", "rules:3: no"]
    assert len(logged.named("reloaded")) == 1


def test_ports_stop_to_accept_while_anybody_holds_them(service: Service) -> None:
    """And a port that comes meanwhile begins held."""
    assert not service.pause_accepting("A")
    first, second, closed = Port(), Port(), Port()
    closed.connected = False
    service.listens(first)
    service.listens(closed)
    assert service.pause_accepting("A")
    assert service.pause_accepting("B")
    service.listens(second)
    ports = (first, second, closed)
    assert [each.accepts for each in ports] == [False, False, True]
    service.resume_accepting("A")
    service.resume_accepting("A")
    assert [each.accepts for each in ports] == [False, False, True]
    service.resume_accepting("B")
    assert [each.accepts for each in ports] == [True, True, True]
