"""`twistd netguard-relay --workers` as processes, and its TLS over a reload."""

from __future__ import annotations

import signal
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from netguard.units import Prefix
from netguard.workers.steering import worker_of
from tests.crewserver import ctl, kill, pids, until
from tests.pemfiles import issued
from tests.plugins.test_relay import FREE, everything, relaying, trusting
from tests.plugins.test_relay_backends import named
from tests.popserver import PATIENCE, Server

SOURCES = [f"127.0.0.{n}" for n in range(1, 9)]
QUIET = ["--max-per-peer", "off", "--control", "ctl"]


def at(worker: int) -> list[str]:
    """Those of the sources whom this one of two workers has."""
    return [each for each in SOURCES if worker_of(each, 2, Prefix()) == worker - 1]


@contextmanager
def crew(*words: str, port: int, cwd: Path) -> Iterator[Server]:
    """A relay of two workers, once both serve."""
    with relaying("--to", f"tcp:127.0.0.1:{port}", "--workers", "2", *QUIET, *words, cwd=cwd) as server:
        server.wait_for("started")
        yield server


def come(server: Server, source: str) -> socket.socket:
    """A client from there."""
    return socket.create_connection(("127.0.0.1", server.ports()[0]), PATIENCE, (source, 0))


def test_workers_relay_and_one_that_dies_loses_its_own_alone(tmp_path: Path) -> None:
    """Its successor serves those who come afterwards; what the others pass on is whole."""
    with named(b"a") as it, crew(port=it.port, cwd=tmp_path) as server, ExitStack() as stack:
        workers = pids(server)
        dying, staying = (stack.enter_context(come(server, at(number)[0])) for number in (1, 2))
        assert (dying.recv(1), staying.recv(1)) == (b"a", b"a")
        until(lambda: [each["connections"] for each in ctl(tmp_path, "status")["workers"]] == [1, 1])
        kill(workers[1])
        assert everything(dying) == b""
        (told,) = server.wait_for("worker_ended")
        assert (told["worker"], told["connections"]) == (1, 1)
        with come(server, at(1)[0]) as later:
            assert later.recv(1) == b"a"
            after = pids(server, 3)
            assert (after[1] != workers[1], after[2]) == (True, workers[2])
        staying.sendall(b"still there?")
        staying.shutdown(socket.SHUT_WR)
        assert everything(staying) == b""
        until(lambda: ctl(tmp_path, "status")["connections"] == 0)


def test_the_total_is_exact_to_one_connection_a_worker(tmp_path: Path) -> None:
    """Of a relay, too; whoever is refused costs the backend nothing."""
    with named(b"a") as it, crew("--max-connections", "10", port=it.port, cwd=tmp_path) as server, ExitStack() as stack:
        served = [each for source in SOURCES for _ in range(3) if (each := _served(server, source, stack)) is not None]
        assert 10 <= len(served) <= 12
        assert len(it.came) == len(served)
        assert ctl(tmp_path, "status")["connections"] == len(served)


def _served(server: Server, source: str, stack: ExitStack) -> socket.socket | None:
    """A client that is served; who is not may be reset before its connect has returned."""
    try:
        client = stack.enter_context(come(server, source))
        return client if client.recv(1) == b"a" else None
    except ConnectionResetError:
        return None


def test_each_worker_sees_by_itself_who_is_up(tmp_path: Path) -> None:
    """And all of them drain together."""
    with named(b"a") as it:
        port = it.port
    with crew("--check", "100ms", "--refusal", "text:later", port=port, cwd=tmp_path) as server:
        server.wait_for("backend_down", 2)
        for source in (at(1)[0], at(2)[0]):
            with come(server, source) as client:
                assert everything(client) == b"later\r\n"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("transport", ["native", "stock"])
def test_sessions_are_resumed_until_a_reload(transport: str, version: ssl.TLSVersion, tmp_path: Path) -> None:
    """Tickets of before are of no use then; the next ones are."""
    authority = trustme.CA()
    words = ["--tls", str(issued(tmp_path / "server.pem", authority, "localhost")), "--transport", transport]
    tls, session, seen = trusting(authority), None, list[bool]()
    tls.minimum_version = tls.maximum_version = version

    def again() -> Any:
        with (
            socket.create_connection(("127.0.0.1", server.ports()[0]), PATIENCE) as raw,
            tls.wrap_socket(raw, server_hostname="localhost", session=session) as inside,
        ):
            assert inside.recv(1) == b"a"
            seen.append(bool(inside.session_reused))
            return inside.session

    listen = FREE.replace("tcp:", "tls:")
    with named(b"a") as it, relaying(*words, "--to", f"tcp:127.0.0.1:{it.port}", cwd=tmp_path, listen=listen) as server:
        for turn in range(5):
            if turn == 3:
                server.process.send_signal(signal.SIGHUP)
                server.wait_for("reloaded")
            session = again()
        server.wait_for("closed", 5)
    assert seen == [False, True, True, False, True]
