"""Endpoints under guards listen and connect as the ones inside them do, and tell in time who got nothing, and why."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from attrs import define
from twisted.internet import tcp
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    TCP6ServerEndpoint,
    UNIXServerEndpoint,
    wrapClientTLS,
)
from twisted.internet.error import ConnectBindError, ConnectingCancelledError, ConnectionDone, NoProtocol
from twisted.internet.interfaces import IStreamClientEndpoint, IStreamServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import optionsForClientTLS
from twisted.internet.task import deferLater
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.protocols.policies import WrappingFactory
from twisted.python.failure import Failure
from zope.interface import implementer
from zope.interface.verify import verifyObject

from netguard.errors import ContradictoryOptions, Expelled, TooManyConnections
from netguard.factory import GuardedFactory
from netguard.guard import Guard
from netguard.guarded_endpoints import GuardedClientEndpoint, GuardedServerEndpoint, Together, announce
from netguard.guards.connection_limit import ConnectionLimit
from netguard.guards.idle_timeout import IdleTimeout
from netguard.guards.transport import Transport
from netguard.guards.write_stall import WriteStall
from netguard.native.port import Port
from netguard.policy import Policy

if TYPE_CHECKING:
    from tests.conftest import Logged

ONE = Policy(ConnectionLimit(total=1))


class App(Protocol):
    """An application's protocol that notes what it hears."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def connectionMade(self) -> None:
        """Note it."""
        self.heard.append("made")

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """Note it."""
        self.heard.append("lost")


FACTORY = Factory.forProtocol(App)


@define
class Waits(Guard):
    """A guard that decides when the test says so."""

    answer: Deferred[None]
    refuses: bool = False

    def open(self, connection: Any) -> Any:
        """Wait."""
        assert connection.admitted
        return self.answer.addCallback(lambda _: connection.refuse(TooManyConnections(1, 2)) if self.refuses else None)


# servers


def test_a_server_endpoint_under_guards_is_one() -> None:
    """It provides what it says, and shows what is inside."""
    endpoint = GuardedServerEndpoint(TCP4ServerEndpoint(MemoryReactorClock(), 80), ONE)
    assert verifyObject(IStreamServerEndpoint, endpoint)
    assert repr(endpoint).startswith("<guarded <twisted.internet.endpoints.TCP4ServerEndpoint")


def test_what_listens_is_guarded_by_the_policy_and_its_clock(reactor: MemoryReactorClock) -> None:
    """The factory that reaches the port is the application's, under the guards."""
    GuardedServerEndpoint(TCP4ServerEndpoint(reactor, 80), ONE, reactor).listen(FACTORY)
    _, guarded, _, _ = reactor.tcpServers[0]
    assert isinstance(guarded, GuardedFactory)
    assert (guarded.wrapped, guarded.guards, guarded.reactor) == (FACTORY, ONE.guards, reactor)


def test_two_ports_of_one_endpoint_share_its_limits(reactor: MemoryReactorClock) -> None:
    """Limits count whatever listens through an endpoint together."""
    endpoint = GuardedServerEndpoint(TCP4ServerEndpoint(reactor, 80), ONE, reactor)
    for _ in range(2):
        endpoint.listen(FACTORY)
    first, second = (cast("Any", server[1]) for server in reactor.tcpServers)
    first.buildProtocol(None).makeConnection(StringTransport())
    assert second.buildProtocol(None) is None
    first.abort_all()


async def test_port_0_tells_the_real_port(logged: Logged) -> None:
    """`listening` has the address and the number that the system chose."""
    from twisted.internet import reactor

    for endpoint, host in (TCP4ServerEndpoint, "127.0.0.1"), (TCP6ServerEndpoint, "::1"):
        port: Any = await GuardedServerEndpoint(endpoint(reactor, 0, interface=host), ONE).listen(FACTORY)
        event = logged.named("listening")[-1]
        assert (event["server.address"], event["server.port"]) == (host, port.getHost().port)
        assert event["transport"] == "native"
        assert type(port) is Port
        await port.stopListening()


async def test_a_unix_socket_tells_its_path(logged: Logged, tmp_path: Path) -> None:
    """`listening` has the path, and no port."""
    from twisted.internet import reactor

    path = str(tmp_path / "socket")
    port: Any = await GuardedServerEndpoint(UNIXServerEndpoint(reactor, path), ONE).listen(FACTORY)
    (event,) = logged.named("listening")
    assert event["server.address"] == path
    assert event["transport"] == "stock"
    assert "server.port" not in event
    await port.stopListening()


def test_a_port_with_an_address_of_another_kind_is_told_as_it_shows_itself(logged: Logged) -> None:
    """Standard input, or what a foreign endpoint has for a port, is no reason to fail."""

    class Odd:
        """A port that is none."""

        def getHost(self) -> str:
            """Where it is."""
            return "somewhere"

    odd: Any = Odd()
    assert announce(odd) is odd
    assert logged.named("listening")[0]["server.address"] == "somewhere"
    assert "transport" not in logged.named("listening")[0]


async def test_twisteds_own_transport_may_be_asked_for(logged: Logged) -> None:
    """The way back: `transport=stock`. Where another factory is around the guarded one, it is the only way."""
    from twisted.internet import reactor

    stock = Policy(ConnectionLimit(total=1), Transport("stock"))
    inside = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
    port: Any = await GuardedServerEndpoint(inside, stock).listen(FACTORY)
    assert type(port) is tcp.Port
    await port.stopListening()
    around = WrappingFactory(ONE.wrap(FACTORY))
    port = await inside.listen(around)
    assert announce(port, around) is port
    assert type(port) is tcp.Port
    await port.stopListening()
    assert [each["transport"] for each in logged.named("listening")] == ["stock", "stock"]
    assert around.wrappedFactory.service.carriers == {"stock": 1}


def known_to_the_kernel(client: socket.socket) -> bool:
    """Whether the kernel has the other end of a connection over IPv4, with or without a process."""
    ends = [f":{number:04X}" for _, number in (client.getpeername(), client.getsockname())]
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return any([each[-5:] for each in line.split()[1:3]] == ends for line in lines)


@pytest.mark.parametrize("kind", ["native", "stock"])
@pytest.mark.parametrize("guard", [WriteStall(0.5), WriteStall(0.5, observe=True)])
async def test_the_kernel_gives_up_peers_that_take_nothing_of_what_was_left_to_it(kind: str, guard: Guard) -> None:
    """The application has closed; a peer without room would be asked whether it has some for ever."""
    from twisted.internet import reactor

    clock: Any = reactor

    class Leaves(App):
        """Says something, and goes."""

        def connectionMade(self) -> None:
            """Go."""
            super().connectionMade()
            transport: Any = self.transport
            transport.write(b"x" * 50_000)
            transport.loseConnection()

    inside = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
    policy = Policy(guard, Transport(kind))
    port: Any = await GuardedServerEndpoint(inside, policy).listen(Factory.forProtocol(Leaves))
    acts = not guard.observe
    assert port.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == (1000 if acts else 0)
    began = clock.seconds()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", port.getHost().port))
        while known_to_the_kernel(client) and clock.seconds() < began + (10 if acts else 2):
            await deferLater(clock, 0.02)
        took = clock.seconds() - began
        assert took >= 1
        assert known_to_the_kernel(client) is not acts
    await port.stopListening()


def test_a_port_that_cannot_be_had_fails_as_it_would_without_guards() -> None:
    """The failure of the endpoint inside is the answer, raised or returned."""

    @implementer(IStreamServerEndpoint)
    class Broken:
        """An endpoint that raises."""

        def listen(self, factory: object) -> Deferred[Any]:
            """Raise."""
            raise ConnectBindError

    assert failed(GuardedServerEndpoint(Broken(), ONE).listen(FACTORY)).check(ConnectBindError)


def test_a_factory_with_other_guards_is_refused_by_a_failure(reactor: MemoryReactorClock) -> None:
    """An endpoint answers by its Deferred, also when the two policies contradict each other."""
    already = Policy(ConnectionLimit(total=2)).wrap(FACTORY, reactor)
    assert failed(GuardedServerEndpoint(TCP4ServerEndpoint(reactor, 80), ONE).listen(already)).check(
        ContradictoryOptions
    )
    assert failed(GuardedClientEndpoint(TCP4ClientEndpoint(reactor, "h", 80), ONE).connect(already)).check(
        ContradictoryOptions
    )


def test_an_application_may_look_into_its_endpoint() -> None:
    """Some read the port of an endpoint's private attribute; what is missing stays missing."""
    endpoint = GuardedServerEndpoint(TCP4ServerEndpoint(MemoryReactorClock(), 4001), ONE)
    assert endpoint._port == 4001
    assert not hasattr(endpoint, "nothing_of_that_name")
    assert not hasattr(object.__new__(GuardedServerEndpoint), "_port")


def test_a_reactor_that_tells_no_time_leaves_it_to_the_global_one() -> None:
    """Only an IReactorTime can be the guards' clock."""
    from twisted.internet import reactor

    assert Together(ONE, object()).wrap(FACTORY).reactor is reactor


# clients


@pytest.fixture
def reactor() -> MemoryReactorClock:
    """A reactor that connects nowhere, with a clock."""
    return MemoryReactorClock()


Answer = list[Any]


@pytest.fixture
def connect(reactor: MemoryReactorClock) -> Callable[..., tuple[Deferred[Any], Answer]]:
    """Begin to connect under guards; the answer is in a list as soon as there is one."""

    def begin(*guards: Guard, factory: Any = FACTORY) -> tuple[Deferred[Any], Answer]:
        inner = TCP4ClientEndpoint(reactor, "192.0.2.1", 80)
        connecting = GuardedClientEndpoint(inner, Policy(*guards), reactor).connect(factory)
        answer: Answer = []
        connecting.addBoth(answer.append)
        return connecting, answer

    return begin


def failed(answer: Deferred[Any]) -> Failure:
    """The failure that a Deferred has."""
    results: list[Any] = []
    answer.addErrback(results.append)
    assert len(results) == 1
    failure: Failure = results[0]
    return failure


def arrive(reactor: MemoryReactorClock) -> tuple[Any, StringTransport]:
    """The connection is made: what the transport has for its protocol, and the transport."""
    factory = reactor.tcpClients[-1][2]
    transport = StringTransport()
    protocol = factory.buildProtocol(None)
    if protocol is not None:
        protocol.makeConnection(transport)
    return protocol, transport


def test_a_client_endpoint_under_guards_is_one(reactor: MemoryReactorClock) -> None:
    """It provides what it says."""
    assert verifyObject(IStreamClientEndpoint, GuardedClientEndpoint(TCP4ClientEndpoint(reactor, "h", 1), ONE))


def test_connect_answers_the_applications_own_protocol(reactor: MemoryReactorClock, connect: Any) -> None:
    """Not the wrapper around it; and the application has its transport by then."""
    _, answer = connect(IdleTimeout(30))
    assert answer == []
    outer, _ = arrive(reactor)
    assert isinstance(answer[0], App)
    assert answer[0].heard == ["made"]
    outer.connectionLost(Failure(ConnectionDone()))
    assert answer[0].heard == ["made", "lost"]


def test_connect_waits_for_guards_that_need_time(reactor: MemoryReactorClock, connect: Any) -> None:
    """Twisted's own wrapping endpoint would answer None here: the application's protocol is built later."""
    decision: Deferred[None] = Deferred()
    _, answer = connect(Waits(decision))
    outer, _ = arrive(reactor)
    assert answer == []
    decision.callback(None)
    assert isinstance(answer[0], App)
    assert answer[0].heard == ["made"]
    outer.connectionLost(Failure(ConnectionDone()))


def test_a_refusal_at_once_answers_its_reason(reactor: MemoryReactorClock) -> None:
    """Bare Twisted says NoProtocol; who connects wants to know which option it was."""
    endpoint = GuardedClientEndpoint(TCP4ClientEndpoint(reactor, "192.0.2.1", 80), ONE, reactor)
    first = endpoint.connect(FACTORY)
    outer, _ = arrive(reactor)
    second = endpoint.connect(FACTORY)
    assert arrive(reactor)[0] is None
    reason = failed(second).value
    assert isinstance(reason, TooManyConnections)
    assert reason.limit == 1
    outer.connectionLost(Failure(ConnectionDone()))
    third = endpoint.connect(FACTORY)
    outer, _ = arrive(reactor)
    assert isinstance(first.result, App)
    assert isinstance(third.result, App)
    outer.connectionLost(Failure(ConnectionDone()))


def test_a_late_refusal_answers_its_reason(reactor: MemoryReactorClock, connect: Any) -> None:
    """A guard that took its time and says no: the reason is the answer, and the connection ends."""
    decision: Deferred[None] = Deferred()
    _, answer = connect(Waits(decision, refuses=True))
    outer, transport = arrive(reactor)
    decision.callback(None)
    assert transport.disconnecting or transport.disconnected
    outer.connectionLost(Failure(ConnectionDone()))
    assert answer[0].check(TooManyConnections)


def test_a_connection_lost_while_guards_decide_answers_why(reactor: MemoryReactorClock, connect: Any) -> None:
    """Nobody waits for ever for a peer that has gone."""
    decision: Deferred[None] = Deferred()
    _, answer = connect(Waits(decision))
    outer, _ = arrive(reactor)
    outer.connectionLost(Failure(ConnectionDone()))
    assert answer[0].check(ConnectionDone)
    decision.callback(None)
    assert len(answer) == 1


def test_an_application_that_wants_no_connection_is_told_as_twisted_tells_it(
    reactor: MemoryReactorClock, connect: Any
) -> None:
    """Its buildProtocol may answer None: at once or late, that is NoProtocol."""

    class Unwilling(Factory):
        """Wants nobody."""

        def buildProtocol(self, addr: object) -> None:
            """Nothing."""

    _, answer = connect(IdleTimeout(3), factory=Unwilling())
    assert arrive(reactor)[0] is None
    assert answer[0].check(NoProtocol)
    decision: Deferred[None] = Deferred()
    _, answer = connect(Waits(decision), factory=Unwilling())
    outer, _ = arrive(reactor)
    decision.callback(None)
    outer.connectionLost(Failure(ConnectionDone()))
    assert answer[0].check(NoProtocol)


def test_an_exception_of_the_application_is_the_answer(reactor: MemoryReactorClock, connect: Any) -> None:
    """As without guards."""

    class Broken(Factory):
        """Fails."""

        def buildProtocol(self, addr: object) -> None:
            """Fail."""
            raise LookupError

    _, answer = connect(IdleTimeout(3), factory=Broken())
    assert arrive(reactor)[0] is None
    assert answer[0].check(LookupError)


def test_a_connection_that_cannot_be_made_fails_as_it_would_without_guards(
    reactor: MemoryReactorClock, connect: Any
) -> None:
    """The reason comes from the endpoint inside, and no timer is left."""
    _, answer = connect(IdleTimeout(3))
    factory = reactor.tcpClients[0][2]
    factory.clientConnectionFailed(reactor.connectors[0], Failure(ConnectBindError()))
    assert answer[0].check(ConnectBindError)
    assert reactor.getDelayedCalls() == []


def test_cancelling_stops_to_connect(reactor: MemoryReactorClock, connect: Any) -> None:
    """The attempt of the endpoint inside is cancelled."""
    connecting, answer = connect(IdleTimeout(3))
    reactor.tcpClients[0][2].startedConnecting(reactor.connectors[0])
    connecting.cancel()
    assert answer[0].check(ConnectingCancelledError)
    assert reactor.connectors[0].stoppedConnecting


def test_cancelling_while_guards_decide_ends_the_connection(reactor: MemoryReactorClock, connect: Any) -> None:
    """The connection is there already: it is aborted, the application never hears of it, and nothing answers twice."""
    decision: Deferred[None] = Deferred()
    connecting, answer = connect(Waits(decision))
    outer, transport = arrive(reactor)
    connecting.cancel()
    assert answer[0].check(ConnectingCancelledError)
    assert transport.disconnected or transport.disconnecting
    outer.connectionLost(Failure(ConnectionDone()))
    decision.callback(None)
    assert len(answer) == 1


@implementer(IStreamClientEndpoint)
@define
class Stubborn:
    """An endpoint that cannot be cancelled, and that gives what it likes."""

    connecting: Deferred[Any]
    factory: Any = None

    def connect(self, factory: Any) -> Deferred[Any]:
        """Begin."""
        self.factory = factory
        return self.connecting


def test_what_arrives_after_cancelling_is_ended(reactor: MemoryReactorClock) -> None:
    """An endpoint inside that connects all the same leaves no connection that nobody owns."""
    inside = Stubborn(Deferred(lambda _: None))
    connecting = GuardedClientEndpoint(inside, Policy(IdleTimeout(3)), reactor).connect(FACTORY)
    connecting.cancel()
    failed(connecting)
    protocol = inside.factory.buildProtocol(None)
    transport = StringTransport()
    protocol.makeConnection(transport)
    inside.factory.abort_all()
    assert transport.disconnecting or transport.disconnected
    protocol.connectionLost(Failure(Expelled()))


def test_what_a_foreign_endpoint_unwrapped_by_itself_is_passed_on(reactor: MemoryReactorClock) -> None:
    """Whoever gives something else than the connection's own protocol knows why."""
    inside = Stubborn(Deferred())
    connecting = GuardedClientEndpoint(inside, Policy(IdleTimeout(3)), reactor).connect(FACTORY)
    inside.connecting.callback("something else")
    assert connecting.result == "something else"


def test_a_refusal_below_tls_answers_its_reason(reactor: MemoryReactorClock) -> None:
    """Twisted's TLS has no None for a protocol; what stands for the refused connection is not taken for one."""
    inner = wrapClientTLS(optionsForClientTLS("mail.example"), TCP4ClientEndpoint(reactor, "192.0.2.1", 995), reactor)
    endpoint = GuardedClientEndpoint(inner, ONE, reactor)
    first = endpoint.connect(FACTORY)
    reactor.tcpClients[-1][2].doStart()
    outer, _ = arrive(reactor)
    second = endpoint.connect(FACTORY)
    reactor.tcpClients[-1][2].doStart()
    refused, _ = arrive(reactor)
    assert isinstance(first.result, App)
    assert failed(second).check(TooManyConnections)
    for each in (outer, refused):
        each.connectionLost(Failure(ConnectionDone()))
