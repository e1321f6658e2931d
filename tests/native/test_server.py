"""What is promised of Server: what the application has is counted and held, by a transport that is one of Twisted's."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from twisted.internet import ssl
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.interfaces import IPushProducer, ISSLTransport, ITCPTransport, ITLSTransport
from twisted.internet.protocol import Protocol
from twisted.internet.tcp import Server as Stock
from zope.interface.verify import verifyObject

from netguard.application import connection_of
from netguard.guards.lifetime import Lifetime
from netguard.native.server import Server
from netguard.peer import address_of
from netguard.testing import Application, Echo, NativeMemoryTransport, connect
from tests.native.conftest import until

if TYPE_CHECKING:
    from tests.native.conftest import Ground

# Twisted hands pyOpenSSL's own objects to pyOpenSSL.
pytestmark = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")

AUTHORITY = trustme.CA()
CERTIFICATE = AUTHORITY.issue_cert("localhost")


def dialogue(application: Any = Application) -> Any:
    """A connection on a clock."""
    return connect(Lifetime("1h"), application, carrier=NativeMemoryTransport)


async def test_the_application_has_the_transport_itself(ground: Ground) -> None:
    """It is one of Twisted's, with all that those provide, and no wrapper is around it."""
    client, application = await ground.connect(ground.listen())
    transport = application.transport
    assert type(transport) is Server
    assert isinstance(transport, Stock)
    for each in (ITCPTransport, ITLSTransport, IPushProducer):
        assert each.providedBy(transport)
    assert verifyObject(ITCPTransport, transport)
    assert transport.getPeer().port == client.getsockname()[1]
    assert transport.getHost() == ground.ports[0].getHost()
    assert transport.getHost() is transport.getHost()  # HTTP asks for it with every request
    assert transport.hostname == "127.0.0.1"
    assert transport.getTcpNoDelay()
    found: Any = connection_of(transport)
    assert (found.host, found.port) == client.getsockname()
    said = address_of("192.0.2.9", 80)
    found.learn(destination=said)
    assert transport.getHost() is said


def test_what_is_read_and_written_is_counted_once() -> None:
    """By whatever call, while bytes are delivered and in between."""
    peer = dialogue()
    peer.application.reactions["data"] = lambda: peer.application.transport.writeSequence([b"12", b"3"])
    peer.feed(b"hello")
    peer.application.transport.write(b"4567")
    peer.application.transport.writeSequence([b"", b""])
    peer.advance()
    assert (peer.connection.received, peer.connection.sent, peer.taken) == (5, 7, b"1234567")
    for other in ("text", bytearray(b"bytes")):
        with pytest.raises(TypeError):  # as Twisted raises it
            peer.application.transport.write(other)


def test_what_is_written_after_our_end_is_dropped() -> None:
    """Our direction is closed."""
    peer = dialogue()
    peer.application.transport.loseWriteConnection()
    peer.advance()
    peer.application.reactions["data"] = lambda: peer.application.transport.write(b"late")
    peer.feed(b"x")
    assert peer.taken == b""


def test_after_the_end_everything_is_harmless() -> None:
    """Whatever an application still calls; and its protocol cannot be put back."""
    peer = dialogue()
    transport = peer.application.transport
    peer.vanish()
    transport.write(b"late")
    transport.writeSequence([b"late"])
    transport.pauseProducing()
    transport.resumeProducing()
    transport.loseConnection()
    transport.abortConnection()
    transport.unregisterProducer()
    transport.protocol = Application()
    assert type(transport.protocol) is Protocol
    assert not transport.disconnecting
    assert transport.guarded_connection is not peer.connection
    assert transport.getPeer() == peer.transport.peer
    assert peer.taken == b""


def test_a_producer_that_comes_too_late_is_stopped() -> None:
    """As Twisted stops it."""

    class Producer:
        """Remembers."""

        stopped = False

        def stopProducing(self) -> None:
            """Remember."""
            self.stopped = True

    peer = dialogue()
    peer.vanish()
    producer = Producer()
    peer.application.transport.registerProducer(producer, True)
    assert producer.stopped


async def test_a_producers_bytes_go_twisteds_way(ground: Ground) -> None:
    """A pull producer that is registered while bytes are delivered is asked until it has no more."""

    class Producer:
        """Has a thousand bytes, in tens."""

        left = 100

        def resumeProducing(self) -> None:
            """Write ten."""
            self.left -= 1
            application.transport.write(b"x" * 10)
            if not self.left:
                application.transport.unregisterProducer()
                application.transport.loseConnection()

        def stopProducing(self) -> None:
            """Stop."""

    client, application = await ground.connect(ground.listen())
    application.reactions["data"] = lambda: application.transport.registerProducer(Producer(), False)
    client.send(b"go")
    assert await ground.read(client, 2000) == b"x" * 1000


class Upgrades(Echo):
    """Starts TLS when it is asked to, as STARTTLS has it, and echoes from then on."""

    secure = False

    def dataReceived(self, data: bytes) -> None:
        """Upgrade, or echo."""
        transport: Any = self.transport
        if self.secure:
            super().dataReceived(data)
            return
        self.secure = True
        transport.write(b"go ahead\n")
        transport.startTLS(context())


def context() -> Any:
    """A server's TLS."""
    pem = CERTIFICATE.private_key_and_cert_chain_pem.bytes()
    return ssl.PrivateCertificate.loadPEM(pem).options()


class Asks(Protocol):
    """A client that upgrades, and sends what it has."""

    def __init__(self, whole: bytes) -> None:
        self.whole = whole
        self.received = b""
        self.secure = self.over = False

    def connectionMade(self) -> None:
        """Ask."""
        transport: Any = self.transport
        transport.write(b"starttls\n")

    def dataReceived(self, data: bytes) -> None:
        """Upgrade, or remember."""
        transport: Any = self.transport
        if self.secure:
            self.received += data
            return
        self.secure = True
        assert data == b"go ahead\n"
        authority = ssl.trustRootFromCertificates([ssl.Certificate.loadPEM(AUTHORITY.cert_pem.bytes())])
        transport.startTLS(ssl.optionsForClientTLS("localhost", authority))
        transport.write(self.whole)

    def connectionLost(self, reason: Any = None) -> None:
        """Remember."""
        self.over = True


async def test_start_tls_counts_plain_text_and_keeps_the_applications_transport(ground: Ground) -> None:
    """From the switch on; the handshake is timed, both sides close in peace."""
    from twisted.internet import reactor

    port = ground.listen(Upgrades)
    whole = os.urandom(300_000)
    asks: Any = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port), Asks(whole))
    await until(lambda: asks.received == whole)
    application = ground.applications[-1]
    connection: Any = connection_of(application.transport)
    assert (connection.received, connection.sent) == (9 + len(whole), 9 + len(whole))
    assert connection.handshaking is None
    assert type(application.transport) is Server
    assert ISSLTransport.providedBy(application.transport)
    assert application.transport.getPeerCertificate() is None
    application.transport.write(b"bye")
    application.transport.loseConnection()
    assert connection.parting
    await until(lambda: asks.over and application.reason)
    assert asks.received == whole + b"bye"


async def test_a_producer_is_kept_when_tls_starts(ground: Ground) -> None:
    """It is TLS's from then on, and still the only one."""

    class Producer:
        """Writes once."""

        stopped = False

        def resumeProducing(self) -> None:
            """Nothing to do."""

        pauseProducing = resumeProducing

        def stopProducing(self) -> None:
            """Remember."""
            self.stopped = True

    from twisted.internet import reactor

    producer = Producer()

    class Producing(Upgrades):
        """Registers a producer first."""

        def connectionMade(self) -> None:
            """Register."""
            super().connectionMade()
            transport: Any = self.transport
            transport.registerProducer(producer, True)

    port = ground.listen(Producing)
    asks: Any = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port), Asks(b"x"))
    await until(lambda: asks.received == b"x")
    application = ground.applications[-1]
    assert application.transport.meter.supply.producer is producer
    with pytest.raises(RuntimeError):
        application.transport.registerProducer(Producer(), True)
    asks.transport.abortConnection()
    await until(lambda: application.reason and asks.over)
    assert producer.stopped
