"""`--admin` is served beside any service, and not to anybody from elsewhere without more ado."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import ssl
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from twisted.python.usage import UsageError

from netguard.errors import OptionError
from netguard.plugins.admin import Token
from netguard.plugins.guard_options import GuardOptions
from netguard.secret import Secret
from tests.crewserver import Caller, ask_page, crew, kill, pids
from tests.popserver import PATIENCE, Peer, Server, Site, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

TOKEN = "a-token-of-some-length"
NEAR = "tcp:0"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A token, a certificate, and who vouches for clients."""
    authority = trustme.CA()
    for name, content in {
        "token": TOKEN.encode(),
        "short": b"guess-me",
        "tls.pem": authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.bytes(),
        "client.pem": authority.issue_cert("prometheus.example").private_key_and_cert_chain_pem.bytes(),
        "ca.pem": authority.cert_pem.bytes(),
    }.items():
        file = tmp_path / name
        file.touch(0o600)
        file.write_bytes(content)
    return tmp_path


# What is refused


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--admin-token token", "--admin-token has no effect without --admin"),
        ("--admin-host mail.example", "--admin-host has no effect without --admin"),
        ("--admin 9113", "--admin: '9113' is not tcp:PORT"),
        ("--admin tcp:nosuchservice", "--admin: endpoint tcp:nosuchservice: 'nosuchservice' is not a port"),
        ("--admin tcp:0:interfce=127.0.0.1", "did you mean 'interface'?"),
        ("--admin tcp:0:interface=0.0.0.0", "can be reached from elsewhere: say tls:PORT there"),
        ("--admin tcp:0:interface=0.0.0.0 --admin-token token", "can be reached from elsewhere: say tls:PORT there"),
        ("--admin tls:0:interface=0.0.0.0", "needs a certificate: --admin-tls PEM"),
        ("--admin tls:0:interface=0.0.0.0 --admin-tls tls.pem", "say who may ask, by --admin-token FILE or"),
        ("--admin tcp:0 --admin-tls tls.pem", "--admin-tls is for --admin tls:PORT, not for tcp:0"),
        ("--admin tcp:0 --admin-tls-ca ca.pem", "--admin-tls-ca is for --admin tls:PORT, not for tcp:0"),
        (
            "--admin tcp:0 --admin-may-cut",
            "--admin-may-cut: every user of this machine could cut connections by tcp:0;",
        ),
        ("--admin-may-cut", "--admin-may-cut has no effect without --admin"),
        ("--admin tls:0 --admin-tls ca.pem", "ca.pem: there is no private key in it"),
        ("--admin tcp:0 --admin-token nothing", "--admin-token: secret file nothing: No such file or directory"),
        ("--admin tcp:0 --admin-token short", "--admin-token: a token of less than 16 characters can be guessed"),
    ],
)
def test_what_cannot_be_honoured_ends_the_start(
    words: str, told: str, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one line that says what to do."""
    monkeypatch.chdir(files)
    with pytest.raises(UsageError) as refused:
        GuardOptions().parseOptions(words.split())
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "words",
    [
        "",
        "--admin tcp:9113",
        "--admin tcp:0 --admin-may-cut --admin-token token",
        "--admin unix:admin.socket --admin-may-cut",
        "--admin unix:admin.socket --admin-token token --admin-host a.example",
        "--admin tls:0:interface=0.0.0.0 --admin-tls tls.pem --admin-token token",
        "--admin tls:0:interface=0.0.0.0 --admin-tls tls.pem --admin-tls-ca ca.pem",
    ],
)
def test_what_can_be_honoured_is_taken(words: str, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On loopback nothing more is demanded."""
    monkeypatch.chdir(files)
    GuardOptions().parseOptions(words.split())


def test_a_token_is_read_again(files: Path) -> None:
    """What cannot be used changes nothing."""
    file = files / "token"
    token = Token(str(file))
    assert token() == Secret(TOKEN)
    file.write_text("another-token-by-now\n")
    assert token() == Secret(TOKEN)
    token.reload()
    assert token() == Secret("another-token-by-now")
    file.chmod(0o604)
    with pytest.raises(OptionError, match="is open to others"):
        token.reload()
    assert token() == Secret("another-token-by-now")


# As a process


def fetched(port: int, path: str, context: ssl.SSLContext | None = None, **headers: str) -> tuple[int, str]:
    """Status and body of a page."""
    if context is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    else:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=PATIENCE, context=context)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """What an operator has."""
    return Site.make(tmp_path)


def test_netguard_pop_is_watched(site: Site) -> None:
    """Beside its own ports, which know nothing of it."""
    with serving(*site.options, "--listen", "tcp:0:interface=127.0.0.1", "--admin", NEAR, cwd=site.folder) as server:
        ports = server.ports(2)
        admin = ports[0]
        assert fetched(admin, "/healthz") == (200, "ok\n")
        assert fetched(admin, "/readyz") == (200, "ready\n")
        assert fetched(admin, "/healthz", Host="attacker.example")[0] == 421
        with socket.create_connection(("127.0.0.1", ports[1])) as peer:
            assert peer.recv(3) == b"+OK"


def test_who_drains_is_not_ready_and_can_be_watched(site: Site) -> None:
    """From the signal to the end."""
    where = ["--listen", "tcp:0:interface=127.0.0.1", "--admin", NEAR]
    server = Server.start(*site.options, *where, cwd=site.folder)
    try:
        admin, port = server.ports(2)
        with Peer(port) as peer:
            assert peer.apop().startswith(b"+OK")
            server.process.send_signal(signal.SIGTERM)
            server.wait_for("draining")
            assert fetched(admin, "/readyz") == (503, "draining: nobody is let in any more\n")
            assert fetched(admin, "/healthz") == (200, "ok\n")
            assert "netguard_ready 0.0" in fetched(admin, "/metrics")[1]
            assert peer.ask(b"QUIT").startswith(b"+OK")
        assert server.process.wait(PATIENCE) == 0
    finally:
        server.stop()
    assert "Traceback" not in server.log


def test_a_wrapped_plugin_is_watched(tmp_path: Path) -> None:
    """By somebody who is let in to a UNIX socket."""
    path = tmp_path / "admin"
    words = ["netguard-wrap", "--log-format", "json", "--admin", f"unix:{path}"]
    server = Server.twistd(*words, "--", "web", "--listen", "tcp:0:interface=127.0.0.1", "--path", ".", cwd=tmp_path)
    try:
        server.wait_for("listening", 2)
        assert path.stat().st_mode & 0o777 == 0o600
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(PATIENCE)
            peer.connect(str(path))
            peer.sendall(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            with peer.makefile("rb") as answer:
                assert answer.read().endswith(b"\r\n\r\nready\n")
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(PATIENCE)
            peer.connect(str(path))
            peer.sendall(b"GET / HTTP/1.0\r\n\r\n")
            with peer.makefile("rb") as answer:
                assert b"<h1>netguard-wrap web</h1>" in answer.read()
    finally:
        server.stop()
    assert "Traceback" not in server.log


def test_connections_of_workers_are_listed_and_cut(tmp_path: Path) -> None:
    """Whoever has which, as those of one process; a worker that hangs is told of, and keeps no page from coming."""
    path = tmp_path / "admin"
    with crew("--admin", f"unix:{path}", "--admin-may-cut", cwd=tmp_path) as server:
        workers = pids(server)
        (port,) = (each["server.port"] for each in server.wait_for("listening", 2) if "server.port" in each)
        callers = [Caller(port, f"127.0.0.{n}") for n in range(1, 9)]
        answerers = [each.answerer for each in callers]
        assert set(answerers) == set(workers.values())
        told = json.loads(ask_page(path, "GET /figures.json?sort=peer").partition("\r\n\r\n")[2])
        rows = told["connections"]["rows"]
        assert [each["peer"].split()[0] for each in rows] == [f"127.0.0.{n}" for n in range(1, 9)]
        secret = ask_page(path, "GET /").partition('name="secret" value="')[2].partition('"')[0]
        for caller, row in zip(callers[:2], rows, strict=False):
            answer = ask_page(path, "POST /cut", f"session={row['session']}&secret={secret}&sort=peer&page=1")
            assert answer.startswith("HTTP/1.0 303 ")
            assert caller.say(b"still there?") == b""
        server.wait_for("cut", 2)
        kill(workers[1], signal.SIGSTOP)
        page = ask_page(path, "GET /")
        kill(workers[1], signal.SIGCONT)
        assert "Not all are here: worker 1: no answer within 2s" in page
        assert page.count("Cut session") == answerers[2:].count(workers[2])
        for each in callers:
            each.close()


@pytest.fixture
def guarded_from_elsewhere(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Any]]:
    """The port of pages that demand a token and a certificate, and the TLS of a client that trusts them."""
    site = Site.make(tmp_path_factory.mktemp("site"))
    words = f"--admin-tls {files}/tls.pem --admin-token {files}/token --admin-tls-ca {files}/ca.pem".split()
    where = ["--listen", "tcp:0:interface=127.0.0.1", "--admin", "tls:0:interface=0.0.0.0"]
    with serving(*site.options, *where, *words, cwd=site.folder) as server:
        yield server.ports(2)[0], ssl.create_default_context(cafile=str(files / "ca.pem"))


def test_who_asks_from_elsewhere_shows_what_is_demanded(guarded_from_elsewhere: tuple[int, Any], files: Path) -> None:
    """A certificate and a token, where both are; health is no exception."""
    port, context = guarded_from_elsewhere
    bearer = f"Bearer {TOKEN}"
    assert fetched(port, "/healthz", context, Authorization=bearer)[0] == 403
    context.load_cert_chain(files / "client.pem")
    assert fetched(port, "/healthz", context)[0] == 401
    assert fetched(port, "/healthz", context, Authorization="Bearer wrong")[0] == 401
    assert fetched(port, "/healthz", context, Authorization=bearer) == (200, "ok\n")


def test_a_port_that_cannot_be_had_is_one_line(site: Site) -> None:
    """As for every other port."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = Server.start(
            *site.options, "--listen", "tcp:0:interface=127.0.0.1", "--admin", f"tcp:{port}", cwd=site.folder
        )
        assert server.process.wait(PATIENCE) == 1
        assert f"cannot listen on --admin tcp:{port}" in server.err.wait(lambda lines: lines)[0]
        server.stop()
    assert "Traceback" not in server.log


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """One that anybody can write in. It is not below pytest's, which every pytest that starts closes to others."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        yield folder


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_socket_belongs_to_whom_the_service_becomes(open_folder: Path) -> None:
    """So that it can be removed at the end, and used by who controls the service."""
    path = open_folder / "admin"
    words = ["--uid", "65534", "--gid", "65534", "netguard-wrap", "--log-format", "json", "--admin", f"unix:{path}"]
    web = ["web", "--listen", "tcp:0:interface=127.0.0.1", "--path", "."]
    server = Server.twistd(*words, "--", *web, cwd=open_folder)
    try:
        server.wait_for("started")
        assert (path.stat().st_uid, path.stat().st_gid) == (65534, 65534)
    finally:
        server.stop()
    assert "Traceback" not in server.log
    assert not path.exists()
