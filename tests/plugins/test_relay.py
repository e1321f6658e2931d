"""`twistd netguard-relay`: its options, each mistake's one line, and its life as a process."""

from __future__ import annotations

import resource
import signal
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from twisted.python import usage

from netguard.plugins import relay
from netguard.plugins.relay import Options, RelayService
from tests.pemfiles import issued
from tests.popserver import PATIENCE, Server, assert_clean, serving, twistd
from tests.programs import free_port, run

FREE = "tcp:0:interface=127.0.0.1"
TO = "--to", "tcp:127.0.0.1:1"

MISTAKES = {
    "nothing": ("", "--to is missing: where to pass them on, as in --to tcp:127.0.0.1:80"),
    "no listener at all": ("--to tcp:a:1", "--listen is missing: where to take connections, as in --listen tcp:8080"),
    "no backend": ("--listen tcp:0", "--to is missing: where to pass them on, as in --to tcp:127.0.0.1:80"),
    "one word too many": ("--listen tcp:0 --to tcp:a:1 tcp:b:1", "'tcp:b:1' is one word too many; backends are"),
    "balance": ("@ --balance round-robbin", "--balance: unknown word 'round-robbin'; did you mean 'round-robin'?"),
    "send-proxy": ("@ --send-proxy v3", "--send-proxy: unknown word 'v3'"),
    "check": ("@ --check often", "--check: 'often' is not a duration"),
    "no time": ("@ --connect-within 0", "--connect-within: '0' is"),
    "rise": ("@ --rise 0", "--rise: '0' is"),
    "fall": ("@ --fall many", "--fall: 'many' is not a whole number"),
    "unknown option": ("@ --chek 5s", "unknown option --chek; did you mean --check?"),
    "unknown endpoint": ("--listen tcp:0 --to tpc:a:1", "--to: endpoint tpc:a:1: unknown endpoint type 'tpc'; did you"),
    "no endpoint": ("--listen tcp:0 --to tcp:a:1,", "--to: guard: names no endpoint"),
    "unknown service": ("--listen tcp:0 --to tcp:a:nosuch", "--to: endpoint tcp:a:nosuch: 'nosuch' is not a port"),
    "unverified": ("--listen tcp:0 --to ssl:a:443", "--to: endpoint ssl:a:443: ssl: verifies nobody; write tls:"),
    "no listener": ("--listen udp:1 --to tcp:a:1", "unknown endpoint type 'udp'"),
    "guards twice": ("--listen guard:tcp:0 --to tcp:a:1", "name an endpoint such as tcp:8080; all are guarded already"),
    "no certificate": ("--listen tls:0 --to tcp:a:1", "--listen tls:0 needs a certificate: --tls PEM"),
    "missing certificate": ("@ --tls none.pem", "none.pem: No such file or directory"),
    "guard": ("@ --idle soon", "option idle: 'soon' is not a duration such as 30s"),
}


@pytest.mark.parametrize(("words", "line"), MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_one_line(words: str, line: str) -> None:
    """What cannot work is told in one line, of the option that is wrong."""
    with pytest.raises((usage.UsageError, ValueError)) as caught:
        made(*words.replace("@", f"--listen {FREE} {' '.join(TO)}").split(), listen="")
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_one_line_ends_the_program(tmp_path: Path) -> None:
    """With status 1, without a traceback; also what is found only when the service is made."""
    ended = twistd("-n", "--pidfile=", "netguard-relay", "--listen", FREE, "--to", "ssl:a:443", cwd=tmp_path)
    assert ended.returncode == 1
    (text,) = ended.stderr.splitlines()
    assert text.startswith("twistd netguard-relay: --to: endpoint ssl:a:443")
    assert_clean(ended.stdout + ended.stderr)


def made(*words: str, listen: str = FREE) -> RelayService:
    """The service that options make."""
    from twisted.internet import reactor

    options = Options()
    options.parseOptions([*(["--listen", listen] if listen else []), *words])
    return RelayService(options, reactor)


def test_backends_have_names_of_their_own() -> None:
    """By their words; two of one name are told apart; no keyword that may be a secret is shown."""
    words = ["--to", r"tcp:a:1,tcp:a:1, tcp:host=b:port=2", "--to", r"socks:c:3:proxy=socks5\://joe@127.0.0.1"]
    service = made(*words, "--to", r"unix:path=/run/a\,b")
    names = [each.name for each in service.relay.pool.backends]
    assert names == ["tcp:a:1", "tcp:a:1#2", "tcp:b:2", "socks:c:3", "unix:/run/a,b"]


def test_the_options_reach_the_relay() -> None:
    """Each its own place."""
    words = "--check 3s --rise 4 --fall 5 --connect-within 2s --balance least-connections --write-stall 7s"
    it = made(*TO, *words.split(), "--send-proxy", "v2").relay
    assert (it._check, it.pool.rise, it.pool.fall, it._within) == (3.0, 4, 5, 2.0)
    assert (it.pool.balance, it.stalls.limit, it._send_proxy) == ("least-connections", 7.0, "v2")
    off = made(*TO, "--check", "off", "--write-stall", "off").relay
    assert (off._check, off.stalls.limit) == (None, float("inf"))


def test_there_are_files_for_every_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two for each: the limit is raised, as far as one may, and no further than is needed."""
    limits, raised = [1024, 4096], list[tuple[int, int]]()
    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(limits))
    monkeypatch.setattr(resource, "setrlimit", lambda _, both: raised.append(both))
    made(*TO, "--max-connections", "450")
    assert raised == []
    made(*TO, "--max-connections", "1000")
    assert set(raised) == {(2124, 4096)}
    with pytest.raises(ValueError, match="2000 needs 4124 open files, and this process may have 4096"):
        made(*TO, "--max-connections", "2000")
    raised.clear()
    made(*TO, "--max-connections", "off", "--max-per-peer", "off")
    assert set(raised) == {(4096, 4096)}
    limits[:] = [1024, resource.RLIM_INFINITY]
    raised.clear()
    made(*TO, "--max-connections", "off")
    assert set(raised) == {(resource.RLIM_INFINITY, resource.RLIM_INFINITY)}


def test_the_help_says_what_to_write() -> None:
    """An example, every default, and the guards."""
    text = str(Options())
    for part in ("netguard-relay --listen tcp:8080 --to tcp:127.0.0.1:80", "(default: 10s)", "--max-per-peer="):
        assert part in text


def test_a_service_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """With all that every service of netguard's has."""
    options = Options()
    options.parseOptions(["--listen", FREE, *TO])
    assert isinstance(relay.makeService(options), RelayService)
    options.tos = ["tcp:a:nosuch"]
    with pytest.raises(usage.UsageError, match="nosuch"):
        relay.makeService(options)


# As a process


@contextmanager
def backend(serve: Callable[[socket.socket], Any], port: int = 0) -> Iterator[int]:
    """A server of blocking sockets, on loopback, for the time of a block; serves one connection after another."""
    with socket.create_server(("127.0.0.1", port)) as listening:

        def work() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection, closing(connection):
                    connection.settimeout(PATIENCE)
                    serve(connection)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE)


def everything(connection: socket.socket) -> bytes:
    """All that comes until the end, of whichever kind."""
    got = bytearray()
    try:
        while more := connection.recv(65_536):
            got += more
    except ConnectionResetError:
        pass
    return bytes(got)


def counting(connection: socket.socket) -> None:
    """Answers after the client's FIN, with how much it sent."""
    connection.sendall(b"%d bytes" % len(everything(connection)))


@contextmanager
def relaying(*words: str, cwd: Path, listen: str = FREE) -> Iterator[Server]:
    """A relay for the time of a block."""
    with serving("--listen", listen, *words, cwd=cwd, service="netguard-relay") as server:
        yield server


def talk(port: int, said: bytes, tls: ssl.SSLContext | None = None) -> bytes:
    """Say something, half-close, and hear the answer."""
    connection: Any = socket.create_connection(("127.0.0.1", port), PATIENCE)
    if tls is not None:
        connection = tls.wrap_socket(connection, server_hostname="localhost")
    with connection:
        connection.sendall(said)
        if tls is None:
            connection.shutdown(socket.SHUT_WR)
        return everything(connection)


@pytest.mark.parametrize("transport", ["native", "stock"])
def test_it_relays(transport: str, tmp_path: Path) -> None:
    """Much, each way, and the answer after the FIN."""
    many = 8 * 1024 * 1024
    with (
        backend(counting) as port,
        relaying("--to", f"tcp:127.0.0.1:{port}", "--transport", transport, cwd=tmp_path) as it,
    ):
        assert talk(it.ports()[0], b"x" * many) == b"%d bytes" % many
        (closed,) = it.wait_for("closed")
    assert (closed["bytes_in"], closed["backend"]) == (many, f"tcp:127.0.0.1:{port}")


def test_a_backend_that_is_down_is_told_and_comes_back(tmp_path: Path) -> None:
    """Meanwhile clients are refused in the style of the listener."""
    port = free_port()
    words = ["--to", f"tcp:127.0.0.1:{port}", "--check", "200ms", "--refusal", "text:later"]
    with relaying(*words, cwd=tmp_path) as it:
        it.wait_for("backend_down")
        assert talk(it.ports()[0], b"") == b"later\r\n"
        it.wait_for("cut", option="to")
        with backend(counting, port):
            it.wait_for("backend_up")
            assert talk(it.ports()[0], b"x") == b"1 bytes"


def trusting(authority: trustme.CA, *alpn: str) -> ssl.SSLContext:
    """A client's TLS."""
    context = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
    context.set_alpn_protocols(list(alpn))
    return context


def test_tls_in_and_out_and_a_proxy_header_in_between(tmp_path: Path) -> None:
    """The backend's certificate is verified, for the name that was asked for; the header comes before the handshake."""
    authority = trustme.CA()
    pem = issued(tmp_path / "server.pem", authority, "localhost")
    roots = tmp_path / "roots"
    roots.mkdir()
    authority.cert_pem.write_to_path(str(roots / "ca.pem"))
    heads: list[bytes] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)

    def serve(connection: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n"):
            head += connection.recv(1)
        heads.append(head)
        try:
            with context.wrap_socket(connection, server_side=True) as inside:
                inside.sendall(inside.recv(100).upper())
        except OSError:  # they do not trust us
            pass

    listen = "tls:0:interface=127.0.0.1"
    with backend(serve) as port:
        to = rf"tls:NAME:{port}:trustRoots={roots}:endpoint=tcp\:127.0.0.1\:{port}"
        words = ["--tls", str(pem), "--alpn", "h2,http/1.1", "--send-proxy", "v1"]
        with relaying(*words, "--to", to.replace("NAME", "localhost"), cwd=tmp_path, listen=listen) as it:
            connection = socket.create_connection(("127.0.0.1", it.ports()[0]), PATIENCE)
            with trusting(authority, "http/1.1").wrap_socket(connection, server_hostname="localhost") as client:
                assert client.selected_alpn_protocol() == "http/1.1"
                client.sendall(b"hello")
                assert everything(client) == b"HELLO"
                ours, theirs = client.getsockname()[1], it.ports()[0]
        assert heads == [f"PROXY TCP4 127.0.0.1 127.0.0.1 {ours} {theirs}\r\n".encode()]
        with relaying(*words, "--to", to.replace("NAME", "other.example"), cwd=tmp_path, listen=listen) as it:
            assert talk(it.ports()[0], b"hello", trusting(authority)) == b""
            (told,) = it.wait_for("unreachable")
        assert "TLS" in told["reason"] or "ertif" in told["reason"] or "other.example" in told["reason"]


def test_a_pair_at_rest_is_closed_when_the_service_drains(tmp_path: Path) -> None:
    """Both sides see an end in order; meanwhile its control socket shows it."""

    def serve(connection: socket.socket) -> None:
        connection.sendall(connection.recv(100))
        ended.append(everything(connection))

    ended: list[bytes] = []
    control = str(tmp_path / "control")
    with backend(serve) as port:
        with (
            relaying("--to", f"tcp:127.0.0.1:{port}", "--control", control, cwd=tmp_path) as it,
            socket.create_connection(("127.0.0.1", it.ports()[0]), PATIENCE) as client,
        ):
            client.sendall(b"hello")
            assert client.recv(100) == b"hello"
            asked = [sys.executable, "-c", "from netguard.cli import main; main()", "ctl", control, "connections"]
            assert b"127.0.0.1" in run(*asked, home=tmp_path)
            it.process.send_signal(signal.SIGTERM)
            assert client.recv(100) == b""
            it.process.wait(PATIENCE)  # a second signal would have it end at once
        (closed,) = it.events("closed")
    assert closed["backend"] == f"tcp:127.0.0.1:{port}"
    assert ended == [b""]
