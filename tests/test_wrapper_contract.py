"""The wrapper's contract, item by item: each was seen to break something in a wrapper that does not keep it.

The numbers are those of the contract's table. What is asked of a living connection is asked of both meters: of the
wrapper above a transport, and of our own transport. What needs real sockets is in `test_real_transports.py`.
"""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from functools import partial
from itertools import combinations
from typing import Any

import pytest
from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IConsumer,
    IFileDescriptorReceiver,
    IHalfCloseableProtocol,
    IHandshakeListener,
    ILoggingContext,
    IProtocol,
    IProtocolNegotiationFactory,
    IPushProducer,
    ISSLTransport,
    ITCPTransport,
    ITLSTransport,
    ITransport,
)
from twisted.internet.protocol import ClientFactory, Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from zope.interface import Interface, alsoProvides, classImplements, implementer
from zope.interface.verify import verifyObject

from netguard.errors import Expelled
from netguard.factory import GuardedFactory
from netguard.guards.connection_limit import ConnectionLimit
from netguard.guards.lifetime import Lifetime
from netguard.policy import Policy
from netguard.testing import Application, Echo, HalfCloseable
from netguard.testing import connect as connect_by
from netguard.testing.transparency import CARRIERS

PASSED_ON = (IHalfCloseableProtocol, IFileDescriptorReceiver, IHandshakeListener)
SUBSETS = [some for size in range(4) for some in combinations(PASSED_ON, size)]


Connect = Callable[..., Any]


@pytest.fixture(params=CARRIERS, ids=["wrapper", "native"])
def connect(request: pytest.FixtureRequest) -> Connect:
    """Connects a peer, by a transport of either kind."""
    return partial(connect_by, carrier=request.param)


def guard(application: Any = Echo, *guards: Any) -> GuardedFactory:
    """A guarded factory on a clock of its own."""
    factory = application if isinstance(application, Factory) else Factory.forProtocol(application)
    return Policy(*(guards or (Lifetime("1h"),))).wrap(factory, Clock())


def built(factory: GuardedFactory, address: IAddress | None = None) -> Any:
    """What a port gets."""
    return factory.buildProtocol(address)


class Unwilling(Factory):
    """Builds what it is told to: nothing, or an exception."""

    def __init__(self, answer: Callable[[], Any]) -> None:
        self.answer = answer

    def buildProtocol(self, addr: object) -> Any:
        """Build."""
        return self.answer()


def fail() -> None:
    """Raise."""
    raise ZeroDivisionError


# 1


def test_01_none_from_the_application_stays_a_refusal_and_gives_its_place_back() -> None:
    """A limit of one admits the next connection after a None."""
    answers = iter([None, Echo(), None])
    factory = guard(Unwilling(lambda: next(answers)), ConnectionLimit(total=1))
    assert built(factory) is None
    assert built(factory) is not None
    assert factory.connections
    assert built(factory) is None  # the limit, not the application
    assert len([*answers]) == 1


def test_01_an_exception_passes_and_gives_its_place_back() -> None:
    """Two exceptions leave a limit of one as it was."""
    factory = guard(Unwilling(fail), ConnectionLimit(total=1))
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            built(factory)
    assert factory.connections == []
    factory.wrapped.answer = Echo
    assert built(factory) is not None


def test_01_a_place_is_given_back_exactly_once() -> None:
    """However often the transport says that it is lost."""
    factory = guard(Echo, ConnectionLimit(total=2))
    first, second = built(factory), built(factory)
    for each in (first, second):
        each.makeConnection(StringTransport())
    for _ in range(3):
        first.connectionLost(Failure(ConnectionDone()))
    assert built(factory) is not None
    assert built(factory) is None


# 2


def providing(interfaces: tuple[Any, ...]) -> type[Protocol]:
    """A protocol class that provides exactly these of the three."""
    made = type("Some", (Protocol,), {name: lambda *_: None for each in interfaces for name in each})
    implement: Any = classImplements  # mypy's plugin knows only classes that stand in the source
    implement(made, *interfaces)
    return made


@pytest.mark.parametrize("some", SUBSETS, ids=lambda some: "+".join(each.__name__ for each in some) or "none")
def test_02_the_transport_is_answered_as_the_application_would_answer(some: tuple[Any, ...]) -> None:
    """Each of the three interfaces is provided exactly when the wrapped protocol provides it, before makeConnection."""
    wrapper = built(guard(providing(some)))
    assert tuple(each for each in PASSED_ON if each.providedBy(wrapper)) == some
    assert tuple(each for each in PASSED_ON if each(wrapper, None) is wrapper) == some
    assert IProtocol.providedBy(wrapper)
    assert ILoggingContext.providedBy(wrapper)


def test_02_an_interface_that_extends_one_of_the_three_counts() -> None:
    """As `providedBy` says for the protocol itself."""

    class IMore(IHalfCloseableProtocol):
        """More than half-closeable."""

    @implementer(IMore)
    class More(HalfCloseable):
        """Provides it."""

    assert IHalfCloseableProtocol.providedBy(built(guard(More)))


def test_02_what_a_protocol_provides_later_is_provided_later() -> None:
    """The transport asks at the moment of use."""
    wrapper = built(guard(Application))
    assert not IHandshakeListener.providedBy(wrapper)
    alsoProvides(wrapper.wrappedProtocol, IHandshakeListener)
    assert IHandshakeListener.providedBy(wrapper)


def test_02_half_closes_reach_the_application(connect: Connect) -> None:
    """Both directions, and the connection lives on."""
    peer = connect(Lifetime("1h"), HalfCloseable)
    peer.finish()
    peer.application.transport.loseWriteConnection()
    peer.advance()
    assert [name for name, *_ in peer.application.calls] == ["made", "read lost", "write lost"]
    assert not peer.lost


# 3


def test_03_the_application_sees_what_the_transport_provides_now(connect: Connect) -> None:
    """ISSLTransport appears with startTLS."""
    peer = connect(Lifetime("1h"))
    transport = peer.application.transport
    for each in (ITransport, ITCPTransport, ITLSTransport, IConsumer, IPushProducer):
        assert each.providedBy(transport)
        assert each(transport, None) is transport
    assert not ISSLTransport.providedBy(transport)
    assert ISSLTransport(transport, None) is None
    transport.startTLS(None)
    assert ISSLTransport.providedBy(transport)
    assert ISSLTransport(transport, None) is transport


def test_03_a_transport_that_provides_little_is_not_made_to_provide_more() -> None:
    """A string transport has no TLS."""
    wrapper = built(guard())
    wrapper.makeConnection(StringTransport())
    transport = wrapper.wrappedProtocol.transport
    assert ITransport.providedBy(transport)
    assert not ITCPTransport.providedBy(transport)


def test_03_the_transport_passes_zopes_own_verification(connect: Connect) -> None:
    """Every method that an interface names is there."""
    transport = connect(Lifetime("1h")).application.transport
    for each in (ITransport, IConsumer, IPushProducer):
        assert verifyObject(each, transport)


# 4


def test_04_interfaces_that_an_application_adds_to_its_transport_replace_none(connect: Connect) -> None:
    """They are the real transport's from then on, beside those that it had."""

    class IMark(Interface):
        """A mark."""

    peer = connect(Lifetime("1h"))
    transport = peer.application.transport
    transport.startTLS(None)
    alsoProvides(transport, IMark)
    for each in (IMark, ISSLTransport, ITCPTransport):
        assert each.providedBy(transport)
        assert each.providedBy(peer.transport)


# 5


def test_05_connected_and_disconnecting_are_the_transports(connect: Connect) -> None:
    """They change when the transport changes by itself."""
    peer = connect(Lifetime("1h"))
    assert peer.transport is not None
    transport = peer.application.transport
    assert (bool(transport.connected), bool(transport.disconnecting)) == (True, False)
    peer.transport.loseConnection()
    assert transport.disconnecting
    peer.advance()
    assert not transport.connected


# 6


@implementer(IProtocolNegotiationFactory)
class Negotiating(Factory):
    """Offers protocols for ALPN."""

    protocol = Echo

    def acceptableProtocols(self) -> list[bytes]:
        """What it offers."""
        return [b"h2", b"http/1.1"]


def test_06_alpn_passes_through() -> None:
    """Exactly for factories that offer protocols."""
    assert IProtocolNegotiationFactory.providedBy(guard(Negotiating()))
    assert guard(Negotiating()).acceptableProtocols() == [b"h2", b"http/1.1"]
    assert not IProtocolNegotiationFactory.providedBy(guard())


# 7


def test_07_starts_and_stops_reach_the_wrapped_factory_once() -> None:
    """Its own counter of ports decides."""
    factory = guard()
    factory.doStart()
    factory.doStart()
    assert factory.wrapped.numPorts == 2
    factory.doStop()
    factory.doStop()
    assert factory.wrapped.numPorts == 0


def test_07_a_client_factory_hears_of_its_connector() -> None:
    """What is not ours is the wrapped factory's, a method that it has by inheritance included."""
    heard: list[tuple[str, Any]] = []

    class Client(ClientFactory):
        """Remembers."""

        noisy = False
        extra = "something of its own"

        def startedConnecting(self, connector: Any) -> None:
            """Remember."""
            heard.append(("started", connector))

        def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
            """Remember."""
            heard.append(("failed", connector))

        def clientConnectionLost(self, connector: Any, reason: Failure) -> None:
            """Remember."""
            heard.append(("lost", connector))

    factory: Any = guard(Client())
    factory.startedConnecting(1)
    factory.clientConnectionFailed(2, Failure(ConnectionDone()))
    factory.clientConnectionLost(3, Failure(ConnectionDone()))
    assert heard == [("started", 1), ("failed", 2), ("lost", 3)]
    assert factory.noisy is False
    assert factory.extra == "something of its own"
    with pytest.raises(AttributeError):
        _ = factory.nothing


# 8


def test_08_connection_lost_reaches_the_application_once(connect: Connect) -> None:
    """Also when it is called on us directly, and twice."""
    peer = connect(Lifetime("1h"))
    assert peer.transport is not None
    wrapper = peer.connection.meter
    for _ in range(2):
        wrapper.connectionLost(Failure(ConnectionDone()))
    assert [each for each in peer.application.calls if each[0] == "lost"] == [("lost", ConnectionDone)]
    assert peer.clock.getDelayedCalls() == []


def test_08_late_calls_are_harmless(connect: Connect) -> None:
    """Whatever a transport or an application still calls after the end."""
    peer = connect(Lifetime("1h"))
    assert peer.transport is not None
    wrapper, transport = peer.connection.meter, peer.application.transport
    peer.vanish()
    before = [*peer.application.calls]
    wrapper.dataReceived(b"late")
    wrapper.handshakeCompleted()
    wrapper.writeConnectionLost()
    wrapper.readConnectionLost()
    transport.write(b"late")
    transport.writeSequence([b"late"])
    transport.pauseProducing()
    transport.resumeProducing()
    transport.loseConnection()
    transport.abortConnection()
    peer.advance(1)
    assert peer.application.calls == before
    assert peer.taken == b""


# 9


def test_09_nothing_is_delivered_after_a_cut(connect: Connect) -> None:
    """Not even by a transport that goes on delivering."""
    peer = connect(Lifetime("1h"))
    assert peer.transport is not None
    assert peer.connection is not None
    wrapper = peer.connection.meter
    peer.connection.cut(Expelled())
    wrapper.dataReceived(b"late")
    assert peer.application.received == b""
    peer.advance()
    assert isinstance(peer.application.reason, Expelled)


@pytest.mark.parametrize("call", ["made", "data", "lost"])
def test_09_exceptions_of_the_application_pass(call: str) -> None:
    """The transport deals with them, and every place is given back."""
    applications: list[Application] = []

    def application() -> Application:
        applications.append(Application())
        applications[-1].reactions[call] = fail
        return applications[-1]

    factory = guard(application, ConnectionLimit(total=1))
    wrapper = built(factory)
    transport = StringTransport()

    def live() -> None:
        wrapper.makeConnection(transport)
        wrapper.dataReceived(b"x")
        wrapper.connectionLost(Failure(ConnectionDone()))

    with pytest.raises(ZeroDivisionError):
        live()
    if call != "lost":
        wrapper.connectionLost(Failure(ConnectionDone()))
    assert factory.connections == []
    assert built(factory) is not None


# 10


class Producer:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def __getattr__(self, name: str) -> Callable[[], None]:
        """Every method of a producer."""
        if not name.endswith("Producing"):
            raise AttributeError(name)
        return lambda: self.told.append(name)


@pytest.mark.parametrize("streaming", [True, False])
def test_10_a_producer_reaches_the_transport_as_it_is(connect: Connect, streaming: bool) -> None:
    """The same object, the same flag; a second one raises; it can be taken away."""
    peer = connect(Lifetime("1h"))
    assert peer.transport is not None
    transport: Any = peer.application.transport
    producer: Any = Producer()
    transport.registerProducer(producer, streaming)
    assert peer.transport.producer is producer
    assert bool(peer.transport.streamingProducer) is streaming
    with pytest.raises(RuntimeError):
        transport.registerProducer(Producer(), streaming)
    assert transport.producer is producer
    transport.unregisterProducer()
    assert peer.transport.producer is None


# 11


def test_11_the_applications_pause_and_a_guards_are_counted_apart(connect: Connect) -> None:
    """Reading goes on when nobody holds it any more, and not before."""
    peer = connect(Lifetime("1h"))
    assert peer.transport is not None
    assert peer.connection is not None
    transport = peer.application.transport
    transport.pauseProducing()
    peer.connection.pause("a guard")
    peer.connection.resume("a guard")
    assert not peer.transport.reading
    peer.connection.pause("a guard")
    transport.resumeProducing()
    assert not peer.transport.reading
    peer.connection.resume("a guard")
    assert peer.transport.reading


# 12


def test_12_write_and_write_sequence_are_both_counted(connect: Connect) -> None:
    """In the bytes that the application wrote; a sequence may be any iterable."""
    peer = connect(Lifetime("1h"))
    assert peer.connection is not None
    peer.application.transport.write(b"123")
    peer.application.transport.writeSequence([b"45", b"6"])
    peer.application.transport.writeSequence(iter([b"7"]))
    peer.advance()
    assert (peer.connection.sent, peer.taken) == (7, b"1234567")


# 13


def test_13_a_cut_aborts_although_bytes_wait(connect: Connect) -> None:
    """A peer that takes nothing cannot delay it."""
    peer = connect(Lifetime("10s"))
    peer.takes(0)
    peer.feed(b"x" * 1000)
    peer.advance(10)
    assert peer.lost
    assert peer.taken == b""


def test_13_a_transport_that_cannot_abort_is_closed() -> None:
    """As stdio's and a process's."""

    class Plain:
        """Has only what ITransport asks for."""

        def __init__(self) -> None:
            self.closed = 0

        def loseConnection(self) -> None:
            """Close."""
            self.closed += 1

    factory = guard(Application)
    wrapper, transport = built(factory), Plain()
    wrapper.makeConnection(transport)
    factory.connections[0].pause("a guard")
    factory.abort_all()
    assert transport.closed == 1
    wrapper.connectionLost(Failure(ConnectionDone()))


# 14


def test_14_a_handshake_that_ends_reaches_the_application_and_stops_its_timer(connect: Connect) -> None:
    """With startTLS, TLS is below us and calls us."""
    heard: list[str] = []

    @implementer(IHandshakeListener)
    class Listener(Application):
        """Hears of handshakes."""

        def handshakeCompleted(self) -> None:
            """Remember."""
            heard.append("done")

    peer = connect(Lifetime("1h"), Listener)
    assert peer.transport is not None
    assert peer.connection is not None
    peer.application.transport.startTLS(None)
    assert peer.connection.handshaking == 0
    peer.advance(1)
    assert peer.connection.handshaking == 1
    peer.connection.meter.handshakeCompleted()
    assert heard == ["done"]
    assert peer.connection.handshaking is None


# 15


def test_15_addresses_are_the_transports(connect: Connect) -> None:
    """Unless a trusted proxy has said whose they are, of which guards/test_proxy_protocol.py knows."""
    peer = connect(Lifetime("1h"))
    transport = peer.application.transport
    assert transport.getPeer() is peer.transport.getPeer()
    assert transport.getHost() is peer.transport.getHost()


@pytest.mark.parametrize(
    "name",
    [
        "getHandle",
        "getPeerCertificate",
        "setTcpNoDelay",
        "setTcpKeepAlive",
        "sendFileDescriptor",
        "negotiatedProtocol",
        "bufferSize",
    ],
)
def test_15_what_applications_use_without_asking_is_the_transports(connect: Connect, name: str) -> None:
    """The very same object; and what the transport does not have is missing."""
    peer = connect(Lifetime("1h"))
    transport = peer.application.transport
    if hasattr(peer.transport, name):
        assert getattr(transport, name) == getattr(peer.transport, name)
    else:
        with pytest.raises(AttributeError):
            getattr(transport, name)
    setattr(transport, name, 1)
    assert getattr(peer.transport, name) == 1


# 16


@pytest.mark.parametrize(
    ("address", "host"),
    [
        (IPv4Address("TCP", "192.0.2.7", 1), "192.0.2.7"),
        (IPv6Address("TCP", "2001:db8::1", 1), "2001:db8::1"),
        (IPv6Address("TCP", "::ffff:192.0.2.7", 1), "192.0.2.7"),
        (UNIXAddress("/run/x"), None),
        (UNIXAddress(None), None),
        (HostnameAddress(b"example.org", 1), "example.org"),
        (None, None),
    ],
    ids=str,
)
def test_16_every_kind_of_address_works(connect: Connect, address: IAddress | None, host: str | None) -> None:
    """With limits per peer, events and all."""
    peer = connect(Policy(ConnectionLimit(total=9, per_peer=1), Lifetime("5s")), address=address)
    assert peer.connection is not None
    assert peer.connection.host == host
    peer.advance(5)
    assert [each.name for each in peer.events] == ["accepted", "opened", "cut"]
    assert all(str(each) for each in peer.events)


# 17


def test_17_the_transport_is_there_before_connection_made_and_the_factory_stays() -> None:
    """PB and others compare factories."""
    seen: list[tuple[bool, Any]] = []

    class Looking(Echo):
        """Looks when it is connected."""

        def connectionMade(self) -> None:
            """Look."""
            seen.append((self.transport is not None, self.factory))

    factory = guard(Looking)
    built(factory).makeConnection(StringTransport())
    assert seen == [(True, factory.wrapped)]


# 18


def test_18_a_protocol_may_put_another_in_its_place(connect: Connect) -> None:
    """In the middle of the connection, by `transport.protocol = other`."""
    peer = connect(Lifetime("1h"), Application)
    assert peer.transport is not None
    first, other = peer.application, HalfCloseable()
    transport = first.transport
    assert transport.protocol is first
    transport.protocol = other
    other.makeConnection(transport)
    peer.feed(b"x")
    assert [bytes(first.received), bytes(other.received)] == [b"", b"x"]
    assert IHalfCloseableProtocol.providedBy(peer.connection.meter)
    peer.vanish()
    assert first.reason is None
    assert other.reason is not None


def test_18_a_protocol_may_change_its_class(connect: Connect) -> None:
    """No bound method is kept."""
    peer = connect(Lifetime("1h"), Application)
    peer.application.__class__ = Echo
    peer.feed(b"x")
    assert peer.taken == b"x"


# 19


def test_19_the_log_prefix_is_the_applications() -> None:
    """Unchanged: its own, or the name of its class."""
    assert built(guard(Echo)).logPrefix() == "Echo"

    class Named:
        """Is no logging context."""

    assert built(guard(Unwilling(Named))).logPrefix() == "Named"


# 20


def test_20_protocol_and_transport_are_two_objects(connect: Connect) -> None:
    """No name has two meanings: what the transport calls is not what the application calls."""
    peer = connect(Lifetime("1h"))
    assert peer.transport is not None
    wrapper, transport = peer.connection.meter, peer.application.transport
    assert wrapper is not transport
    assert not hasattr(wrapper, "write")
    assert not hasattr(wrapper, "loseConnection")
    assert transport.logPrefix() == peer.transport.logPrefix()
    assert wrapper.logPrefix() == "Echo"


# 21


def test_21_half_made_objects_do_not_loop(connect: Connect) -> None:
    """Copy and pickle probe them."""
    peer = connect(Lifetime("1h"))
    transport: Any = peer.application.transport
    for each in (transport, peer.factory):
        assert "guarded" in repr(each)
        with pytest.raises(AttributeError):
            _ = each.__deepcopy__
    for kind in (type(transport), GuardedFactory):
        half = object.__new__(kind)
        with pytest.raises(AttributeError):
            _ = half.__getstate_ex__
    with pytest.raises(Exception, match=r"."):
        pickle.dumps(transport)
    assert copy.copy(peer.factory).wrapped is peer.factory.wrapped


# 22


def test_22_nested_guards_are_one_wrapper() -> None:
    """What works once works twice: a guard around a guarded factory adds itself to it."""
    inner = Factory.forProtocol(Echo)
    clock = Clock()
    factory = Lifetime("1h").wrap(ConnectionLimit(total=1).wrap(inner, clock), clock)
    assert factory.wrapped is inner
    wrapper = factory.buildProtocol(None)
    assert type(wrapper.wrappedProtocol) is Echo
    assert factory.buildProtocol(None) is None


def test_22_guards_inside_and_outside_of_other_wrappers_work(connect: Connect) -> None:
    """Twisted's own wrapper between two guarded factories."""

    class Between(WrappingFactory):
        """A wrapper that does nothing."""

        protocol = ProtocolWrapper

    clock = Clock()
    inside = ConnectionLimit(total=1).wrap(Factory.forProtocol(Echo), clock)
    peer = connect(Lifetime("5s"), Between(inside), clock=clock)
    peer.feed(b"x")
    assert peer.taken == b"x"
    second = connect(peer.factory)  # refused inside, where None cannot be answered
    assert second.lost
    peer.advance(5)
    assert peer.lost
    assert inside.connections == []
    assert connect(peer.factory).application is not None


def test_22_an_abort_by_the_application_is_no_cut(connect: Connect) -> None:
    """The application hears what it would have heard."""
    peer = connect(Lifetime("1h"), Application)
    peer.application.transport.abortConnection()
    peer.advance()
    assert type(peer.application.reason) is ConnectionAborted
    assert peer.events[-1].name == "closed"
