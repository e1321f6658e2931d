"""Ports on which the guards come before TLS: a header, then the handshake, by every way to listen with TLS."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate
from twisted.internet.address import IPv4Address
from twisted.internet.endpoints import (
    AdoptedStreamServerEndpoint,
    SSL4ServerEndpoint,
    TCP4ServerEndpoint,
    UNIXServerEndpoint,
    serverFromString,
    wrapServerTLS,
)
from twisted.internet.interfaces import IProtocolNegotiationFactory
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import CertificateOptions
from twisted.internet.testing import MemoryReactorClock
from twisted.internet.threads import deferToThread
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

from netguard.before_tls import BeforeTls, listening_before_tls
from netguard.errors import ProxyHeaderUnexpected
from netguard.guarded_endpoints import announce
from netguard.guards.proxy_protocol import ProxyProtocol
from netguard.policy import Policy
from netguard.wire import proxy_v1
from netguard.wire.proxy_header import Inet

HEADER = proxy_v1.write(Inet("203.0.113.9", 4711), Inet("198.51.100.1", 443))
BOUND = 10
pytestmark = [
    pytest.mark.filterwarnings(f"ignore:{what}:DeprecationWarning")  # Twisted does so, where it reads the files itself
    for what in ("X509.get_issuer", "Passing pyOpenSSL", "CRL support")
]


class Tells(Protocol):
    """Tells its peer who it is, then echoes."""

    def connectionMade(self) -> None:
        """Say what there is to say at once."""
        transport: Any = self.transport
        transport.write(f"{transport.getPeer().host}\n".encode())

    def dataReceived(self, data: bytes) -> None:
        """Echo."""
        transport: Any = self.transport
        transport.write(data)


@implementer(IProtocolNegotiationFactory)
class Negotiating(Factory):
    """An application that knows protocols to negotiate."""

    protocol = Tells

    def acceptableProtocols(self) -> list[bytes]:
        """One."""
        return [b"mine"]


class Identity:
    """A certificate that was made for these tests, and a client that knows who has vouched for it.

    Args:
        folder: where its file is kept.
    """

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        made = authority.issue_cert("localhost")
        self.pem = folder / "localhost.pem"
        made.private_key_and_cert_chain_pem.write_to_path(str(self.pem))
        key: Any = load_pem_private_key(made.private_key_pem.bytes(), password=None)
        certificate: Any = load_pem_x509_certificate(made.cert_chain_pems[0].bytes())
        self.context = CertificateOptions(privateKey=key, certificate=certificate)
        self.client = ssl.create_default_context()
        authority.configure_trust(self.client)
        self.client.set_alpn_protocols(["mine"])

    async def ask(self, address: Any, header: bytes = HEADER, inside: bytes = b"") -> tuple[bytes, str | None]:
        """Send a header, begin TLS, send more inside.

        Returns:
            What was answered, a line and the echo of ``hello``, and the protocol that was agreed on.
        """

        def talk() -> tuple[bytes, str | None]:
            family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
            with socket.socket(family) as raw:
                raw.settimeout(BOUND)
                raw.connect(address)
                raw.sendall(header)
                with self.client.wrap_socket(raw, server_hostname="localhost") as secure:
                    secure.sendall(inside + b"hello")
                    got = b""
                    while not got.endswith(b"hello"):
                        piece = secure.recv(1000)
                        assert piece, got
                        got += piece
                    return got, secure.selected_alpn_protocol()

        return cast("tuple[bytes, str | None]", await deferToThread(talk))


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    """The certificate and its client."""
    return Identity(tmp_path_factory.mktemp("identity"))


def guarded(source: str = "127.0.0.1", application: Any = None) -> Any:
    """An application under the guard."""
    return Policy(ProxyProtocol(source)).wrap(application or Negotiating())


Way = Callable[[Any, Identity, Path], Any]


def _reactor_s_own(reactor: Any, identity: Identity, _: Path) -> Any:
    factory = guarded()
    port = BeforeTls(reactor).listenSSL(0, factory, identity.context, interface="127.0.0.1")
    return announce(port, factory)


def _ssl_endpoint(reactor: Any, identity: Identity, _: Path) -> Any:
    endpoint = SSL4ServerEndpoint(reactor, 0, identity.context, interface="127.0.0.1")
    return listening_before_tls(endpoint).listen(guarded())


def _wrapped_endpoint(reactor: Any, identity: Identity, _: Path) -> Any:
    inner = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
    return listening_before_tls(wrapServerTLS(cast("Any", identity.context), inner)).listen(guarded())


def _string(reactor: Any, identity: Identity, _: Path) -> Any:
    description = f"ssl:0:privateKey={identity.pem}:interface=127.0.0.1"
    return serverFromString(BeforeTls(reactor), description).listen(guarded())


def _sni_string(reactor: Any, identity: Identity, _: Path) -> Any:
    description = f"tls:{identity.pem.parent}:0:interface=127.0.0.1"
    return serverFromString(BeforeTls(reactor), description).listen(guarded())


def _guard_string(reactor: Any, identity: Identity, _: Path) -> Any:
    description = f"guard:ssl:0:privateKey={identity.pem}:interface=127.0.0.1:proxy-from=127.0.0.1"
    return serverFromString(reactor, description).listen(Negotiating())


def _adopted(reactor: Any, identity: Identity, _: Path) -> Any:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        inner = AdoptedStreamServerEndpoint(reactor, listening.detach(), socket.AF_INET)
        return listening_before_tls(wrapServerTLS(cast("Any", identity.context), inner)).listen(guarded())


def _unix(reactor: Any, identity: Identity, folder: Path) -> Any:
    inner = UNIXServerEndpoint(reactor, str(folder / "socket"))
    return listening_before_tls(wrapServerTLS(cast("Any", identity.context), inner)).listen(guarded("unix"))


WAYS = [_reactor_s_own, _ssl_endpoint, _wrapped_endpoint, _string, _sni_string, _guard_string, _adopted, _unix]


async def _port(way: Way, identity: Identity, folder: Path) -> Any:
    from twisted.internet import reactor
    from twisted.internet.defer import maybeDeferred

    return await maybeDeferred(way, reactor, identity, folder)


def _address(port: Any) -> Any:
    host = port.getHost()
    return (host.host, host.port) if isinstance(host, IPv4Address) else host.name.decode()


@pytest.mark.parametrize("way", WAYS)
async def test_a_header_comes_before_tls(way: Way, identity: Identity, tmp_path: Path) -> None:
    """Whatever opened the port: the application is inside TLS, sees the client, and its ALPN protocol is agreed on."""
    port = await _port(way, identity, tmp_path)
    try:
        answer, agreed = await identity.ask(_address(port))
    finally:
        await port.stopListening()
    assert answer == b"203.0.113.9\nhello"
    assert agreed == "mine"


async def test_a_header_inside_tls_is_data(identity: Identity, tmp_path: Path) -> None:
    """Only what stands before TLS is believed."""
    port = await _port(_ssl_endpoint, identity, tmp_path)
    try:
        answer, _ = await identity.ask(_address(port), inside=proxy_v1.write())
    finally:
        await port.stopListening()
    assert answer == b"203.0.113.9\n" + proxy_v1.write() + b"hello"


async def test_who_is_not_listed_begins_with_tls(identity: Identity) -> None:
    """And a header ends the connection, before any TLS, with the reason."""
    from twisted.internet import reactor

    factory = guarded("10.0.0.0/8")
    ends: list[Any] = []
    factory.follower = lambda _, outcome: ends.append(outcome)
    endpoint = SSL4ServerEndpoint(reactor, 0, identity.context, interface="127.0.0.1")
    port: Any = await listening_before_tls(endpoint).listen(factory)
    try:
        assert (await identity.ask(_address(port), header=b""))[0] == b"127.0.0.1\nhello"
        assert await deferToThread(_is_ended, _address(port), HEADER)
        await factory.when_empty().addTimeout(BOUND, cast("Any", reactor))
    finally:
        await port.stopListening()
    assert ends[-1].check(ProxyHeaderUnexpected)


def _is_ended(address: Any, said: bytes) -> bool:
    """Whether who says that is sent away without an answer.

    It begins no TLS: a socket that is reset before, Python 3.11 forgets to close when it is to become one of TLS.
    """
    with socket.create_connection(address, BOUND) as raw:
        raw.sendall(said)
        try:
            return not raw.recv(1)
        except ConnectionResetError:
            return True


def test_factories_that_nobody_guards_stay_as_they_are(identity: Identity) -> None:
    """TLS is theirs; so is what is guarded, but listens without TLS."""
    reactor = MemoryReactorClock()
    plain, secure = guarded(), TLSMemoryBIOFactory(identity.context, False, Factory())
    for factory in (plain, secure):
        BeforeTls(reactor).listenTCP(0, factory)
        BeforeTls(reactor).listenUNIX("/run/x", factory)
    assert [each[1] for each in reactor.tcpServers] == [plain, secure]
    assert [each[1] for each in reactor.unixServers] == [plain, secure]
    assert plain.tls is None


def test_everything_else_is_the_reactor_s_own() -> None:
    """Whoever makes a port may ask for more than to listen."""
    reactor = MemoryReactorClock()
    assert BeforeTls(reactor).callLater == reactor.callLater


def test_another_author_s_endpoint_is_left_alone() -> None:
    """Nobody knows what it does; and the one that was given is not changed."""
    foreign = object()
    assert listening_before_tls(foreign) is foreign
    reactor = MemoryReactorClock()
    endpoint: Any = TCP4ServerEndpoint(cast("Any", reactor), 0)
    assert listening_before_tls(endpoint) is not endpoint
    assert endpoint._reactor is reactor


def test_endpoints_that_lie_on_themselves_end() -> None:
    """However deep they lie on one another, and should one lie on itself."""

    class Turtle:
        def __init__(self) -> None:
            self._wrappedEndpoint = self

    assert isinstance(listening_before_tls(Turtle()), Turtle)
