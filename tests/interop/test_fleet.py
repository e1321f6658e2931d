"""Three netguard processes as three machines, with one real Redis between them: ended, paused and slowed, too."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Event, Thread
from time import monotonic, sleep
from typing import Any

import pytest
from attrs import define

from netguard.process.control_client import ControlClient
from tests.popserver import PATIENCE, Peer, Server, Site, serving
from tests.programs import LOOPBACK, needs, private
from tests.redisserver import PASSWORD, USER, redis, redis_with_tls, with_user

pytestmark = needs("redis-server")
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

    def knows(self, machines: int) -> bool:
        """Whether it knows of so many others."""
        return bool(self.ledger["machines"] == machines)

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


def options(site: Site, url: str, number: int) -> list[str]:
    """The options of one machine."""
    control = ["--control", str(site.folder / f"ctl-{number}"), "--penalty-exempt", "192.0.2.0/24"]
    return [*site.options, "--listen", "tcp:0:interface=127.0.0.1", "--ledger", url, *control]


@contextmanager
def machines(site: Site, url: str, *words: str, count: int = 3, known: int = 0) -> Iterator[list[Machine]]:
    """So many machines, each of which knows of the others, and of those that were there before."""
    with ExitStack() as stack:
        found = []
        for number in range(known, known + count):
            server = stack.enter_context(serving(*options(site, url, number), *words, cwd=site.folder))
            found.append(Machine(server, 0, site.folder / f"ctl-{number}"))
        for each in found:
            each.port = each.server.ports()[0]
            each.server.wait_for("ledger_joined")
        for each in found:
            until(partial(each.knows, known + count - 1))
        yield found


def close(*peers: Peer | None) -> None:
    """End connections."""
    for each in peers:
        assert each is not None
        each.socket.close()


@contextmanager
def throttled(port: int, rate: int) -> Iterator[int]:
    """A port that leads to another one, at so many bytes a second in each direction, all connections together."""
    stopped = Event()
    listening = socket.create_server((LOOPBACK, 0))
    listening.settimeout(0.1)
    threads: list[Thread] = []

    def carry(source: socket.socket, sink: socket.socket) -> None:
        source.settimeout(0.1)
        with source, sink, suppress(OSError):
            while not stopped.is_set():
                try:
                    data = source.recv(256)
                except TimeoutError:
                    continue
                if not data:
                    break
                stopped.wait(len(data) / rate)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_RDWR)

    def accept() -> None:
        while not stopped.is_set():
            try:
                client, _ = listening.accept()
            except TimeoutError:
                continue
            server = socket.create_connection((LOOPBACK, port))
            for pair in ((client, server), (server.dup(), client.dup())):
                threads.append(Thread(target=carry, args=pair))
                threads[-1].start()

    threads.append(Thread(target=accept))
    threads[0].start()
    try:
        yield listening.getsockname()[1]
    finally:
        stopped.set()
        for each in threads:
            each.join(PATIENCE)
        listening.close()


def full(everybody: list[Machine], source: str = CROWDED) -> bool:
    """Whether nobody more comes in from there, at any of them; whoever does leaves at once."""
    came = [each.comes(source) for each in everybody]
    for peer in came:
        if peer is not None:
            peer.socket.close()
    return came == [None] * len(everybody)


def test_a_peer_is_counted_over_all_machines_and_dead_ones_give_back_what_they_had(site: Site) -> None:
    """Five in all, whichever machine they come to. One that is killed has them until its lease ends."""
    with redis(site.folder) as server, machines(site, server.url(), "--max-per-peer", "5") as everybody:
        first, second, third = everybody
        mortal = Server.start(*options(site, server.url(), 9), "--max-per-peer", "5", cwd=site.folder)
        try:
            held = [each.comes() for each in (first, first, second)]
            doomed = Machine(mortal, mortal.ports()[0], site.folder / "ctl-9")
            until(partial(doomed.knows, 3))
            held += [doomed.comes(), doomed.comes()]
            until(lambda: full([first, second, third]))
            close(third.comes(MOB))
            told = third.server.wait_for("refused", 1, **{"client.address": CROWDED})[0]
            assert (told["option"], told["limit"]) == ("max-per-peer", "5")
            close(held.pop())
            until(lambda: not full([third]))
            held.append(until(third.comes))
            after = [third.comes(each) for each in (MOB, "127.0.0.4")]  # who knows of them knows of the one before
            until(lambda: [first.ledger["peers"], second.ledger["peers"]] == [3, 3])
            assert full([first, second, third])
        finally:
            mortal.process.kill()
            mortal.process.wait(PATIENCE)
        died = monotonic()
        assert full([first, second, third])
        held.append(until(first.comes))
        assert LEASE / 2 < monotonic() - died < LEASE + 10
        until(lambda: full([first, second, third]))
        close(*after, *held)
        until(lambda: not full([third]))


def test_what_drifts_is_what_comes_within_an_exchange(site: Site) -> None:
    """Everybody comes everywhere at once, as the worst client does: each machine lets in its own limit, and no more."""
    most, count = 8, 3
    with redis(site.folder) as server, machines(site, server.url(), "--max-per-peer", str(most)) as everybody:
        came = [each.comes() for _ in range(most + 2) for each in everybody]
        held = [each for each in came if each is not None]
        assert most <= len(held) <= most * count
        until(lambda: full(everybody))
        for peer in held[: len(held) - most + 1]:
            peer.socket.close()
        more = [until(everybody[0].comes)]
        until(lambda: full(everybody))
        close(*held[len(held) - most + 1 :], *more)


def test_a_penalty_of_one_machine_holds_on_all_and_so_does_a_pardon(site: Site) -> None:
    """Within the time; who comes later learns of it; and what an operator pardons at one is pardoned at all."""
    with redis(site.folder) as server, machines(site, server.url(), "--penalty", "2/10m") as everybody:
        first, second, third = everybody
        for _ in range(3):
            peer = until(first.comes)
            assert peer.apop(secret="wrong").startswith(b"-ERR")
            peer.socket.close()
        first.server.wait_for("penalised")
        until(lambda: full(everybody))
        row = third.ask("penalties")["penalties"][0]
        assert (row["peer"], row["times"], row["kinds"]) == (CROWDED, 1, ["failed-login"])
        with machines(site, server.url(), "--penalty", "2/10m", count=1, known=3) as (late,):
            until(lambda: full([late]))
            assert second.server.events("penalised") == []
            late.ask("clear", CROWDED)
            until(lambda: not any(full([each]) for each in [*everybody, late]))


def test_a_rate_is_one_rate_over_all_machines(site: Site) -> None:
    """Who has used it up at one has used it up at all."""
    with redis(site.folder) as server:
        rate = ("--connect-rate-per-peer", "6/h", "--max-per-peer", "off")
        with machines(site, server.url(), *rate) as everybody:
            for _ in range(2):
                for each in everybody:
                    close(each.comes())
            until(lambda: full(everybody))
            everybody[2].server.wait_for("refused")
            assert {each["option"] for each in everybody[2].server.events("refused")} == {"connect-rate-per-peer"}
            close(everybody[0].comes(MOB))


def test_redis_is_killed_comes_back_empty_and_heals(site: Site) -> None:
    """Local limits hold meanwhile; it is told once; and then everything is there again."""
    with redis(site.folder) as server, machines(site, server.url(), "--max-per-peer", "3") as everybody:
        first, second, third = everybody
        held = [first.comes(), second.comes()]
        server.stop()
        for each in everybody:
            each.server.wait_for("ledger_lost")
        until(lambda: [each.ledger["peers"] for each in everybody] == [0] * 3)
        held += [third.comes(), third.comes(), third.comes()]
        assert full([third])
        assert not full([first])
        server.start()
        for each in everybody:
            each.server.wait_for("ledger_joined", 2)
        until(lambda: full(everybody))
        for each in everybody:
            assert len(each.server.events("ledger_lost")) == 1
        close(*held)


def test_redis_that_is_paused_keeps_nobody_waiting(site: Site) -> None:
    """Connections are let in as quickly as ever, while it takes no bytes at all; afterwards it is used again."""
    with redis(site.folder) as server, machines(site, server.url(), "--max-per-peer", "900") as everybody:
        first, *_ = everybody

        def worst(count: int = 60) -> float:
            took = []
            for _ in range(count):
                began = monotonic()
                close(first.comes())
                took.append(monotonic() - began)
            return sorted(took)[count // 2]

        quick = worst()
        server.send(signal.SIGSTOP)
        paused = worst()
        first.server.wait_for("ledger_lost", reason=f"it did not answer within {LEASE / 2:g} s")
        lost = worst()
        server.send(signal.SIGCONT)
        first.server.wait_for("ledger_joined", 2)
        assert max(paused, lost) < 5 * quick + 0.05
        held = first.comes()
        until(lambda: everybody[1].ledger["peers"] == 1)
        close(held)


def test_redis_that_is_slow_is_used_as_it_can_be(site: Site) -> None:
    """A line of a few KiB a second between: limits are later, and nobody waits for it."""
    with redis(site.folder) as server, throttled(server.port, 4096) as port:
        slow = server.url().replace(f":{server.port}", f":{port}")
        with machines(site, slow, "--max-per-peer", "4") as everybody:
            held = [each.comes() for each in everybody] + [everybody[0].comes()]
            until(lambda: full(everybody))
            close(*held)
            until(lambda: not full(everybody))
            assert [each.server.events("ledger_lost") for each in everybody] == [[]] * 3


def test_with_an_acl_user_over_tls(site: Site) -> None:
    """All that a careful operator has: TLS both ways, and a user who may do nothing else."""
    acl = with_user(site.folder)
    secret = private(site.folder / "ledger.secret", PASSWORD)
    with redis_with_tls(site.folder, *acl) as (_, port, ca, ours):
        files = f"secret={secret}&ca={ca}&certificate={ours}"
        url = f"rediss://{USER}@localhost:{port}/0?name=mail&within=300ms&lease=3s&{files}"
        with machines(site, url, "--max-per-peer", "2", count=2) as everybody:
            held = [each.comes() for each in everybody]
            until(lambda: full(everybody))
            close(*held)


def test_each_worker_of_a_crew_is_a_machine(site: Site) -> None:
    """What peers have at one of them counts elsewhere; and a worker that died is followed by one that counts, too."""
    limit = ("--max-per-peer", "2")
    with (
        redis(site.folder) as server,
        serving(*options(site, server.url(), 0), *limit, "--workers", "2", cwd=site.folder) as crew,
        machines(site, server.url(), *limit, count=1, known=2) as (alone,),
    ):
        parent = Machine(crew, crew.ports()[0], site.folder / "ctl-0")
        held = [parent.comes(), parent.comes()]
        until(lambda: full([parent, alone]))
        worker = next(each for each in parent.ask("status")["workers"] if each["connections"])
        os.kill(worker["pid"], signal.SIGKILL)
        until(lambda: not full([alone]))
        held += [until(parent.comes), until(parent.comes)]
        until(lambda: full([parent, alone]))
        close(*held)
        until(lambda: not full([alone]))
