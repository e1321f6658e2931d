"""Promise 9: what a ledger answers is bounded, whatever is behind its port, and the service does not notice."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread

import pytest

from netguard.process.control_client import ControlClient
from tests.popserver import PATIENCE, Peer, Site, serving
from tests.programs import LOOPBACK

MOST = 48 * 1024 * 1024


@contextmanager
def endless(line: bytes) -> Iterator[tuple[int, list[int]]]:
    """A server that sends this for ever to whoever comes; its port, and how much each connection took."""
    stopped, took = Event(), list[int]()
    listening = socket.create_server((LOOPBACK, 0))
    listening.settimeout(0.1)

    def serve() -> None:
        while not stopped.is_set():
            with suppress(OSError):
                client, _ = listening.accept()
                client.settimeout(5)
                took.append(0)
                with client, suppress(OSError):
                    while not stopped.is_set():
                        took[-1] += client.send(line * (65_536 // len(line) + 1))

    thread = Thread(target=serve)
    thread.start()
    try:
        yield listening.getsockname()[1], took
    finally:
        stopped.set()
        thread.join(PATIENCE)
        listening.close()


@pytest.mark.parametrize("line", [b" !\"#$%&'()*+,-./0123456789\r\n", b"+OK\r\n", b"$1000000\r\n", b"*1\r\n", b"\0"])
def test_a_chargen_behind_the_ledgers_port(tmp_path: Path, line: bytes) -> None:
    """It is told once, each try ends after a bounded number of bytes, and mail is served as ever."""
    site = Site.make(tmp_path, {"one": b"Subject: one\n\n1\n"})
    with endless(line) as (port, took):
        ledger = ("--ledger", f"redis://{LOOPBACK}:{port}?within=100ms", "--control", "control")
        with serving(*site.options, "--listen", "tcp:0:interface=127.0.0.1", *ledger, cwd=tmp_path) as server:
            (lost,) = server.wait_for("ledger_lost")
            mail = server.ports()[0]
            while len(took) < 3:
                with Peer(mail) as peer:
                    assert peer.apop().startswith(b"+OK")
                    assert peer.ask(b"STAT").startswith(b"+OK 1")
                    assert peer.ask(b"QUIT").startswith(b"+OK")
            with ControlClient(str(tmp_path / "control")) as client:
                status = client.ask(["status"])
            assert len(server.events("ledger_lost")) == 1
        assert lost["reason"].startswith("what answers is no Redis: ")
        assert (status["ledger"]["joined"], status["ledger"]["machines"]) == (False, 0)
        assert max(took) < MOST
        assert status["rss"] < 4 * MOST
