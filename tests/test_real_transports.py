"""The wrapper's contract on real sockets: TCP, IPv6, UNIX, TLS, startTLS, PROXY, adopted sockets, clients."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from attrs import define, field
from OpenSSL import SSL
from twisted.internet import ssl
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, clientFromString, connectProtocol, serverFromString
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IFileDescriptorReceiver,
    IHalfCloseableProtocol,
    IHandshakeListener,
    IProtocolNegotiationFactory,
    ISSLTransport,
)
from twisted.internet.protocol import ClientFactory, Factory, Protocol, ReconnectingClientFactory
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.protocols.haproxy import proxyEndpoint
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

from netguard.application import connection_of, settle
from netguard.errors import Expelled, HandshakeTooSlow, TooManyConnections
from netguard.factory import GuardedFactory
from netguard.guards.connection_limit import ConnectionLimit
from netguard.guards.handshake_timeout import HandshakeTimeout
from netguard.guards.idle_timeout import IdleTimeout
from netguard.guards.lifetime import Lifetime
from netguard.native import port as native_port
from netguard.native.port import take_over
from netguard.policy import Policy

# Twisted hands pyOpenSSL's own objects to pyOpenSSL.
pytestmark = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")

WITHIN = 5.0
"""Seconds that anything here may take."""


@pytest.fixture
def reactor() -> Any:
    """The reactor of this run."""
    from twisted.internet import reactor as installed

    return installed


async def until(condition: Callable[[], Any]) -> None:
    """Wait for something to become true."""
    from twisted.internet import reactor

    clock: Any = reactor
    end = clock.seconds() + WITHIN
    while not condition():
        assert clock.seconds() < end, "it does not happen"
        await deferLater(clock, 0.005)


class Remembers(Protocol):
    """Remembers what happens, and answers lines with themselves."""

    def __init__(self) -> None:
        self.received = b""
        self.reason: Any = None
        self.handshakes = 0

    def is_lost(self) -> bool:
        """Whether the connection is over."""
        return self.reason is not None

    def dataReceived(self, data: bytes) -> None:
        """Remember."""
        self.received += data

    def connectionLost(self, reason: Any = None) -> None:
        """Remember."""
        self.reason = reason.value


class Echo(Remembers):
    """Answers."""

    def dataReceived(self, data: bytes) -> None:
        """Answer."""
        super().dataReceived(data)
        assert self.transport is not None
        self.transport.write(data)


@implementer(IHandshakeListener, IHalfCloseableProtocol)
class Listener(Echo):
    """Hears of handshakes and half-closes."""

    def handshakeCompleted(self) -> None:
        """Remember."""
        self.handshakes += 1

    def readConnectionLost(self) -> None:
        """Answer once more, and close."""
        assert self.transport is not None
        self.transport.write(b"bye")
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        """Nothing to do."""


class Builds(Factory):
    """Remembers what it built."""

    noisy = False

    def __init__(self, protocol: Callable[[], Any]) -> None:
        self.made = protocol
        self.built: list[Any] = []

    def buildProtocol(self, addr: object) -> Any:
        """Build."""
        self.built.append(self.made())
        self.built[-1].factory = self
        return self.built[-1]


@define
class House:
    """What a test listens with and connects with; all of it is closed at its end.

    Attributes:
        native: whether ports accept for our own transport, where they can.
    """

    reactor: Any
    native: bool
    ports: list[Any] = field(factory=list)
    protocols: list[Any] = field(factory=list)

    async def listen(self, endpoint: Any, factory: Any) -> Any:
        """Listen, and say where."""
        if isinstance(endpoint, str):
            endpoint = serverFromString(self.reactor, endpoint)
        port = await endpoint.listen(factory)
        if self.native:
            take_over(port)
        self.ports.append(port)
        return port.getHost()

    async def connect(self, endpoint: Any, protocol: Any = None) -> Any:
        """Connect."""
        if isinstance(endpoint, str):
            endpoint = clientFromString(self.reactor, endpoint)
        connected = await connectProtocol(endpoint, protocol or Remembers())
        self.protocols.append(connected)
        return connected

    async def close(self) -> None:
        """Close everything."""
        for each in self.protocols:
            each.transport.abortConnection()
        for port in self.ports:
            await port.stopListening()
        await until(lambda: all(each.reason is not None for each in self.protocols))


@pytest.fixture(params=["wrapper", "native", "grouped"])
def house(reactor: Any, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """A place for what has to be closed."""
    from pytest_twisted import blockon
    from twisted.internet.defer import ensureDeferred

    if request.param == "native":  # as where there can be no group
        monkeypatch.setattr(native_port, "group_for", lambda watched: watched)
    made = House(reactor, request.param != "wrapper")
    yield made
    blockon(ensureDeferred(made.close()))


AUTHORITY = trustme.CA()
CERTIFICATE = AUTHORITY.issue_cert("localhost", "127.0.0.1")


def server_context(acceptable: list[bytes] | None = None) -> ssl.CertificateOptions:
    """A server's TLS."""
    pem = CERTIFICATE.private_key_and_cert_chain_pem.bytes()
    private = ssl.PrivateCertificate.loadPEM(pem)
    return private.options() if acceptable is None else _with_protocols(private, acceptable)


def _with_protocols(private: Any, acceptable: list[bytes]) -> ssl.CertificateOptions:
    return ssl.CertificateOptions(
        privateKey=private.privateKey.original, certificate=private.original, acceptableProtocols=acceptable
    )


class ClientContext:
    """A client's TLS, of one version."""

    def __init__(self, version: int | None = None, protocols: list[bytes] | None = None) -> None:
        self.version = version
        self.protocols = protocols

    def clientConnectionForTLS(self, tls: Any) -> SSL.Connection:
        """Make it."""
        context = SSL.Context(SSL.TLS_METHOD)
        if self.version is not None:
            context.set_min_proto_version(self.version)
            context.set_max_proto_version(self.version)
        if self.protocols:
            context.set_alpn_protos(self.protocols)
        return SSL.Connection(context, None)


def client_context(version: int | None = None, protocols: list[bytes] | None = None) -> Any:
    """A client's TLS, of one version."""
    from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
    from zope.interface import directlyProvides

    made = ClientContext(version, protocols)
    directlyProvides(made, IOpenSSLClientConnectionCreator)
    return made


def policy() -> Policy:
    """Guards that strike nobody here."""
    return Policy(Lifetime("1h"), IdleTimeout("1h"), HandshakeTimeout("1h"), ConnectionLimit(total=100))


# plain


@pytest.mark.parametrize("where", ["tcp:0:interface=127.0.0.1", "tcp6:0:interface=\\:\\:1"])
async def test_tcp_echoes_and_ends(house: House, where: str) -> None:
    """IPv4 and IPv6: bytes pass, facts are right, and nothing is left at the end."""
    factory = Builds(Echo)
    guarded = policy().wrap(factory)
    at = await house.listen(where, guarded)
    client = await house.connect(f"tcp:{at.host.replace(':', chr(92) + ':')}:{at.port}")
    client.transport.write(b"hello")
    await until(lambda: client.received == b"hello")
    connection = guarded.connections[0]
    assert (connection.received, connection.sent, connection.host) == (5, 5, at.host)
    client.transport.loseConnection()
    await until(lambda: factory.built[0].reason is not None)
    assert guarded.connections == []
    assert type(factory.built[0].reason) is ConnectionDone


async def test_a_half_close_is_answered(house: House) -> None:
    """The client's FIN reaches a half-closeable application, and its last answer the client."""
    factory = Builds(Listener)
    at = await house.listen("tcp:0:interface=127.0.0.1", policy().wrap(factory))
    client = await house.connect(f"tcp:127.0.0.1:{at.port}")
    client.transport.loseWriteConnection()
    await until(lambda: client.reason is not None)
    assert client.received == b"bye"


async def test_an_exception_in_the_application_closes_the_connection(house: House, logged: Any) -> None:
    """As without a guard: logged once, reported to the application, and its place is given back."""

    class Broken(Remembers):
        """Raises."""

        def dataReceived(self, data: bytes) -> None:
            """Raise."""
            raise ZeroDivisionError

    factory = Builds(Broken)
    guarded = Policy(ConnectionLimit(total=1)).wrap(factory)
    at = await house.listen("tcp:0:interface=127.0.0.1", guarded)
    client = await house.connect(f"tcp:127.0.0.1:{at.port}")
    client.transport.write(b"x")
    await until(lambda: client.reason is not None)
    assert len(logged.take_failures(ZeroDivisionError)) == 1
    assert type(factory.built[0].reason) is ZeroDivisionError
    assert guarded.connections == []
    assert [each["event"] for each in logged.events if "session" in each][-1] == "closed"


async def test_a_refused_connection_is_closed_at_once(house: House) -> None:
    """And leaves no trace but an event."""
    guarded = Policy(ConnectionLimit(total=1)).wrap(Builds(Echo))
    at = await house.listen("tcp:0:interface=127.0.0.1", guarded)
    await house.connect(f"tcp:127.0.0.1:{at.port}")
    second = await house.connect(f"tcp:127.0.0.1:{at.port}")
    await until(lambda: second.reason is not None)
    assert len(guarded.connections) == 1


# UNIX


@implementer(IFileDescriptorReceiver)
class Receives(Echo):
    """Takes file descriptors, and answers with what is in them."""

    def fileDescriptorReceived(self, descriptor: int) -> None:
        """Answer with its contents, and send another."""
        transport: Any = self.transport
        with os.fdopen(descriptor, "rb") as file:
            transport.write(file.read())


async def test_unix_sockets_pass_file_descriptors_both_ways(house: House) -> None:
    """From a client that is guarded, to a server that is guarded."""
    path = Path(tempfile.mkdtemp()) / "socket"
    factory = Builds(Receives)
    await house.listen(f"unix:{path}", policy().wrap(factory))
    client = Builds(Remembers)
    house.reactor.connectUNIX(str(path), Policy(Lifetime("1h")).wrap(_as_client(client)))
    await until(lambda: client.built and client.built[0].transport)
    house.protocols.append(client.built[0])
    with tempfile.TemporaryFile() as file:
        file.write(b"contents")
        file.flush()
        file.seek(0)
        client.built[0].transport.sendFileDescriptor(file.fileno())
        client.built[0].transport.write(b"+")
        await until(lambda: b"contents" in client.built[0].received)
    assert sorted(client.built[0].received) == sorted(b"contents+")


def _as_client(factory: Builds) -> Any:
    """A client factory around another."""
    made: Any = ClientFactory()
    made.noisy = False
    made.buildProtocol = factory.buildProtocol
    return made


# TLS


@pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION], ids=["1.2", "1.3"])
@pytest.mark.parametrize("application", [Echo, Listener])
async def test_tls_is_timed_until_the_handshake_ends(house: House, version: int, application: Any) -> None:
    """Also for applications that do not listen for its end; plain text is counted."""
    factory = Builds(application)
    guarded = policy().wrap(factory)
    at = await house.listen("tcp:0:interface=127.0.0.1", TLSMemoryBIOFactory(server_context(), False, guarded))
    raw = socket.create_connection(("127.0.0.1", at.port))
    await until(lambda: guarded.connections)
    assert guarded.connections[0].handshaking is not None
    raw.close()
    await until(lambda: not guarded.connections)
    client = await _tls_client(house, at.port, client_context(version))
    client.transport.write(b"hello")
    await until(lambda: client.received == b"hello")
    connection = guarded.connections[0]
    assert connection.handshaking is None
    assert (connection.received, connection.sent) == (5, 5)
    assert factory.built[1].handshakes == (application is Listener)
    assert ISSLTransport.providedBy(factory.built[1].transport)


async def _tls_client(house: House, port: int, context: Any) -> Any:
    client = Remembers()
    factory = TLSMemoryBIOFactory(context, True, _as_client(Builds(lambda: client)))
    house.reactor.connectTCP("127.0.0.1", port, factory)
    await until(lambda: client.transport)
    house.protocols.append(client)
    return client


async def test_a_client_that_is_silent_in_its_handshake_is_cut(house: House) -> None:
    """It gets as far as a TCP connection; the application hears the typed reason."""
    factory = Builds(Echo)
    guarded = Policy(HandshakeTimeout("200ms")).wrap(factory, tick=0.05)
    at = await house.listen("tcp:0:interface=127.0.0.1", TLSMemoryBIOFactory(server_context(), False, guarded))
    client = await house.connect(f"tcp:127.0.0.1:{at.port}")
    await until(lambda: client.reason is not None)
    assert type(factory.built[0].reason) is HandshakeTooSlow
    done = await _tls_client(house, at.port, client_context())
    done.transport.write(b"x")
    await until(lambda: done.received == b"x")
    await deferLater(house.reactor, 0.4)
    assert done.reason is None


class Closes(Echo):
    """Closes at the first word."""

    def dataReceived(self, data: bytes) -> None:
        """Say something, and close."""
        transport: Any = self.transport
        transport.write(b"bye")
        transport.loseConnection()


@pytest.mark.parametrize("limit", ["200ms", "1h"])
async def test_a_client_that_does_not_answer_the_end_of_tls_is_cut(house: House, limit: str) -> None:
    """It read everything, and keeps its connection: closing has the time of a handshake, and no more."""
    factory = Builds(Closes)
    guarded = Policy(HandshakeTimeout(limit)).wrap(factory, tick=0.05)
    at = await house.listen("tcp:0:interface=127.0.0.1", TLSMemoryBIOFactory(server_context(), False, guarded))
    sock = socket.create_connection(("127.0.0.1", at.port))
    client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), sock)
    client.set_connect_state()

    def talk() -> bytes:
        client.do_handshake()
        client.send(b"x")
        return client.recv(10)

    assert await deferToThread(talk) == b"bye"
    if limit == "1h":
        await deferLater(house.reactor, 0.6)
        assert factory.built[0].reason is None
        guarded.abort_all()
    await until(lambda: factory.built[0].reason is not None)
    assert type(factory.built[0].reason) is (HandshakeTooSlow if limit == "200ms" else Expelled)
    sock.close()


async def test_alpn_is_negotiated_through_the_guards(house: House) -> None:
    """As h2 over a guarded Site."""

    @implementer(IProtocolNegotiationFactory)
    class Negotiates(Builds):
        """Offers h2."""

        def acceptableProtocols(self) -> list[bytes]:
            """Offer."""
            return [b"h2"]

    factory = Negotiates(Echo)
    house.ports.append(
        house.reactor.listenSSL(0, policy().wrap(factory), server_context([b"h2"]), interface="127.0.0.1")
    )
    client = await _tls_client(house, house.ports[-1].getHost().port, client_context(protocols=[b"h2"]))
    client.transport.write(b"x")
    await until(lambda: client.received == b"x")
    assert factory.built[0].transport.negotiatedProtocol == b"h2"
    assert factory.built[0].transport.getPeerCertificate() is None


async def test_a_refusal_inside_tls_is_no_traceback(house: House) -> None:
    """ListenSSL wraps whatever buildProtocol answers; the connection is closed at once all the same."""
    guarded = Policy(ConnectionLimit(total=1)).wrap(Builds(Echo))
    port = house.reactor.listenSSL(0, guarded, server_context(), interface="127.0.0.1")
    house.ports.append(port)
    first = await _tls_client(house, port.getHost().port, client_context())
    first.transport.write(b"x")
    await until(lambda: first.received)
    second = await house.connect(f"tcp:127.0.0.1:{port.getHost().port}")
    await until(lambda: second.reason is not None)
    assert len(guarded.connections) == 1


async def test_one_factory_may_listen_with_tls_and_without(house: House) -> None:
    """Each refusal is answered as the port that asks can bear it."""
    guarded = Policy(ConnectionLimit(total=1)).wrap(Builds(Echo))
    plain = await house.listen("tcp:0:interface=127.0.0.1", guarded)
    port = house.reactor.listenSSL(0, guarded, server_context(), interface="127.0.0.1")
    house.ports.append(port)
    await house.connect(f"tcp:127.0.0.1:{plain.port}")
    for number in (plain.port, port.getHost().port, plain.port):
        refused = await house.connect(f"tcp:127.0.0.1:{number}")
        await until(refused.is_lost)
    assert guarded.buildProtocol(None) is None


async def test_a_refusal_inside_proxy_is_no_traceback(house: House) -> None:
    """Twisted's PROXY wrapper wraps whatever buildProtocol answers, too."""
    guarded = Policy(ConnectionLimit(total=1)).wrap(Builds(Echo))
    endpoint = proxyEndpoint(serverFromString(house.reactor, "tcp:0:interface=127.0.0.1"))
    at = await house.listen(endpoint, guarded)
    first = await house.connect(f"tcp:127.0.0.1:{at.port}")
    first.transport.write(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nhello")
    await until(lambda: first.received == b"hello")
    second = await house.connect(f"tcp:127.0.0.1:{at.port}")
    await until(lambda: second.reason is not None)


class Starts(Listener):
    """Starts TLS when it is asked to."""

    def dataReceived(self, data: bytes) -> None:
        """Answer in clear, and switch."""
        if data == b"STLS":
            transport: Any = self.transport
            transport.write(b"OK")
            transport.startTLS(server_context())
        else:
            super().dataReceived(data)


async def test_start_tls_works_through_the_guards(house: House) -> None:
    """TLS comes below us: we see plain text, the handshake is timed, and the application may settle."""
    factory = Builds(Starts)
    guarded = policy().wrap(factory)
    at = await house.listen("tcp:0:interface=127.0.0.1", guarded)
    client = await house.connect(f"tcp:127.0.0.1:{at.port}")
    client.transport.write(b"STLS")
    await until(lambda: client.received == b"OK")
    server = factory.built[0]
    connection = guarded.connections[0]
    assert ISSLTransport.providedBy(server.transport)
    assert connection.handshaking is not None
    client.transport.startTLS(client_context())
    client.transport.write(b"hello")
    await until(lambda: client.received == b"OKhello")
    assert server.handshakes == 1
    assert connection_of(server.transport) is connection
    assert [connection.handshaking, connection.received] == [None, 9]
    settle(server.transport)
    assert connection.settled_at is not None
    client.transport.loseConnection()
    await until(lambda: server.reason is not None)


async def test_a_client_that_is_silent_after_start_tls_is_cut(house: House) -> None:
    """The handshake's deadline begins with the switch."""
    factory = Builds(Starts)
    at = await house.listen("tcp:0:interface=127.0.0.1", Policy(HandshakeTimeout("200ms")).wrap(factory, tick=0.05))
    client = await house.connect(f"tcp:127.0.0.1:{at.port}")
    client.transport.write(b"STLS")
    await until(lambda: client.reason is not None)
    assert type(factory.built[0].reason) is HandshakeTooSlow


async def test_what_is_held_back_comes_before_the_switch(house: House) -> None:
    """The answer to STLS is never sent inside TLS, whatever a guard holds back."""

    class Held(Starts):
        """Its answers are held back."""

        def connectionMade(self) -> None:
            """Hold."""
            found = connection_of(self.transport)
            assert found is not None
            found.pause("a guard", "out")

    at = await house.listen("tcp:0:interface=127.0.0.1", policy().wrap(Builds(Held)))
    client = await house.connect(f"tcp:127.0.0.1:{at.port}")
    client.transport.write(b"STLS")
    await until(lambda: client.received == b"OK")


# adopted sockets, clients


async def test_an_adopted_port_is_guarded(house: House) -> None:
    """As carbon and systemd use them."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        guarded = Policy(ConnectionLimit(total=1)).wrap(Builds(Echo))
        house.ports.append(house.reactor.adoptStreamPort(listening.fileno(), socket.AF_INET, guarded))
        number = listening.getsockname()[1]
    client = await house.connect(f"tcp:127.0.0.1:{number}")
    client.transport.write(b"x")
    await until(lambda: client.received == b"x")
    second = await house.connect(f"tcp:127.0.0.1:{number}")
    await until(lambda: second.reason is not None)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_UNIX], ids=["tcp", "unix"])
async def test_an_adopted_connection_is_guarded(house: House, family: Any) -> None:
    """And one that is refused is closed."""
    guarded = Policy(ConnectionLimit(total=1)).wrap(Builds(Echo))
    pairs = [_pair(family) for _ in range(2)]
    for ours, _ in pairs:
        house.reactor.adoptStreamConnection(ours.fileno(), family, guarded)
        ours.close()
    theirs = [each for _, each in pairs]
    theirs[0].sendall(b"x")
    for each in theirs:
        each.setblocking(False)
    await until(lambda: _peek(theirs[0]) == b"x" and _peek(theirs[1]) == b"")
    for each in theirs:
        each.close()
    await until(lambda: not guarded.connections)


def _pair(family: int) -> tuple[socket.socket, socket.socket]:
    if family == socket.AF_UNIX:
        ours, theirs = socket.socketpair()
    else:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            theirs = socket.create_connection(listening.getsockname())
            ours, _ = listening.accept()
    ours.setblocking(False)
    return ours, theirs


def _peek(sock: socket.socket) -> bytes | None:
    try:
        return sock.recv(10, socket.MSG_PEEK)
    except BlockingIOError:
        return None
    except ConnectionResetError:
        return b""


async def test_a_reconnecting_client_is_guarded_each_time(house: House) -> None:
    """Its factory is used again, and its own delay starts afresh."""
    server = Builds(Echo)
    at = await house.listen("tcp:0:interface=127.0.0.1", server)
    built: list[Remembers] = []

    class Again(ReconnectingClientFactory):
        """Connects again."""

        noisy = False
        initialDelay = 0.01
        delay = 0.01

        def buildProtocol(self, addr: object) -> Any:
            """Build."""
            self.resetDelay()
            built.append(Remembers())
            return built[-1]

    factory = Again()
    guarded = Policy(Lifetime("100ms")).wrap(factory, tick=0.05)
    house.reactor.connectTCP("127.0.0.1", at.port, guarded)
    await until(lambda: len(built) == 3)
    factory.stopTrying()
    await until(lambda: all(each.reason is not None for each in built))
    await until(lambda: not guarded.connections)
    assert {type(each.reason).__name__ for each in built} == {"LifetimeOver"}


async def test_a_client_endpoint_gets_a_protocol_that_knows_its_own(house: House) -> None:
    """`wrappedProtocol` is the application's, as with Twisted's own wrappers."""
    at = await house.listen("tcp:0:interface=127.0.0.1", Builds(Echo))
    client = Builds(Remembers)
    endpoint = HostnameEndpoint(house.reactor, "127.0.0.1", at.port)
    wrapper: Any = await endpoint.connect(policy().wrap(client))
    house.protocols.append(client.built[0])
    assert wrapper.wrappedProtocol is client.built[0]


async def test_no_timer_is_left(house: House, reactor: Any) -> None:
    """Not when the port closes while a connection lives, nor after a flood of refusals."""
    guarded: GuardedFactory = Policy(ConnectionLimit(total=1)).wrap(Builds(Echo))
    port = await serverFromString(reactor, "tcp:0:interface=127.0.0.1").listen(guarded)
    number = port.getHost().port
    client = await house.connect(f"tcp:127.0.0.1:{number}")
    await until(lambda: guarded.connections)
    for _ in range(30):
        refused = await house.connect(f"tcp:127.0.0.1:{number}")
        await until(refused.is_lost)
    await port.stopListening()
    empty: Deferred[None] = guarded.when_empty()
    client.transport.loseConnection()
    await empty
    assert [each for each in reactor.getDelayedCalls() if "_turn" in str(each)] == []


async def test_a_refusal_is_told_with_its_reason(house: House, logged: Any) -> None:
    """Once, with the peer's address."""
    at = await house.listen("tcp:0:interface=127.0.0.1", Policy(ConnectionLimit(total=1)).wrap(Builds(Echo)))
    await house.connect(f"tcp:127.0.0.1:{at.port}")
    await house.connect(f"tcp:127.0.0.1:{at.port}")
    await until(lambda: logged.named("refused"))
    event = logged.named("refused")[0]
    assert event["client.address"] == "127.0.0.1"
    assert (event["guard"], event["option"]) == (TooManyConnections.guard, TooManyConnections.option)
