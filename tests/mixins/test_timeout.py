"""What is promised of the TimeoutMixin: all that Twisted's does, the further deadlines, and an end without traces."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from attrs import define, field
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport, StringTransportWithDisconnection
from twisted.protocols import policies
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure

from netguard.mixins import TimeoutMixin
from netguard.mixins.deadlines import PhaseTimedOut, ReadTimedOut, TimedOut, WriteTimedOut


class Queueing(StringTransport):
    """A transport whose peer takes only what a test lets it take."""

    def __init__(self) -> None:
        super().__init__()
        self.dataBuffer = b""

    def write(self, data: bytes) -> None:
        """Queue."""
        self.dataBuffer += data

    def take(self, count: int) -> None:
        """Let the peer take some of it."""
        self.dataBuffer = self.dataBuffer[count:]


class Timed(TimeoutMixin, Protocol):
    """A protocol that remembers what it was told, and cancels nothing at its end."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.got: list[bytes] = []
        self.ends: list[Failure] = []

    def dataReceived(self, data: bytes) -> None:
        """Remember."""
        self.got.append(data)

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
        """Remember, and do not call super."""
        self.ends.append(reason)


class Polite(Timed):
    """Says goodbye instead of aborting."""

    goodbyes = 0

    def timeoutConnection(self) -> None:
        """Close politely."""
        self.goodbyes += 1
        assert self.transport is not None
        self.transport.loseConnection()


def connected(kind: type[Timed] = Timed, transport: Any = None) -> tuple[Any, Any, Clock]:
    """A protocol on a transport, and its clock."""
    protocol = kind()
    transport = transport or StringTransport()
    protocol.makeConnection(transport)
    return protocol, transport, protocol.clock


# --- what Twisted's does, asked of both ---


@pytest.fixture(params=[policies.TimeoutMixin, TimeoutMixin], ids=["twisted", "netguard"])
def counting(request: pytest.FixtureRequest) -> Any:
    """A protocol with one of the two mixins, which starts at once with 3 s and counts its time-outs."""
    base: Any = request.param

    class Counting(Protocol, base):  # type: ignore[misc]
        timeOut = 3
        timeouts = 0
        clock: Clock

        def connectionMade(self) -> None:
            self.setTimeout(self.timeOut)

        def dataReceived(self, data: bytes) -> None:
            self.resetTimeout()

        def callLater(self, period: float, func: Any) -> Any:
            return self.clock.callLater(period, func)

        def timeoutConnection(self) -> None:
            self.timeouts += 1

    protocol = Counting()
    protocol.clock = Clock()
    return protocol


def begin(protocol: Any) -> Clock:
    """Connect it."""
    protocol.makeConnection(StringTransport())
    clock: Clock = protocol.clock
    return clock


def test_an_overridden_call_later_is_the_clock(counting: Any) -> None:
    """Whoever overrides callLater decides about the clock, even before there is a connection."""
    counting.setTimeout(10)
    assert [call.getTime() for call in counting.clock.getDelayedCalls()] == [10]
    counting.clock.advance(10)
    assert counting.timeouts == 1


def test_the_timeout_strikes_at_its_moment(counting: Any) -> None:
    """The time-out comes after timeOut seconds, not before, and once."""
    clock = begin(counting)
    clock.pump([0.5, 1, 1, 0.49])
    assert counting.timeouts == 0
    clock.advance(0.01)
    assert counting.timeouts == 1
    clock.pump([3] * 5)
    assert counting.timeouts == 1


def test_reset_postpones(counting: Any) -> None:
    """A reset begins the period anew, exactly."""
    clock = begin(counting)
    for _ in range(20):
        clock.advance(2.9)
        counting.dataReceived(b"here")
    clock.advance(2.99)
    assert counting.timeouts == 0
    clock.advance(0.02)
    assert counting.timeouts == 1


def test_a_new_period_replaces_the_old(counting: Any) -> None:
    """A shorter or a longer period counts from the moment at which it is set."""
    clock = begin(counting)
    counting.setTimeout(1)
    clock.advance(0.9)
    counting.setTimeout(5)
    clock.advance(4.9)
    assert counting.timeouts == 0
    clock.advance(0.1)
    assert counting.timeouts == 1


def test_none_cancels(counting: Any) -> None:
    """setTimeout(None) ends the deadline and leaves no call behind; a reset does not bring it back."""
    clock = begin(counting)
    counting.setTimeout(None)
    assert counting.timeOut is None
    assert clock.getDelayedCalls() == []
    counting.resetTimeout()
    counting.timeOut = 2
    counting.resetTimeout()
    clock.pump([5, 5])
    assert counting.timeouts == 0


def test_set_timeout_returns_the_period_before(counting: Any) -> None:
    """The period that is replaced is returned."""
    counting.timeOut = 5
    assert counting.setTimeout(10) == 5
    assert counting.setTimeout(None) == 10
    assert counting.setTimeout(1) is None
    assert counting.timeOut == 1


def test_reset_takes_the_period_of_the_moment(counting: Any) -> None:
    """A timeOut changed by assignment counts from the next reset, though it is shorter."""
    clock = begin(counting)
    counting.timeOut = 1
    clock.advance(0.5)
    counting.resetTimeout()
    clock.advance(1)
    assert counting.timeouts == 1


def test_nothing_is_reset_after_it_struck(counting: Any) -> None:
    """After the time-out a reset does nothing, and setTimeout begins again."""
    clock = begin(counting)
    clock.advance(3)
    counting.resetTimeout()
    clock.pump([3, 3])
    assert counting.timeouts == 1
    counting.setTimeout(2)
    clock.advance(2)
    assert counting.timeouts == 2


def test_a_call_cancelled_from_outside_does_not_matter(counting: Any) -> None:
    """setTimeout(None) is harmless after somebody has cancelled all calls of the reactor."""
    counting.setTimeout(3)
    counting.clock.getDelayedCalls()[0].cancel()
    counting.setTimeout(None)
    assert counting.timeOut is None


# --- how it differs ---


def test_the_default_aborts() -> None:
    """A peer whose time is over is cut by an abort, and why is there to be read."""
    protocol, transport, clock = connected()
    protocol.setTimeout(3)
    clock.advance(3)
    assert transport.disconnected
    assert isinstance(protocol.timeoutReason, TimedOut)
    assert (protocol.timeoutReason.limit, protocol.timeoutReason.observed) == (3, 3)
    assert clock.getDelayedCalls() == []


def test_without_an_abort_it_loses() -> None:
    """On a transport that cannot abort, the connection is lost politely."""

    @define
    class Plain:
        lost: int = 0

        def loseConnection(self) -> None:
            self.lost += 1

    protocol, transport, clock = connected(transport=Plain())
    protocol.setTimeout(3)
    clock.advance(3)
    assert transport.lost == 1


def test_without_a_connection_nothing_is_cut() -> None:
    """A deadline that strikes before there is a connection, or in something that never has one, harms nobody."""
    protocol = Timed()
    protocol.setTimeout(3)
    protocol.clock.advance(3)
    assert isinstance(protocol.timeoutReason, TimedOut)

    class Bare(TimeoutMixin):
        clock = Clock()

    bare = Bare()
    bare.setTimeout(3)
    bare.setWriteTimeout(3)
    bare.clock.advance(3)
    assert isinstance(bare.timeoutReason, TimedOut)


@pytest.mark.parametrize("name", ["clock", "reactor"])
def test_the_clock_can_be_an_attribute(name: str) -> None:
    """A clock or reactor attribute is used; one of that name which is no IReactorTime is not."""

    class Named(TimeoutMixin, Protocol):
        clock: Any = "a chess clock"

    protocol, clock = Named(), Clock()
    setattr(protocol, name, clock)
    protocol.setTimeout(3)
    assert len(clock.getDelayedCalls()) == 1


def test_the_global_reactor_is_the_clock_otherwise() -> None:
    """Without a clock of its own a protocol is timed by the global reactor, as with Twisted's."""
    from twisted.internet import reactor

    class Plain(TimeoutMixin, Protocol):
        pass

    protocol = Plain()
    protocol.setTimeout(1000)
    calls = IReactorTime(reactor).getDelayedCalls()
    assert [call for call in calls if call.getTime() > IReactorTime(reactor).seconds() + 990]
    protocol.setTimeout(None)


def test_a_reset_moves_nothing_on_the_heap() -> None:
    """However often it is reset, there is one call, and it stays where it is."""
    protocol, transport, clock = connected()
    protocol.setTimeout(10)
    (call,) = clock.getDelayedCalls()
    for _ in range(9):
        clock.advance(1)
        protocol.resetTimeout()
        assert clock.getDelayedCalls() == [call]
        assert call.getTime() == 10
    clock.advance(9.99)
    assert not transport.disconnected
    clock.advance(0.01)
    assert transport.disconnected


# --- reading ---


@pytest.mark.parametrize("period", [10, "10s"])
def test_silence_is_cut_exactly(period: float | str) -> None:
    """A peer from which nothing comes is cut when the read period has passed since its last byte, and not before."""
    protocol, transport, clock = connected()
    protocol.setReadTimeout(period)
    clock.advance(7)
    protocol.dataReceived(b"x")
    clock.pump([0.5] * 19 + [0.49])
    assert not transport.disconnected
    clock.advance(0.01)
    assert transport.disconnected
    assert isinstance(protocol.timeoutReason, ReadTimedOut)
    assert protocol.got == [b"x"]


def test_a_trickle_of_bytes_is_no_silence() -> None:
    """A byte in each period keeps the connection: how slow is too slow is for phases and rates."""
    protocol, transport, clock = connected()
    protocol.setReadTimeout(10)
    for _ in range(360):
        clock.advance(9.9)
        protocol.dataReceived(b"x")
    assert not transport.disconnected


def test_setting_it_again_begins_anew() -> None:
    """A read period set again counts from then, and the bytes are still delivered once."""
    protocol, transport, clock = connected()
    protocol.setReadTimeout(10)
    clock.advance(9)
    protocol.setReadTimeout(4)
    protocol.dataReceived(b"x")
    clock.advance(3.9)
    assert not transport.disconnected
    clock.advance(0.1)
    assert transport.disconnected
    assert protocol.got == [b"x"]


def test_ending_the_read_deadline_leaves_no_trace() -> None:
    """None ends the deadline, the call, and the watching of dataReceived."""
    protocol, transport, clock = connected()
    protocol.setReadTimeout(10)
    assert "dataReceived" in vars(protocol)
    protocol.setReadTimeout(None)
    assert "dataReceived" not in vars(protocol)
    assert clock.getDelayedCalls() == []
    clock.advance(1000)
    assert not transport.disconnected


def test_a_peer_that_takes_an_answer_is_not_silent() -> None:
    """A peer that downloads for ten read periods lives, and has a whole period to speak when it is done."""
    protocol, transport, clock = connected(transport=Queueing())
    protocol.setReadTimeout(8)
    transport.write(b"x" * 100)
    for _ in range(100):
        clock.advance(0.8)
        transport.take(1)
        assert not transport.disconnected
    clock.pump([0.1] * 79)
    assert not transport.disconnected
    clock.pump([0.1] * 13)
    assert transport.disconnected


def test_a_peer_that_neither_speaks_nor_takes_is_silent() -> None:
    """The read deadline alone cuts a peer for which an answer waits that it does not take."""
    protocol, transport, clock = connected(transport=Queueing())
    protocol.setReadTimeout(8)
    transport.write(b"x")
    clock.pump([1] * 8)
    assert transport.disconnected


def test_line_receivers_need_no_extra_call() -> None:
    """The read deadline works for a protocol whose dataReceived comes from a base class that knows nothing of it."""

    class Lines(LineReceiver, TimeoutMixin):
        def lineReceived(self, line: bytes) -> None:
            got.append(line)

    got: list[bytes] = []
    protocol: Any = Lines()
    protocol.clock = clock = Clock()
    protocol.makeConnection(transport := StringTransport())
    protocol.setReadTimeout(10)
    clock.advance(9)
    protocol.dataReceived(b"a\r\nb\r\n")
    clock.advance(9)
    assert not transport.disconnected
    assert got == [b"a", b"b"]
    clock.advance(1)
    assert transport.disconnected


def test_a_read_deadline_needs_something_to_watch() -> None:
    """Where nothing can come, a read deadline is a mistake of the author, who is told."""

    class Mute(TimeoutMixin):
        clock = Clock()

    with pytest.raises(TypeError, match="watches dataReceived, and Mute has none"):
        Mute().setReadTimeout(1)
    assert Mute.clock.getDelayedCalls() == []


# --- writing ---


def test_a_peer_that_takes_nothing_is_cut() -> None:
    """A peer for which bytes wait that it does not take is cut after the write period, at most an eighth later."""
    protocol, transport, clock = connected(transport=Queueing())
    protocol.setWriteTimeout(8)
    clock.pump([0.1] * 4)
    transport.write(b"x" * 20)
    clock.pump([0.1] * 79)
    assert not transport.disconnected
    clock.pump([0.1] * 12)
    assert transport.disconnected
    assert isinstance(protocol.timeoutReason, WriteTimedOut)


def test_a_queue_that_stands_already_is_timed_from_the_call() -> None:
    """Where the queue stood when the deadline was set, the cut comes exactly at the end of the period."""
    protocol, transport, clock = connected(transport=Queueing())
    transport.write(b"x" * 20)
    protocol.setWriteTimeout("8s")
    clock.pump([0.5] * 15 + [0.49])
    assert not transport.disconnected
    clock.advance(0.01)
    assert transport.disconnected


def test_an_honest_slow_reader_is_not_cut() -> None:
    """One byte taken in each period is enough, for an hour; and when all is taken nothing is ever late."""
    protocol, transport, clock = connected(transport=Queueing())
    protocol.setWriteTimeout(8)
    transport.write(b"x" * 500)
    for _ in range(500):
        clock.pump([1] * 7)
        transport.take(1)
    clock.pump([60] * 60)
    assert not transport.disconnected


def test_politeness_does_not_keep_a_non_reader() -> None:
    """With a polite timeoutConnection the write deadline still holds, through loseConnection, and aborts."""
    protocol, transport, clock = connected(Polite, Queueing())
    protocol.setTimeout(5)
    protocol.setWriteTimeout(8)
    transport.write(b"x")
    clock.pump([0.5] * 10)
    assert (protocol.goodbyes, transport.disconnecting, transport.disconnected) == (1, True, False)
    clock.pump([0.5] * 8)
    assert (protocol.goodbyes, transport.disconnected) == (1, True)


def test_ending_the_write_deadline() -> None:
    """None ends it, and its call."""
    protocol, transport, clock = connected(transport=Queueing())
    transport.write(b"x")
    protocol.setWriteTimeout(8)
    protocol.setWriteTimeout(None)
    assert clock.getDelayedCalls() == []
    clock.advance(1000)
    assert not transport.disconnected


# --- phases ---


def test_a_phase_is_absolute() -> None:
    """A phase strikes at its moment whatever comes meanwhile, and its reason names it."""
    protocol, transport, clock = connected()
    protocol.setTimeout(5)
    protocol.startPhase("login", 12)
    for _ in range(11):
        clock.advance(1)
        protocol.resetTimeout()
    clock.advance(0.99)
    assert not transport.disconnected
    clock.advance(0.01)
    assert transport.disconnected
    assert isinstance(protocol.timeoutReason, PhaseTimedOut)
    assert protocol.timeoutReason.name == "login"


def test_several_phases_at_once() -> None:
    """Phases run side by side; one that ends does not touch the others."""
    protocol, transport, clock = connected()
    protocol.startPhase("session", 100)
    protocol.startPhase("login", "10s")
    assert protocol.endPhase("login")
    clock.advance(99.9)
    assert not transport.disconnected
    clock.advance(0.1)
    assert transport.disconnected


def test_starting_a_running_phase_restarts_it() -> None:
    """A phase that is started again has its whole time again."""
    protocol, transport, clock = connected()
    protocol.startPhase("command", 10)
    clock.advance(9)
    protocol.startPhase("command", 10)
    clock.advance(9.9)
    assert not transport.disconnected
    clock.advance(0.1)
    assert transport.disconnected


def test_ending_an_unknown_phase_is_harmless() -> None:
    """To end a phase that does not run, or has just run out, does nothing and says so."""
    protocol, _, clock = connected(Polite)
    assert not protocol.endPhase("login")
    protocol.startPhase("login", 10)
    clock.advance(10)
    assert protocol.goodbyes == 1
    assert not protocol.endPhase("login")


def test_the_last_phase_takes_its_call_along() -> None:
    """No call is left when the last phase ends."""
    protocol, _, clock = connected()
    protocol.startPhase("login", 10)
    assert protocol.endPhase("login")
    assert clock.getDelayedCalls() == []


def test_deadlines_that_passed_together_each_get_their_turn() -> None:
    """A polite protocol hears of each deadline that passed, in their order."""
    protocol, _, clock = connected(Polite)
    protocol.startPhase("a", 1)
    protocol.startPhase("b", 2)
    protocol.setTimeout(3)
    clock.advance(10)
    assert protocol.goodbyes == 3
    assert isinstance(protocol.timeoutReason, TimedOut)


@pytest.mark.parametrize("wrong", [0, -1, float("inf"), float("nan"), "soon", True])
def test_what_is_no_duration_is_refused(wrong: Any) -> None:
    """A period that is none is refused in words, and changes nothing."""
    protocol, _, clock = connected()
    for attempt in (
        protocol.setReadTimeout,
        protocol.setWriteTimeout,
        lambda value: protocol.startPhase("login", value),
    ):
        with pytest.raises(ValueError, match="is not a duration"):
            attempt(wrong)
    assert clock.getDelayedCalls() == []


# --- the end ---


def all_of_them(protocol: Any) -> None:
    """Start every kind of deadline."""
    protocol.setTimeout(10)
    protocol.setReadTimeout(10)
    protocol.setWriteTimeout(10)
    protocol.startPhase("login", 10)


def test_nothing_is_left_after_connection_lost() -> None:
    """A protocol that forgets to cancel, and does not call super, leaves no call and no shadow behind."""
    protocol, _, clock = connected()
    all_of_them(protocol)
    reason = Failure(ConnectionDone())
    protocol.connectionLost(reason)
    assert clock.getDelayedCalls() == []
    assert protocol.ends == [reason]
    assert not {"connectionLost", "dataReceived"} & vars(protocol).keys()


def test_nothing_can_be_started_after_connection_lost() -> None:
    """A deadline set in or after connectionLost starts nothing, though setTimeout still returns what it should."""

    class Restless(Timed):
        def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008
            all_of_them(self)

    protocol, transport, clock = connected(Restless)
    protocol.setTimeout(5)
    protocol.connectionLost()
    all_of_them(protocol)
    protocol.resetTimeout()
    protocol.transport = None
    all_of_them(protocol)
    assert clock.getDelayedCalls() == []
    assert protocol.setTimeout(None) == 10
    clock.advance(100)
    assert not transport.disconnected


def test_a_protocol_connected_again_is_timed_again() -> None:
    """A protocol that gets a second transport has its deadlines again."""
    protocol, _, clock = connected()
    protocol.setTimeout(5)
    protocol.connectionLost(Failure(ConnectionDone()))
    protocol.makeConnection(second := StringTransport())
    protocol.setTimeout(5)
    clock.advance(5)
    assert second.disconnected
    protocol.connectionLost(Failure(ConnectionDone()))
    assert len(protocol.ends) == 2


def test_bases_that_do_not_cooperate_do_not_matter() -> None:
    """Whichever order the bases stand in, whether or not anybody calls super, nothing is left."""

    class Last(LineReceiver, TimeoutMixin):
        pass

    class First(TimeoutMixin, LineReceiver):
        pass

    for kind in (Last, First):
        protocol: Any = kind()
        protocol.clock = clock = Clock()
        protocol.makeConnection(StringTransport())
        all_of_them(protocol)
        protocol.connectionLost(Failure(ConnectionDone()))
        assert clock.getDelayedCalls() == []


def test_an_end_that_passes_us_by_is_noticed() -> None:
    """If connectionLost was replaced after the first deadline, the call finds its transport gone and stops."""
    protocol, transport, clock = connected()
    all_of_them(protocol)
    lost: list[Any] = []
    protocol.connectionLost = lost.append
    transport.disconnected = True
    clock.advance(10)
    assert protocol.timeoutReason is None
    assert clock.getDelayedCalls() == []


def test_a_call_of_the_protocols_own_making_is_not_the_end() -> None:
    """An extra argument marks a call that the protocol makes to itself, while its deadlines still have to hold."""

    class Own(Timed):
        def connectionLost(self, reason: Failure = Failure(ConnectionDone()), *, final: bool = True) -> None:  # noqa: B008
            self.ends.append(reason)
            self.final = final

    protocol, transport, clock = connected(Own)
    protocol.setTimeout(5)
    protocol.connectionLost(Failure(ConnectionDone()), final=False)
    assert not protocol.final
    clock.advance(5)
    assert transport.disconnected


def test_the_application_learns_the_reason() -> None:
    """After our abort connectionLost gets our reason, which is a ConnectionAborted; any other reason stays."""
    protocol, _, clock = connected()
    protocol.setTimeout(5)
    clock.advance(5)
    protocol.connectionLost(Failure(ConnectionAborted()))
    assert protocol.ends[0].check(ConnectionAborted)
    assert protocol.ends[0].value is protocol.timeoutReason

    protocol, _, clock = connected()
    protocol.setTimeout(5)
    clock.advance(5)
    protocol.connectionLost(Failure(ConnectionLost()))
    assert protocol.ends[0].value is protocol.timeoutReason, "TLS, which hides that we aborted"

    protocol, _, clock = connected(Polite)
    protocol.setTimeout(5)
    clock.advance(5)
    protocol.connectionLost(Failure(ConnectionDone()))
    assert protocol.ends[0].type is ConnectionDone

    protocol, _, clock = connected()
    protocol.setTimeout(5)
    protocol.connectionLost(Failure(ConnectionAborted()))
    assert protocol.ends[0].type is ConnectionAborted


def test_something_without_an_end_is_timed_too() -> None:
    """A class without connectionLost gets its deadlines; only the last one takes the call along."""

    @define(slots=False)
    class Endless(TimeoutMixin):
        clock: Clock = field(factory=Clock)

    endless = Endless()
    endless.setTimeout(5)
    endless.setTimeout(None)
    assert endless.clock.getDelayedCalls() == []


def test_the_end_frees_the_protocol() -> None:
    """After its end a protocol is freed without the garbage collector."""
    protocol, transport, _ = connected(transport=StringTransportWithDisconnection())
    transport.protocol = protocol
    all_of_them(protocol)
    transport.loseConnection()
    transport.protocol = None
    ghost = weakref.ref(protocol)
    gc.disable()
    try:
        del protocol
        assert ghost() is None
    finally:
        gc.enable()


def test_a_protocol_without_deadlines_pays_nothing() -> None:
    """As long as nothing is set, nothing is shadowed and nothing is kept."""
    protocol, _, clock = connected()
    before = dict(vars(protocol))
    protocol.resetTimeout()
    assert vars(protocol) == before
    assert clock.getDelayedCalls() == []
