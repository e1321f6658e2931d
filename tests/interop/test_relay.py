"""netguard-relay in front of real servers: nginx (HTTP/1 and /2), Redis, PostgreSQL, Dovecot, and a WebSocket."""

from __future__ import annotations

import hashlib
import os
import poplib
import pwd
import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from autobahn.twisted.websocket import (
    WebSocketClientFactory,
    WebSocketClientProtocol,
    WebSocketServerFactory,
    WebSocketServerProtocol,
)
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, serverFromString

from netguard.guards.write_stall import WriteStall
from netguard.policy import Policy
from netguard.relay.front import RelayFactory
from netguard.relay.pool import Backend, Pool
from netguard.relay.service import Relay
from tests.dovecot import dovecot, give, public_folder, why_not
from tests.pemfiles import issued
from tests.popserver import PATIENCE, Server, make_maildir, serving
from tests.programs import LOOPBACK, free_port, needs, run, running

SIZE = 6 * 1024 * 1024
CLIENT = "127.0.0.2"


@contextmanager
def relay(to: str, *words: str, cwd: Path, listen: str = "tcp") -> Iterator[tuple[Server, int]]:
    """A relay to a server, and its port."""
    words = ("--listen", f"{listen}:0:interface={LOOPBACK}", "--to", to, *words)
    with serving(*words, cwd=cwd, service="netguard-relay") as server:
        yield server, server.ports()[0]


# nginx


@contextmanager
def nginx(folder: Path, listen: str = "", more: str = "") -> Iterator[int]:
    """Nginx in one process, with a file to fetch, and another to be put."""
    port = free_port()
    content = random.Random(5).randbytes(SIZE)  # noqa: S311 - the same each time
    (folder / "big").write_bytes(content)
    config = folder / "nginx.conf"
    config.write_text(f"""
daemon off;
master_process off;
pid {folder}/nginx.pid;
events {{ }}
http {{
    access_log off;
    client_max_body_size 0;
    client_body_temp_path {folder}/body;
    server {{
        listen {LOOPBACK}:{port} {listen};
        root {folder};
        location /who {{ return 200 "$proxy_protocol_addr"; }}
        location /put/ {{ dav_methods PUT; root {folder}; }}
        {more}
    }}
}}
""")
    (folder / "put").mkdir(mode=0o777)
    with running("nginx", "-c", str(config), "-p", str(folder), "-e", "stderr", cwd=folder, port=port):
        yield port


def curl(*words: str, home: Path) -> bytes:
    """What curl says."""
    return run("curl", "--silent", "--show-error", "--fail", "--max-time", str(PATIENCE), *words, home=home)


def digest(data: bytes) -> str:
    """To compare much, and show little."""
    return hashlib.sha256(data).hexdigest()


has_nginx, has_curl = needs("nginx"), needs("curl")


@has_nginx
@has_curl
@pytest.mark.parametrize("transport", ["native", "stock"])
def test_http_1(transport: str, tmp_path: Path) -> None:
    """Large bodies each way, many requests over one connection, and several at a time."""
    with nginx(tmp_path) as port, relay(f"tcp:{LOOPBACK}:{port}", "--transport", transport, cwd=tmp_path) as (_, front):
        url = f"http://{LOOPBACK}:{front}"
        assert digest(curl(f"{url}/big", home=tmp_path)) == digest((tmp_path / "big").read_bytes())
        curl("--upload-file", str(tmp_path / "big"), f"{url}/put/it", home=tmp_path)
        assert digest((tmp_path / "put" / "it").read_bytes()) == digest((tmp_path / "big").read_bytes())
        several = [f"{url}/big?{number}" for number in range(8)]
        fetched = curl("--parallel", *(word for each in several for word in ("-o", "-", each)), home=tmp_path)
        assert len(fetched) == 8 * SIZE
        assert curl(*[f"{url}/who"] * 50, home=tmp_path) == b""


@has_nginx
@has_curl
def test_http_2(tmp_path: Path) -> None:
    """In clear, and behind our TLS, which agrees on it by ALPN."""
    authority = trustme.CA()
    pem = issued(tmp_path / "server.pem", authority, "localhost")
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    about = ["--output", "-", "--write-out", "%{http_version}"]
    with nginx(tmp_path, "http2") as port:
        content = (tmp_path / "big").read_bytes()
        with relay(f"tcp:{LOOPBACK}:{port}", cwd=tmp_path) as (_, front):
            got = curl("--http2-prior-knowledge", *about, f"http://{LOOPBACK}:{front}/big", home=tmp_path)
            assert (digest(got[:-1]), got[-1:]) == (digest(content), b"2")
        words = ["--tls", str(pem), "--alpn", "h2"]
        with relay(f"tcp:{LOOPBACK}:{port}", *words, cwd=tmp_path, listen="tls") as (_, front):
            where = ["--cacert", str(tmp_path / "ca.pem"), "--resolve", f"localhost:{front}:{LOOPBACK}"]
            got = curl("--http2", *where, *about, f"https://localhost:{front}/big", home=tmp_path)
            assert (digest(got[:-1]), got[-1:]) == (digest(content), b"2")


@has_nginx
@has_curl
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_nginx_is_told_who_the_client_is(version: str, tmp_path: Path) -> None:
    """Checks do not disturb it."""
    words = ["--send-proxy", version, "--check", "100ms"]
    with (
        nginx(tmp_path, "proxy_protocol") as port,
        relay(f"tcp:{LOOPBACK}:{port}", *words, cwd=tmp_path) as (server, front),
    ):
        assert curl("--interface", CLIENT, f"http://{LOOPBACK}:{front}/who", home=tmp_path) == CLIENT.encode()
        assert server.events("backend_down", "unreachable") == []


@has_nginx
@has_curl
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_nginx_inside_tls_is_told_it_before(version: str, tmp_path: Path) -> None:
    """The certificate is verified; HTTP goes through both."""
    authority = trustme.CA()
    pem = issued(tmp_path / "server.pem", authority, "backend.example")
    roots = tmp_path / "roots"
    roots.mkdir()
    authority.cert_pem.write_to_path(str(roots / "ca.pem"))
    tls = f"ssl_certificate {pem}; ssl_certificate_key {pem};"
    with nginx(tmp_path, "ssl proxy_protocol", tls) as port:
        to = rf"tls:backend.example:{port}:trustRoots={roots}:endpoint=tcp\:{LOOPBACK}\:{port}"
        with relay(to, "--send-proxy", version, cwd=tmp_path) as (_, front):
            url = f"http://{LOOPBACK}:{front}"
            assert curl("--interface", CLIENT, f"{url}/who", home=tmp_path) == CLIENT.encode()
            assert digest(curl(f"{url}/big", home=tmp_path)) == digest((tmp_path / "big").read_bytes())


@has_nginx
@has_curl
@needs("microsocks")
def test_through_socks(tmp_path: Path) -> None:
    """A server that only a proxy can reach."""
    proxy = free_port()
    with running("microsocks", "-i", LOOPBACK, "-p", str(proxy), cwd=tmp_path, port=proxy), nginx(tmp_path) as port:
        to = rf"socks:{LOOPBACK}:{port}:proxy=tcp\:{LOOPBACK}\:{proxy}"
        with relay(to, cwd=tmp_path) as (_, front):
            got = curl(f"http://{LOOPBACK}:{front}/big", home=tmp_path)
            assert digest(got) == digest((tmp_path / "big").read_bytes())


# Redis


@contextmanager
def redis(folder: Path, port: int = 0) -> Iterator[int]:
    """A Redis that keeps nothing."""
    port = port or free_port()
    words = ["--port", str(port), "--bind", LOOPBACK, "--save", "", "--appendonly", "no", "--dir", str(folder)]
    with running("redis-server", *words, cwd=folder, port=port):
        yield port


def redis_cli(port: int, *words: str, home: Path, said: bytes = b"") -> bytes:
    """What it says."""
    return run("redis-cli", "-h", LOOPBACK, "-p", str(port), *words, home=home, said=said).strip()


@needs("redis-server")
def test_redis(tmp_path: Path) -> None:
    """Twenty thousand commands in one pipeline, which is answered while it is sent; binary values as they are."""
    with redis(tmp_path) as port, relay(f"tcp:{LOOPBACK}:{port}", cwd=tmp_path) as (_, front):
        count = 20_000
        commands = b"".join(
            b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$100\r\n%b\r\n" % (len(b"%d" % number), b"%d" % number, bytes(range(100)))
            for number in range(count)
        )
        answer = redis_cli(front, "--pipe", home=tmp_path, said=commands)
        assert answer.endswith(b"errors: 0, replies: %d" % count)
        assert redis_cli(front, "DBSIZE", home=tmp_path) == b"%d" % count
        assert redis_cli(front, "STRLEN", "19999", home=tmp_path) == b"100"


@needs("redis-server")
def test_redis_that_dies_and_comes_back(tmp_path: Path) -> None:
    """The other one serves meanwhile."""
    ports = [free_port(), free_port()]
    to = ",".join(f"tcp:{LOOPBACK}:{port}" for port in ports)
    with redis(tmp_path, ports[1]), relay(to, "--check", "100ms", cwd=tmp_path) as (server, front):
        server.wait_for("backend_down", backend=f"tcp:{LOOPBACK}:{ports[0]}")
        for _ in range(4):
            assert redis_cli(front, "CONFIG", "GET", "port", home=tmp_path).endswith(b"%d" % ports[1])
        with redis(tmp_path, ports[0]):
            server.wait_for("backend_up")
            found = {redis_cli(front, "CONFIG", "GET", "port", home=tmp_path).split()[-1] for _ in range(4)}
            assert found == {b"%d" % port for port in ports}


# PostgreSQL


def _postgres(name: str) -> str | None:
    """One of its programs, which Debian puts where nobody looks."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else shutil.which(name)


@pytest.mark.skipif(_postgres("initdb") is None or not shutil.which("psql"), reason="PostgreSQL is not installed")
def test_postgres() -> None:
    """A session that asks for TLS first and is told no, many rows, and COPY each way."""
    user = None if os.geteuid() else pwd.getpwnam("postgres").pw_uid
    with public_folder() as folder:
        data, port = folder / "data", free_port()
        if user is not None:
            os.chown(folder, user, -1)
        words = [str(_postgres("initdb")), "-D", str(data), "-U", "joe", "-A", "trust", "-N"]
        subprocess.run(words, check=True, capture_output=True, timeout=4 * PATIENCE, cwd=folder, user=user)
        words = ["-D", str(data), "-p", str(port), "-h", LOOPBACK, "-k", str(folder), "-F"]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen([str(_postgres("postgres")), *words], cwd=folder, stderr=log, user=user)
            try:
                with relay(f"tcp:{LOOPBACK}:{port}", "--check", "100ms", "--fall", "1", cwd=folder) as (server, front):
                    _ready(port, folder)
                    if server.events("backend_down"):
                        server.wait_for("backend_up")
                    rows = b"".join(b"%d\tsome text\n" % number for number in range(50_000))
                    said = b"create table t (a int, b text);\ncopy t from stdin;\n" + rows + b"\\.\ncopy t to stdout;\n"
                    got = run(
                        "psql", "-qX", "-h", LOOPBACK, "-p", str(front), "-U", "joe", "postgres", home=folder, said=said
                    )
                    assert digest(got) == digest(rows)
            finally:
                process.terminate()
                process.wait(PATIENCE)


def _ready(port: int, folder: Path) -> None:
    words = ["psql", "-qX", "-h", LOOPBACK, "-p", str(port), "-U", "joe", "-c", "", "postgres"]
    for _ in range(600):
        if subprocess.run(words, cwd=folder, capture_output=True, timeout=PATIENCE, check=False).returncode == 0:
            return
    pytest.fail((folder / "log").read_text()[-2000:])


# Dovecot


@pytest.mark.skipif(why_not() is not None, reason=why_not() or "it is there")
def test_dovecot(tmp_path: Path) -> None:
    """A session of POP3, in which the server speaks first."""
    content = b"Subject: hello\n\n" + b"a line of text\n" * 20_000
    with public_folder() as mail:
        make_maildir(mail / "alice", {"one": content})
        give(mail)
        with (
            dovecot({"alice": "secret"}, f"{mail}/{{user}}") as server,
            relay(f"tcp:{LOOPBACK}:{server.port}", cwd=tmp_path) as (_, front),
        ):
            session = poplib.POP3(LOOPBACK, front, PATIENCE)
            session.user("alice")
            session.pass_("secret")
            _, lines, _ = session.retr(1)
            assert b"\n".join(lines).endswith(b"a line of text")
            assert len(lines) > 20_000
            assert session.quit().startswith(b"+OK")


# WebSocket


class Echo(WebSocketServerProtocol):
    """Answers with what came."""

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Answer."""
        self.sendMessage(payload, isBinary)


MESSAGES = [b"", b"x", bytes(range(256)) * 1000, b"\x00" * 70_000]


class Client(WebSocketClientProtocol):
    """Sends messages, and keeps the answers."""

    def onOpen(self) -> None:
        """Send them all."""
        self.answers: list[bytes] = []
        for each in MESSAGES:
            self.sendMessage(each, isBinary=True)

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Keep it; close behind the last."""
        self.answers.append(payload)
        if len(self.answers) == len(MESSAGES):
            self.sendClose()

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """It is over."""
        self.factory.closed.callback((wasClean, self.answers))


async def test_websocket() -> None:
    """Frames each way, and the close that both agree on."""
    from twisted.internet import reactor

    clock: Any = reactor
    inside = WebSocketServerFactory()
    inside.protocol = Echo
    backend: Any = await serverFromString(reactor, f"tcp:0:interface={LOOPBACK}").listen(inside)
    to = f"tcp:{LOOPBACK}:{backend.getHost().port}"
    it = Relay(Pool([Backend(to, clientFromString(reactor, to))]), clock)
    guarded = Policy(WriteStall("60s")).wrap(RelayFactory(it), clock)
    port: Any = await serverFromString(reactor, f"tcp:0:interface={LOOPBACK}").listen(guarded)
    client: Any = WebSocketClientFactory(f"ws://{LOOPBACK}:{port.getHost().port}/")
    client.protocol = Client
    client.closed = Deferred()
    await clientFromString(reactor, f"tcp:{LOOPBACK}:{port.getHost().port}").connect(client)
    assert await client.closed == (True, MESSAGES)
    await port.stopListening()
    await guarded.when_empty()
    await backend.stopListening()
