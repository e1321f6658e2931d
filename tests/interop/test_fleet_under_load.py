"""A Redis that is killed, paused and slowed while clients come to all three machines without a break."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

import pytest
from attrs import define

from tests.interop.test_fleet import Machine, close, full, machines, throttled, until
from tests.popserver import PATIENCE, Peer, Site
from tests.programs import needs
from tests.redisserver import redis

pytestmark = needs("redis-server")
SOME = 20
"""So many are served by each machine, and nobody is turned away, in each state of the ledger."""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """The mail that all machines serve."""
    return Site.make(tmp_path, {"one": b"Subject: one\n\n1\n"})


class Callers:
    """Clients that come to one machine, are greeted and leave, one after the other, each from another place.

    Attributes:
        served: how many were.
        wrong: what they saw that should not be.
    """

    def __init__(self, machine: Machine, number: int, stopped: Event) -> None:
        self.served = 0
        self.wrong: list[object] = []
        self.thread = Thread(target=self._call, args=(machine.port, number, stopped))
        self.thread.start()

    def _call(self, port: int, number: int, stopped: Event) -> None:
        while not stopped.is_set():
            source = f"127.{number + 1}.{self.served // 200 % 200}.{self.served % 200 + 1}"
            try:
                with Peer(port, source=source) as peer:
                    said: tuple[bytes, ...] = peer.greeting[:3], peer.ask(b"QUIT")[:3]
            except OSError as why:
                said = (repr(why).encode(),)
            if set(said) == {b"+OK"}:
                self.served += 1
            else:
                self.wrong.append(said)
                return


@define
class Load:
    """The callers of all machines."""

    callers: list[Callers]

    def goes_on(self) -> None:
        """Wait until everybody has served some more, and see that nobody was turned away."""
        before = [each.served for each in self.callers]
        until(
            lambda: all(each.wrong or each.served >= had + SOME for each, had in zip(self.callers, before, strict=True))
        )
        assert [each.wrong for each in self.callers] == [[]] * len(self.callers)


@contextmanager
def under_load(everybody: list[Machine]) -> Iterator[Load]:
    """Callers of each machine, for the time of a block."""
    stopped = Event()
    load = Load([Callers(each, number, stopped) for number, each in enumerate(everybody)])
    try:
        load.goes_on()
        yield load
        load.goes_on()
    finally:
        stopped.set()
        for each in load.callers:
            each.thread.join(PATIENCE)


def counted_together(everybody: list[Machine]) -> None:
    """See that what a peer has at one machine counts at all of them."""
    until(lambda: not full(everybody))
    held = [until(each.comes) for each in everybody]
    until(lambda: full(everybody))
    close(*held)


def test_redis_is_killed_and_paused_under_load(site: Site) -> None:
    """Nobody is turned away or waits for it; each trouble is told once by each; afterwards it counts as before."""
    with redis(site.folder) as server, machines(site, server.url(), "--max-per-peer", "3") as everybody:
        with under_load(everybody) as load:
            server.stop()
            load.goes_on()
            for each in everybody:
                each.server.wait_for("ledger_lost")
            load.goes_on()
            server.start()
            for each in everybody:
                each.server.wait_for("ledger_joined", 2)
            counted_together(everybody)
            server.send(signal.SIGSTOP)
            load.goes_on()
            for each in everybody:
                each.server.wait_for("ledger_lost", 2)
            load.goes_on()
            server.send(signal.SIGCONT)
            for each in everybody:
                each.server.wait_for("ledger_joined", 3)
            counted_together(everybody)
        for each in everybody:
            assert len(each.server.events("ledger_lost")) == 2


def test_redis_is_slowed_under_load(site: Site) -> None:
    """Some KiB a second between: limits are later, and nobody is turned away or waits."""
    with redis(site.folder) as server, throttled(server.port, 4096) as port:
        slow = server.url().replace(f":{server.port}", f":{port}")
        with machines(site, slow, "--max-per-peer", "3") as everybody, under_load(everybody) as load:
            load.goes_on()
            counted_together(everybody)
