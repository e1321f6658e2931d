"""Promise 9, of netguard-relay: what either side does with amounts costs the relay a bounded amount, and ends."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from netguard.relay.pipes import MOST
from tests.popserver import PATIENCE, Server, serving
from tests.programs import free_port

MANY = 40
MEBIBYTE = 1024 * 1024
EACH = 512 * 1024
"""More than a connection may cost: what both its transports hold, and Python's objects around that."""

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="/proc tells what a process uses")


@contextmanager
def backend(serve: Callable[[socket.socket], object]) -> Iterator[int]:
    """A server that has a thread for each connection; it closes them all in the end."""
    connections: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def work(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            serve(connection)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                connections.append(connection)
                threads.append(threading.Thread(target=work, args=[connection], daemon=True))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0), backlog=MANY) as listening:
        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        accepting.join(PATIENCE)
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for each in threads:
            each.join(PATIENCE)


@contextmanager
def relaying(port: int, *words: str, cwd: Path) -> Iterator[tuple[Server, int]]:
    """A relay to it, on a free port."""
    words = ("--listen", "tcp:0:interface=127.0.0.1", "--to", f"tcp:127.0.0.1:{port}", *words)
    with serving(*words, cwd=cwd, service="netguard-relay") as server:
        front = server.ports()[0]
        with socket.create_connection(("127.0.0.1", front), PATIENCE):
            pass
        server.out.wait(lambda _: server.events("closed", "cut"))  # now it runs, and has open what it needs for that
        yield server, front


def memory(server: Server) -> int:
    """Bytes of it that are in memory."""
    return int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]) * 4096


def files(server: Server) -> tuple[int, int]:
    """How many it has open, pipes and others."""
    kinds: list[str] = []
    for each in Path(f"/proc/{server.process.pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it has been closed by now
            kinds.append(str(each.readlink()))
    pipes = sum(each.startswith("pipe:") for each in kinds)
    return pipes, len(kinds) - pipes


def leaves_nothing_open(server: Server, before: tuple[int, int]) -> None:
    """Wait until it has no more files open than before, but for the pipes that it keeps to move bytes through."""
    most = before[0] + 2 * MOST, before[1]
    end = time.monotonic() + PATIENCE
    while any(now > then for now, then in zip(files(server), most, strict=True)):
        assert time.monotonic() < end, f"{files(server)} files are open, and {before} were before"
        time.sleep(0.02)


def firehose(connection: socket.socket) -> None:
    """Sends without an end."""
    while True:
        connection.sendall(bytes(MEBIBYTE))


def deaf(_: socket.socket) -> None:
    """Reads nothing, and waits."""
    threading.Event().wait(PATIENCE / 3)


def filled(connection: socket.socket) -> None:
    """Send until nobody takes any more; then wait for the end."""
    connection.settimeout(PATIENCE)
    with suppress(OSError):
        while True:
            connection.sendall(bytes(MEBIBYTE))


@pytest.mark.parametrize("transport", ["native", "stock"])
def test_clients_that_do_not_read_a_firehose(transport: str, tmp_path: Path) -> None:
    """They hold it up, each for itself, at a bounded cost, and are cut."""
    words = ["--write-stall", "2s", "--transport", transport]
    with backend(firehose) as port, relaying(port, *words, cwd=tmp_path) as (server, front), ExitStack() as stack:
        before, open_before = memory(server), files(server)
        for _ in range(MANY):
            stack.enter_context(socket.create_connection(("127.0.0.1", front), PATIENCE))
        server.wait_for("cut", MANY, option="write-stall")
        assert memory(server) - before < MANY * EACH
        leaves_nothing_open(server, open_before)


@pytest.mark.parametrize("transport", ["native", "stock"])
def test_a_backend_that_does_not_read(transport: str, tmp_path: Path) -> None:
    """Its clients are held up, at a bounded cost, and then cut: no guard of theirs would see it."""
    words = ["--write-stall", "2s", "--transport", transport]
    with backend(deaf) as port, relaying(port, *words, cwd=tmp_path) as (server, front), ExitStack() as stack:
        before = memory(server)
        clients = [
            stack.enter_context(socket.create_connection(("127.0.0.1", front), PATIENCE)) for _ in range(MANY // 4)
        ]
        threads = [threading.Thread(target=filled, args=[each], daemon=True) for each in clients]
        for each in threads:
            each.start()
        told = server.wait_for("cut", len(clients), option="write-stall")
        assert all(each["reason"].startswith("the backend stopped reading") for each in told)
        assert memory(server) - before < len(clients) * EACH + MEBIBYTE
        for each in threads:
            each.join(PATIENCE)
            assert not each.is_alive()


def test_a_flood_while_no_backend_is_there(tmp_path: Path) -> None:
    """Each is ended, nothing is left behind, and the log stays short where it can."""
    with relaying(free_port(), "--max-per-peer", "off", cwd=tmp_path) as (server, front):
        before = files(server)
        for _ in range(300):
            with socket.create_connection(("127.0.0.1", front), PATIENCE) as client, suppress(ConnectionResetError):
                client.sendall(b"hello")
                assert client.recv(1) == b""
        server.wait_for("cut", 300 + 1, option="to")
        leaves_nothing_open(server, before)
        told = server.wait_for("unreachable", 2)
        assert len(told) < 300
        assert memory(server) < 200 * MEBIBYTE


def test_a_client_that_resets_in_the_middle_of_everything(tmp_path: Path) -> None:
    """Before a backend is there, while one is being reached, and while bytes pass: nothing is left of it."""
    with backend(firehose) as port, relaying(port, "--max-per-peer", "off", cwd=tmp_path) as (server, front):
        before = files(server)
        for turn in range(60):
            client = socket.create_connection(("127.0.0.1", front), PATIENCE)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.sendall(b"x" * (turn % 3))
            if turn % 2:
                client.recv(1 + turn * 1000)
            client.close()
        server.wait_for("closed", 60 + 1)
        with socket.create_connection(("127.0.0.1", front), PATIENCE) as client:
            assert client.recv(1) == b"\0"  # it serves
        server.wait_for("closed", 61 + 1)
        leaves_nothing_open(server, before)


def test_garbage_byte_by_byte_comes_as_it_was(tmp_path: Path) -> None:
    """The relay has no opinion of it."""
    everything = bytes(range(256)) * 8

    def mirror(connection: socket.socket) -> None:
        while got := connection.recv(1):
            connection.sendall(got)

    with backend(mirror) as port, relaying(port, cwd=tmp_path) as (_, front):
        with socket.create_connection(("127.0.0.1", front), PATIENCE) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for each in everything:
                client.sendall(bytes([each]))
            client.shutdown(socket.SHUT_WR)
            got = b""
            while more := client.recv(4096):
                got += more
        assert got == everything
