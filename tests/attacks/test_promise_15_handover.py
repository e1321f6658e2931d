"""Promise 15, handed over: ten thousand connect while one instance takes over from another, and nobody is refused."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from attrs import define, field

from tests.popserver import PATIENCE, Server, Site
from tests.programs import free_port

ALL = 10_000
CALLERS = 8


@define
class Caller:
    """Connects again and again, and waits for the greeting each time.

    Args:
        port: where.
        least: how often, at least.
    """

    port: int
    least: int
    enough: bool = False
    greeted: int = 0
    troubles: list[str] = field(factory=list)

    def call(self) -> None:
        """Until it has been often enough, and the hand-over is over."""
        while self.greeted + len(self.troubles) < self.least or not self.enough:
            try:
                with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as peer:
                    greeting = peer.recv(100)
            except OSError as why:
                self.troubles.append(str(why))
                continue
            if greeting.startswith(b"+OK"):
                self.greeted += 1
            else:
                self.troubles.append(repr(greeting))


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    """Instances; what still runs at the end is killed."""
    started: list[Server] = []
    yield started
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
        each.process.wait()


@pytest.mark.slow
def test_ten_thousand_connect_across_hand_overs_and_nobody_is_refused(tmp_path: Path, servers: list[Server]) -> None:
    """Three times in a row; each of them is greeted by one instance or the other."""
    site = Site.make(tmp_path)
    port = free_port()
    limits = [
        f"--{name}=off" for name in ("max-connections", "max-per-peer", "connect-rate-per-peer", "shed", "penalty")
    ]
    words = [
        *site.options,
        "--listen",
        f"tcp:{port}:interface=127.0.0.1",
        "--control",
        "ctl",
        "--lock",
        "lock",
        *limits,
    ]
    servers.append(Server.start(*words, cwd=site.folder))
    servers[0].wait_for("started")
    callers = [Caller(port, ALL // CALLERS) for _ in range(CALLERS)]
    threads = [Thread(target=each.call) for each in callers]
    for each in threads:
        each.start()
    try:
        for _ in range(3):
            servers.append(Server.start(*words, "--take-over", "ctl", cwd=site.folder))
            servers[-1].wait_for("taken_over")
            assert servers[-2].process.wait(PATIENCE) == 0
    finally:
        for caller in callers:
            caller.enough = True
        for each in threads:
            each.join()
    assert [trouble for each in callers for trouble in each.troubles] == []
    assert sum(each.greeted for each in callers) >= ALL
    assert servers[-1].stop() == 0
    told = [event for server in servers for event in server.events("stopped")]
    assert [each["cut"] for each in told] == [0] * 4
