"""Services that listen are guarded where they stand, and every other one is named with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from twisted.application import internet, service
from twisted.application.service import MultiService, Service
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import SSL4ServerEndpoint, TCP4ServerEndpoint, UNIXServerEndpoint
from twisted.internet.protocol import ClientFactory, DatagramProtocol, Factory, Protocol, ServerFactory
from twisted.internet.ssl import CertificateOptions
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.protocols.ftp import FTPFactory

from netguard.errors import ContradictoryOptions, OptionError
from netguard.factory import GuardedFactory
from netguard.guarded_endpoints import GuardedServerEndpoint
from netguard.guards.connection_limit import ConnectionLimit
from netguard.guards.proxy_protocol import ProxyProtocol
from netguard.plugins.serving import Found, Keeper
from netguard.policy import Policy

if TYPE_CHECKING:
    from tests.conftest import Logged

TWO = Policy(ConnectionLimit(total=2))


@pytest.fixture
def reactor() -> Any:
    """A reactor that listens nowhere, with a clock."""
    return MemoryReactorClock()


@pytest.fixture
def keeper(reactor: Any) -> Keeper:
    """What guards."""
    return Keeper(TWO, reactor)


def app() -> Factory:
    """An application's factory."""
    return Factory.forProtocol(Protocol)


def told(found: list[Found]) -> list[str]:
    """What is said of services, as lines."""
    return [str(each) for each in found]


def tree(*children: Any) -> Any:
    """A service with children."""
    parent: Any = MultiService()
    for child in children:
        child.setServiceParent(parent)
    return parent


def start(tree: Any) -> None:
    """Start as twistd does."""
    tree.privilegedStartService()
    tree.startService()


def test_an_endpoint_service_is_guarded_where_it_stands(reactor: Any, keeper: Keeper, logged: Logged) -> None:
    """Same service, same endpoint; the factory that reaches the port is guarded, and the port is told."""
    serving: Any = internet.StreamServerEndpointService(TCP4ServerEndpoint(reactor, 8080), app())
    root = tree(serving)
    assert told(keeper.guard(root)) == ["guards Factory on TCP4ServerEndpoint"]
    assert list(root) == [serving]
    assert serving.endpoint._port == 8080
    assert not hasattr(serving.endpoint, "nothing_of_that_name")
    assert not hasattr(object.__new__(type(serving.endpoint)), "_port")
    start(root)
    number, guarded, _, _ = reactor.tcpServers[0]
    assert number == 8080
    assert guarded.guards == TWO.guards
    assert logged.named("listening")[0]["server.address"] == "0.0.0.0"  # noqa: S104 - nobody listens there


@pytest.mark.parametrize(
    ("kind", "arguments", "listening", "line"),
    [
        (internet.TCPServer, (8080, "factory"), "tcpServers", "guards Factory on TCPServer 8080"),
        (internet.SSLServer, (8443, "factory", None), "sslServers", "guards Factory on SSLServer 8443"),
        (internet.UNIXServer, ("/run/s", "factory"), "unixServers", "guards Factory on UNIXServer /run/s"),
    ],
)
@pytest.mark.parametrize("named", [False, True])
def test_the_older_kinds_are_guarded_too(
    kind: Any, arguments: Any, listening: str, line: str, named: bool, reactor: Any, keeper: Keeper, logged: Logged
) -> None:
    """Whether the factory was given by place or by name."""
    where, _, *rest = arguments
    serving = (
        kind(where, factory=app(), reactor=reactor, **({"contextFactory": None} if rest else {}))
        if named
        else kind(where, app(), *rest, reactor=reactor)
    )
    assert told(keeper.guard(serving)) == [line]
    start(serving)
    (server,) = getattr(reactor, listening)
    assert server[0] == where
    assert isinstance(server[1], GuardedFactory)
    assert len(logged.named("listening")) == 1


def test_an_older_service_without_a_reactor_uses_the_global_one(keeper: Keeper) -> None:
    """As it would without guards."""
    from twisted.internet import reactor

    serving: Any = internet.TCPServer(0, app())
    keeper.guard(serving)
    assert serving.reactor.callLater == reactor.callLater


def test_all_ports_of_a_tree_share_the_limits(reactor: Any, keeper: Keeper) -> None:
    """Limits count the ports of every kind together, however deep they stand."""
    root = tree(
        internet.TCPServer(1, app(), reactor=reactor),
        tree(tree(internet.StreamServerEndpointService(TCP4ServerEndpoint(reactor, 2), app()))),
    )
    assert len(keeper.guard(root)) == 2
    start(root)
    first, second = (server[1] for server in reactor.tcpServers)
    for each in (first, second):
        each.buildProtocol(None).makeConnection(StringTransport())
    assert first.buildProtocol(None) is None
    assert second.buildProtocol(None) is None
    for each in (first, second):
        each.abort_all()


def test_one_factory_on_two_ports_is_guarded_on_both(reactor: Any, keeper: Keeper) -> None:
    """`web --listen A --listen B` has one Site."""
    factory = app()
    root = tree(*(internet.TCPServer(port, factory, reactor=reactor) for port in (1, 2)))
    keeper.guard(root)
    start(root)
    assert [server[1].wrapped for server in reactor.tcpServers] == [factory, factory]


async def test_starting_and_stopping_stays_the_services_own(keeper: Keeper) -> None:
    """Ports are bound with privileges, closed at the stop, and free for another start."""
    from twisted.internet import reactor

    root = tree(
        internet.TCPServer(0, app(), interface="127.0.0.1"),
        internet.StreamServerEndpointService(TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1"), app()),
    )
    keeper.guard(root)
    for _ in range(2):
        root.privilegedStartService()
        older, newer = root
        assert older._port is not None
        assert newer._waitingForPort is not None
        root.startService()
        assert older.running
        assert newer.running
        await root.stopService()
        newer._waitingForPort = None


def client_service() -> Any:
    """A service that keeps a connection to somewhere."""
    endpoint: Any = object()
    return internet.ClientService(endpoint, ClientFactory())


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (internet.UDPServer(53, DatagramProtocol()), "datagrams have no connections that could be guarded"),
        (internet.MulticastServer(53, DatagramProtocol()), "datagrams have no connections that could be guarded"),
        (internet.UNIXDatagramServer("/s", DatagramProtocol()), "datagrams have no connections that could be guarded"),
        (internet.TCPClient("h", 1, ClientFactory()), "it connects to others, and only what listens is guarded"),
        (client_service(), "it connects to others, and only what listens is guarded"),
    ],
)
def test_what_has_no_port_to_guard_is_named_with_the_reason(found: Any, reason: str, keeper: Keeper) -> None:
    """Nobody shall believe a service to be guarded that is not."""
    assert told(keeper.guard(found)) == [f"does not guard {type(found).__name__}: {reason}"]


def test_what_opens_nothing_is_not_mentioned(keeper: Keeper) -> None:
    """Timers and groups of services."""
    root = tree(internet.TimerService(1, print), internet.CooperatorService(), Service(), tree())
    assert keeper.guard(root) == []


class Own(Service):
    """A service of the application's own making."""

    def startService(self) -> None:
        """Start something."""


class OwnPrivileged(Service):
    """Another."""

    def privilegedStartService(self) -> None:
        """Bind something."""


@pytest.mark.parametrize("kind", [Own, OwnPrivileged])
def test_a_service_of_the_applications_own_making_is_named(kind: Any, keeper: Keeper) -> None:
    """What it starts cannot be known; that is said, with its own name."""
    own = kind()
    own.setName("mine")
    assert told(keeper.guard(own)) == [
        f"does not guard {kind.__name__} 'mine': it starts by itself what it starts; if that listens, it is not guarded"
    ]


def test_a_service_of_its_own_making_with_a_servers_factory_is_guarded_by_that(keeper: Keeper) -> None:
    """Carbon's receivers adopt sockets by themselves, with the factory that they hold."""
    own: Any = Own()
    own.factory = ServerFactory()
    assert told(keeper.guard(own)) == ["guards ServerFactory of Own"]
    assert isinstance(own.factory, GuardedFactory)


def test_a_clients_factory_is_left_alone(keeper: Keeper) -> None:
    """Limits for those who come are wrong for those whom the application calls."""
    own: Any = Own()
    own.factory = factory = ClientFactory()
    assert keeper.guard(own)[0].reason is not None
    assert own.factory is factory


def test_the_data_connections_of_ftp_are_named(reactor: Any, keeper: Keeper) -> None:
    """They are sockets of their own, which the application opens when it likes; so for its own kinds of FTP."""

    class Mine(FTPFactory):
        """A kind of FTP."""

    lines = told(keeper.guard(internet.TCPServer(21, Mine(), reactor=reactor)))
    assert lines == [
        "guards Mine on TCPServer 21",
        "does not guard all of Mine: its data connections (PASV, PORT) are sockets of their own",
    ]


def test_an_endpoint_that_is_guarded_already_is_a_mistake(reactor: Any, keeper: Keeper) -> None:
    """`guard:` inside netguard-wrap is guard in guard."""
    endpoint = GuardedServerEndpoint(UNIXServerEndpoint(reactor, "/s"), TWO)
    with pytest.raises(OptionError, match=r"listens under guard: already; give all the options to netguard-wrap"):
        keeper.guard(internet.StreamServerEndpointService(endpoint, app()))


def test_an_application_with_guards_of_its_own_keeps_them(reactor: Any, keeper: Keeper) -> None:
    """They become one wrapper with ours, or a clear contradiction."""
    own = Policy(ConnectionLimit(per_peer=1)).wrap(app(), reactor)
    serving: Any = internet.StreamServerEndpointService(TCP4ServerEndpoint(reactor, 80), own)
    keeper.guard(serving)
    assert serving.factory.guards == (ConnectionLimit(total=2, per_peer=1),)
    assert not isinstance(serving.factory.wrapped, GuardedFactory)
    other = Policy(ConnectionLimit(total=3)).wrap(app(), reactor)
    with pytest.raises(ContradictoryOptions):
        keeper.guard(internet.StreamServerEndpointService(TCP4ServerEndpoint(reactor, 81), other))


def test_a_service_that_is_added_later_is_guarded_before_it_starts(
    reactor: Any, keeper: Keeper, logged: Logged
) -> None:
    """Some applications make their ports when they start; each is told in the log."""

    class Late(MultiService):
        """Adds its port when it starts."""

        def startService(self) -> None:
            """Add it."""
            super().startService()
            internet.TCPServer(8, app(), reactor=reactor).setServiceParent(self)

    late: Any = Late()
    inner: Any = MultiService()
    inner.setServiceParent(late)
    assert [each.reason is None for each in keeper.guard(late)] == [False]
    start(late)
    own: Any = Own()
    own.setServiceParent(inner)
    assert [(server[0], isinstance(server[1], GuardedFactory)) for server in reactor.tcpServers] == [(8, True)]
    assert [event["service"] for event in logged.named("guarding")] == ["Factory on TCPServer 8"]
    assert [event["service"] for event in logged.named("unguarded")] == ["Own"]
    assert logged.named("unguarded")[0]["reason"].startswith("it starts by itself")


def test_an_application_object_is_a_tree_like_any_other(reactor: Any, keeper: Keeper) -> None:
    """What is adapted to a collection of services is walked, too."""
    application: Any = service.Application("web")
    internet.TCPServer(80, app(), reactor=reactor).setServiceParent(application)
    assert told(keeper.guard(application)) == ["guards Factory on TCPServer 80"]


def test_the_application_hears_nothing_of_the_guards(reactor: Any, keeper: Keeper) -> None:
    """Its factory is started and stopped with its port, once, and can still be reached through the guarded one."""
    factory: Any = app()
    factory.colour = "red"
    serving: Any = internet.StreamServerEndpointService(TCP4ServerEndpoint(reactor, 80), factory)
    keeper.guard(serving)
    start(serving)
    assert serving.factory.colour == "red"
    assert isinstance(serving._waitingForPort, Deferred)


@pytest.mark.parametrize("older", [False, True])
def test_a_proxy_s_header_comes_before_tls(older: bool, reactor: Any) -> None:
    """The port of a service that listens with TLS belongs to the guarded factory then, which begins TLS by itself."""
    context: Any = CertificateOptions()
    serving: Any = (
        internet.SSLServer(8443, app(), context, reactor=reactor)
        if older
        else internet.StreamServerEndpointService(SSL4ServerEndpoint(reactor, 8443, context), app())
    )
    Keeper(Policy(ProxyProtocol("10.0.0.0/8")), reactor).guard(serving)
    start(serving)
    assert not reactor.sslServers
    ((port, guarded, *_),) = reactor.tcpServers
    assert port == 8443
    assert guarded.tls is not None
