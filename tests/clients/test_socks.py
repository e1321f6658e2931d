"""What is promised of SOCKSEndpoint: every kind of proxy, over every way, and no secret anywhere but on the wire."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trustme
from service_identity import VerificationError
from twisted.internet import ssl
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP6ClientEndpoint,
    UNIXClientEndpoint,
    connectProtocol,
    wrapClientTLS,
)
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from netguard.clients.socks import SOCKSEndpoint, encoded
from netguard.proxy_url import Credentials
from netguard.wire.http_connect import HttpRefused
from netguard.wire.socks4 import Rejected
from netguard.wire.socks5 import TargetRefused
from netguard.wire.tunnel import LoginRefused, NoAcceptableMethod, Unsendable
from tests.proxyserver import SECRET, USER, Peer, Proxy, listening, peering, proxying

# Twisted hands pyOpenSSL's own objects to pyOpenSSL.
pytestmark = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")

JOE = Credentials(USER.decode(), SECRET.decode())
GREETING = b"+OK ready\r\n"


class Hears(Protocol):
    """Fires when so many bytes have come, or the connection has ended."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.got = b""
        self.heard: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        """Collect."""
        self.got += data
        if len(self.got) >= self.size and not self.heard.called:
            self.heard.callback(self.got)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """What there is must do."""
        if not self.heard.called:
            self.heard.callback(self.got)


async def heard(endpoint: Any, says: bytes = b"", size: int = len(GREETING)) -> bytes:
    """What is heard through an endpoint when something was said."""
    from twisted.internet import reactor

    protocol = Hears(size)
    await connectProtocol(endpoint, protocol)
    transport: Any = protocol.transport
    if says:
        transport.write(says)
    got = await protocol.heard.addTimeout(60, reactor)
    transport.abortConnection()
    return got


def greets(to: Peer, _: bytes) -> None:
    """A target that speaks first."""
    to.write(GREETING)


def echoes(to: Peer, data: bytes) -> None:
    """A target that says what it hears."""
    to.write(data)


def to_port(port: int) -> TCP4ClientEndpoint:
    """The way to a proxy."""
    from twisted.internet import reactor

    return TCP4ClientEndpoint(reactor, "127.0.0.1", port)


HOSTS = {
    "4": ["127.0.0.1"],
    "4a": ["127.0.0.1", "target.example"],
    "5": ["127.0.0.1", "::1", "target.example"],
    "http": ["127.0.0.1", "::1", "target.example"],
}


@pytest.mark.parametrize("together", [0, 5, len(GREETING)])
@pytest.mark.parametrize(("version", "host"), [(version, host) for version, hosts in HOSTS.items() for host in hosts])
async def test_every_kind_of_proxy_leads_to_every_kind_of_host(version: str, host: str, together: int) -> None:
    """The name goes to the proxy; a greeting is heard whether it comes with the reply, in part, or later."""
    where = r"tcp6:0:interface=\:\:1" if host == "::1" else "tcp:0:interface=127.0.0.1"
    target = listening(lambda: Peer(greets, echoes), where)
    async with target as port, proxying(Proxy(version, together=together)) as proxy:
        endpoint = SOCKSEndpoint(to_port(proxy.port), host, port, version)
        verifyObject(IStreamClientEndpoint, endpoint)
        assert await heard(endpoint, b"12345", len(GREETING) + 5) == GREETING + b"12345"
        assert proxy.targets == [(host, port)]


@pytest.mark.parametrize("version", ["5", "http"])
async def test_a_login_that_is_wanted(version: str) -> None:
    """The right one leads through; a wrong one and none are told apart, and from what the target does."""
    async with peering(greets) as (port, _), proxying(Proxy(version, login=True)) as proxy:

        def endpoint(who: Credentials | None) -> SOCKSEndpoint:
            return SOCKSEndpoint(to_port(proxy.port), "127.0.0.1", port, version, who)

        assert await heard(endpoint(JOE)) == GREETING
        with pytest.raises(LoginRefused):
            await heard(endpoint(Credentials("joe", "wrong")))
        with pytest.raises(NoAcceptableMethod if version == "5" else LoginRefused):
            await heard(endpoint(None))


async def test_a_login_that_is_not_wanted_is_not_told() -> None:
    """By SOCKS 5."""
    async with peering(greets) as (port, _), proxying(Proxy()) as proxy:
        assert await heard(SOCKSEndpoint(to_port(proxy.port), "127.0.0.1", port, 5, JOE)) == GREETING
        assert proxy.users == []


@pytest.mark.parametrize("version", ["4", "4a"])
async def test_socks_4_tells_the_user(version: str) -> None:
    """It has nothing else."""
    async with peering(greets) as (port, _), proxying(Proxy(version)) as proxy:
        await heard(SOCKSEndpoint(to_port(proxy.port), "127.0.0.1", port, version, Credentials("joe")))
        assert proxy.users == [(b"joe", b"")]


@pytest.mark.parametrize(
    ("version", "kind"), [("4", Rejected), ("4a", Rejected), ("5", TargetRefused), ("http", HttpRefused)]
)
async def test_a_target_that_refuses_is_the_proxys_answer(version: str, kind: type[Exception]) -> None:
    """Each in its own words."""
    async with peering() as (port, _):
        pass
    async with proxying(Proxy(version)) as proxy:
        with pytest.raises(kind):
            await heard(SOCKSEndpoint(to_port(proxy.port), "127.0.0.1", port, version))


# What is around it, and what is inside


def authority(folder: Path) -> tuple[str, Any]:
    """A server's certificate for localhost, as a file, and what clients trust."""
    ca = trustme.CA()
    ca.issue_cert("localhost", "target.example").private_key_and_cert_chain_pem.write_to_path(str(folder / "pem"))
    return f"privateKey={folder}/pem", ssl.trustRootFromCertificates([ssl.Certificate.loadPEM(ca.cert_pem.bytes())])


@pytest.mark.parametrize("together", [0, 1])
async def test_tls_to_the_target_inside_the_tunnel(tmp_path: Path, together: int) -> None:
    """`wrapClientTLS` verifies the target's own name, which only the proxy has resolved."""
    key, trust = authority(tmp_path)
    target = listening(lambda: Peer(greets, echoes), f"ssl:0:interface=127.0.0.1:{key}")
    async with target as port, proxying(Proxy()) as proxy:

        def endpoint(name: str) -> Any:
            options = ssl.optionsForClientTLS(name, trustRoot=trust)
            return wrapClientTLS(options, SOCKSEndpoint(to_port(proxy.port), "target.example", port))

        assert await heard(endpoint("target.example"), b"12345", 16) == GREETING + b"12345"
        assert proxy.targets == [("target.example", port)]
        assert await heard(endpoint("other.example")) == b""


async def test_a_start_of_tls_inside_the_tunnel(tmp_path: Path) -> None:
    """As of an application that speaks in clear first."""
    _, trust = authority(tmp_path)
    options = ssl.optionsForClientTLS("target.example", trustRoot=trust)
    certificate = ssl.PrivateCertificate.loadPEM((tmp_path / "pem").read_bytes())

    def starts(to: Peer, data: bytes) -> None:
        if data == b"STLS\r\n":
            to.write(b"+OK begin\r\n")
            to.wire.startTLS(certificate.options())
        else:
            to.write(data)

    class Client(Hears):
        def dataReceived(self, data: bytes) -> None:
            if data == GREETING:
                self.transport.write(b"STLS\r\n")  # type: ignore[union-attr]
            elif data == b"+OK begin\r\n":
                self.transport.startTLS(options)  # type: ignore[union-attr]
                self.transport.write(b"secret")  # type: ignore[union-attr]
            else:
                super().dataReceived(data)

    from twisted.internet import reactor

    async with peering(greets, starts) as (port, _), proxying(Proxy(together=len(GREETING))) as proxy:
        client = Client(6)
        await connectProtocol(SOCKSEndpoint(to_port(proxy.port), "target.example", port), client)
        assert await client.heard.addTimeout(60, reactor) == b"secret"
        client.transport.abortConnection()  # type: ignore[union-attr]


async def test_the_proxy_over_tls(tmp_path: Path) -> None:
    """The endpoint around which it is put verifies the proxy's name."""
    key, trust = authority(tmp_path)
    options = ssl.optionsForClientTLS("localhost", trustRoot=trust)
    proxies = proxying(Proxy(login=True, together=4), f"ssl:0:interface=127.0.0.1:{key}")
    async with peering(greets, echoes) as (port, _), proxies as proxy:
        way = wrapClientTLS(options, to_port(proxy.port))
        app = Hears(len(GREETING) + 5)
        assert await heard(SOCKSEndpoint(way, "target.example", port, 5, JOE), b"12345", 16) == GREETING + b"12345"
        await connectProtocol(SOCKSEndpoint(way, "target.example", port, 5, JOE), app)
        assert app.transport.wrappedProtocol is app  # type: ignore[union-attr]
        app.transport.abortConnection()


async def test_a_proxy_whose_certificate_is_not_its_own(tmp_path: Path) -> None:
    """TLS's own error is the reason, and the credentials were not told."""
    key, trust = authority(tmp_path)
    options = ssl.optionsForClientTLS("other.example", trustRoot=trust)
    async with proxying(Proxy(login=True), f"ssl:0:interface=127.0.0.1:{key}") as proxy:
        way = wrapClientTLS(options, to_port(proxy.port))
        with pytest.raises(VerificationError):
            await heard(SOCKSEndpoint(way, "target.example", 110, 5, JOE))
        assert proxy.users == []


async def test_the_proxy_over_a_unix_socket(tmp_path: Path) -> None:
    """Any endpoint is a way."""
    from twisted.internet import reactor

    path = str(tmp_path / "proxy")
    async with peering(greets) as (port, _), proxying(Proxy(together=4), f"unix:{path}"):
        assert await heard(SOCKSEndpoint(UNIXClientEndpoint(reactor, path), "target.example", port)) == GREETING


@pytest.mark.parametrize("together", [0, len(GREETING)])
async def test_a_proxy_behind_a_proxy_behind_a_proxy(together: int) -> None:
    """Each is asked for the next; the application gets the transport itself."""
    async with (
        peering(greets) as (port, _),
        proxying(Proxy("5", login=True, together=together)) as last,
        proxying(Proxy("http")) as middle,
        proxying(Proxy("4a")) as first,
    ):
        way = SOCKSEndpoint(to_port(first.port), "target.example", middle.port, "4a")
        way = SOCKSEndpoint(way, "target.example", last.port, "http")
        way = SOCKSEndpoint(way, "target.example", port, 5, JOE)
        assert await heard(way) == GREETING
        app = Hears(1)
        await connectProtocol(way, app)
        assert app.transport.protocol is app  # type: ignore[union-attr]
        app.transport.abortConnection()
    assert [each.targets[0] for each in (first, middle, last)] == [
        ("target.example", each) for each in (middle.port, last.port, port)
    ]


# What it is made with


def made(host: str = "mail.example", port: int | str = 110, **options: Any) -> SOCKSEndpoint:
    """An endpoint that leads nowhere."""
    way: Any = None
    return SOCKSEndpoint(way, host, port, **options)


def test_a_port_may_be_a_service_and_a_time_a_duration() -> None:
    """As everywhere."""
    assert made(port="pop3s", within="1m").where == ("mail.example", 995)
    assert made(within="1m").within == 60
    with pytest.raises(ValueError, match="not a port"):
        made(port="no-such-service")
    with pytest.raises(ValueError, match="not a duration"):
        made(within=0)


@pytest.mark.parametrize("version", [4, "4a", 5, "5", "http"])
def test_kinds_of_proxies_have_names(version: int | str) -> None:
    """A number will do where it is one."""
    assert made("192.0.2.1", version=version).version == str(version)


@pytest.mark.parametrize("version", [3, "socks5", "", "HTTP"])
def test_other_kinds_are_refused(version: int | str) -> None:
    """With those that there are."""
    with pytest.raises(ValueError, match="not a kind of proxy: 4, 4a, 5, http"):
        made(version=version)


@pytest.mark.parametrize(
    ("host", "port", "options"),
    [
        ("mail.example", 0, {}),
        ("a" * 256, 110, {}),
        ("a b", 110, {}),
        ("mail.example", 110, {"version": 4}),
        ("::1", 110, {"version": "4a"}),
        ("mail.example", 110, {"credentials": Credentials("", "hush")}),
        ("mail.example", 110, {"credentials": Credentials("joe", "s" * 256)}),
        ("mail.example", 110, {"credentials": JOE, "version": "4a"}),
        ("mail.example", 110, {"credentials": Credentials("a:b", "c"), "version": "http"}),
    ],
)
def test_what_cannot_be_said_is_told_before_anybody_is_asked(host: str, port: int, options: dict[str, Any]) -> None:
    """When the endpoint is made."""
    with pytest.raises(Unsendable):
        made(host, port, **options)


@pytest.mark.parametrize(
    ("host", "ascii_"),
    [
        ("mail.example", "mail.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("_pop3.example", "_pop3.example"),
        ("::1", "::1"),
    ],
)
def test_international_names_are_encoded(host: str, ascii_: str) -> None:
    """By IDNA 2008; what is ASCII stays as it is."""
    assert encoded(host) == ascii_
    assert str(made(host).where[0]) == ascii_


@pytest.mark.parametrize("host", ["\u2028.example", "ü" * 64, "a.\u0301.example", "\ud800"])
def test_what_is_no_international_name_is_told(host: str) -> None:
    """And never reaches a proxy."""
    with pytest.raises(Unsendable, match="no international domain name"):
        made(host)


def test_no_secret_is_in_a_representation() -> None:
    """Nor in that of an endpoint around it."""
    inner = made(credentials=JOE)
    for shown in (repr(inner), str(inner), repr(SOCKSEndpoint(inner, "other.example", 110, credentials=JOE))):
        assert SECRET.decode() not in shown
        assert "mail.example" in shown


def test_a_url_names_the_proxy() -> None:
    """Its kind, place and credentials."""
    reactor: Any = MemoryReactorClock()
    endpoint = SOCKSEndpoint.from_url(reactor, "socks5h://joe:hush@127.0.0.1:1081", "mail.example", "pop3", "5s")
    assert (endpoint.version, endpoint.where, endpoint.within) == ("5", ("mail.example", 110), 5)
    assert endpoint._credentials == Credentials("joe", "hush")
    assert endpoint.clock() is reactor
    assert "hush" not in repr(endpoint)


@pytest.mark.parametrize(
    ("place", "kind"),
    [("127.0.0.1", TCP4ClientEndpoint), ("[::1]", TCP6ClientEndpoint), ("proxy.example", HostnameEndpoint)],
)
def test_an_address_of_a_proxy_needs_no_look_up(place: str, kind: type) -> None:
    """Looking names up takes a thread."""
    reactor: Any = MemoryReactorClock()
    assert type(SOCKSEndpoint.from_url(reactor, f"http://{place}:3128", "mail.example", 110).proxy) is kind


async def test_a_url_leads_through_the_proxy() -> None:
    """Over a real socket."""
    from twisted.internet import reactor

    async with peering(greets) as (port, _), proxying(Proxy("http", login=True)) as proxy:
        url = f"http://joe:correct%20horse@localhost:{proxy.port}"
        assert await heard(SOCKSEndpoint.from_url(reactor, url, "target.example", port)) == GREETING


def test_the_clock_is_the_global_reactors_unless_given() -> None:
    """Looked up when it is needed."""
    from twisted.internet import reactor

    endpoint = made()
    assert endpoint._reactor is None
    assert endpoint.clock() is reactor
