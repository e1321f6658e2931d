"""What is promised of an attempt through a proxy: one deadline, nothing left behind, and who gets which bytes."""

from __future__ import annotations

import gc
import weakref
from typing import Any, cast

import pytest
from attrs import define, field
from twisted.internet import error
from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, fail
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint, connectProtocol
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.main import CONNECTION_LOST
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import Clock
from twisted.internet.tcp import Client
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from netguard.clients.socks import SOCKSEndpoint
from netguard.clients.tunnel import KEPT, ProxyTimeout, say
from netguard.errors import Idle
from netguard.guarded_endpoints import GuardedClientEndpoint
from netguard.guards.idle_timeout import IdleTimeout
from netguard.policy import Policy
from netguard.wire.socks5 import TargetRefused
from netguard.wire.tunnel import NoProxy, ProxyClosed, ProxyError
from tests.proxyserver import Peer, Proxy, listening, nothing, peering, proxying

YES = b"\5\0\0\1\x0a\1\2\3\x12\x34"


class Wire(StringTransport):
    """A transport that remembers what was done to it, and has a protocol, as real ones."""

    aborted = False
    protocol: Any = None

    def abortConnection(self) -> None:
        """Remember."""
        self.aborted = True


class Application(Protocol):
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.got = b""

    def connectionMade(self) -> None:
        """Remember."""
        self.told.append("made")

    def dataReceived(self, data: bytes) -> None:
        """Remember."""
        self.got += data
        self.told.append("data")

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Remember."""
        self.told.append("lost")


@implementer(IHalfCloseableProtocol)
class HalfCloseable(Application):
    """One that knows of half-closes."""

    def readConnectionLost(self) -> None:
        """Remember."""
        self.told.append("read lost")

    def writeConnectionLost(self) -> None:
        """Remember."""
        self.told.append("write lost")


@define
class Way:
    """A way to the proxy: connects when the test says so."""

    factory: Any = None
    tunnel: Any = None
    wire: Any = None
    answer: Deferred[Any] = field(factory=Deferred)
    straight: bool = True

    def connect(self, factory: Any) -> Deferred[Any]:
        """As an endpoint."""
        self.factory = factory
        return self.answer

    def meet(self) -> Wire:
        """The proxy accepts."""
        self.tunnel = self.factory.buildProtocol(None)
        self.wire = Wire()
        if self.straight:
            self.wire.protocol = self.tunnel
        self.tunnel.makeConnection(self.wire)
        self.answer.callback(self.tunnel)
        wire: Wire = self.wire
        return wire

    def says(self, data: bytes) -> None:
        """The proxy, or the target behind it, says something."""
        (self.wire.protocol if self.straight else self.tunnel).dataReceived(data)


@define
class World:
    """An endpoint on a clock, and its application."""

    clock: Any
    way: Way
    endpoint: SOCKSEndpoint
    app: Application
    factory: Any = None
    built: list[Any] = field(factory=list)
    got: list[Any] = field(factory=list)

    def build(self, address: Any) -> Any:
        """The application."""
        self.built.append(address)
        return self.app

    def connect(self) -> Deferred[Any]:
        """An attempt; what comes of it is kept."""
        self.factory = Factory()
        self.factory.noisy = False
        self.factory.buildProtocol = self.build
        attempt = self.endpoint.connect(self.factory)
        attempt.addBoth(self.got.append)
        return attempt

    def granted(self, rest: bytes = b"") -> None:
        """The proxy does its work."""
        self.way.meet()
        self.way.says(b"\5\0")
        self.way.says(YES + rest)

    def failed(self, kind: type[BaseException]) -> Any:
        """Why there is no connection; and that nothing is left of it."""
        (failure,) = self.got
        assert isinstance(failure, Failure)
        assert type(failure.value) is kind
        assert not self.clock.getDelayedCalls()
        return failure.value


def world(app: Application | None = None, *, host: str = "mail.example", straight: bool = True) -> World:
    """An endpoint to port 110 of a host, in ten seconds."""
    clock: Any = Clock()
    way: Any = Way(straight=straight)
    return World(clock, way, SOCKSEndpoint(way, host, 110, within=10, reactor=clock), app or Application())


@pytest.mark.parametrize("straight", [True, False])
def test_the_application_gets_the_connection_when_the_tunnel_is_there(straight: bool) -> None:
    """And not a byte of the negotiation; the timer is gone."""
    here = world(straight=straight)
    here.connect()
    wire: Any = here.way.meet()
    here.way.says(b"\5\0")
    assert not here.built
    here.way.says(YES)
    assert here.got == [here.app]
    assert here.app.transport is wire
    here.way.says(b"+OK")
    assert here.app.got == b"+OK"
    assert here.app.told == ["made", "data"]
    assert here.way.wire.value() == b"\5\1\0" + b"\5\1\0\3\x0cmail.example\0\x6e"
    assert not here.clock.getDelayedCalls()


def test_it_steps_out_of_the_way() -> None:
    """The transport delivers to the application itself."""
    here = world()
    here.connect()
    here.granted()
    assert here.way.wire.protocol is here.app


def test_it_passes_on_where_somebody_stands_between() -> None:
    """Everything, half-closes to those who know them."""
    here = world(HalfCloseable(), straight=False)
    here.connect()
    here.granted(b"early")
    here.way.says(b"late")
    here.way.tunnel.readConnectionLost()
    here.way.tunnel.writeConnectionLost()
    here.way.tunnel.connectionLost(connectionDone)
    assert here.app.got == b"earlylate"
    assert here.app.told == ["made", "data", "data", "read lost", "write lost", "lost"]


def test_an_application_without_half_closes_is_closed() -> None:
    """As its transport would do."""
    here = world(straight=False)
    here.connect()
    here.granted()
    here.way.tunnel.writeConnectionLost()
    assert not here.way.wire.disconnecting
    here.way.tunnel.readConnectionLost()
    assert here.way.wire.disconnecting
    assert here.app.told == ["made"]


@pytest.mark.parametrize("straight", [True, False])
def test_what_came_with_the_reply_is_delivered_at_once_behind_the_answer(straight: bool) -> None:
    """A greeting that waited for the next bytes would wait for ever."""
    here = world(straight=straight)
    attempt = here.connect()
    order = here.app.told
    attempt.addCallback(lambda _: order.append("answer"))
    here.granted(b"+OK ready\r\n")
    assert here.app.told == ["made", "answer", "data"]
    assert here.app.got == b"+OK ready\r\n"


def test_a_protocol_that_replaces_itself_gets_it_as_the_replacement() -> None:
    """It is the transport's protocol that counts."""
    other = Application()

    class Replaced(Application):
        def connectionMade(self) -> None:
            assert self.transport is not None
            self.transport.protocol = other  # type: ignore[attr-defined]

    here = world(Replaced())
    here.connect()
    here.granted(b"early")
    assert (here.app.got, other.got) == (b"", b"early")


@pytest.mark.parametrize("close", ["loseConnection", "abortConnection"])
@pytest.mark.parametrize("when", ["made", "answer"])
async def test_an_application_that_closes_gets_nothing_more(close: str, when: str) -> None:
    """Whether it closes when it is made, or whoever hears the answer does; over real sockets."""
    from twisted.internet import reactor

    class Closes(Application):
        def connectionMade(self) -> None:
            super().connectionMade()
            if when == "made":
                getattr(self.transport, close)()

        def connectionLost(self, reason: Failure = connectionDone) -> None:
            super().connectionLost()
            lost.callback(None)

    lost: Deferred[None] = Deferred()
    app = Closes()
    target = listening(lambda: Peer(lambda to, _: to.write(b"+OK"), nothing))
    async with target as port, proxying(Proxy(together=3)) as proxy:
        way = TCP4ClientEndpoint(reactor, "127.0.0.1", proxy.port)
        await connectProtocol(SOCKSEndpoint(way, "127.0.0.1", port), app).addCallback(
            lambda _: getattr(app.transport, close)() if when == "answer" else None
        )
        await lost.addTimeout(60, reactor)
    assert app.told == ["made", "lost"]


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("mail.example", HostnameAddress(b"mail.example", 110)),
        ("host4", HostnameAddress(b"host4", 110)),
        ("192.0.2.1", IPv4Address("TCP", "192.0.2.1", 110)),
        ("2001:DB8:0::1", IPv6Address("TCP", "2001:db8::1", 110)),
    ],
)
def test_the_factory_is_told_the_target(host: str, address: Any) -> None:
    """Not the proxy."""
    here = world(host=host)
    here.connect()
    here.granted()
    assert here.built == [address]


def test_the_factory_is_started_and_stopped() -> None:
    """Once, with the endpoint's own."""
    here = world()
    here.connect()
    here.way.factory.doStart()
    assert here.factory.numPorts == 1
    here.way.factory.doStop()
    assert here.factory.numPorts == 0


# What goes wrong


def test_a_proxy_that_cannot_be_reached() -> None:
    """The failure of the endpoint inside, as it is: not to be mistaken for the target's."""
    here = world()
    here.connect()
    here.way.answer.errback(error.ConnectionRefusedError())
    here.failed(error.ConnectionRefusedError)


def test_a_way_that_raises() -> None:
    """Is a failure, too."""

    class Broken:
        def connect(self, factory: object) -> Any:
            raise ZeroDivisionError

    here = world()
    here.endpoint.proxy = cast("Any", Broken())
    here.connect()
    here.failed(ZeroDivisionError)


@pytest.mark.parametrize(
    ("said", "kind"), [(b"\5\5", TargetRefused), (b" !\"#$%&'", NoProxy), (b"\5\0\0\7xxxxxxxx", NoProxy)]
)
def test_what_the_proxy_says_is_the_failure_and_the_end(said: bytes, kind: type[ProxyError]) -> None:
    """By an abort; what comes behind is not heard, and no application was built."""
    here = world()
    here.connect()
    wire = here.way.meet()
    here.way.says(b"\5\0")
    here.way.says(said)
    here.way.says(YES * 1000)
    here.way.tunnel.connectionLost(Failure(error.ConnectionAborted()))
    here.failed(kind)
    assert wire.aborted
    assert here.built == []


@pytest.mark.parametrize("said", [0, 1, 2])
@pytest.mark.parametrize("end", ["lost", "done", "half"])
def test_a_proxy_that_closes_before_it_answered(said: int, end: str) -> None:
    """Cleanly or not, whatever it has said before, altogether or in one direction."""
    here = world()
    here.connect()
    wire = here.way.meet()
    for each in [b"\5\0", YES[:9]][:said]:
        here.way.says(each)
    if end == "half":
        here.way.tunnel.readConnectionLost()
        assert wire.aborted
    else:
        why = error.ConnectionDone() if end == "done" else error.ConnectionLost()
        here.way.tunnel.connectionLost(Failure(why))
    here.failed(ProxyClosed)


def test_what_a_guard_has_against_the_proxy_is_the_reason() -> None:
    """It says more than that the connection is closed."""
    here = world()
    here.connect()
    here.way.meet()
    here.way.tunnel.connectionLost(Failure(Idle(5.0, 5.0)))
    assert here.failed(Idle).limit == 5.0


def test_a_proxy_that_speaks_before_it_is_asked() -> None:
    """Before its connection is even chosen: nothing of it is kept."""
    here = world()
    here.connect()
    way = here.way
    way.tunnel, way.wire = way.factory.buildProtocol(None), Wire()
    way.tunnel.makeConnection(way.wire)
    way.tunnel.dataReceived(b"220 mail.example\r\n" * 1000)
    way.answer.callback(way.tunnel)
    assert "spoke before it was asked" in str(here.failed(NoProxy))
    assert way.wire.aborted
    assert way.wire.value() == b""


def test_a_connection_that_ends_before_one_is_chosen_is_not_the_end() -> None:
    """The endpoint inside may try another; but one that is over already is no proxy."""
    here = world()
    here.connect()
    lost = here.way.factory.buildProtocol(None)
    lost.makeConnection(Wire())
    lost.connectionLost(Failure(error.ConnectionLost()))
    assert here.got == []
    here.granted()
    assert here.got == [here.app]
    other = world()
    other.connect()
    gone = other.way.factory.buildProtocol(None)
    gone.makeConnection(Wire())
    gone.readConnectionLost()
    other.way.answer.callback(gone)
    other.failed(ProxyClosed)


@pytest.mark.parametrize(("outcome", "kind"), [(None, error.NoProtocol), (ZeroDivisionError(), ZeroDivisionError)])
def test_a_factory_that_builds_nothing(outcome: Any, kind: type[BaseException]) -> None:
    """It is the answer, and the connection ends."""
    here = world()

    def build(_: object) -> None:
        if outcome is not None:
            raise outcome

    here.connect()
    here.factory.buildProtocol = build
    here.granted()
    here.failed(kind)
    assert here.way.wire.aborted


def test_an_application_that_cannot_take_the_connection() -> None:
    """It is the answer, and the connection ends."""

    class Breaks(Application):
        def connectionMade(self) -> None:
            raise ZeroDivisionError

    here = world(Breaks())
    here.connect()
    here.granted(b"early")
    here.failed(ZeroDivisionError)
    assert here.way.wire.aborted
    assert here.app.told == []


# The deadline


def test_the_deadline_holds_for_connecting() -> None:
    """The attempt inside is ended."""
    here = world()
    ended: list[Deferred[Any]] = []
    here.way.answer = Deferred(ended.append)
    here.connect()
    here.clock.advance(9.9)
    assert here.got == []
    here.clock.advance(0.1)
    why = here.failed(ProxyTimeout)
    assert why.stage == "connecting"
    assert str(why) == "the proxy was not reached in time"
    assert isinstance(why, error.TimeoutError | ConnectionError)
    assert ended == [here.way.answer]


def test_the_deadline_holds_for_negotiating_and_drips_do_not_move_it() -> None:
    """One byte at a time, and never the last."""
    here = world()
    here.connect()
    wire = here.way.meet()
    for each in b"\5\0" + YES[:7]:
        here.way.says(bytes([each]))
        here.clock.advance(1)
    assert here.got == []
    here.clock.advance(1)
    why = here.failed(ProxyTimeout)
    assert why.stage == "negotiating"
    assert str(why) == "the proxy was reached, but did not connect us in time"
    assert wire.aborted


def test_a_slow_proxy_that_is_honest_is_waited_for() -> None:
    """Up to the deadline, and after it the connection lives on."""
    here = world()
    here.connect()
    here.clock.advance(5)
    here.way.meet()
    here.way.says(b"\5\0")
    here.clock.advance(4.9)
    here.way.says(YES)
    here.clock.advance(1000)
    here.way.says(b"+OK")
    assert here.got == [here.app]
    assert here.app.got == b"+OK"
    assert not here.way.wire.aborted


# Losing interest


@pytest.mark.parametrize("met", [False, True])
def test_cancelling_closes_everything(met: bool) -> None:
    """The attempt to connect, or the connection that negotiates."""
    here = world()
    attempt = here.connect()
    wire = here.way.meet() if met else None
    attempt.cancel()
    here.failed(error.ConnectingCancelledError)
    if wire is not None:
        assert wire.aborted
        here.way.says(b"\5\0")
        here.way.tunnel.connectionLost(Failure(error.ConnectionAborted()))
        assert wire.value() == b"\5\1\0"


def test_a_connection_that_comes_too_late_is_ended() -> None:
    """From an endpoint that cannot be cancelled."""
    here = world()

    def shrug(_: object) -> None:
        uncancellable.errback = lambda *_: None  # type: ignore[method-assign]

    uncancellable: Deferred[Any] = Deferred(shrug)
    here.way.answer = uncancellable
    attempt = here.connect()
    attempt.cancel()
    here.failed(error.ConnectingCancelledError)
    late = here.way.meet()
    assert late.aborted
    assert late.value() == b""


def test_a_transport_that_cannot_be_aborted_is_closed() -> None:
    """Some know no abort."""

    class Pipe:
        closed = False
        protocol = None

        def write(self, data: bytes) -> None:
            """Take it."""

        def loseConnection(self) -> None:
            """Close."""
            self.closed = True

    here = world()
    here.connect()
    tunnel, pipe = here.way.factory.buildProtocol(None), Pipe()
    tunnel.makeConnection(pipe)
    here.way.answer.callback(tunnel)
    tunnel.dataReceived(b"x")
    here.failed(NoProxy)
    assert pipe.closed


def test_an_endpoint_may_answer_with_a_protocol_of_its_own() -> None:
    """Then the connection that was built last is meant."""
    here = world()
    here.connect()
    way = here.way
    way.tunnel, way.wire = way.factory.buildProtocol(None), Wire()
    way.wire.protocol = way.tunnel
    way.tunnel.makeConnection(way.wire)
    way.answer.callback(object())
    way.says(b"\5\0")
    way.says(YES)
    assert here.got == [here.app]


def test_a_failed_way_is_no_unhandled_error() -> None:
    """Also when it fails at once."""
    here = world()
    here.way.answer = fail(error.NoRouteError())
    here.connect()
    here.failed(error.NoRouteError)


# Over real sockets, through Twisted's own endpoints


@pytest.mark.parametrize("kind", ["4", "hostname", "guarded"])
async def test_real_transports_deliver_to_the_application_itself(kind: str) -> None:
    """Those under guards, too: their guards see it all the same."""
    from twisted.internet import reactor

    app = Application()
    async with peering(came=lambda to, data: to.write(data)) as (port, _), proxying(Proxy()) as proxy:
        way: Any = TCP4ClientEndpoint(reactor, "127.0.0.1", proxy.port)
        if kind == "hostname":
            way = HostnameEndpoint(reactor, "localhost", proxy.port)
        if kind == "guarded":
            way = GuardedClientEndpoint(way, Policy(IdleTimeout(30)))
        await connectProtocol(SOCKSEndpoint(way, "target.example", port), app)
        wire: Any = app.transport
        assert proxy.targets == [("target.example", port)]
        assert wire.protocol is app
        wire.write(b"echo")
        await until(lambda: app.got == b"echo")
        wire.loseConnection()
        await until(lambda: "lost" in app.told)


async def test_the_next_connection_finds_what_wrappers_declare() -> None:
    """It dies with the connection otherwise, and takes longer to make than the words of the negotiation."""
    from twisted.internet import reactor

    declared: list[Any] = []
    async with peering() as (port, _), proxying(Proxy()) as proxy:
        for _ in range(2):
            app, way = Application(), TCP4ClientEndpoint(reactor, "127.0.0.1", proxy.port)
            await connectProtocol(SOCKSEndpoint(way, "127.0.0.1", port), app)
            declared.append(weakref.ref(KEPT["declared"]))
            cast("Any", app.transport).abortConnection()
            await until(lambda app=app: "lost" in app.told)
            gc.collect()
    assert declared[0]() is declared[1]()
    assert IHalfCloseableProtocol in declared[0]()


@pytest.mark.parametrize("guarded", [False, True])
async def test_half_closes_pass(guarded: bool) -> None:
    """In both directions: the target answers after our end, and ends itself."""
    from twisted.internet import reactor

    @implementer(IHalfCloseableProtocol)
    class Total(Protocol):
        """Says how much came, once no more will."""

        size = 0

        def dataReceived(self, data: bytes) -> None:
            self.size += len(data)

        def readConnectionLost(self) -> None:
            self.transport.write(b"%d" % self.size)  # type: ignore[union-attr]
            self.transport.loseWriteConnection()  # type: ignore[union-attr]

        def writeConnectionLost(self) -> None:
            pass

    app = HalfCloseable()
    async with listening(Total) as port, proxying(Proxy()) as proxy:
        way: Any = TCP4ClientEndpoint(reactor, "127.0.0.1", proxy.port)
        if guarded:
            way = GuardedClientEndpoint(way, Policy(IdleTimeout(30)))
        await connectProtocol(SOCKSEndpoint(way, "127.0.0.1", port), app)
        wire: Any = app.transport
        wire.write(b"x" * 100_000)
        wire.loseWriteConnection()
        await until(lambda: "read lost" in app.told)
        assert app.got == b"100000"
        wire.loseConnection()
        await until(lambda: "lost" in app.told)


async def until(condition: Any) -> None:
    """Wait for something to become true."""
    from twisted.internet import reactor
    from twisted.internet.task import deferLater

    for _ in range(12_000):
        if condition():
            return
        await deferLater(reactor, 0.005)
    pytest.fail("it does not happen")


@pytest.mark.parametrize(
    ("taken", "waits", "tls", "later"),
    [
        (5, False, False, []),
        (2, False, False, [b"llo"]),
        (0, False, False, [b"hello"]),
        (CONNECTION_LOST, False, False, [b"hello"]),
        (5, True, False, [b"hello"]),
        (5, False, True, [b"hello"]),
    ],
    ids=["all", "a part", "nothing", "the end", "behind others", "inside TLS"],
)
def test_words_are_sent_at_once_where_they_can_be(taken: Any, waits: bool, tls: bool, later: list[bytes]) -> None:
    """What the kernel does not take, and what becomes of a connection that has ended, is the reactor's business."""
    transport: Any = Client.__new__(Client)
    written: list[bytes] = []
    transport.dataBuffer, transport._tempDataBuffer = b"", [b"before"] * waits
    transport.TLS = tls
    transport.writeSomeData, transport.write = (lambda _: taken), written.append
    say(transport, b"hello")
    assert written == later
