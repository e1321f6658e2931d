"""What a backend is told first: who the client is."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.protocol import Protocol
from twisted.internet.ssl import optionsForClientTLS
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOProtocol

from netguard.relay.back import Back, BackFactory
from netguard.relay.preface import VERSIONS, Prefaced, header, of_a_check, prefaced
from netguard.relay.stalls import Stalls
from netguard.testing import MemoryTransport
from netguard.wire.proxy_header import Inet
from netguard.wire.proxy_protocol import HeaderReader
from tests.relay.conftest import site

V4 = IPv4Address("TCP", "192.0.2.1", 40000), IPv4Address("TCP", "192.0.2.2", 80)
V6 = IPv6Address("TCP", "2001:db8::1", 40000), IPv6Address("TCP", "2001:db8::2", 80)


def of(version: str | None, peer: Any, host: Any) -> Any:
    """What a backend reads."""
    octets = header(version, MemoryTransport(Clock(), Protocol(), peer, host))
    heard = HeaderReader().receive(octets)
    assert heard is not None
    assert heard.rest == b""
    return heard.header


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("ends", [V4, V6], ids=["ipv4", "ipv6"])
def test_both_ends_are_told(version: str, ends: Any) -> None:
    """In each version, of each family."""
    read = of(version, *ends)
    assert (read.peer, read.destination) == (Inet(ends[0].host, 40000), Inet(ends[1].host, 80))
    assert f"v{read.version}" == version


@pytest.mark.parametrize("version", VERSIONS)
def test_mapped_addresses_and_zones_are_taken_off(version: str) -> None:
    """What a dual-stack socket and a link-local one show."""
    mapped = IPv6Address("TCP", "::ffff:192.0.2.1", 1), IPv6Address("TCP", "::ffff:192.0.2.2", 2)
    assert of(version, *mapped).peer == Inet("192.0.2.1", 1)
    zoned = IPv6Address("TCP", "fe80::1%eth0", 1), IPv6Address("TCP", "fe80::2%eth0", 2)
    assert of(version, *zoned).peer == Inet("fe80::1", 1)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("peer", "host"),
    [
        (UNIXAddress(b""), UNIXAddress(b"/run/socket")),
        (V4[0], V6[1]),
        (HostnameAddress(b"host.example", 80), V4[1]),
        (None, None),
    ],
)
def test_what_cannot_be_told_is_told_as_unknown(version: str, peer: Any, host: Any) -> None:
    """The connection is served all the same."""
    read = of(version, peer, host)
    assert read.peer is None
    assert not read.local


def test_without_a_version_there_is_none() -> None:
    """Most backends want none."""
    assert header(None, None) == b""
    assert of_a_check(None) == b""


def test_a_check_speaks_for_nobody() -> None:
    """As the specification wants it, so that backends do not log it as a client's."""
    heard = HeaderReader().receive(of_a_check("v2"))
    assert heard is not None
    assert heard.header.local
    assert of_a_check("v1") == b"PROXY UNKNOWN\r\n"


class Once:
    """An endpoint that connects at once."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.transport: Any = None

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        """Connect."""
        protocol = protocolFactory.buildProtocol(None)
        self.transport = MemoryTransport(self.clock, protocol, None)
        protocol.makeConnection(self.transport)
        return succeed(protocol)


def test_it_goes_before_everything_and_nothing_stays_in_between() -> None:
    """The backend's end has the transport itself."""
    endpoint = Once()
    back = Back(Stalls(endpoint.clock), lambda _: back.transport.write(b"bytes"))
    found: list[Any] = []
    prefaced(endpoint).connect(BackFactory(back, b"preface ")).addCallback(found.append)
    endpoint.clock.advance(0)
    assert found == [back]
    assert back.transport is endpoint.transport
    assert bytes(endpoint.transport.taken) == b"preface bytes"
    assert "makeConnection" not in vars(back)
    assert "prefaced" in repr(Prefaced(endpoint))


def test_it_goes_before_the_handshake() -> None:
    """As HAProxy sends it, and as netguard's own `--proxy-from` reads it."""
    endpoint = Once()
    back = Back(Stalls(endpoint.clock), lambda _: None)
    around: Any = wrapClientTLS(optionsForClientTLS("backend.example"), endpoint)  # type: ignore[arg-type]
    prefaced(around).connect(BackFactory(back, b"preface "))
    endpoint.clock.advance(0)
    assert endpoint.transport.taken.startswith(b"preface \x16\x03")
    assert isinstance(back.transport, TLSMemoryBIOProtocol)
    assert around._wrappedEndpoint is endpoint
    endpoint.transport.vanish()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_relay_sends_it_for_each_client(version: str) -> None:
    """Made of the address that counts."""
    relay = site(send_proxy=version)
    client = relay.client()
    assert client.transport is not None
    assert relay.relay.preface(client.transport) == header(version, client.transport) != b""
    factory, _ = relay.servers[0].asked[0]
    assert factory.preface == header(version, client.transport)
    relay.servers[0].accept()
