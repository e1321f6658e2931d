"""Tests for netguard.opening."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock

from netguard.errors import OpeningFailed, TooManyConnections
from netguard.factory import GuardedFactory
from netguard.guard import LATER, Gate, Guard, Stages, frozen
from netguard.guards.access_rules import AccessRules
from netguard.guards.bandwidth import Bandwidth
from netguard.guards.byte_limit import ByteLimit
from netguard.guards.connection_limit import ConnectionLimit
from netguard.guards.connection_rate import ConnectionRate
from netguard.guards.first_byte_timeout import FirstByteTimeout
from netguard.guards.idle_timeout import IdleTimeout
from netguard.guards.lifetime import Lifetime
from netguard.guards.load_shedding import LoadShedding
from netguard.guards.penalties import Penalties
from netguard.guards.proxy_protocol import ProxyProtocol
from netguard.guards.write_stall import WriteStall
from netguard.opening import OPENING
from netguard.options import option
from netguard.peer import Caller, address_of
from netguard.policy import Policy
from netguard.testing import Application, connect
from netguard.units import count
from netguard.wrapper import Wrapper


def opened(*guards: Guard) -> Any:
    """A factory's opening."""
    factory: GuardedFactory = Policy(*guards).wrap(Factory.forProtocol(Application), Clock())
    return factory.opening


def test_guards_that_are_the_same_for_all_are_opened_once() -> None:
    """Their plan is every connection's, and one object."""
    marks = ByteLimit(item=10, queue=20), Bandwidth(sent=9)
    opening = opened(Lifetime("1h"), IdleTimeout("5m"), WriteStall("1m"), *marks)
    assert opening.whole.openers == []
    factory: GuardedFactory = Policy(Lifetime("1h"), IdleTimeout("5m")).wrap(Factory.forProtocol(Application), Clock())
    first, second = connect(factory).connection, connect(factory).connection
    assert first is not None
    assert second is not None
    assert first._plan is second._plan
    assert first.meter.due == first.opened + 60  # when a connection without a transport would give up


def test_guards_that_look_at_the_connection_are_opened_with_each() -> None:
    """In their order."""
    opening = opened(ConnectionLimit(total=5), ConnectionRate(total="5/s"), Lifetime("1h"))
    assert [guard for guard, _ in opening.questions] == [ConnectionLimit(total=5), *[ConnectionRate(total="5/s")] * 2]


def test_marks_hold_from_the_first_byte() -> None:
    """The lowest of all guards."""
    connection: Any = connect(Policy(ByteLimit(received=50, sent=70, queue=60), Lifetime("1h")), Application).connection
    assert (connection.meter.received_mark, connection.meter.sent_mark) == (50, 60)


def test_guards_of_other_authors_are_opened_with_each_connection() -> None:
    """Nobody knows what else they do: each connection is a real one, and each is met."""
    met: list[Any] = []

    @frozen
    class Other(Guard):
        """Meets connections."""

        def open(self, connection: Any) -> None:
            """Meet one."""
            met.append(connection)
            connection.after(3600, print)

    peer = connect(Other())
    second = connect(peer.factory)
    assert met == [peer.connection, second.connection]


def test_what_one_of_ours_does_late_or_slowly_is_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A coroutine function is not called; one that asks for a fact is opened with each connection."""
    asked: list[Any] = []

    @frozen
    class Slow(Guard):
        """Takes its time."""

        async def open(self, connection: Any) -> None:
            """Meet one."""
            asked.append(connection)

    @frozen
    class Looks(Guard):
        """Asks for a fact."""

        def open(self, connection: Any) -> None:
            """Meet one."""
            asked.append(connection.host)

    for each in (Slow, Looks):
        monkeypatch.setattr(each, "__module__", "netguard.guards.some")
    peer = connect(Policy(Slow(), Looks()))
    assert len(peer.factory.opening.whole.openers) == 2
    assert len(asked) == 2
    assert peer.connection in asked
    assert "192.0.2.1" in asked
    assert peer.application is not None


def test_what_is_recorded_for_the_end_and_the_settling_is_called(monkeypatch: pytest.MonkeyPatch) -> None:
    """For each connection."""
    called: list[tuple[str, int]] = []

    @frozen
    class Ours(Guard):
        """Waits for both."""

        def open(self, connection: Any) -> None:
            """Wait."""
            connection.settled(self.on_settled)
            connection.at_end(self.on_end)

        def on_settled(self, connection: Any) -> None:
            """Remember."""
            called.append(("settled", connection.number))

        def on_end(self, connection: Any) -> None:
            """Remember."""
            called.append(("end", connection.number))

    monkeypatch.setattr(Ours, "__module__", "netguard.guards.some")
    peer = connect(Ours())
    assert peer.factory.opening.whole.openers == []
    assert peer.connection is not None
    number = peer.connection.number
    peer.connection.settle()
    peer.vanish()
    assert called == [("settled", number), ("end", number)]


def test_factories_beside_each_other_share_what_equal_guards_made() -> None:
    """And have their own of the others."""
    clock = Clock()
    first = Policy(ConnectionLimit(total=5), FirstByteTimeout("5s")).wrap(Factory.forProtocol(Application), clock)
    second = Policy(ConnectionLimit(total=5)).wrap(Factory.forProtocol(Application), clock, beside=first)
    third = Policy(ConnectionLimit(total=6)).wrap(Factory.forProtocol(Application), clock, beside=first)
    (one,), (two,), (three,) = (each.opening.whole.openers for each in (first, second, third))
    assert one == two
    assert one != three


def test_the_guards_have_so_long_in_all(logged: Any) -> None:
    """A wait that does not end is a refusal; so is one that fails, and one that is cancelled."""

    @frozen
    class Waits(Guard):
        """Waits."""

        answer: Any = None

        def open(self, connection: Any) -> Any:
            """Wait."""
            return self.answer

    never: Deferred[None] = Deferred()
    peer = connect(Waits(never))
    peer.advance(OPENING - 1)
    assert not peer.lost
    peer.advance(2)
    assert peer.refused
    never.errback(ZeroDivisionError())
    cancelled: Deferred[None] = Deferred()
    peer = connect(Waits(cancelled))
    cancelled.cancel()
    peer.advance()
    assert peer.refused
    assert len(logged.take_failures(CancelledError)) == 1


def test_a_guard_that_raises_refuses(logged: Any) -> None:
    """And the guards behind it are not asked."""

    @frozen
    class Raises(Guard):
        """Raises."""

        def open(self, connection: Any) -> None:
            """Raise."""
            raise ZeroDivisionError

    assert connect(Policy(Raises(), ConnectionLimit(total=1))).refused
    assert len(logged.take_failures(ZeroDivisionError)) == 1


def _why(*guards: Guard) -> list[str]:
    """What decides before there is a connection."""
    return [gate.why.__name__ for gate in opened(*guards).gates]


def test_only_the_first_of_the_openers_may_be_gates() -> None:
    """What another guard has to see before is not passed by, and nobody is turned away where one observes."""
    limit, rate = ConnectionLimit(total=5, per_peer=5), ConnectionRate(total="5/s")

    @frozen
    class First(Guard):
        """Is asked before the limit."""

        def install(self, house: Any) -> Stages:
            """Look at sockets."""
            return Stages(socket=lambda _: None)

    assert _why(limit, rate, Lifetime("1h")) == ["is_full", "are_many", "has_many", "are_many_of_one"]
    assert _why(ConnectionLimit(total=5, observe=True), rate) == []
    assert _why(limit, ConnectionRate(total="5/s", observe=True)) == ["is_full"]
    factory = GuardedFactory(Factory(), [First(), limit], reactor=Clock())
    assert factory.opening.gates == []


class Doors:
    """A guard's shared state: three gates, of which tests say what they answer."""

    def __init__(self) -> None:
        self.answers: list[Any] = [None, None, None]
        self.called: list[tuple[str, int]] = []

    def opening(self) -> Any:
        """The opening of a factory in which three guards share this."""
        doors = self

        @frozen
        class Door(Guard):
            """One of them."""

            number: int = option("max-connections", count, "Which.")

            def install(self, house: Any) -> Any:
                """Share it."""

                def why(_: object) -> Any:
                    doors.called.append(("why", self.number))
                    answer = doors.answers[self.number - 1]
                    return answer() if callable(answer) else answer

                def enter(_: object) -> None:
                    doors.called.append(("enter", self.number))

                def ask(_: object) -> None:
                    doors.called.append(("ask", self.number))

                return Gate(why, None if self.number == 2 else enter, ask)

        return GuardedFactory(Factory(), [Door(1), Door(2), Door(3)], reactor=Clock())

    def calls(self, found: Any) -> list[tuple[str, int]]:
        """What has been called, and then what is called of those who are left to be asked."""
        called, self.called = self.called, []
        for opener in found.openers:
            opener(None)
        return [*called, *self.called]


def test_who_passes_all_gates_is_only_counted() -> None:
    """Nobody decides twice."""
    doors = Doors()
    found = doors.opening().opening.judge(Caller("192.0.2.1", 1, 0.0))
    assert doors.calls(found) == [("why", 1), ("why", 2), ("why", 3), ("enter", 1), ("enter", 3)]


def test_who_depends_on_more_is_asked_about_with_a_connection() -> None:
    """From that gate on; whoever decided before decides no more."""
    doors = Doors()
    doors.answers[1] = LATER
    found = doors.opening().opening.judge(Caller("192.0.2.1", 1, 0.0))
    later = [("why", 2), ("ask", 2), ("why", 3), ("enter", 3)]
    assert doors.calls(found) == [("why", 1), ("why", 2), ("enter", 1), *later]


def test_who_is_refused_at_a_gate_is_counted_by_none() -> None:
    """Not even by those before."""
    doors, reason = Doors(), TooManyConnections(1, 2)
    doors.answers[1] = reason
    assert doors.opening().opening.judge(Caller("192.0.2.1", 1, 0.0)) is reason
    assert doors.called == [("why", 1), ("why", 2)]


def test_a_gate_that_fails_lets_nobody_in(logged: Any) -> None:
    """It fails again with the connection, and that is told."""
    doors = Doors()
    doors.answers[2] = lambda: 1 // 0
    assert doors.opening().buildProtocol(address_of("192.0.2.1", 1)) is None
    assert len(logged.take_failures(ZeroDivisionError)) == 1
    assert [event["reason"] for event in logged.named("refused")] == [str(OpeningFailed())]


PEER, PROXY = "192.0.2.1", "192.0.2.9"
CROWDED: dict[str, Guard] = {
    "total": ConnectionLimit(total=1),
    "per-peer": ConnectionLimit(per_peer=1),
    "rate": ConnectionRate(total="1/h"),
    "rate-per-peer": ConnectionRate(per_peer="1/h"),
    "shed": LoadShedding(shed="connections>1", exempt="203.0.113.0/24"),
    "pending": LoadShedding(limit=1),
    "rules": AccessRules("deny 192.0.2.0/24"),
    "privileged": AccessRules(privileged_port="refuse"),
    "penalty": Penalties("1/h"),
}
"""Every guard that can refuse by address, with a limit that is soon reached."""


@pytest.mark.parametrize("proxy", [False, True], ids=["alone", "beside-proxies"])
@pytest.mark.parametrize("guard", CROWDED.values(), ids=CROWDED)
def test_nothing_is_made_for_whom_an_address_is_enough_to_refuse(guard: Guard, proxy: bool, logged: Any) -> None:
    """Also where proxies speak for others, as long as it is none of them that comes."""
    policy = Policy(guard, ProxyProtocol(PROXY)) if proxy else Policy(guard)
    factory: Any = policy.wrap(Factory.forProtocol(Application), Clock())
    for _ in range(3):
        factory.buildProtocol(address_of(PEER, 7))
    for _ in range(2):
        Wrapper(factory, address_of(PEER, 7), 0).connection.misdeed("some")
    before, population = len(logged.named("refused")), factory.population
    assert factory.meet(PEER, 7) is None
    assert factory.population == population
    assert len(logged.named("refused")) == before + 1


def test_a_proxy_is_heard_before_anything_but_places_is_decided() -> None:
    """By its own address nobody else is judged."""
    guards = [AccessRules("deny 192.0.2.0/24"), ProxyProtocol(PROXY), ConnectionLimit(total=1)]
    factory: Any = Policy(*guards).wrap(Factory.forProtocol(Application), Clock())
    assert [gate.why.__name__ for gate in factory.opening.gates] == ["is_full", "is_listed", "closed"]
    assert factory.meet(PEER, 50_000) is None
    assert factory.meet(PROXY, 50_000) is not None
    assert factory.buildProtocol(address_of(PROXY, 50_000)) is not None
    assert factory.meet(PROXY, 50_000) is None
