"""TLS that a factory begins by itself: what makes it, and what becomes of a connection for which it cannot be made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate
from OpenSSL import SSL
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, wrapClientTLS
from twisted.internet.interfaces import IOpenSSLContextFactory, IProtocolNegotiationFactory
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, CertificateOptions, optionsForClientTLS
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

from netguard.encryption import Encryption
from netguard.guards.lifetime import Lifetime
from netguard.policy import Policy

if TYPE_CHECKING:
    from tests.conftest import Logged

BOUND = 10
AUTHORITY = trustme.CA()


@pytest.fixture(scope="module")
def options() -> CertificateOptions:
    """A context factory."""
    made = AUTHORITY.issue_cert("localhost")
    key: Any = load_pem_private_key(made.private_key_pem.bytes(), password=None)
    certificate: Any = load_pem_x509_certificate(made.cert_chain_pems[0].bytes())
    return CertificateOptions(privateKey=key, certificate=certificate)


@implementer(IOpenSSLContextFactory)
class Older:
    """A context factory as they were before.

    Args:
        options: one as they are now.
    """

    def __init__(self, options: CertificateOptions) -> None:
        self.options = options

    def getContext(self) -> SSL.Context:
        """The context."""
        context: SSL.Context = self.options.getContext()
        return context


@implementer(IOpenSSLContextFactory)
class Broken:
    """One whose files have been replaced by something else since the start."""

    def getContext(self) -> SSL.Context:
        """Fail."""
        raise ZeroDivisionError


@implementer(IProtocolNegotiationFactory)
class Negotiating(Factory):
    """An application that knows protocols to negotiate."""

    protocol = Protocol

    def acceptableProtocols(self) -> list[bytes]:
        """One."""
        return [b"mine"]


class Layer:
    """A TLS protocol, as far as those who make connections look at it."""

    def __init__(self, factory: Any) -> None:
        self.factory = factory


@pytest.mark.parametrize("kind", ["context factory", "older context factory", "TLS factory"])
def test_any_of_twisted_s_ways_to_describe_tls(kind: str, options: CertificateOptions) -> None:
    """Each makes a connection of OpenSSL's that accepts, and the application is asked for its protocols."""
    factory = Negotiating()
    given: Any = options
    if kind == "older context factory":
        given = Older(options)
    elif kind == "TLS factory":
        given = TLSMemoryBIOFactory(options, False, Factory())
    layer = Layer(Factory())
    made = Encryption(given, factory).serverConnectionForTLS(layer)
    assert isinstance(made, SSL.Connection)
    assert made.get_state_string().startswith(b"before SSL")
    assert layer.factory.wrappedFactory is factory


async def test_tls_that_cannot_begin_ends_the_connection(logged: Logged) -> None:
    """By a failed handshake: the application and every count hear of the end, and the log of the reason."""
    from twisted.internet import reactor

    factory = Policy(Lifetime("1h")).wrap(Factory.forProtocol(Protocol), tls=Broken())
    port: Any = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(factory)
    trust = Certificate.loadPEM(AUTHORITY.cert_pem.bytes())
    client = wrapClientTLS(
        cast("Any", optionsForClientTLS("localhost", trustRoot=trust)),
        TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port),
    )
    try:
        await client.connect(Factory.forProtocol(Protocol))
        await factory.when_empty().addTimeout(BOUND, cast("Any", reactor))
    finally:
        await port.stopListening()
    assert len(logged.take_failures(ZeroDivisionError)) == 1
    assert [each["event"] for each in logged.named("closed")] == ["closed"]
