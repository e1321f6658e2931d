"""What is promised of ProxyProtocol: who is believed, who is refused, and what everybody behind the header sees."""

from __future__ import annotations

from typing import Any, cast

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.internet.ssl import CertificateOptions

from netguard.errors import (
    HandshakeTooSlow,
    OptionError,
    ProxyHeaderMalformed,
    ProxyHeaderMissing,
    ProxyHeaderUnexpected,
    TooManyConnections,
    TooManyFromPeer,
)
from netguard.guard import Guard
from netguard.guards.byte_limit import ByteLimit
from netguard.guards.connection_limit import ConnectionLimit
from netguard.guards.handshake_timeout import HandshakeTimeout
from netguard.guards.load_shedding import LoadShedding
from netguard.guards.proxy_protocol import Proxies, ProxyProtocol, proxies
from netguard.networks import Networks
from netguard.policy import Policy
from netguard.testing import Application, Dialogue, MemoryTransport, NativeMemoryTransport, check_transparent, connect
from netguard.wire import proxy_v1, proxy_v2
from netguard.wire.proxy_header import Inet, Transport
from netguard.wire.proxy_tlv import Claims, Ssl

PROXY = IPv4Address("TCP", "10.0.0.1", 50000)
OTHER = IPv4Address("TCP", "192.0.2.1", 50000)
CLIENT, SERVICE = Inet("203.0.113.9", 4711), Inet("198.51.100.1", 110)
LISTED = ProxyProtocol("10.0.0.0/8")
V1 = proxy_v1.write(CLIENT, SERVICE)
V2 = proxy_v2.write(CLIENT, SERVICE, checksum=True)


@pytest.fixture(params=[MemoryTransport, NativeMemoryTransport], autouse=True)
def carrier(request: Any) -> Any:
    """Each test runs with either meter."""
    _carriers[:] = [request.param]
    return request.param


_carriers: list[Any] = []


def come(guards: Any, address: IAddress | None = PROXY, application: Any = Application) -> Any:
    """A peer of the service."""
    return connect(guards, application, address=address, carrier=_carriers[0])


def received(peer: Any) -> bytes:
    """What the application got."""
    return bytes(peer.application.received)


# listed sources


@pytest.mark.parametrize("header", [V1, V2])
@pytest.mark.parametrize("split", [None, 1, [5], [16]])
def test_the_header_of_a_listed_source_names_the_peer(header: bytes, split: Any) -> None:
    """The application begins behind it and sees who is behind the proxy, however the bytes came."""
    peer = come(LISTED)
    peer.feed(header + b"data", split=split)
    assert received(peer) == b"data"
    transport = peer.application.transport
    assert transport.getPeer() == IPv4Address("TCP", *CLIENT)
    assert transport.getHost() == IPv4Address("TCP", *SERVICE)
    assert peer.connection.received == 4


def test_nothing_of_the_application_is_made_before_the_header_is_whole() -> None:
    """A protocol that speaks first greets the client, not the proxy."""
    peer = come(LISTED)
    peer.feed(V2[:-1])
    assert peer.application is None
    assert peer.taken == b""
    peer.feed(V2[-1:])
    assert peer.application is not None


def test_a_second_header_is_data() -> None:
    """Nobody believes it, and nobody is cut for it."""
    peer = come(LISTED)
    peer.feed(V1 + V2 + proxy_v1.write(Inet("192.0.2.66", 1), SERVICE))
    assert received(peer).startswith(V2)
    assert peer.connection.host == CLIENT.host
    assert not peer.lost


@pytest.mark.parametrize(
    "header",
    [
        proxy_v1.write(),
        b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n",
        proxy_v2.write(local=True),
        proxy_v2.write(),
        b"\r\n\r\n\0\r\nQUIT\n\x20\x11\0\x0c\xcb\0\x71\x09\xc6\x33\x64\x01\0\1\0\2",
        proxy_v2.write(CLIENT, SERVICE, transport=Transport.DGRAM),
    ],
)
def test_a_header_that_names_nobody_leaves_the_socket_in_force(header: bytes) -> None:
    """LOCAL, whatever stands in its block, UNKNOWN, UNSPEC and datagrams: the peer is the one that the socket shows."""
    peer = come(LISTED)
    peer.feed(header)
    assert peer.connection.peer.claimed is None
    assert peer.connection.address == PROXY
    assert peer.application.transport.getPeer() == peer.transport.getPeer()


def test_ipv6_and_mapped_clients() -> None:
    """An IPv4-mapped client is an IPv4 peer."""
    peer = come(LISTED)
    peer.feed(proxy_v2.write(Inet("2001:db8::1", 7), Inet("::1", 8)))
    assert peer.connection.address == IPv6Address("TCP", "2001:db8::1", 7)
    peer = come(LISTED)
    peer.feed(proxy_v2.write(Inet("::ffff:192.0.2.7", 7), Inet("::1", 8)))
    assert peer.connection.address == IPv4Address("TCP", "192.0.2.7", 7)


@pytest.mark.parametrize(("path", "address"), [(b"/run/a", UNIXAddress("/run/a")), (b"", UNIXAddress(None))])
def test_clients_of_a_unix_socket(path: bytes, address: IAddress) -> None:
    """They have no host, and so no per-peer limit."""
    peer = come(LISTED)
    peer.feed(proxy_v2.write(path, b"/run/b"))
    assert peer.connection.address == address
    assert peer.connection.host is None


def test_claims_are_kept_apart() -> None:
    """What the proxy says beside the addresses stands by name in the peer's claims."""
    said = Claims("mail.example", b"pop3", b"id-1", "blue", Ssl(5, 0, "TLSv1.3", "alice"), ((0xE0, b"x"),))
    peer = come(LISTED)
    peer.feed(proxy_v2.write(CLIENT, SERVICE, claims=said, checksum=True))
    assert peer.connection.peer.claims == {
        "authority": "mail.example",
        "alpn": b"pop3",
        "unique_id": b"id-1",
        "netns": "blue",
        "ssl": Ssl(5, 0, "TLSv1.3", "alice"),
        "others": ((0xE0, b"x"),),
    }
    assert peer.connection.peer.claims["ssl"].verified


def test_both_addresses_are_logged() -> None:
    """The effective one as the client, the socket's as the network's peer."""
    peer = come(LISTED)
    peer.feed(V1)
    peer.vanish()
    fields = peer.events[-1].fields
    assert (fields["client.address"], fields["client.port"]) == CLIENT
    assert (fields["network.peer.address"], fields["network.peer.port"]) == ("10.0.0.1", 50000)


# listed sources without one


@pytest.mark.parametrize("begun", [b"USER alice\r\n", b"\x16\x03\x01", b"PROXX"])
def test_a_listed_source_without_a_header_is_refused(begun: bytes) -> None:
    """At its first byte that fits no header; no application is built."""
    peer = come(LISTED)
    peer.feed(begun, split=1)
    assert peer.refused
    assert peer.events[-1].fields["option"] == "proxy-from"
    assert "must begin with a PROXY header" in str(peer.events[-1])
    assert peer.application is None
    assert peer.lost


def test_a_malformed_header_is_refused_with_what_is_wrong() -> None:
    """In our own words: nothing of what came is in the log."""
    peer = come(LISTED)
    peer.feed(b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n")
    assert peer.refused
    assert peer.events[-1].fields["observed"] == "a port of version 1 is no number from 0 to 65535 in its shortest form"
    assert "65536" not in str(peer.events[-1])


def test_a_wrong_checksum_is_refused() -> None:
    """One bit of an address."""
    broken = bytearray(V2)
    broken[16] ^= 1
    peer = come(LISTED)
    peer.feed(bytes(broken))
    assert "checksum" in peer.events[-1].fields["observed"]


@pytest.mark.parametrize("begun", [b"", V1[:13]])
def test_a_header_that_does_not_come_is_the_handshake_s_to_wait_for(begun: bytes) -> None:
    """Just inside passes, just outside is cut."""
    guards = Policy(LISTED, HandshakeTimeout("5s"))
    late, later = come(guards), come(guards)
    for each in (late, later):
        each.feed(begun)
        each.advance(4.75)
    late.feed(V1[len(begun) :])
    assert late.application is not None
    later.advance(0.5)
    assert later.refused
    assert later.events[-1].fields["guard"] == HandshakeTooSlow.guard


def test_without_a_handshake_limit_a_header_has_a_minute() -> None:
    """And then the reason is that it is missing."""
    peer = come(LISTED)
    peer.feed(V1[:-1])
    peer.advance(59.5)
    assert not peer.refused
    peer.advance(1)
    assert peer.refused
    assert peer.events[-1].fields["guard"] == "ProxyProtocol"
    assert peer.events[-1].fields["limit"] == "1m"


def test_the_header_s_time_is_not_the_connection_s() -> None:
    """Who has sent a header in time stays."""
    peer = come(LISTED)
    peer.feed(V1)
    peer.advance(120)
    assert not peer.lost


@pytest.mark.parametrize("begun", [b"", V2[:20]])
def test_a_peer_that_closes_before_the_header_is_whole_is_simply_closed(begun: bytes) -> None:
    """So do health checks of load balancers; no time-out is waited for, and nothing is refused."""
    peer = come(LISTED)
    peer.feed(begun)
    peer.finish()
    peer.advance(0.25)
    assert peer.lost
    assert peer.events[-1].name == "closed"


# others


def test_a_header_of_another_source_is_never_believed() -> None:
    """The connection is cut before the application has seen the header's end, with its reason."""
    for header in (V1, V2, proxy_v1.write(), proxy_v2.write(local=True)):
        for split in (None, 1):
            peer = come(LISTED, OTHER)
            peer.feed(header, split=split)
            assert type(peer.application.reason) is ProxyHeaderUnexpected
            assert len(received(peer)) < 13
            assert peer.events[-1].name == "cut"
            assert peer.events[-1].fields["client.address"] == "192.0.2.1"


@pytest.mark.parametrize("data", [b"hello", b"\r\n\r\nx", b"PROXY please\r\n", b"P"])
def test_the_data_of_other_sources_is_theirs(data: bytes) -> None:
    """Nobody waits, also when it resembles a header, and nothing looks at what comes after."""
    peer = come(LISTED, OTHER)
    peer.feed(data, split=1)
    assert received(peer) == data
    if len(data) > 1:
        assert peer.connection.meter.tap is None
        peer.feed(V1)
        assert received(peer) == data + V1


def test_an_application_that_speaks_first_is_not_held_up() -> None:
    """For those who must not send a header, there is nothing to wait for."""
    peer = come(LISTED, OTHER)
    assert peer.application is not None


def test_a_claimed_address_is_no_reason_to_believe_it() -> None:
    """Trust is decided on the socket: who claims to be a proxy behind another proxy is not believed again."""
    peer = come(LISTED)
    peer.feed(proxy_v1.write(Inet("10.9.9.9", 1), SERVICE) + proxy_v1.write(CLIENT, SERVICE))
    assert peer.connection.host == "10.9.9.9"
    assert received(peer) == proxy_v1.write(CLIENT, SERVICE)


def test_unix_sockets_are_listed_by_a_word() -> None:
    """With it they must send a header, without it they must not; who has no address at all is not listed."""
    here = UNIXAddress("/run/proxy")
    peer = come(ProxyProtocol("unix"), here)
    peer.feed(V1 + b"x")
    assert (peer.connection.host, received(peer)) == (CLIENT.host, b"x")
    peer.vanish()
    assert peer.events[-1].fields["network.peer.address"] == "unix"
    for guard, address in ((LISTED, here), (ProxyProtocol("unix"), None), (ProxyProtocol("unix"), OTHER)):
        peer = come(guard, cast("Any", address))
        peer.feed(V1)
        assert type(peer.application.reason) is ProxyHeaderUnexpected


def test_a_listed_network_holds_for_mapped_addresses() -> None:
    """A proxy that comes by IPv4 to an IPv6 socket is the same proxy."""
    peer = come(LISTED, IPv6Address("TCP", "::ffff:10.0.0.1", 1))
    peer.feed(V1)
    assert peer.connection.host == CLIENT.host


# with other guards


def test_total_limits_count_sockets_and_per_peer_limits_who_is_behind_them() -> None:
    """One proxy may bring many clients, but not many connections of one."""
    policy = Policy(LISTED, ConnectionLimit(total=4, per_peer=2))
    first = come(policy)
    first.feed(V1)
    second, third = come(first.factory), come(first.factory)
    second.feed(V1)
    third.feed(V1)
    assert type(third.events[-1].fields["reason"]) is str
    assert third.events[-1].fields["guard"] == "ConnectionLimit"
    assert third.events[-1].fields["option"] == TooManyFromPeer.option
    assert third.events[-1].fields["client.address"] == CLIENT.host
    other = come(first.factory)
    other.feed(proxy_v1.write(Inet("203.0.113.10", 1), SERVICE))
    assert other.application is not None
    waiting = come(first.factory)
    assert not waiting.refused
    full = come(first.factory)
    assert full.refused
    assert full.events[-1].fields["option"] == TooManyConnections.option
    first.vanish()
    waiting.feed(V1)
    assert waiting.application is not None


def test_byte_limits_do_not_count_the_header() -> None:
    """It is no byte of the application's."""
    peer = come(Policy(LISTED, ByteLimit(received=4)))
    peer.feed(V2 + b"1234")
    assert not peer.lost
    peer.feed(b"5")
    assert peer.lost


# observe


@pytest.mark.parametrize("begun", [b"USER alice\r\n", b"PROXY nobody\r\n"])
def test_observing_lets_those_in_who_send_no_header(begun: bytes) -> None:
    """What they sent is the application's, and what would have happened is told."""
    peer = come(ProxyProtocol("10.0.0.0/8", observe=True))
    peer.feed(begun, split=1)
    assert received(peer) == begun
    assert [each.name for each in peer.events].count("would_refuse") == 1


def test_observing_waits_three_seconds_for_a_header() -> None:
    """Then a peer that expects to be greeted is let in; what it has sent is not lost."""
    peer = come(ProxyProtocol("10.0.0.0/8", observe=True))
    peer.feed(b"PRO")
    peer.advance(2.5)
    assert peer.application is None
    peer.advance(0.75)
    assert received(peer) == b"PRO"
    assert "would_refuse" in [each.name for each in peer.events]
    peer.feed(b"XY")
    assert received(peer) == b"PROXY"


def test_observing_still_believes_headers() -> None:
    """The application could do nothing with them."""
    peer = come(ProxyProtocol("10.0.0.0/8", observe=True))
    peer.feed(V1 + b"x")
    assert (peer.connection.host, received(peer)) == (CLIENT.host, b"x")


def test_observing_does_not_cut_others() -> None:
    """A header that is not believed is data then."""
    peer = come(ProxyProtocol("10.0.0.0/8", observe=True), OTHER)
    peer.feed(V1)
    assert received(peer) == V1
    assert peer.connection.host == "192.0.2.1"
    assert [each.name for each in peer.events].count("would_cut") == 1


# before TLS


class _Layer:
    """What TLS would be: passes everything on, and notes that it was begun.

    Args:
        below: the transport.
    """

    def __init__(self, below: Any) -> None:
        self.protocol = below.protocol
        self.came = b""

    def dataReceived(self, data: bytes) -> None:
        """Hear."""
        self.came += data
        self.protocol.dataReceived(data.upper())


class Plain(MemoryTransport):
    """A transport that can begin something like TLS."""

    begun: list[Any]

    def startTLS(self, contextFactory: object, normal: bool = True) -> None:  # noqa: FBT002 - ITLSTransport's
        """Begin."""
        self.protocol = _Layer(self)
        self.begun = [contextFactory]


def encrypted(address: IAddress, guard: Guard = LISTED) -> Dialogue:
    """A peer of a service that begins TLS by itself."""
    made = Policy(guard).wrap(cast("Any", _factory()), cast("Any", _clock()), tls=CertificateOptions())
    return connect(made, address=address, carrier=Plain)


def _factory() -> Any:
    from twisted.internet.protocol import Factory

    return Factory.forProtocol(Application)


def _clock() -> Any:
    from twisted.internet.task import Clock

    return Clock()


def test_tls_begins_behind_the_header() -> None:
    """Everything behind it goes through TLS, and nothing of the header does."""
    peer: Any = encrypted(PROXY)
    peer.feed(V1 + b"hello")
    assert peer.transport.begun == [peer.factory.tls]
    assert peer.transport.protocol.came == b"hello"
    assert received(peer) == b"HELLO"
    assert peer.connection.host == CLIENT.host
    assert not peer.connection.awaits_tls


@pytest.mark.parametrize("split", [None, 1])
def test_before_tls_others_are_told_by_their_first_bytes(split: Any) -> None:
    """Who begins with TLS gets TLS; who begins with a header is refused with the reason, before any TLS."""
    peer: Any = encrypted(OTHER)
    peer.feed(b"\x16\x03", split=split)
    assert peer.transport.protocol.came == b"\x16\x03"
    peer = encrypted(OTHER)
    peer.feed(V2, split=split)
    assert peer.refused
    assert peer.application is None
    assert not hasattr(peer.transport, "begun")
    assert "must not" in str(peer.events[-1])


def test_before_tls_observing_lets_everything_through() -> None:
    """A header before TLS is then what TLS makes of it."""
    peer: Any = encrypted(OTHER, ProxyProtocol("10.0.0.0/8", observe=True))
    peer.feed(V1)
    assert peer.transport.protocol.came == V1


@pytest.mark.parametrize("observe", [False, True])
@pytest.mark.parametrize("limit", [ConnectionLimit(per_peer=1), LoadShedding(limit=1)], ids=["per-peer", "pending"])
def test_before_tls_who_says_nothing_takes_its_place(limit: Guard, observe: bool) -> None:
    """It is counted among its peers as anybody is, and counted out when it goes: neither makes room for more."""
    proxies = ProxyProtocol("10.0.0.0/8", observe=observe)
    made: Any = Policy(proxies, limit).wrap(_factory(), _clock(), tls=CertificateOptions())
    for _ in range(2):
        silent = made.buildProtocol(OTHER)
        silent.makeConnection(Plain(made.reactor, silent, OTHER))
        assert made.buildProtocol(OTHER) is None
        silent.transport.vanish()
        made.reactor.advance(0)
        assert made.population == 0


def test_before_tls_silence_has_an_end() -> None:
    """A minute, where no handshake limit says otherwise."""
    peer: Any = encrypted(OTHER)
    peer.feed(b"\r\n\r\n")
    peer.advance(59.5)
    assert peer.application is None
    peer.advance(1)
    assert peer.transport.protocol.came == b"\r\n\r\n"


# the option


@pytest.mark.parametrize(
    ("given", "expected", "text"),
    [
        ("10.0.0.0/8", Proxies(Networks("10.0.0.0/8")), "10.0.0.0/8"),
        ("unix", Proxies(unix=True), "unix"),
        ("10.0.0.1, unix,::1", Proxies(Networks("10.0.0.1,::1"), unix=True), "unix,10.0.0.1,::1"),
        (["unix", "10.0.0.1,::1"], Proxies(Networks("10.0.0.1,::1"), unix=True), "unix,10.0.0.1,::1"),
        (Networks("10.0.0.1"), Proxies(Networks("10.0.0.1")), "10.0.0.1"),
        (Proxies(unix=True), Proxies(unix=True), "unix"),
    ],
)
def test_sources(given: object, expected: Proxies, text: str) -> None:
    """Networks and the word unix, as text, as lists and as they are; what is written is read back."""
    guard = ProxyProtocol(given)
    assert guard.sources == expected
    assert proxies.text(guard.sources) == text
    assert ProxyProtocol(text) == guard


@pytest.mark.parametrize("given", ["", [], "proxy.example", "10.0.0.1,", "10.0.0.1/8", 7, b"unix", "UNIX"])
def test_what_is_no_source_is_refused(given: object) -> None:
    """One line that names the option."""
    with pytest.raises(OptionError, match="option proxy-from: "):
        ProxyProtocol(given)


def test_an_application_cannot_tell_the_guard_is_there() -> None:
    """For sources that need no header, it changes nothing."""
    check_transparent(ProxyProtocol("10.0.0.0/8"))


def test_a_malformed_header_is_the_proxy_s_and_no_misdeed_of_its_clients() -> None:
    """Only who sends a header without being asked to has done something."""
    assert ProxyHeaderUnexpected.weight > 0
    assert ProxyHeaderMalformed.weight == ProxyHeaderMissing.weight == 0
