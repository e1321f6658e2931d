"""Draining: told, let finish, closed when at rest and not all at once, cut at the deadline, over in any case."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from zope.interface import alsoProvides, implementer

from netguard.drainable import IDrainable
from netguard.errors import DrainOver, Expelled
from netguard.guards.idle_timeout import IdleTimeout
from netguard.policy import Policy
from netguard.process.drain import AT_LEAST, Drain, Outcome, drainable_of
from netguard.testing import Application, Echo, NativeMemoryTransport, connect

if TYPE_CHECKING:
    from tests.conftest import Logged


@implementer(IDrainable)
class Polite(Echo):
    """Has a say."""

    busy = True
    drained = 0
    breaks = False

    def drain(self) -> None:
        """Remember."""
        self.drained += 1

    def depart(self) -> bool:
        """Go, unless busy."""
        if self.breaks:
            raise RuntimeError("ours")
        if not self.busy:
            assert self.transport is not None
            self.transport.loseConnection()
        return not self.busy


def begun(application: Any = Echo, count: int = 1, within: float = 30.0, **how: Any) -> tuple[list[Any], Any]:
    """So many connections of a service that begins to drain."""
    first = connect(IdleTimeout("1h"), application, **how)
    peers = [first, *(connect(first.factory, **how) for _ in range(count - 1))]
    drain = Drain(first.factory.service, first.factory.reactor, within)
    drain.begin()
    first.advance()
    return peers, drain


def test_without_connections_it_is_over_at_once(logged: Logged) -> None:
    """And it begins only once, whoever asks."""
    factory: Any = IdleTimeout("1h").wrap(Factory.forProtocol(Echo), Clock())
    drain = Drain(factory.service, factory.reactor, 30.0)
    told: list[str] = []
    drain.when_begun(lambda: told.append("begun"))
    early = drain.when_over()
    drain.hurry()  # nothing to hurry
    ends: list[Any] = [drain.begin(), drain.begin(), early]
    factory.reactor.advance(0)
    ends.append(drain.when_over())
    assert [each.result for each in ends] == [Outcome(0, 0, 0.0)] * 4
    assert told == ["begun"]
    assert [(each["connections"], each["within"]) for each in logged.named("draining")] == [(0, 30.0)]
    assert factory.reactor.getDelayedCalls() == []
    assert connect(factory).refused


@pytest.mark.parametrize("how", [{}, {"carrier": NativeMemoryTransport}])
def test_a_connection_at_rest_is_closed_and_one_that_is_not_is_let_finish(how: dict[str, Any]) -> None:
    """At rest means: silent on both sides for a moment, nothing queued, everything answered."""
    (peer,), drain = begun(**how)
    peer.feed(b"one")
    peer.advance(1.5)
    assert not peer.lost
    peer.feed(b"two")
    peer.advance(1.5)
    assert not peer.lost
    peer.advance(1.5)
    assert peer.lost
    assert peer.taken == b"onetwo"
    assert drain.outcome is not None
    assert (drain.outcome.connections, drain.outcome.cut) == (1, 0)
    assert peer.events[-1].name == "closed"


def test_what_was_not_answered_is_under_way() -> None:
    """Until the application has answered, or the time is up."""
    (peer,), drain = begun(Application, within=20)
    peer.application.transport.write(b"hello")
    peer.feed(b"question")
    peer.advance(10)
    assert not peer.lost
    peer.application.transport.write(b"answer")
    peer.advance(3)
    assert (peer.lost, peer.taken) == (True, b"helloanswer")
    assert drain.outcome is not None
    assert drain.outcome.cut == 0


def test_who_never_answers_anything_only_listens() -> None:
    """It has more time, since it may be busy with its first answer."""
    (peer,), _ = begun(Application)
    peer.feed(b"a line of a log")
    peer.advance(9)
    assert not peer.lost
    peer.advance(2)
    assert peer.lost


def test_an_answer_that_the_peer_takes_slowly_arrives_whole() -> None:
    """What is queued keeps a connection alive, up to the deadline."""
    (peer,), drain = begun(Application)
    peer.takes(0)
    peer.application.transport.write(b"x" * 1000)
    peer.application.transport.loseConnection()
    for _ in range(20):
        peer.advance(1)
        peer.takes(50)
    peer.advance(1)
    assert (peer.lost, len(peer.taken)) == (True, 1000)
    assert drain.outcome is not None
    assert drain.outcome.cut == 0


def test_a_producer_is_under_way() -> None:
    """Whatever it does at the moment."""
    (peer,), _ = begun(Application)

    class Producer:
        def pauseProducing(self) -> None:
            pass

        resumeProducing = stopProducing = pauseProducing

    peer.application.transport.registerProducer(Producer(), True)
    peer.advance(10)
    assert not peer.lost
    peer.application.transport.unregisterProducer()
    peer.advance(1)
    assert peer.lost


def test_the_rest_is_cut_at_the_deadline_and_not_before() -> None:
    """With a reason that names the option."""
    (peer,), drain = begun(Application)
    peer.takes(0)
    peer.application.transport.write(b"x")
    peer.advance(29.5)
    assert not peer.lost
    peer.advance(0.75)
    assert peer.lost
    reason = peer.application.reason
    assert isinstance(reason, DrainOver)
    assert (reason.limit, reason.option) == (30, "drain")
    assert drain.outcome == Outcome(1, 1, 30.0)


def test_who_has_no_patience_cuts_at_once() -> None:
    """A second signal, say."""
    (peer, other), drain = begun(Application, 2)
    peer.feed(b"question")
    drain.hurry()
    drain.hurry()
    peer.advance(0.25)
    assert (peer.lost, other.lost) == (True, True)
    assert type(peer.application.reason) is Expelled
    assert drain.outcome is not None
    assert drain.outcome.cut == 2


def test_an_application_that_has_a_say_is_told_once_and_asked_when_it_is_silent() -> None:
    """It is never closed over its head before the deadline."""
    (peer,), drain = begun(Polite)
    assert peer.application.drained == 1
    peer.advance(20)
    assert (peer.lost, peer.application.drained) == (False, 1)
    peer.application.busy = False
    peer.feed(b"more")  # whose command has just come gets its answer
    assert peer.taken == b"more"
    peer.advance(0.5)
    assert not peer.lost
    peer.advance(1)
    assert peer.lost
    assert drain.outcome is not None


def test_an_application_that_breaks_is_cut(logged: Logged) -> None:
    """It keeps nobody from the end."""
    (peer,), drain = begun(Polite)
    peer.application.breaks = True
    peer.advance(2)
    assert peer.lost
    assert len(logged.take_failures(RuntimeError)) == 1
    assert drain.outcome is not None


def test_it_is_looked_through_layers() -> None:
    """TLS and the like lie around the application."""
    (peer,), _ = begun(Polite)

    class Layer:
        wrappedProtocol = peer.application

    connection: Any = peer.connection
    connection.meter.protocol = Layer()
    assert drainable_of(connection) is peer.application
    connection.meter.protocol = layer = Layer()
    layer.wrappedProtocol = layer
    assert drainable_of(connection) is None


def test_many_leave_one_after_the_other() -> None:
    """Within half of the time, evenly; few leave at once."""
    peers, drain = begun(count=1000)
    left: list[int] = []
    for _ in range(100):
        before = sum(each.lost for each in peers)
        peers[0].advance(0.25)
        left.append(sum(each.lost for each in peers) - before)
    assert sum(left) == 1000
    assert max(left) <= 21
    assert sum(each > 0 for each in left) > 45
    assert drain.outcome is not None
    assert drain.outcome.seconds <= 16
    assert drain.outcome.cut == 0
    few, _ = begun(count=AT_LEAST)
    few[0].advance(2.25)
    assert all(each.lost for each in few)


def test_who_never_consents_to_the_end_of_tls_is_not_waited_for() -> None:
    """It has taken everything: nothing is lost, and nothing counts as cut."""
    (peer,), drain = begun(Application)
    connection: Any = peer.connection
    alsoProvides(peer.transport, ISSLTransport)
    transport: Any = peer.transport
    transport.loseConnection = lambda: None  # as TLS does while the peer says nothing
    connection.meter.received = connection.meter.answered = 1  # its handshake is over
    peer.advance(4)
    assert not peer.lost
    peer.advance(2)
    assert peer.lost
    assert drain.outcome is not None
    assert (drain.outcome.cut, drain.outcome.connections) == (0, 1)


def test_who_is_let_in_only_during_the_drain_is_told_too() -> None:
    """Their names were being looked up when it began."""
    first = connect(IdleTimeout("1h"), Polite)
    factory = first.factory
    second = connect(factory)
    connection: Any = second.connection
    connection.state = "opening"
    drain = Drain(factory.service, factory.reactor, 30.0)
    drain.begin()
    second.advance(0.25)
    assert second.application.drained == 0
    connection.state = "open"
    second.advance(0.25)
    assert second.application.drained == 1


def test_it_ends_though_aborts_are_never_heard_of() -> None:
    """A transport of some other make need not keep its promises."""
    (peer,), drain = begun(Application, within=5)
    transport: Any = peer.transport
    transport.abortConnection = transport.loseConnection = lambda: None
    peer.feed(b"question")
    over: Any = drain.when_over()
    peer.advance(5)
    assert not over.called
    peer.advance(2)
    assert over.result.cut == 1
    peer.vanish()


def test_a_process_that_ends_otherwise_leaves_no_timer() -> None:
    """Nothing is told then."""
    (peer,), drain = begun(Polite)
    drain.forget()
    drain.forget()
    peer.vanish()
    assert drain.outcome.connections == 1


def test_ports_of_their_own_policies_are_drained_together() -> None:
    """The population is that of all, and a factory that joins late admits nobody."""
    peer = connect(IdleTimeout("1h"), Polite)
    second = Policy(IdleTimeout("5m")).wrap(Factory.forProtocol(Polite), peer.clock, beside=peer.factory)
    other = connect(second)
    drain = Drain(peer.factory.service, peer.clock, 30.0)
    drain.begin()
    peer.advance()
    third = Policy(IdleTimeout("5m")).wrap(Factory.forProtocol(Polite), peer.clock, beside=peer.factory)
    assert connect(third).refused
    peer.application.busy = other.application.busy = False
    peer.advance(1.5)
    assert (peer.lost, other.lost) == (True, True)
    assert drain.outcome is not None


def test_a_clock_that_is_set_cuts_nobody() -> None:
    """The deadline goes by a clock of its own."""
    peer = connect(IdleTimeout("1h"), Polite)
    drain = Drain(peer.factory.service, peer.clock, 30.0, lambda: 0.0)
    drain.begin()
    peer.clock.advance(0)
    peer.clock.advance(50)
    peer.clock.advance(0)
    assert not peer.lost
    drain.forget()
    peer.vanish()
