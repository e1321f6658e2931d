"""Real proxies lead where they are asked to: Dante, microsocks, OpenSSH and tinyproxy; names, IPv4, IPv6, refusals."""

from __future__ import annotations

import getpass
import importlib.util
import os
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import trustme
from attrs import frozen
from OpenSSL import SSL
from service_identity import VerificationError
from treq.client import HTTPClient
from twisted.internet import ssl
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import connectProtocol, serverFromString, wrapClientTLS
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.resource import Resource
from twisted.web.server import Site
from zope.interface import implementer

from netguard.clients.names import VerifiedResolver
from netguard.clients.socks import SOCKSEndpoint
from netguard.proxy_url import Credentials, ProxyURL
from netguard.verdict import Verified
from netguard.wire.http_connect import HttpRefused
from netguard.wire.socks4 import Rejected
from netguard.wire.socks5 import GeneralFailure, HostUnreachable, NotAllowed, TargetRefused
from netguard.wire.tunnel import LoginRefused, NoAcceptableMethod, ProxyClosed
from tests import unbound
from tests.popserver import PATIENCE
from tests.programs import LOOPBACK, free_port, needs, running

# Twisted hands pyOpenSSL's own objects to pyOpenSSL.
pytestmark = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")

HUSH = "correct horse"
JOE = Credentials("joe", HUSH)
PAGE = b"the page " * 20_000
FORBIDDEN = "127.0.0.3"
"""Dante's rules do not allow to connect here."""


# The proxies

Run = Callable[[Path, int], AbstractContextManager[None]]


@contextmanager
def dante(folder: Path, port: int) -> Iterator[None]:
    """Dante, which wants no login, and has a rule."""
    (folder / "danted.conf").write_text(f"""
logoutput: stderr
internal: {LOOPBACK} port = {port}
external: lo
clientmethod: none
socksmethod: none
client pass {{ from: 127.0.0.0/8 to: 127.0.0.0/8 }}
socks block {{ from: 0/0 to: {FORBIDDEN}/32 }}
socks pass {{ from: 0/0 to: 0/0 }}
""")
    with running("danted", "-f", "danted.conf", "-p", str(folder / "pid"), cwd=folder, port=port):
        yield


@contextmanager
def microsocks(folder: Path, port: int) -> Iterator[None]:
    """microsocks, which wants a login."""
    words = ("-i", LOOPBACK, "-p", str(port), "-u", JOE.user, "-P", HUSH)
    with running("microsocks", *words, cwd=folder, port=port):
        yield


@contextmanager
def tinyproxy(folder: Path, port: int) -> Iterator[None]:
    """tinyproxy, which wants a login, without a blank in it."""
    login = f"BasicAuth {JOE.user} {HUSH.replace(' ', '-')}"
    (folder / "tinyproxy.conf").write_text(f"Port {port}\nListen {LOOPBACK}\nTimeout 60\nAllow {LOOPBACK}\n{login}\n")
    with running("tinyproxy", "-d", "-c", "tinyproxy.conf", cwd=folder, port=port):
        yield


@contextmanager
def openssh(folder: Path, port: int) -> Iterator[None]:
    """`ssh -D`, through a server with keys that are thrown away."""
    for key in ("host", "mine"):
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)]
        subprocess.run(words, check=True, timeout=PATIENCE)
    inside = free_port()
    (folder / "sshd_config").write_text(f"""
ListenAddress {LOOPBACK}:{inside}
HostKey {folder}/host
AuthorizedKeysFile {folder}/mine.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin yes
AllowTcpForwarding yes
""")
    if os.geteuid() == 0:  # as the system's own start of the server would
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    options = ("StrictHostKeyChecking=no", f"UserKnownHostsFile={folder}/known", "BatchMode=yes")
    words = [word for option in (*options, "ExitOnForwardFailure=yes", "LogLevel=ERROR") for word in ("-o", option)]
    words += ["-F", "none", "-N", "-D", f"{LOOPBACK}:{port}", "-i", str(folder / "mine"), "-p", str(inside)]
    with (
        running("sshd", "-D", "-e", "-f", str(folder / "sshd_config"), cwd=folder, port=inside),
        running("ssh", *words, f"{getpass.getuser()}@{LOOPBACK}", cwd=folder, port=port),
    ):
        yield


RUN: dict[str, Run] = {"danted": dante, "microsocks": microsocks, "tinyproxy": tinyproxy, "sshd": openssh}


@pytest.fixture(scope="module")
def proxies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], int]]:
    """The port of a proxy, which is started when it is first asked for."""
    with ExitStack() as stack:
        ports: dict[str, int] = {}

        def port_of(program: str) -> int:
            if program not in ports:
                port = free_port()
                stack.enter_context(RUN[program](tmp_path_factory.mktemp(program), port))
                ports[program] = port
            return ports[program]

        yield port_of


@frozen
class Way:
    """One way through a proxy.

    Args:
        program: the proxy's.
        version: what is spoken to it.
        credentials: what it wants.
        passes_ends: whether an end in one direction goes through it.
    """

    program: str
    version: str
    credentials: Credentials | None = None
    passes_ends: bool = False


WAYS = [
    Way("danted", "4", passes_ends=True),
    Way("danted", "5", passes_ends=True),
    Way("microsocks", "5", JOE),
    Way("sshd", "4", passes_ends=True),
    Way("sshd", "4a", passes_ends=True),
    Way("sshd", "5", passes_ends=True),
    Way("tinyproxy", "http", Credentials(JOE.user, HUSH.replace(" ", "-"))),
]
HOSTS = {"4": [LOOPBACK], "4a": [LOOPBACK, "localhost"], "5": [LOOPBACK, "::1", "localhost"]}
HOSTS["http"] = HOSTS["5"]


def ways(*programs: str) -> list[Any]:
    """The ways, all or those through some proxies, as parameters; skipped where the proxy is absent."""
    chosen = [way for way in WAYS if not programs or way.program in programs]
    return [pytest.param(way, id=f"{way.program}-{way.version}", marks=needs(way.program)) for way in chosen]


def through(way: Way, proxies: Callable[[str], int], host: str, port: int, who: Any = "its own") -> SOCKSEndpoint:
    """An endpoint that goes this way."""
    from twisted.internet import reactor

    proxy = ProxyURL(way.version, LOOPBACK, proxies(way.program), way.credentials if who == "its own" else who)
    return SOCKSEndpoint.from_proxy(reactor, proxy, host, port, 60)


def url_of(way: Way, proxies: Callable[[str], int]) -> str:
    """The same proxy, as a URL says it."""
    scheme = way.version if way.version == "http" else f"socks{way.version}"
    who = way.credentials
    login = f"{who.user}:{who.secret.reveal().decode().replace(' ', '%20')}@" if who else ""
    return f"{scheme}://{login}{LOOPBACK}:{proxies(way.program)}"


# What is behind them


@implementer(IHalfCloseableProtocol)
class Greets(Protocol):
    """Greets, says what it hears, and at the end of that how much it was."""

    size = 0
    wire: Any = None

    def connectionMade(self) -> None:
        """Greet at once: this may come in one segment with the proxy's reply."""
        self.wire = self.transport
        self.wire.write(b"+OK ready\r\n")

    def dataReceived(self, data: bytes) -> None:
        """Say it again."""
        self.size += len(data)
        self.wire.write(data)

    def readConnectionLost(self) -> None:
        """Say how much it was."""
        self.wire.write(b"%d" % self.size)
        self.wire.loseConnection()

    def writeConnectionLost(self) -> None:
        """Of our own doing."""


@implementer(IHalfCloseableProtocol)
class Hears(Protocol):
    """Fires when what is awaited has come, or the connection has ended."""

    def __init__(self, end: bytes) -> None:
        self.end = end
        self.got = bytearray()
        self.heard: Deferred[bytes] = Deferred()
        self.ended: Deferred[BaseException] = Deferred()
        self.wire: Any = None

    def connectionMade(self) -> None:
        """Remember the transport."""
        self.wire = self.transport

    def dataReceived(self, data: bytes) -> None:
        """Collect."""
        self.got += data
        if self.got.endswith(self.end):
            self.finish()

    def readConnectionLost(self) -> None:
        """It will not come."""
        self.finish()
        self.wire.loseConnection()

    def writeConnectionLost(self) -> None:
        """Of our own doing."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """It will not come."""
        self.finish()
        self.ended.callback(cast("BaseException", reason.value))

    def finish(self) -> None:
        """Say what has come."""
        if not self.heard.called:
            self.heard.callback(bytes(self.got))


@asynccontextmanager
async def serving(factory: Any, where: str) -> AsyncIterator[int]:
    """A server for the time of a block; connections that are left are aborted."""
    from twisted.internet import reactor

    wires: dict[Any, Any] = {}
    build = factory.buildProtocol

    def remember(address: Any) -> Any:
        made = build(address)
        connect, lost = made.makeConnection, made.connectionLost

        def came(wire: Any) -> None:
            wires[made] = wire
            connect(wire)

        def went(*reason: Any) -> None:
            del wires[made]
            lost(*reason)

        made.makeConnection, made.connectionLost = came, went
        return made

    factory.noisy, factory.buildProtocol = False, remember
    port: Any = await serverFromString(reactor, where).listen(factory)
    try:
        yield port.getHost().port
    finally:
        await port.stopListening()
        for wire in wires.values():
            wire.abortConnection()


def interface(host: str) -> str:
    """Where a server listens for a host's sake; by name a proxy may take either address."""
    return r"tcp6:0:interface=\:\:1" if host == "::1" else rf"tcp:0:interface={LOOPBACK}"


@pytest.mark.parametrize(
    ("way", "host"),
    [
        pytest.param(way, host, id=f"{way.program}-{way.version}-{host}", marks=needs(way.program))
        for way in WAYS
        for host in HOSTS[way.version]
    ],
)
async def test_every_proxy_leads_to_every_kind_of_host(way: Way, host: str, proxies: Any) -> None:
    """The greeting is heard, whether it comes with the reply or later; then every byte of a big echo."""
    from twisted.internet import reactor

    async with serving(Factory.forProtocol(Greets), interface(host)) as port:
        greeted = Hears(b"+OK ready\r\n")
        await connectProtocol(through(way, proxies, host, port), greeted).addTimeout(PATIENCE, reactor)
        assert await greeted.heard.addTimeout(PATIENCE, reactor) == b"+OK ready\r\n"
        greeted.end, greeted.heard = b"end", Deferred()
        greeted.got.clear()
        greeted.wire.write(PAGE + b"end")
        assert await greeted.heard.addTimeout(PATIENCE, reactor) == PAGE + b"end"
        greeted.wire.abortConnection()


@pytest.mark.parametrize("way", ways())
async def test_an_end_in_one_direction_passes_where_the_proxy_lets_it(way: Way, proxies: Any) -> None:
    """What was sent before our end arrives, and the answer to it comes back."""
    from twisted.internet import reactor

    async with serving(Factory.forProtocol(Greets), interface(LOOPBACK)) as port:
        client = Hears(b"180000")
        await connectProtocol(through(way, proxies, LOOPBACK, port), client).addTimeout(PATIENCE, reactor)
        client.wire.write(PAGE)
        client.wire.loseWriteConnection()
        got = await client.heard.addTimeout(PATIENCE, reactor)
        if way.passes_ends:
            assert got == b"+OK ready\r\n" + PAGE + b"180000"
        client.wire.abortConnection()


# Refusals

NOBODY = free_port()
REFUSALS: dict[tuple[str, str], dict[tuple[str, int], type[Exception]]] = {
    ("danted", "4"): {(LOOPBACK, NOBODY): Rejected, (FORBIDDEN, NOBODY): Rejected},
    ("danted", "5"): {
        (LOOPBACK, NOBODY): TargetRefused,
        (FORBIDDEN, NOBODY): NotAllowed,
        ("no-such-name.invalid", NOBODY): HostUnreachable,
    },
    ("microsocks", "5"): {(LOOPBACK, NOBODY): TargetRefused, ("no-such-name.invalid", NOBODY): GeneralFailure},
    ("tinyproxy", "http"): {(LOOPBACK, NOBODY): HttpRefused, ("no-such-name.invalid", NOBODY): HttpRefused},
}


@pytest.mark.parametrize("way", ways("danted", "microsocks", "tinyproxy"))
async def test_a_refusal_is_told_as_the_proxy_tells_it(way: Way, proxies: Any) -> None:
    """Each reason is an error of its own, as far as the protocol knows reasons."""
    for (host, port), kind in REFUSALS[way.program, way.version].items():
        with pytest.raises(kind):
            await connectProtocol(through(way, proxies, host, port), Hears(b""))


@pytest.mark.parametrize("way", ways("sshd"))
async def test_openssh_closes_where_it_cannot_connect(way: Way, proxies: Any) -> None:
    """Without a word, whatever the reason."""
    with pytest.raises(ProxyClosed):
        await connectProtocol(through(way, proxies, LOOPBACK, NOBODY), Hears(b""))


@pytest.mark.parametrize("way", ways("microsocks", "tinyproxy"))
async def test_a_wrong_login_and_none(way: Way, proxies: Any) -> None:
    """Each is told, and not as what the target does."""
    none = NoAcceptableMethod if way.version == "5" else LoginRefused
    for who, kind in ((Credentials("joe", "wrong"), LoginRefused), (None, none)):
        with pytest.raises(kind):
            await connectProtocol(through(way, proxies, LOOPBACK, NOBODY, who), Hears(b""))


@needs("danted")
async def test_a_login_that_dante_does_not_want(proxies: Any) -> None:
    """Is not told to it, and does no harm."""
    way = Way("danted", "5", JOE)
    with pytest.raises(TargetRefused):
        await connectProtocol(through(way, proxies, LOOPBACK, NOBODY), Hears(b""))


# What is built on them


class Page(Resource):
    """Shows the page."""

    isLeaf = True

    def render_GET(self, request: Any) -> bytes:
        """As it is."""
        return PAGE


def site() -> Site:
    """A web server's factory."""
    made = Site(Page())
    made.displayTracebacks = False
    return made


def example() -> Any:
    """The example of the documentation."""
    path = Path(__file__).parents[2] / "docs" / "examples" / "fetch.py"
    spec = importlib.util.spec_from_file_location("fetch", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Any]:
    """A certificate for localhost, in the words of an endpoint; and what clients trust."""
    folder, ca = tmp_path_factory.mktemp("authority"), trustme.CA()
    ca.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(folder / "pem"))
    return f"privateKey={folder}/pem", ssl.trustRootFromCertificates([ssl.Certificate.loadPEM(ca.cert_pem.bytes())])


def named(way: Way) -> str:
    """How the target is called on this way."""
    return LOOPBACK if way.version == "4" else "localhost"


@pytest.mark.filterwarnings("ignore:Using readBody with a transport:DeprecationWarning")  # of twisted.web, to itself
@pytest.mark.parametrize("way", ways())
async def test_agent_fetches_pages(way: Way, proxies: Any, authority: Any) -> None:
    """Twisted's own HTTP client, in clear and by TLS to the server itself, whose name is verified."""
    from twisted.internet import reactor

    key, trust = authority
    fetch, url = example().fetch, url_of(way, proxies)
    async with serving(site(), interface(LOOPBACK)) as port:
        got = fetch(reactor, url, f"http://{named(way)}:{port}/")
        assert await Deferred.fromCoroutine(got).addTimeout(PATIENCE, reactor) == PAGE
    async with serving(site(), f"ssl:0:interface={LOOPBACK}:{key}") as port:
        got = fetch(reactor, url, f"https://{named(way)}:{port}/", trust)
        assert await Deferred.fromCoroutine(got).addTimeout(PATIENCE, reactor) == PAGE


@pytest.mark.parametrize("way", ways())
async def test_treq_fetches_pages(way: Way, proxies: Any) -> None:
    """On such an agent; with a connection that is kept for the next page."""
    from twisted.internet import reactor

    pool = HTTPConnectionPool(reactor, persistent=True)
    through_proxy = example().ThroughProxy(reactor, url_of(way, proxies))
    treq = HTTPClient(Agent.usingEndpointFactory(reactor, through_proxy, pool))
    async with serving(site(), interface(LOOPBACK)) as port:
        for _ in range(2):
            response = await treq.get(f"http://{named(way)}:{port}/").addTimeout(PATIENCE, reactor)
            assert await response.content().addTimeout(PATIENCE, reactor) == PAGE
        await pool.closeCachedConnections().addTimeout(PATIENCE, reactor)


ZONES: dict[str, str | None] = {"2.0.192.in-addr.arpa": "1 PTR good.example.\n", "example": "good A 192.0.2.1\n"}


@pytest.mark.skipif(unbound.UNBOUND is None, reason="unbound is not installed")
@pytest.mark.parametrize("way", ways())
async def test_names_are_looked_up_through_it(way: Way, proxies: Any, tmp_path: Path) -> None:
    """DNS over TCP, as `netguard lookup --proxy` asks: a real name server behind a real proxy."""
    from twisted.internet import reactor

    with unbound.serving(tmp_path, ZONES) as port:
        resolver = VerifiedResolver(reactor, [(LOOPBACK, port)], 60, connect=partial(through, way, proxies))
        found = await resolver.explain("192.0.2.1").addTimeout(PATIENCE, reactor)
    assert found.verdict == Verified("good.example")
    assert {each.over for each in found.chain} == {"TCP"}


@pytest.mark.parametrize("way", [each for each in ways("danted", "microsocks") if each.values[0].version == "5"])
async def test_tls_inside_the_tunnel_verifies_the_target(way: Way, proxies: Any, authority: Any) -> None:
    """A certificate of another name, and one of an authority that nobody trusts, end it."""
    from twisted.internet import reactor

    key, trust = authority
    async with serving(Factory.forProtocol(Greets), f"ssl:0:interface={LOOPBACK}:{key}") as port:
        tunnel = through(way, proxies, "localhost", port)
        client = Hears(b"+OK ready\r\n")
        await connectProtocol(wrapClientTLS(ssl.optionsForClientTLS("localhost", trustRoot=trust), tunnel), client)
        assert await client.heard.addTimeout(PATIENCE, reactor) == b"+OK ready\r\n"
        client.wire.abortConnection()
        for name, believed, why in (("other.example", trust, VerificationError), ("localhost", None, SSL.Error)):
            client = Hears(b"never")
            options = ssl.optionsForClientTLS(name, trustRoot=believed)
            await connectProtocol(wrapClientTLS(options, tunnel), client)
            assert isinstance(await client.ended.addTimeout(PATIENCE, reactor), why)
            assert not client.got
