"""Three netguard processes as three machines, with one real Redis between them: ended, paused and slowed, too."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
from attrs import define

from netguard.process.control_client import ControlClient
from tests.popserver import PATIENCE, Peer, Server, Site, serving
from tests.programs import needs
from tests.redisserver import PASSWORD, USER, Redis, redis, redis_with_tls, with_user

pytestmark = needs("redis-server")
WITHIN = 0.3
LEASE = 3.0
CROWDED, MOB = "127.0.0.2", "127.0.0.3"


@define
class Machine:
    """One of the processes.

    Args:
        server: the process.
        port: where it listens.
        control: its control socket.
    """

    server: Server
    port: int
    control: Path

    def ask(self, *words: str) -> Any:
        """What it says to a command of operators."""
        with ControlClient(str(self.control)) as client:
            return client.ask(words)

    @property
    def ledger(self) -> dict[str, Any]:
        """How it stands with the ledger."""
        found: dict[str, Any] = self.ask("status")["ledger"]
        return found

    def comes(self, source: str = CROWDED) -> Peer | None:
        """A connection from there; None when it was refused."""
        peer = Peer(self.port, source=source)
        if peer.greeting.startswith(b"+OK"):
            return peer
        peer.socket.close()
        return None


def until(true: Callable[[], Any], within: float = PATIENCE) -> Any:
    """Wait until something is so."""
    end = monotonic() + within
    while not (found := true()):
        assert monotonic() < end, "it did not come about"
        sleep(0.02)
    return found


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """The mail that all machines serve."""
    return Site.make(tmp_path, {"one": b"Subject: one\n\n1\n"})


@contextmanager
def machines(site: Site, url: str, *words: str, count: int = 3) -> Iterator[list[Machine]]:
    """So many machines, each of which knows of the others."""
    with ExitStack() as stack:
        found = []
        for number in range(count):
            control = site.folder / f"ctl-{number}"
            server = stack.enter_context(
                serving(
                    *site.options, "--listen", "tcp:0:interface=127.0.0.1", "--ledger", url, "--control", str(control),
                    "--penalty-exempt", "192.0.2.0/24", *words, cwd=site.folder,
                )
            )  # fmt: skip
            found.append(Machine(server, 0, control))
        for each in found:
            each.port = each.server.ports()[0]
            each.server.wait_for("ledger_joined")
        for each in found:
            until(lambda each=each: each.ledger["machines"] == count - 1)
        yield found


def close(*peers: Peer | None) -> None:
    """End connections."""
    for each in peers:
        assert each is not None
        each.socket.close()


def test_a_peer_is_counted_over_all_machines_and_dead_ones_give_back_what_they_had(site: Site) -> None:
    """Five in all, whichever machine they come to. One that is killed has them until its lease ends."""
    with redis(site.folder) as server, machines(site, server.url(), "--max-per-peer", "5") as three:
        first, second, third = three
        held = [first.comes(), first.comes(), second.comes(), second.comes(), third.comes()]
        assert all(held)
        until(lambda: [each.comes() for each in three] == [None] * 3, WITHIN)
        close(third.comes(MOB))
        told = third.server.wait_for("refused", **{"client.address": CROWDED})[0]
        assert (told["option"], told["limit"], told["observed"]) == ("max-per-peer", "5", "6")
        close(*held)
