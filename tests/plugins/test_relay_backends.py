"""`twistd netguard-relay` before several backends, as a process: who is chosen, passed over, believed, and told."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from time import monotonic
from typing import Any

import pytest
import trustme
from attrs import define, field

from tests.crewserver import ctl, until
from tests.plugins.test_relay import backend, counting, everything, relaying, talk, trusting
from tests.popserver import PATIENCE, Server
from tests.programs import free_port


@define
class Named:
    """A server that says its name to everybody, and keeps all connections until their clients go.

    Attributes:
        port: where it listens.
        came: how many have come.
    """

    port: int
    came: list[socket.socket] = field(factory=list)


@contextmanager
def named(name: bytes) -> Iterator[Named]:
    """One for the time of a block."""
    with socket.create_server(("127.0.0.1", 0)) as listening, ExitStack() as stack:
        it = Named(listening.getsockname()[1])

        def work() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                it.came.append(stack.enter_context(connection))
                connection.sendall(name)
                Thread(target=stay, args=[connection], daemon=True).start()

        def stay(connection: socket.socket) -> None:
            everything(connection)
            connection.close()

        thread = Thread(target=work, daemon=True)
        thread.start()
        yield it
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE)


@contextmanager
def deaf() -> Iterator[int]:
    """A port whose queue is full: the kernel answers nobody who knocks, as a firewall that drops does."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listening, socket.socket() as first:
        first.connect(listening.getsockname())
        yield listening.getsockname()[1]


def to(*ports: int) -> tuple[str, str]:
    """Backends."""
    return "--to", ",".join(f"tcp:127.0.0.1:{port}" for port in ports)


class Clients:
    """Clients of a relay, each of which has heard who serves it.

    Args:
        server: the relay.
    """

    def __init__(self, server: Server) -> None:
        (self.port,) = server.ports()
        self.server = server
        self.gone = 0
        self.held: list[tuple[bytes, socket.socket]] = []

    def come(self) -> bytes:
        """One more; who serves it."""
        made = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        self.held.append((made.recv(1), made))
        return self.held[-1][0]

    def go(self, name: bytes) -> None:
        """All that this one serves leave, and the relay has seen it."""
        for each in [each for each in self.held if each[0] == name]:
            self.held.remove(each)
            each[1].close()
            self.gone += 1
        self.server.wait_for("closed", self.gone)

    def end(self) -> None:
        """All leave."""
        for name in {each[0] for each in self.held}:
            self.go(name)


def test_the_fewest_connections_win_or_all_take_turns(tmp_path: Path) -> None:
    """Whoever has lost its clients gets the next ones, where connections are counted; else it is anybody's turn."""
    with named(b"a") as one, named(b"b") as other:
        with relaying(*to(one.port, other.port), "--balance", "least-connections", cwd=tmp_path) as server:
            clients = Clients(server)
            assert sorted(clients.come() for _ in range(6)) == [b"a"] * 3 + [b"b"] * 3
            clients.go(b"a")
            assert [clients.come() for _ in range(3)] == [b"a"] * 3
            clients.go(b"b")
            assert [clients.come() for _ in range(3)] == [b"b"] * 3
            clients.end()
        with relaying(*to(one.port, other.port), cwd=tmp_path) as server:
            clients = Clients(server)
            assert [clients.come() for _ in range(4)] == [b"a", b"b"] * 2
            clients.go(b"a")
            assert [clients.come() for _ in range(4)] == [b"a", b"b"] * 2
            clients.end()


@pytest.mark.parametrize("transport", ["native", "stock"])
def test_who_does_not_answer_in_time_is_passed_over(transport: str, tmp_path: Path) -> None:
    """The client notices nothing but the time; the log says who it was, and why."""
    words = ["--connect-within", "400ms", "--transport", transport]
    with deaf() as mute, backend(counting) as port, relaying(*to(mute, port), *words, cwd=tmp_path) as server:
        began = monotonic()
        assert talk(server.ports()[0], b"hello") == b"5 bytes"
        assert 0.4 <= monotonic() - began < PATIENCE
        (told,) = server.wait_for("unreachable")
        (closed,) = server.wait_for("closed")
    assert told["backend"] == f"tcp:127.0.0.1:{mute}"
    assert "it took more than 0.4 s" in told["reason"]
    assert closed["backend"] == f"tcp:127.0.0.1:{port}"


def test_who_has_had_the_connection_is_not_replaced(tmp_path: Path) -> None:
    """Although it ends without a word: it may have acted on what it was told."""

    def rude(connection: socket.socket) -> None:
        heard.append(connection.recv(100))

    heard: list[bytes] = []
    with backend(rude) as port, named(b"b") as other, relaying(*to(port, other.port), cwd=tmp_path) as server:
        assert talk(server.ports()[0], b"hello") == b""
        server.wait_for("closed")
        assert (heard, other.came) == ([b"hello"], [])


def _heard(port: int) -> bytes:
    """What a client hears that says nothing."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
        heard = b""
        while more := client.recv(100):
            heard += more
        return heard


@pytest.mark.parametrize("transport", ["native", "stock"])
@pytest.mark.parametrize("style", ["close", "reset", "text:come back"])
def test_a_client_without_a_backend_is_told_in_the_style_of_the_listener(
    style: str, transport: str, tmp_path: Path
) -> None:
    """Closed, reset or told, as those are that a guard refuses."""
    words = ["--check", "100ms", "--refusal", style, "--transport", transport]
    with relaying(*to(free_port()), *words, cwd=tmp_path) as server:
        server.wait_for("backend_down")
        if style == "reset":
            with pytest.raises(ConnectionResetError):  # perhaps before its connect has returned
                _heard(server.ports()[0])
        else:
            assert _heard(server.ports()[0]) == (b"come back\r\n" if "text" in style else b"")
        (cut,) = server.wait_for("cut")
    assert cut["option"] == "to"


def late(days: int) -> datetime:
    """So many days from now."""
    return datetime.now(UTC) + timedelta(days=days)


@pytest.mark.parametrize("wrong", ["the authority", "the name", "the time", "nothing"])
def test_only_who_is_verified_hears_a_client(wrong: str, tmp_path: Path) -> None:
    """Not a byte goes to another; the client is refused, and the log says why."""
    ours, theirs = trustme.CA(), trustme.CA()
    by = theirs if wrong == "the authority" else ours
    name = "other.example" if wrong == "the name" else "localhost"
    past: dict[str, Any] = {"not_before": late(-9), "not_after": late(-1)} if wrong == "the time" else {}
    roots = tmp_path / "roots"
    roots.mkdir()
    ours.cert_pem.write_to_path(str(roots / "ca.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    by.issue_cert(name, **past).configure_cert(context)
    heard: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        try:
            with context.wrap_socket(connection, server_side=True) as inside:
                heard.append(inside.recv(100))
                inside.sendall(b"welcome")
        except OSError:
            heard.append(b"")

    with backend(serve) as port:
        tls = rf"tls:localhost:{port}:trustRoots={roots}:endpoint=tcp\:127.0.0.1\:{port}"
        with relaying("--to", tls, cwd=tmp_path) as server:
            with socket.create_connection(("127.0.0.1", server.ports()[0]), PATIENCE) as client:
                client.sendall(b"secret")
                answer = everything(client)
            assert answer == (b"welcome" if wrong == "nothing" else b"")
            server.wait_for("closed" if wrong == "nothing" else "unreachable")
    assert heard == [b"secret" if wrong == "nothing" else b""]


def test_without_splice_bytes_are_copied(tmp_path: Path) -> None:
    """On a system, or a Python, that has none."""
    (tmp_path / "sitecustomize.py").write_text("import os\ndel os.splice\n")
    many = 8 * 1024 * 1024
    with backend(counting) as port, relaying(*to(port), cwd=tmp_path) as server:
        assert talk(server.ports()[0], b"x" * many) == b"%d bytes" % many
        (closed,) = server.wait_for("closed")
    assert closed["bytes_in"] == many


def test_several_ports_lead_to_the_same_backends(tmp_path: Path) -> None:
    """One in clear, one inside TLS, one of this machine alone; limits count them together."""
    authority = trustme.CA()
    pem = tmp_path / "server.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(pem))
    pem.chmod(0o600)
    more = ["--refusal", "reset", "--control", "ctl"]
    listens = ["--listen", "tls:0:interface=127.0.0.1", "--listen", "unix:door", "--tls", str(pem)]
    with (
        backend(counting) as port,
        relaying(*to(port), *listens, "--max-connections", "1", *more, cwd=tmp_path) as server,
    ):
        told = server.wait_for("listening", 3)
        plain, secure = (each["server.port"] for each in told if "server.port" in each)
        assert talk(plain, b"12345") == b"5 bytes"
        server.wait_for("closed", 1)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(tmp_path / "door"))
            client.sendall(b"123")
            until(lambda: ctl(tmp_path, "status")["connections"] == 1)
            with pytest.raises(ConnectionResetError):  # perhaps before its connect has returned
                _heard(plain)
            client.shutdown(socket.SHUT_WR)
            assert everything(client) == b"3 bytes"
        server.wait_for("closed", 2)
        with (
            socket.create_connection(("127.0.0.1", secure), PATIENCE) as raw,
            trusting(authority).wrap_socket(raw, server_hostname="localhost") as inside,
        ):
            inside.sendall(b"1234567")
            assert inside.unwrap().recv(1) == b""
        server.wait_for("closed", 3)
