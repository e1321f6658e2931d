"""A native transport on which TLS has begun, as its application and its port have it."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from OpenSSL import SSL
from twisted.internet import tcp
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import INegotiated, IProtocolNegotiationFactory, ISSLTransport
from twisted.internet.protocol import Factory
from twisted.internet.threads import deferToThread
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

from netguard.guards.connection_limit import ConnectionLimit
from netguard.guards.lifetime import Lifetime
from netguard.guards.refusal import Refusal
from netguard.native.port import Port, take_over
from netguard.native.secure import READ
from netguard.native.server import Server
from netguard.policy import Policy
from netguard.process.tls import server_tls
from netguard.testing import Application
from netguard.testing.applications import Echo
from tests.native.conftest import WITHIN, Ground, until
from tests.native.tlspair import Pair, client_context, identity
from tests.pemfiles import issued

# Twisted hands pyOpenSSL's own objects to pyOpenSSL.
pytestmark = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")


@pytest.fixture
def it() -> Iterator[Pair]:
    """A connection whose handshake is over."""
    made = Pair.ready()
    yield made
    made.end()


# what the application has


def test_what_there_is_inside_tls(it: Pair) -> None:
    """All that a transport inside TLS of Twisted's has, on the transport that it has anyway."""
    transport: Any = it.application.transport
    assert transport is it.transport
    assert all(each.providedBy(it.transport) for each in (INegotiated, ISSLTransport))
    assert transport.negotiatedProtocol == b"mine"
    assert transport.getPeerCertificate() is None
    assert isinstance(transport.getHandle(), SSL.Connection)
    assert transport.logPrefix() == "Application,0,127.0.0.1"


def test_without_tls_there_is_none_of_it() -> None:
    """Applications ask by hasattr: HTTP/2 is chosen by that."""
    server: Any = Server.__new__(Server)
    for name in ("negotiatedProtocol", "getPeerCertificate", "whatever"):
        assert not hasattr(server, name)
    with pytest.raises(AttributeError, match="'Server' object has no attribute 'whatever'"):
        server.whatever  # noqa: B018 - to see it fail


def test_late_calls_do_nothing(it: Pair) -> None:
    """Applications make them in connectionLost, and later: nothing raises, and nobody is called who is gone."""
    transport = it.application.transport
    stopped: list[bool] = []

    class Producer:
        """Is stopped."""

        def stopProducing(self) -> None:
            """Remember."""
            stopped.append(True)

    def late() -> None:
        transport.unregisterProducer()
        transport.registerProducer(Producer(), True)
        transport.unregisterProducer()
        transport.write(b"too late")
        transport.writeSequence([b"too", b"late"])
        transport.loseConnection()
        transport.abortConnection()

    it.application.reactions["lost"] = late
    transport.registerProducer(Producer(), True)
    it.finish()
    late()
    assert it.application.reason is not None
    assert stopped == [True, True, True]
    assert transport.getHandle() is None
    assert not hasattr(transport, "negotiatedProtocol")


def test_an_exception_ends_the_connection(it: Pair, logged: Any) -> None:
    """As in Twisted's TLS: what was written before is given up, and TLS was not closed, which is the reason."""

    def fail() -> None:
        it.application.transport.write(b"never sent")
        raise ZeroDivisionError

    it.application.reactions["data"] = fail
    it.write(b"x")
    assert type(it.application.reason) is ConnectionLost
    assert len(logged.take_failures(ZeroDivisionError)) == 1
    assert it.heard() == b""


def test_one_read_may_bring_much(it: Pair) -> None:
    """Inside TLS, many records are decrypted for one delivery."""
    assert it.transport.most == READ
    it.write(bytes(200_000))
    assert [len(each[1]) for each in it.application.calls if each[0] == "data"] == [200_000]


def test_what_it_holds_is_bounded(it: Pair) -> None:
    """While one turn lasts; a producer is told within it."""
    pauses: list[int] = []

    class Producer:
        """Remembers when it was paused."""

        def pauseProducing(self) -> None:
            """How much had been written."""
            pauses.append(it.transport.meter.sent)

        def resumeProducing(self) -> None:
            """Nothing to do."""

        stopProducing = resumeProducing

    def write() -> None:
        it.application.transport.registerProducer(Producer(), True)
        for _ in range(10):
            it.application.transport.write(bytes(100_000))

    it.application.reactions["data"] = write
    it.write(b"x")
    assert pauses
    assert pauses[0] <= 400_000


def test_who_has_ended_tls_is_read_no_more(it: Pair) -> None:
    """Whoever takes nothing of our answer could send on, and all of it would be kept until then."""
    it.application.transport.write(bytes(16 * 1024 * 1024))
    it.bids_farewell()
    assert it.transport.connected
    assert it.transport in it.reactor.writers
    assert it.transport not in it.reactor.readers
    it.application.transport.resumeProducing()
    assert it.transport not in it.reactor.readers


# the port


def listen(ground: Ground, application: Any, *guards: Any, context: Any = None) -> Any:
    """A port with TLS around the guarded factory, as Twisted's ways to listen put it there."""
    from twisted.internet import reactor

    listening: Any = reactor
    factory = Factory.forProtocol(application) if isinstance(application, type) else application
    factory.noisy = False
    guarded = Policy(Lifetime("1h"), *guards).wrap(factory)
    outer = TLSMemoryBIOFactory(context or identity()[1], False, guarded)
    port = listening.listenTCP(0, outer, interface="127.0.0.1")
    assert take_over(port)
    assert type(port) is Port
    assert port.factory is guarded
    ground.ports.append(port)
    return port


def asked(port: Any, words: bytes) -> tuple[bytes, str | None]:
    """What a client hears, and the protocol that was agreed on."""
    with (
        socket.create_connection(("127.0.0.1", port.getHost().port), WITHIN) as raw,
        client_context().wrap_socket(raw, server_hostname="localhost") as secure,
    ):
        secure.sendall(words)
        heard = b""
        while len(heard) < len(words):
            heard += secure.recv(1 << 20) or b"the end"
        return heard, secure.selected_alpn_protocol()


async def test_a_port_begins_tls_itself(ground: Ground) -> None:
    """The application has the native transport, below which TLS is."""
    made: list[Any] = []

    class Kept(Echo):
        """Is remembered."""

        def connectionMade(self) -> None:
            """Remember."""
            super().connectionMade()
            made.append((self, type(self.transport), ISSLTransport.providedBy(self.transport)))

    port = listen(ground, Kept)
    words = bytes(range(256)) * 2_000
    assert (await deferToThread(asked, port, words))[0] == words
    ((application, kind, secure),) = made
    assert kind is Server
    assert secure
    await until(lambda: application.reason is not None)
    assert port.factory.connections == []


@implementer(IProtocolNegotiationFactory)
class Negotiates(Factory):
    """An application that knows other protocols than its certificate's context."""

    protocol = Echo
    noisy = False

    def acceptableProtocols(self) -> list[bytes]:
        """One."""
        return [b"mine"]


async def test_the_application_s_protocols_are_negotiated(ground: Ground) -> None:
    """By the factory inside the guards."""
    port = listen(ground, Negotiates())
    assert (await deferToThread(asked, port, b"hello")) == (b"hello", "mine")


async def test_who_is_refused_hears_nothing_in_clear(ground: Ground) -> None:
    """A text is for those who can read it: a handshake would come first."""
    port = listen(ground, Application, ConnectionLimit(total=1), Refusal("text:full"))
    first = ground.dial(port)
    await until(lambda: port.factory.connections)
    second = ground.dial(port)
    assert await ground.read(second, 1) == b""
    first.close()


async def test_a_port_whose_context_fails_lets_nobody_in(ground: Ground, logged: Any) -> None:
    """And goes on listening."""

    class Broken:
        """A context factory whose files are gone, say."""

        def serverConnectionForTLS(self, _: object) -> Any:
            """Fail."""
            raise FileNotFoundError

    from twisted.internet import reactor
    from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
    from zope.interface import directlyProvides

    listening: Any = reactor
    context: Any = Broken()
    directlyProvides(context, IOpenSSLServerConnectionCreator)
    guarded = Policy(Lifetime("1h")).wrap(Factory.forProtocol(Application))
    port = listening.listenTCP(0, TLSMemoryBIOFactory(context, False, guarded), interface="127.0.0.1")
    assert take_over(port)
    ground.ports.append(port)
    for _ in range(2):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await deferToThread(asked, port, b"x")
    await until(lambda: not guarded.connections)
    assert len(logged.take_failures(FileNotFoundError)) == 2


def _resumes(port: Any, tls: ssl.SSLContext, session: Any) -> tuple[bool, Any]:
    """Whether the session was resumed, and the one for the next time."""
    with (
        socket.create_connection(("127.0.0.1", port.getHost().port), WITHIN) as raw,
        tls.wrap_socket(raw, server_hostname="localhost", session=session) as secure,
    ):
        secure.sendall(b"hello")
        assert secure.recv(100) == b"hello"
        return bool(secure.session_reused), secure.session


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_sessions_are_resumed_until_the_certificates_are_read_again(
    version: ssl.TLSVersion, ground: Ground, tmp_path: Path
) -> None:
    """A ticket is understood by the port that gave it, until a reload; then comes one full handshake, and a new one."""
    authority = trustme.CA()
    ours = server_tls(issued(tmp_path / "pem", authority, "localhost"))
    port = listen(ground, Echo, context=ours)
    tls = ssl.create_default_context()
    authority.configure_trust(tls)
    tls.minimum_version = tls.maximum_version = version
    session, seen = None, []
    for turn in range(5):
        if turn == 3:
            ours.reload()
        resumed, session = await deferToThread(_resumes, port, tls, session)
        seen.append(resumed)
    assert seen == [False, True, True, False, True]


async def test_tls_around_what_nobody_guards_stays_twisted_s(ground: Ground) -> None:
    """So does whatever is no TLS of Twisted's own."""
    from twisted.internet import reactor

    listening: Any = reactor

    class Another(TLSMemoryBIOFactory):
        """Does who knows what."""

    bare = TLSMemoryBIOFactory(identity()[1], False, Factory())
    for factory in (bare, Another(identity()[1], False, Policy(Lifetime("1h")).wrap(Factory()))):
        port = listening.listenTCP(0, factory, interface="127.0.0.1")
        assert not take_over(port)
        assert type(port) is tcp.Port
        await port.stopListening()
