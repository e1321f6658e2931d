"""Real proxies say for whom they connect: HAProxy, nginx, stunnel and curl, before TLS and without."""

from __future__ import annotations

import re
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import trustme
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.threads import deferToThread

from netguard.application import connection_of
from netguard.peer import Peer as Known
from netguard.wire.proxy_tlv import Ssl
from tests.popserver import PATIENCE, USER, Peer, Server, Site, serving, trusting
from tests.programs import LOOPBACK, free_port, needs, path_of, running

CLIENT = "127.0.0.2"
"""From where clients come; proxies and services are at `LOOPBACK`."""


# The proxies: each listens on a port of its own, and connects to a port of ours.

Proxy = Callable[[Path, Path, int], Any]


@contextmanager
def haproxy(folder: Path, pem: Path, target: int, sends: str = "send-proxy", listens: str = "") -> Iterator[int]:
    """HAProxy, in one process."""
    port = free_port()
    config = folder / "haproxy.cfg"
    config.write_text(f"""
defaults
    mode tcp
    timeout connect 10s
    timeout client 30s
    timeout server 30s
frontend outside
    bind {LOOPBACK}:{port} {listens}
    unique-id-format %ci-%ID
    default_backend inside
backend inside
    server ours {LOOPBACK}:{target} {sends}
""")
    with running("haproxy", "-db", "-f", str(config), cwd=folder, port=port):
        yield port


def _stream_module() -> str | None:
    """The module that nginx needs for TCP, where it is no part of nginx itself; None when it has neither."""
    nginx = path_of("nginx")
    if nginx is None:
        return None
    about = subprocess.run([nginx, "-V"], capture_output=True, text=True, check=True, timeout=PATIENCE).stderr
    if re.search(r"--with-stream(?!=|_)", about):
        return ""
    folder = re.search(r"--modules-path=(\S+)", about)
    module = Path(folder[1] if folder else "/usr/lib/nginx/modules") / "ngx_stream_module.so"
    return f"load_module {module};" if module.exists() else None


@contextmanager
def nginx(folder: Path, pem: Path, target: int, upstream: str = "") -> Iterator[int]:
    """nginx, in one process."""
    port = free_port()
    config = folder / "nginx.conf"
    config.write_text(f"""
{_stream_module()}
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ }}
stream {{
    server {{
        listen {LOOPBACK}:{port};
        proxy_pass {LOOPBACK}:{target};
        proxy_protocol on;
        {upstream}
    }}
}}
""")
    with running("nginx", "-c", str(config), "-p", str(folder), "-e", "stderr", cwd=folder, port=port):
        yield port


@contextmanager
def stunnel(folder: Path, pem: Path, target: int) -> Iterator[int]:
    """stunnel, which takes TLS off its clients and passes on what is inside."""
    port = free_port()
    config = folder / "stunnel.conf"
    config.write_text(f"""
foreground = yes
pid =
[ours]
accept = {LOOPBACK}:{port}
connect = {LOOPBACK}:{target}
protocol = proxy
cert = {pem}
""")
    with running("stunnel", str(config), cwd=folder, port=port):
        yield port


has_haproxy, has_stunnel, has_curl = needs("haproxy"), needs("stunnel"), needs("curl")
has_nginx = pytest.mark.skipif(_stream_module() is None, reason="nginx is not installed, or not its stream module")


def with_options(proxy: Any, **options: str) -> Proxy:
    """A proxy, configured."""

    def started(folder: Path, pem: Path, target: int) -> Any:
        return proxy(folder, pem, target, **options)

    return started


def proxies(plain: bool) -> list[Any]:
    """Every sender, to a port without TLS, or to one that begins with TLS: then the header comes before that."""
    to_tls = {False: "", True: " ssl verify none"}[not plain]
    upstream = "" if plain else "proxy_ssl on;"
    v2 = "send-proxy-v2 proxy-v2-options crc32c,unique-id"
    found = [
        pytest.param(with_options(haproxy, sends=f"send-proxy{to_tls}"), id="haproxy-v1", marks=has_haproxy),
        pytest.param(with_options(haproxy, sends=f"send-proxy-v2{to_tls}"), id="haproxy-v2", marks=has_haproxy),
        pytest.param(with_options(haproxy, sends=f"{v2}{to_tls}"), id="haproxy-crc32c", marks=has_haproxy),
        pytest.param(with_options(nginx, upstream=upstream), id="nginx", marks=has_nginx),
    ]
    return [*found, pytest.param(stunnel, id="stunnel", marks=has_stunnel)] if plain else found


# a POP3 server behind them


@pytest.fixture
def pop(site: Site) -> Iterator[Server]:
    """netguard-pop, behind proxies on 127.0.0.1 on both of its ports."""
    options = ["--proxy-from", LOOPBACK, "--handshake", "5s"]
    with serving(*site.both_ports, *options, cwd=site.folder) as server:
        yield server


def _session(port: int, site: Site, tls: Any) -> bytes:
    with Peer(port, tls, source=CLIENT) as peer:
        assert peer.greeting.startswith(b"+OK")
        return peer.ask(b"QUIT")


def _assert_who(server: Server) -> None:
    """Both addresses stand in the log: the client's and the proxy's, each with its port."""
    about: dict[str, Any] = {"client.address": CLIENT}
    event = server.wait_for("closed", **about)[0]
    assert event["network.peer.address"] == LOOPBACK
    assert event["client.port"] != event["network.peer.port"]


@pytest.mark.parametrize("proxy", proxies(plain=True))
def test_pop3_behind_a_proxy(proxy: Proxy, site: Site, pop: Server, tmp_path: Path) -> None:
    """The client is greeted, served and logged as itself."""
    tls = trusting(site.pem) if proxy is stunnel else None
    if tls is not None:
        tls.set_alpn_protocols([])
    with proxy(tmp_path, site.pem, pop.ports(2)[0]) as port:
        with Peer(port, source=CLIENT) if tls is None else Secure(port, tls) as peer:
            assert peer.greeting.startswith(b"+OK")
            assert peer.ask(b"QUIT").startswith(b"+OK")
        _assert_who(pop)


@pytest.mark.parametrize("proxy", proxies(plain=False))
def test_pop3_inside_tls_behind_a_header(proxy: Proxy, site: Site, pop: Server, tmp_path: Path) -> None:
    """The proxy sends its header, then begins TLS with us, and the client speaks through both."""
    with proxy(tmp_path, site.pem, pop.ports(2)[1]) as port:
        with Peer(port, source=CLIENT) as peer:
            assert peer.greeting.startswith(b"+OK")
            assert b"USER" in peer.ask(b"CAPA") + peer.ask(b"NOOP") + _until_dot(peer)
        _assert_who(pop)


def _until_dot(peer: Peer) -> bytes:
    got = b""
    while not got.endswith(b"\r\n.\r\n"):
        line = peer.line()
        assert line
        got += line
    return got


@has_haproxy
def test_tls_of_the_client_s_own_passes_behind_the_header(site: Site, pop: Server, tmp_path: Path) -> None:
    """The client's TLS ends with us; the proxy puts its header before it and sees nothing of what is inside."""
    with haproxy(tmp_path, site.pem, pop.ports(2)[1], sends="send-proxy-v2") as port:
        with Secure(port, trusting(site.pem)) as peer:
            assert peer.ask(b"USER " + USER.encode()).startswith(b"+OK")
            assert cast("ssl.SSLSocket", peer.socket).selected_alpn_protocol() == "pop3"
        _assert_who(pop)


class Secure(Peer):
    """A client that begins with TLS and comes from an address of its own."""

    def __init__(self, port: int, tls: ssl.SSLContext) -> None:
        super().__init__(port, tls, CLIENT)


def _checks(server: Server) -> list[dict[str, Any]]:
    """Connections that were the proxy's own."""
    closed = server.events("closed")
    return [each for each in closed if each["client.address"] == LOOPBACK and "network.peer.address" not in each]


@has_haproxy
def test_health_checks_are_the_proxy_s_own(site: Site, pop: Server, tmp_path: Path) -> None:
    """HAProxy sends LOCAL with them: the peer is the proxy, and it is greeted."""
    sends = "send-proxy-v2 check inter 100ms check-send-proxy\n    option tcp-check\n    tcp-check expect rstring ^.OK"
    with haproxy(tmp_path, site.pem, pop.ports(2)[0], sends=sends) as port:
        pop.out.wait(lambda _: len(_checks(pop)) >= 3)
        with Peer(port, source=CLIENT) as peer:  # all its checks were passed, or it would not let us in
            assert peer.greeting.startswith(b"+OK")
    assert not pop.events("refused", "cut")


@has_haproxy
def test_clients_of_one_proxy_have_limits_of_their_own(site: Site, tmp_path: Path) -> None:
    """Per-peer limits count who is behind the proxy."""
    options = ["--proxy-from", LOOPBACK, "--max-per-peer", "1"]
    with (
        serving(*site.both_ports, *options, cwd=site.folder) as server,
        haproxy(tmp_path, site.pem, server.ports(2)[0]) as port,
        Peer(port, source=CLIENT) as first,
        Peer(port, source="127.0.0.3") as second,
        Peer(port, source=CLIENT) as third,
    ):
        assert first.greeting.startswith(b"+OK")
        assert second.greeting.startswith(b"+OK")
        assert third.greeting == b""
        (refused,) = server.wait_for("refused", guard="ConnectionLimit")
        assert refused["client.address"] == CLIENT
        assert refused["option"] == "max-per-peer"
        assert refused["network.peer.address"] == LOOPBACK


@pytest.mark.parametrize("index", [0, 1])
def test_whoever_is_no_proxy_is_served_without_a_header_and_cut_with_one(site: Site, index: int) -> None:
    """Also before TLS; and neither waits for anything."""
    with serving(*site.both_ports, "--proxy-from", "192.0.2.1", cwd=site.folder) as server:
        port = server.ports(2)[index]
        tls = trusting(site.pem) if index else None
        with Peer(port, tls) as honest:
            assert honest.greeting.startswith(b"+OK")
        with ExitStack() as stack:
            forger = stack.enter_context(socket.create_connection((LOOPBACK, port), PATIENCE))
            forger.sendall(b"PROXY TCP4 203.0.113.9 198.51.100.1 1 110\r\n")
            (event,) = server.wait_for("refused" if index else "cut", guard="ProxyProtocol")
        assert event["client.address"] == LOOPBACK
        assert "network.peer.address" not in event


def test_a_proxy_that_sends_no_header_waits_for_the_handshake_limit(site: Site) -> None:
    """It gets no greeting, and its end has a reason."""
    with serving(*site.both_ports, "--proxy-from", LOOPBACK, "--handshake", "1s", cwd=site.folder) as server:
        with socket.create_connection((LOOPBACK, server.ports(2)[0]), PATIENCE) as silent:
            assert _ended(silent)
        with socket.create_connection((LOOPBACK, server.ports(2)[0]), PATIENCE) as wrong:
            wrong.sendall(b"QUIT\r\n")
            (refused,) = server.wait_for("refused", guard="ProxyProtocol")
        assert refused["client.address"] == LOOPBACK
        assert server.events("refused")[0]["guard"] == "HandshakeTimeout"


def _ended(peer: socket.socket) -> bool:
    try:
        return peer.recv(1) == b""
    except ConnectionResetError:
        return True


# twistd web behind them


@contextmanager
def web(folder: Path, endpoint: str) -> Iterator[Server]:
    """``twistd web`` under ``guard:``, behind proxies on 127.0.0.1; its own log says who came."""
    (folder / "a.txt").write_bytes(b"hello from a file\n")
    words = ["web", "--path", str(folder), "--listen", f"guard:{endpoint}:interface={LOOPBACK}:proxy-from={LOOPBACK}"]
    server = Server.twistd(*words, cwd=folder)
    try:
        yield server
    finally:
        server.stop()
    assert "Traceback" not in server.log


def _web_port(server: Server) -> int:
    def port(lines: list[str]) -> int | None:
        found = [re.search(r"Site.*? starting on (\d+)", line) for line in lines]
        return next((int(each[1]) for each in found if each), None)

    listening: int = server.out.wait(port)
    return listening


@has_curl
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_curl_speaks_for_itself(scheme: str, site: Site, tmp_path: Path) -> None:
    """Curl's own header, before the request, and before TLS where there is TLS."""
    root = tmp_path / "root"
    root.mkdir()
    endpoint = "tcp:0" if scheme == "http" else f"ssl:0:privateKey={site.pem}"
    with web(root, endpoint) as server:
        url = f"{scheme}://localhost:{_web_port(server)}/a.txt"
        curl = ["curl", "-4", "--silent", "--show-error", "--max-time", str(PATIENCE), "--cacert", str(site.pem)]
        got = subprocess.run([*curl, "--haproxy-protocol", url], capture_output=True, check=True, timeout=2 * PATIENCE)
        without = subprocess.run([*curl, url], capture_output=True, check=False, timeout=2 * PATIENCE)
    assert got.stdout == b"hello from a file\n"
    assert without.returncode != 0


@has_haproxy
def test_a_web_server_behind_a_proxy_logs_the_client(tmp_path: Path) -> None:
    """The application under ``guard:`` knows nothing of proxies; its own log has the client's address."""
    root = tmp_path / "root"
    root.mkdir()
    with web(root, "tcp:0") as server, haproxy(tmp_path, tmp_path, _web_port(server), sends="send-proxy-v2") as port:
        curl = ["curl", "--silent", "--show-error", "--interface", CLIENT, f"http://{LOOPBACK}:{port}/a.txt"]
        asked = subprocess.run(curl, capture_output=True, check=True, timeout=PATIENCE)
        assert asked.stdout == b"hello from a file\n"
        server.out.wait(lambda lines: any(f'"{CLIENT}"' in line or f" {CLIENT} " in line for line in lines))


# what they claim


class Asked(Protocol):
    """Keeps what is known of its peer, then echoes."""

    def connectionMade(self) -> None:
        """Look."""
        connection: Any = connection_of(self.transport)
        factory: Any = self.factory
        if connection.host == CLIENT:
            factory.known.callback(connection.peer)

    def dataReceived(self, data: bytes) -> None:
        """Echo."""
        transport: Any = self.transport
        transport.write(data)


@asynccontextmanager
async def echoing() -> AsyncIterator[tuple[int, Deferred[Known]]]:
    """A guarded echo in this process: its port, and what is known of the one client."""
    from twisted.internet import reactor

    factory: Any = Factory.forProtocol(Asked)
    factory.known = Deferred()
    endpoint = serverFromString(reactor, f"guard:tcp:0:interface={LOOPBACK}:proxy-from={LOOPBACK}:handshake=5s")
    port: Any = await endpoint.listen(factory)
    try:
        yield port.getHost().port, factory.known
    finally:
        await port.stopListening()


@has_haproxy
async def test_haproxy_tells_of_the_client_s_tls(site: Site, tmp_path: Path) -> None:
    """Name asked for, certificate, cipher and its own id are claims, the verified name among them only if verified."""
    from twisted.internet import reactor

    sends = "send-proxy-v2 proxy-v2-options ssl,cert-cn,ssl-cipher,cert-sig,cert-key,authority,crc32c,unique-id"
    authority, pem = trustme.CA(), tmp_path / "client.pem"
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    mine = authority.issue_cert("alice.example", common_name="alice")
    mine.private_key_and_cert_chain_pem.write_to_path(str(pem))
    listens = f"ssl crt {site.pem} ca-file {tmp_path}/authority.pem verify optional"
    tls = ssl.create_default_context(cafile=str(site.pem))
    tls.load_cert_chain(str(pem))

    def talk(target: int) -> str:
        with (
            haproxy(tmp_path, site.pem, target, sends=sends, listens=listens) as port,
            socket.create_connection((LOOPBACK, port), PATIENCE, (CLIENT, 0)) as raw,
            tls.wrap_socket(raw, server_hostname="localhost") as secure,
        ):
            secure.sendall(b"hello")
            assert secure.recv(100) == b"hello"
            return secure.version() or ""

    async with echoing() as (port, known):
        said: Any = await deferToThread(talk, port)
        peer = await known.addTimeout(PATIENCE, cast("Any", reactor))
    claims: Any = peer.claims
    claimed, seen = cast("IPv4Address", peer.claimed), cast("IPv4Address", peer.seen)
    assert (claimed.host, seen.host) == (CLIENT, LOOPBACK)
    assert claims["authority"] == "localhost"
    assert claims["unique_id"].startswith(CLIENT.encode())
    secured = claims["ssl"]
    assert type(secured) is Ssl
    assert secured.secure
    assert secured.verified
    assert secured.version == said
    assert secured.cn == "alice"
    assert secured.cipher
    assert secured.key_alg
    assert secured.sig_alg


@has_haproxy
async def test_haproxy_says_nothing_was_verified_where_no_certificate_was_shown(site: Site, tmp_path: Path) -> None:
    """Its figure for the outcome is 0 then, as for a verified one: only both together mean something."""
    from twisted.internet import reactor

    tls = ssl.create_default_context(cafile=str(site.pem))

    def talk(target: int) -> None:
        listens = f"ssl crt {site.pem} ca-file {site.pem} verify optional"
        with (
            haproxy(tmp_path, site.pem, target, sends="send-proxy-v2-ssl-cn", listens=listens) as port,
            socket.create_connection((LOOPBACK, port), PATIENCE, (CLIENT, 0)) as raw,
            tls.wrap_socket(raw, server_hostname="localhost") as secure,
        ):
            secure.sendall(b"hello")
            assert secure.recv(100) == b"hello"

    async with echoing() as (port, known):
        await deferToThread(talk, port)
        peer = await known.addTimeout(PATIENCE, cast("Any", reactor))
    secured: Any = peer.claims["ssl"]
    assert secured.verify == 0
    assert secured.secure
    assert not secured.verified
    assert secured.cn is None
