"""Tests for netguard.factory."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from attrs import define, field
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone, NoProtocol
from twisted.internet.interfaces import IHandshakeListener
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from netguard.early import EARLY
from netguard.errors import (
    Draining,
    Expelled,
    Idle,
    OpeningFailed,
    Reason,
    TooEarly,
    TooManyConnections,
    Unwanted,
)
from netguard.factory import GuardedFactory
from netguard.guard import Connection, Guard, Opener, frozen
from netguard.guards.bandwidth import Bandwidth
from netguard.guards.byte_limit import ByteLimit
from netguard.guards.connection_limit import ConnectionLimit
from netguard.guards.handshake_timeout import HandshakeTimeout
from netguard.guards.idle_timeout import IdleTimeout
from netguard.guards.lifetime import Lifetime
from netguard.guards.load_shedding import LoadShedding
from netguard.opening import OPENING
from netguard.peer import address_of
from netguard.policy import Policy
from netguard.testing import Application, Echo, HalfCloseable, connect
from tests.living import living


@define(eq=False)
class Asks:
    """What a waiting guard's `install` makes: remembers who asks, and answers with what it is given.

    Attributes:
        answer: called with each connection.
        seen: the connections.
    """

    answer: Callable[[Any], Any]
    seen: list[Any] = field(factory=list)

    def open(self, connection: Any) -> Any:
        """Ask."""
        self.seen.append(connection)
        return self.answer(connection)


@frozen
class Waits(Guard):
    """A guard that may take its time."""

    answer: Any = None

    def install(self, house: Any) -> Opener:
        """Begin."""
        return Asks(self.answer).open


@frozen
class Waits2(Waits):
    """Another."""


def names(peer: Any) -> list[str]:
    """The names of the events that were told of a connection."""
    return [each.name for each in peer.events]


def lose(wrapper: Any) -> None:
    """The peer closes."""
    wrapper.connectionLost(Failure(ConnectionDone()))


# events


def test_a_connection_that_ends_by_itself_is_closed() -> None:
    """With what passed and how long it took."""
    peer = connect(Lifetime("1h"))
    peer.feed(b"hello")
    peer.advance(2.5)
    peer.finish()
    assert names(peer) == ["accepted", "opened", "closed"]
    fields = peer.events[-1].fields
    assert fields["client.address"] == "192.0.2.1"
    assert (fields["duration"], fields["bytes_in"], fields["bytes_out"]) == (2.5, 5, 5)
    assert fields["reason"] == "Connection was closed cleanly."
    assert len({each.fields["session"] for each in peer.events}) == 1


def test_a_connection_that_is_cut_says_by_what() -> None:
    """Guard, option, limit and what was observed; the application gets the same reason."""
    peer = connect(IdleTimeout("5s"))
    peer.advance(5)
    assert names(peer) == ["accepted", "opened", "cut"]
    fields = peer.events[-1].fields
    assert (fields["guard"], fields["option"]) == ("IdleTimeout", "idle")
    assert (fields["limit"], fields["observed"]) == ("5s", "5s")
    assert type(peer.application.reason) is Idle


def test_a_refused_connection_costs_no_application() -> None:
    """One event, no protocol, no transport, no timer."""
    first = connect(ConnectionLimit(total=1))
    second = connect(first.factory)
    assert second.refused
    assert names(second) == ["refused"]
    assert (second.events[0].fields["guard"], second.events[0].fields["limit"]) == ("ConnectionLimit", "1")
    assert second.application is None
    first.vanish()
    assert not connect(first.factory).refused


@pytest.mark.parametrize("answer", ["none", "raises"])
def test_an_application_that_takes_no_connection_refuses_it(answer: str) -> None:
    """One event, whether it answers None or raises."""

    class Unwilling(Factory):
        """Builds nothing."""

        def buildProtocol(self, addr: object) -> None:
            """Refuse."""
            if answer == "raises":
                raise ZeroDivisionError

    factory = Policy(Lifetime("1h")).wrap(Unwilling(), Clock())
    told: list[Any] = []
    factory.follower = lambda _, outcome: told.append(outcome)
    if answer == "raises":
        with pytest.raises(ZeroDivisionError):
            factory.buildProtocol(None)
    else:
        assert factory.buildProtocol(None) is None
    assert [type(each.value) for each in told] == [Unwanted]
    assert factory.connections == []


def test_an_application_that_settles_says_so_once() -> None:
    """Between `opened` and the last event."""
    peer = connect(Lifetime("1h"))
    assert peer.connection is not None
    peer.advance(1)
    peer.connection.settle()
    peer.connection.settle()
    peer.vanish()
    peer.connection.settle()
    assert names(peer) == ["accepted", "opened", "settled", "closed"]
    assert peer.connection.settled_at == 1


def test_a_flood_of_refusals_is_sampled_with_exact_counts(logged: Any) -> None:
    """A hundred refusals in a second are eleven lines, and their counts add up to a hundred."""
    first = connect(ConnectionLimit(total=1))
    for _ in range(100):
        assert connect(first.factory).application is None
    first.advance(2)
    refused = logged.named("refused")
    assert len(refused) == 11
    assert sum(each["count"] for each in refused) == 100


def test_stopping_tells_what_was_counted(logged: Any) -> None:
    """No refusal is forgotten when the port closes, and no timer is left."""
    first = connect(ConnectionLimit(total=1))
    first.factory.doStart()
    for _ in range(12):
        connect(first.factory)
    first.vanish()
    first.factory.doStop()
    assert sum(each["count"] for each in logged.named("refused")) == 12
    assert first.clock.getDelayedCalls() == []


def test_quiet_factories_do_not_tell_details(logged: Any) -> None:
    """What is of level debug is not even made."""
    factory = GuardedFactory(Factory.forProtocol(Echo), [], reactor=Clock(), verbose=False)
    wrapper: Any = factory.buildProtocol(None)
    wrapper.makeConnection(StringTransport())
    lose(wrapper)
    assert [each["event"] for each in logged.events if "session" in each] == ["closed"]


def test_observing_guards_report_and_act_not(logged: Any) -> None:
    """They would refuse, cut and slow down, say so, and the connection goes on."""
    policy = Policy(
        ConnectionLimit(total=1, observe=True), IdleTimeout("1s", observe=True), Bandwidth(received=10, observe=True)
    )
    first = connect(policy)
    second = connect(first.factory)
    assert names(second)[:2] == ["would_refuse", "accepted"]
    second.feed(b"x" * 100)
    second.advance(3)
    assert second.taken == b"x" * 100
    assert {*names(second)} >= {"would_refuse", "would_cut", "would_pause"}
    paused = logged.named("would_pause")[0]
    assert (paused["guard"], paused["way"]) == ("Bandwidth", "in")
    assert not second.lost


# the sweep


def test_a_connection_after_a_long_silence_of_the_service_starts_afresh() -> None:
    """Nothing that was stamped before it came counts against it."""
    first = connect(IdleTimeout("30s"))
    first.advance(1)
    first.vanish()
    first.advance(3600)
    second = connect(first.factory)
    second.advance(29.75)
    assert not second.lost
    second.advance(0.5)
    assert second.lost


def test_a_reactor_that_was_busy_for_longer_than_the_limit_cuts_nobody_who_spoke() -> None:
    """What came while nobody swept is activity at the next sweep."""
    peer = connect(IdleTimeout("5s"))
    peer.advance(1)
    peer.clock.rightNow += 20  # the reactor is busy
    assert peer.transport is not None
    peer.transport.protocol.dataReceived(b"x")
    peer.advance(4)
    assert not peer.lost
    peer.advance(2)
    assert peer.lost


def test_the_sweep_survives_a_strange_transport(logged: Any) -> None:
    """It is cut, and the others are judged all the same."""

    class Strange(StringTransport):
        """Cannot be asked."""

        dataBuffer = 3

        def __init__(self) -> None:
            super().__init__()
            self.__dict__["dataBuffer"] = 3

    peer = connect(IdleTimeout("5s"))
    wrapper: Any = peer.factory.buildProtocol(None)
    wrapper.makeConnection(Strange())
    wrapper.wrappedProtocol.transport.write(b"x")
    peer.advance(5)
    assert peer.lost
    assert wrapper.connection.state == "cut"
    assert len(logged.take_failures(TypeError)) >= 1
    lose(wrapper)


def test_there_is_a_timer_only_while_somebody_is_there() -> None:
    """Or while ports are open: then the last one runs out by itself."""
    clock = Clock()
    factory = Lifetime("1h").wrap(Factory.forProtocol(Echo), clock)
    assert clock.getDelayedCalls() == []
    for listening in (False, True):
        if listening:
            factory.doStart()
        peer = connect(factory)
        assert len(clock.getDelayedCalls()) == 1
        peer.vanish()
        assert len(clock.getDelayedCalls()) == listening
    clock.advance(0.25)
    assert clock.getDelayedCalls() == []
    factory.doStop()


def test_the_clock_is_the_global_reactors_when_none_is_given() -> None:
    """It is imported when it is needed, and not before."""
    from twisted.internet import reactor

    factory = Policy(Lifetime("1h")).wrap(Factory.forProtocol(Echo))
    assert factory.reactor is reactor


# the end


@pytest.mark.parametrize("closing", [False, True], ids=["open", "closed"])
def test_who_is_refused_before_it_was_counted_is_not_counted_out(closing: bool) -> None:
    """A place that was never taken is not given back: more would be let in than may be."""
    factory: Any = Policy(ConnectionLimit(total=2, per_peer=2), LoadShedding(limit=2)).wrap(Factory(), Clock())
    first, second = (answer for _, answer in factory.opening.installed)
    crowd, door = first.socket.why.__self__, second.peer.why.__self__
    caller = factory.meet("192.0.2.1", 7)
    if closing:
        factory.close()
    factory.wrapped.buildProtocol = lambda _: None  # which is a refusal by the application
    assert factory.admit(address_of("192.0.2.1", 7), caller=caller) is None
    assert (crowd.total, crowd.peers, door.pending.pending, door.spared) == (0, {}, 0, set())


def test_a_closed_factory_admits_nobody_and_keeps_who_is_in() -> None:
    """The refusal says why."""
    peer = connect(Lifetime("1h"))
    peer.factory.close()
    late = connect(peer.factory)
    assert "shutting down" in str(late.events[-1])
    peer.feed(b"x")
    assert peer.taken == b"x"


def test_when_empty_fires_after_the_last_application_has_heard_of_its_end() -> None:
    """And at once where nobody is."""
    peer = connect(Lifetime("1h"), Application)
    order: list[str] = []
    peer.application.reactions["lost"] = lambda: order.append("application")
    for _ in range(2):
        peer.factory.when_empty().addCallback(lambda _: order.append("empty"))
    peer.vanish()
    assert order == ["application", "empty", "empty"]
    peer.factory.when_empty().addCallback(lambda _: order.append("at once"))
    assert order[-1] == "at once"


def test_when_empty_fires_although_the_application_raises() -> None:
    """A broken protocol does not hold up the shutdown."""
    peer = connect(Lifetime("1h"), Application)
    fired: list[object] = []
    peer.factory.when_empty().addCallback(fired.append)
    peer.application.reactions["lost"] = lambda: 1 / 0
    with pytest.raises(ZeroDivisionError):
        peer.vanish()
    assert fired == [None]


@pytest.mark.parametrize("reason", [None, Draining()])
def test_abort_all_cuts_everybody(reason: Reason | None) -> None:
    """With the reason given, and only once."""
    first = connect(Lifetime("1h"))
    second = connect(first.factory)
    first.factory.abort_all(reason)
    first.factory.abort_all(reason)
    first.advance()
    for each in (first, second):
        assert type(each.application.reason) is (Expelled if reason is None else Draining)
        assert names(each) == ["accepted", "opened", "cut"]


def test_abort_all_before_there_is_a_transport_gives_the_place_back() -> None:
    """What comes for a transport later is closed at once."""
    factory = ConnectionLimit(total=1).wrap(Factory.forProtocol(Echo), Clock())
    wrapper: Any = factory.buildProtocol(None)
    factory.abort_all()
    assert factory.connections == []
    transport = StringTransport()
    wrapper.makeConnection(transport)
    assert transport.disconnected
    lose(wrapper)
    assert factory.buildProtocol(None) is not None


@pytest.mark.parametrize("guard", [ConnectionLimit(total=1), Policy(ConnectionLimit(total=1), Lifetime("7s"))])
def test_a_connection_that_nobody_connects_gives_its_place_back(guard: Any) -> None:
    """As when TLS fails before it hands the transport on."""
    clock = Clock()
    factory = guard.wrap(Factory.forProtocol(Echo), clock)
    assert factory.buildProtocol(None) is not None
    clock.pump([0.25] * 4 * 61)
    assert factory.connections == []
    assert clock.getDelayedCalls() == []
    assert factory.buildProtocol(None) is not None


# waiting for guards


def test_an_application_is_built_once_the_guards_have_decided() -> None:
    """It sees the peer's address; reading is paused until then, and what came is delivered in order."""
    answer: Deferred[None] = Deferred()
    built: list[Any] = []

    class Builds(Factory):
        """Remembers."""

        def buildProtocol(self, addr: object) -> Any:
            """Build."""
            built.append(addr)
            return Echo()

    peer = connect(Waits(lambda _: answer), Builds())
    assert peer.transport is not None
    assert built == []
    assert not peer.transport.reading
    assert peer.transport.protocol.logPrefix() == "opening"
    peer.transport.protocol.dataReceived(b"ear")
    peer.transport.protocol.dataReceived(b"ly")
    peer.feed(b" and late")
    assert names(peer) == []
    answer.callback(None)
    peer.advance()
    assert built == [IPv4Address("TCP", "192.0.2.1", 40000)]
    assert peer.application.calls[:3] == [("made",), ("data", b"ear"), ("data", b"ly")]
    assert peer.taken == b"early and late"
    assert names(peer) == ["accepted", "opened"]
    assert peer.connection is not None
    assert peer.connection.received == 14


async def _nothing() -> None:
    """A coroutine."""


async def _fails() -> None:
    """A coroutine that raises."""
    raise ZeroDivisionError


@pytest.mark.parametrize("answer", [lambda _: succeed(None), lambda _: _nothing()], ids=["Deferred", "coroutine"])
def test_guards_may_answer_at_once(answer: Any) -> None:
    """One after the other."""
    peer = connect(Policy(Waits(answer), Waits2(answer), Lifetime("1h")))
    peer.feed(b"x")
    assert peer.taken == b"x"


def test_guards_are_asked_one_after_the_other() -> None:
    """The second only when the first has let the peer pass; what came early stays."""
    first: Deferred[None] = Deferred()
    second: Deferred[None] = Deferred()
    asked: list[str] = []

    def ask(name: str, answer: Any) -> Any:
        def answered(_: object) -> Any:
            asked.append(name)
            return answer

        return answered

    peer = connect(Policy(Waits(ask("first", first)), Waits2(ask("second", second))))
    assert peer.transport is not None
    peer.transport.protocol.dataReceived(b"early")
    assert asked == ["first"]
    first.callback(None)
    assert asked == ["first", "second"]
    assert peer.application is None
    second.callback(None)
    peer.advance()
    assert peer.taken == b"early"


@pytest.mark.parametrize(
    "answer",
    [lambda _: fail(ZeroDivisionError()), lambda _: _fails(), lambda _: 1 / 0],
    ids=["Deferred", "coroutine", "at once"],
)
def test_a_guard_that_fails_lets_nobody_in(answer: Any, logged: Any) -> None:
    """The traceback is logged, and the peer is refused."""
    peer = connect(Policy(Waits(answer), ConnectionLimit(total=1)))
    peer.advance()
    assert names(peer) == ["refused"]
    assert OpeningFailed.summary in str(peer.events[0])
    assert len(logged.take_failures(ZeroDivisionError)) == 1
    assert peer.factory.connections == []


@pytest.mark.parametrize("awaited", [False, True])
def test_a_guard_may_refuse_after_a_while(awaited: bool) -> None:
    """From a coroutine, or when a Deferred fires; one event, and every place is given back."""
    answer: Deferred[None] = Deferred()

    async def refuse_later(connection: Connection) -> None:
        await answer
        connection.refuse(TooManyConnections(1, 2))

    def refuse(connection: Any) -> Any:
        if awaited:
            return refuse_later(connection)
        return answer.addCallback(lambda _: connection.refuse(TooManyConnections(1, 2)))

    peer = connect(Policy(ConnectionLimit(total=1), Waits(refuse)))
    answer.callback(None)
    peer.advance()
    assert peer.lost
    assert peer.application is None
    assert names(peer) == ["refused"]
    assert peer.factory.connections == []
    assert peer.clock.getDelayedCalls() == []


@pytest.mark.parametrize("how", ["vanish", "abort_all"])
def test_a_peer_that_goes_while_guards_decide_is_forgotten(how: str) -> None:
    """What they decide later is of no interest, a failure included."""
    answer: Deferred[None] = Deferred()
    told: list[Any] = []
    peer = connect(Policy(ConnectionLimit(total=1), Waits(lambda _: answer)))
    peer.factory.follower = lambda _, outcome: told.append(outcome.value)
    if how == "vanish":
        peer.vanish()
        assert names(peer) == ["closed"]
    else:
        peer.factory.abort_all()
        peer.advance()
        assert names(peer) == ["refused"]
    assert len(told) == 1
    answer.errback(ZeroDivisionError())
    peer.advance(1)
    assert peer.application is None
    assert peer.factory.connections == []


def test_a_coroutine_that_was_never_begun_is_closed() -> None:
    """No warning about it comes up later."""
    factory = Policy(Waits(lambda _: _nothing())).wrap(Factory.forProtocol(Echo), Clock())
    assert factory.buildProtocol(None) is not None
    factory.abort_all()
    gc.collect()
    assert factory.connections == []


def test_guards_may_not_take_for_ever() -> None:
    """There is a bound on all of them together, and the handshake's limit holds too."""
    for guards, seconds in (([], OPENING), ([HandshakeTimeout("5s")], 5.0)):
        peer: Any = connect(Policy(Waits(lambda _: Deferred()), *guards))
        peer.advance(seconds - 0.25)
        assert not peer.lost
        peer.advance(0.5)
        assert peer.lost
        assert names(peer) == ["refused"]


def test_what_comes_early_is_bounded() -> None:
    """As much as one read may bring is kept; one byte more is a refusal."""
    for size, refused in ((EARLY, False), (EARLY + 1, True)):
        answer: Deferred[None] = Deferred()
        peer = connect(Waits(lambda _, answer=answer: answer), Application)
        assert peer.transport is not None
        peer.transport.protocol.dataReceived(b"x" * size)
        answer.callback(None)
        peer.advance()
        assert peer.lost is refused
        if refused:
            assert TooEarly.summary in str(peer.events[-1])
        else:
            assert len(peer.application.received) == size


@implementer(IHandshakeListener)
class Listening(HalfCloseable):
    """Hears of everything."""

    def handshakeCompleted(self) -> None:
        """Remember."""
        self._called("handshake")


@pytest.mark.parametrize("application", [Application, Listening])
def test_handshakes_and_half_closes_that_come_early_are_replayed(application: Any) -> None:
    """In order; an application that is not half-closeable is closed, as it would have been."""
    answer: Deferred[None] = Deferred()
    peer = connect(Waits(lambda _: answer), application)
    assert peer.transport is not None
    wrapper: Any = peer.transport.protocol
    provided: Any = IHandshakeListener.providedBy
    assert provided(wrapper)
    wrapper.handshakeCompleted()
    wrapper.dataReceived(b"all")
    wrapper.readConnectionLost()
    answer.callback(None)
    peer.advance()
    calls = [each[0] for each in peer.application.calls]
    if application is Application:
        assert calls == ["made", "data", "lost"]
    else:
        assert calls == ["made", "handshake", "data", "read lost"]
    assert provided(wrapper) is (application is Listening)


@pytest.mark.parametrize("answer", ["none", "raises", "made raises", "data raises"])
def test_an_application_that_fails_late_is_closed(answer: str, logged: Any) -> None:
    """As a port would do it: logged when it raises, and the place is given back."""
    application = Application()

    class Late(Factory):
        """Builds, or not."""

        def buildProtocol(self, addr: object) -> Any:
            """Build."""
            if answer == "raises":
                raise ZeroDivisionError
            return None if answer == "none" else application

    if answer.endswith(" raises"):
        application.reactions[answer.split(maxsplit=1)[0]] = lambda: 1 / 0
    wait: Deferred[None] = Deferred()
    peer = connect(Policy(ConnectionLimit(total=1), Waits(lambda _: wait)), Late())
    assert peer.transport is not None
    peer.transport.protocol.dataReceived(b"early")
    wait.callback(None)
    peer.advance()
    assert peer.lost
    assert names(peer)[-1] == ("closed" if answer.endswith(" raises") else "refused")
    assert len(logged.take_failures(ZeroDivisionError)) == (answer != "none")
    assert peer.factory.connections == []
    again = connect(peer.factory)
    assert "max-connections" not in str(again.events[-1])
    logged.take_failures(ZeroDivisionError)


def test_a_shutdown_while_the_application_is_built_wins() -> None:
    """The protocol that was built is not started."""
    wait: Deferred[None] = Deferred()
    application = Application()

    class Ends(Factory):
        """Ends everything."""

        def buildProtocol(self, addr: object) -> Any:
            """Build."""
            peer.factory.abort_all()
            return application

    peer = connect(Waits(lambda _: wait), Ends())
    wait.callback(None)
    peer.advance()
    assert application.calls == []
    assert names(peer) == ["refused"]


def test_who_follows_hears_of_every_outcome_once() -> None:
    """The application's protocol, or why there will never be one."""
    outcomes: list[Any] = []
    factory = ConnectionLimit(total=1).wrap(Factory.forProtocol(Echo), Clock())
    factory.follower = lambda _, outcome: outcomes.append(outcome)
    wrapper: Any = factory.buildProtocol(None)
    wrapper.makeConnection(StringTransport())
    assert factory.buildProtocol(None) is None
    lose(wrapper)
    assert type(outcomes[0]) is Echo
    assert [type(each.value) for each in outcomes[1:]] == [TooManyConnections]
    assert not issubclass(NoProtocol, Reason)


# together


def test_factories_beside_each_other_share_their_limits() -> None:
    """Guards that only one has, hold for that one."""
    clock = Clock()
    first = Policy(ConnectionLimit(total=1)).wrap(Factory.forProtocol(Echo), clock)
    second = Policy(ConnectionLimit(total=1)).wrap(
        Lifetime("5s").wrap(Factory.forProtocol(Echo), clock), clock, beside=first
    )
    one = connect(second)
    assert connect(first).refused
    one.advance(5)
    assert one.lost
    assert not connect(first).refused


# memory


@pytest.mark.parametrize("end", ["vanish", "cut", "close"])
def test_nothing_of_a_closed_connection_waits_for_the_garbage_collector(end: str) -> None:
    """Application, wrapper and connection go as soon as the transport lets go of them."""
    policy = Policy(
        IdleTimeout("1h"), ByteLimit(item=100, queue=1000), Bandwidth(received=100, sent=100), ConnectionLimit(total=9)
    )
    peer = connect(policy)
    peer.feed(b"x" * 50)
    peer.feed(b"\n" * 200)
    peer.application.extra = peer.application.transport
    held = [weakref.ref(peer.application), weakref.ref(peer.application.transport)]
    wrapper = living(peer.transport.protocol)  # type: ignore[union-attr]
    assert wrapper()
    gc.collect()
    gc.disable()
    try:
        if end == "cut":
            peer.factory.abort_all()
        elif end == "close":
            peer.finish()
        else:
            peer.vanish()
        peer.advance(10)
        assert peer.lost
        peer.application = peer.connection = peer.transport = None
        assert [each() for each in held] == [None, None]
        assert not wrapper()
    finally:
        gc.enable()


def test_a_refused_connection_leaves_nothing_for_the_garbage_collector() -> None:
    """A flood of refusals makes no cycles."""
    factory = ConnectionLimit(total=1).wrap(Factory.forProtocol(Echo), Clock())
    held = factory.buildProtocol(None)
    factory.buildProtocol(None)
    gc.collect()
    gc.disable()
    try:
        for _ in range(10):
            assert factory.buildProtocol(None) is None
        assert gc.collect() == 0
    finally:
        gc.enable()
    assert held is not None
