"""A worker's side, in this process: what its parent says, and what becomes of it without one."""

from __future__ import annotations

import faulthandler
import json
import os
import socket
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from twisted.application.service import Service as TwistedService
from twisted.internet import reactor as global_reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ReactorNotRunning
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock, deferLater

from netguard import events
from netguard.factory import count_sessions, next_session
from netguard.guarded_endpoints import announce
from netguard.policy import Policy
from netguard.process.commands import Call
from netguard.process.drain import Drain
from netguard.service import Service
from netguard.workers.assignment import Assignment
from netguard.workers.member import Member, Orders, leave
from netguard.workers.sockets import opened
from netguard.workers.totals import Table, memory
from netguard.workers.worker import SHOW

if TYPE_CHECKING:
    from tests.conftest import Logged

reactor: Any = global_reactor
HERE = "127.0.0.1"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """This process is no worker."""
    yield
    faulthandler.unregister(SHOW)
    events.QUIET.clear()
    count_sessions(next_session(), 1)


class Reactor(Clock):
    """One that can be stopped."""

    def __init__(self, *, running: bool = True) -> None:
        super().__init__()
        self.running = running

    def stop(self) -> None:
        """Once."""
        if not self.running:
            raise ReactorNotRunning
        self.running = False


class Port:
    """A port that was handed over."""

    _shouldShutdown = False


def test_it_drains_or_stops() -> None:
    """As its service does; a reactor that stops already may."""
    house, clock = Service(Clock), Reactor()
    assert not leave(house, clock)
    assert not clock.running
    assert not leave(house, clock)
    house.offers["drain"] = drain = Drain(house, clock, 30.0)
    assert leave(house, clock)
    assert drain.began is not None
    drain.forget()


@pytest.mark.parametrize(("words", "ours"), [((), True), (("shared",), False)])
def test_orders(words: tuple[str, ...], ours: bool) -> None:
    """The sockets are its alone, or another instance's, too; that says who lets those in who wait there."""
    house, clock, port = Service(Clock), Reactor(), Port()
    orders = Orders(house, clock, [port])
    assert orders.hurry(Call()) == {}
    house.offers["drain"] = drain = Drain(house, clock, 30.0)
    assert orders.part(Call(words)) == {"parting": True}
    assert port._shouldShutdown is ours
    orders.hurry(Call())
    assert json.loads(json.dumps(orders.figures(Call())))["now"] == 0
    assert orders.stop(Call()) == {}
    before = clock.running
    clock.advance(0)
    assert (before, clock.running) == (True, False)
    drain.forget()


def test_one_that_is_hurried_before_it_is_to_part_does_both() -> None:
    """Orders may overtake each other, and nobody says again that there is a hurry."""
    house, clock = Service(Clock), Reactor()
    orders = Orders(house, clock, [])
    house.offers["drain"] = drain = Drain(house, clock, 3600.0)
    outcomes: list[object] = []
    drain.when_over().addCallback(outcomes.append)
    house.join(staying := Staying())
    orders.hurry(Call())
    orders.part(Call())
    assert staying.aborted
    clock.pump([1.0] * 4)
    assert len(outcomes) == 1


class Staying:
    """A factory with somebody who does not go."""

    connections: tuple[object, ...] = ()
    population = 1
    aborted = False

    def close(self) -> None:
        """Let nobody in any more."""

    def when_empty(self) -> Deferred[None]:
        """Never."""
        return Deferred()

    def abort_all(self, _reason: object) -> None:
        """Be told."""
        self.aborted = True


class Listening(TwistedService):
    """An application that listens on one port."""

    def __init__(self, factory: Any) -> None:
        self.factory = factory
        self.port: Any = None

    def privilegedStartService(self) -> None:
        """Listen."""
        self.port = announce(reactor.listenTCP(0, self.factory, interface=HERE), self.factory)

    def startService(self) -> None:
        """Begin."""
        super().startService()


async def test_it_serves_what_it_was_given(logged: Logged) -> None:
    """It says so, answers its parent, counts together with the others, and drains when the parent has gone."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    totals, sockets = memory(2), opened(HERE, 0, 50, 3)
    table = Table(totals, 2)
    handed = ((HERE, 0, tuple(os.dup(each.fileno()) for each in sockets[1:])),)
    given = Assignment(2, 2, 1_000_002, theirs.detach(), totals, handed, {"max-connections": "7", "nonsense": "1"})
    member = Member(given)
    assert next_session() == 1_000_002
    factory = Policy.from_options({"max-connections": "5", "idle": "1m"}).wrap(Factory(), reactor)
    house = factory.service
    house.offers["drain"] = drain = Drain(house, reactor, 30.0)
    service: Any = Listening(factory)
    member.serve(service, house, reactor)
    service.privilegedStartService()
    service.startService()
    while True:
        try:
            assert ours.recv(100) == b"ready\n"
            break
        except BlockingIOError:
            await deferLater(reactor, 0.01)
    assert service.port.getHost().port == sockets[0].getsockname()[1]
    assert [each.text for each in house.dials if each.option.flag == "max-connections"] == ["7"]
    house.figures.came()
    assert table.sum_of(0) == 1
    house.figures.went()
    question, theirs_too = socket.socketpair()
    socket.send_fds(ours, [b"."], [theirs_too.fileno()])
    theirs_too.close()
    question.sendall(b"figures\n")
    question.setblocking(False)
    while True:
        try:
            told = question.recv(65536)
            break
        except BlockingIOError:
            await deferLater(reactor, 0.01)
    assert json.loads(told)["session"] == 1_000_004
    question.close()
    ours.close()
    outcome = await drain.when_over()
    assert outcome.cut == 0
    assert logged.named("orphaned")
    assert logged.named("draining") == []  # its parent would tell that
    assert not service.port.connected
    for each in sockets:
        each.close()
    await deferLater(reactor, 0.05)


async def test_without_a_parent_nothing_is_said() -> None:
    """And nothing fails."""
    ours, theirs = socket.socketpair()
    totals = memory(2)
    member = Member(Assignment(1, 2, 1, theirs.detach(), totals, ()))
    member.lifeline.say(b"nobody hears that\n")
    member.lifeline.connectionLost()
    clock = Reactor()
    member.lifeline.begin(Service(Clock), clock, ())
    member.lifeline.adopt(socket.socket(fileno=member.assignment.lifeline), reactor)
    ours.close()
    member.lifeline.say(b"nobody hears that\n")
    while clock.running:
        await deferLater(reactor, 0.01)
    os.close(totals)
