"""A service manager hears of the whole life of a service, under netguard-pop and netguard-wrap alike."""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from twisted.application.service import MultiService
from twisted.internet.task import Clock

from netguard.guards.idle_timeout import IdleTimeout
from netguard.plugins import notifying
from netguard.plugins.notifying import Notifying
from netguard.plugins.reloading import Reloading
from netguard.process.drain import Drain
from netguard.process.heartbeat import Heartbeat
from netguard.process.notify import Manager, Notifier
from netguard.process.vitals import Vitals
from netguard.testing import Dialogue, connect
from tests.managers import Hearer, managing
from tests.popserver import PATIENCE, TWISTD, Output, Server, Site, environment

if TYPE_CHECKING:
    from tests.conftest import Logged


class Reactor(Clock):
    """A clock that runs."""

    def callWhenRunning(self, do: Callable[[], object]) -> None:
        """At once."""
        do()

    def callFromThread(self, do: Callable[[], object]) -> None:
        """At once."""
        do()


def made(
    path: str, *, watchdog: float | None = None, drains: bool = True, reloads: bool = True
) -> tuple[Dialogue, Notifying]:
    """A service with a connection, and a manager that is told."""
    clock = Reactor()
    peer = connect(IdleTimeout("1h"), clock=clock)
    house = peer.factory.service
    house.offers["heartbeat"] = Heartbeat(Vitals(house), None, clock)
    if drains:
        house.offers["drain"] = Drain(house, clock, 30.0)
    if reloads:
        house.offers["reload"] = Reloading(house, [], clock)
    return peer, Notifying(house, Notifier(Manager(path), clock, clock.seconds), watchdog, clock)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Hearer]:
    """A manager, at a socket named notify; what it has not heard by now, nobody has told."""
    with managing(str(tmp_path / "notify")) as hearer:
        hearer.heard.setblocking(False)
        yield hearer


def silent(manager: Hearer) -> bool:
    """Whether nothing was told."""
    with pytest.raises(BlockingIOError):
        manager.next()
    return True


def test_it_is_ready_when_the_reactor_runs(manager: Hearer, tmp_path: Path) -> None:
    """Who has become a daemon says which process it is now."""
    _, service = made(str(tmp_path / "notify"))
    assert silent(manager)
    service.startService()
    assert manager.next() == {"READY": "1", "MAINPID": str(os.getpid()), "STATUS": "serving, 1 connection"}
    service.stopService()


def test_a_service_that_never_ran_is_never_ready(manager: Hearer, tmp_path: Path) -> None:
    """Its start failed."""
    peer, service = made(str(tmp_path / "notify"))
    waiting: list[Callable[[], object]] = []
    clock: Any = peer.clock
    clock.callWhenRunning = waiting.append
    service.startService()
    service.stopService()
    for each in waiting:
        each()
    assert "STOPPING" in manager.next()
    assert silent(manager)


def test_the_heart_feeds_the_watchdog_and_the_status(manager: Hearer, tmp_path: Path) -> None:
    """Twice in its time; the status is told when it is another one."""
    peer, service = made(str(tmp_path / "notify"), watchdog=6.0)
    heart = peer.factory.service.offers["heartbeat"]
    service.startService()
    heart.startService()
    manager.next()
    for _ in range(4):
        peer.clock.advance(3)
        assert manager.next() == {"WATCHDOG": "1"}
        assert silent(manager)
    peer.vanish()
    peer.clock.advance(3)
    told = [manager.next(), manager.next()]
    assert {"WATCHDOG": "1"} in told
    assert {"STATUS": "serving, 0 connections"} in told
    service.stopService()
    heart.stopService()


async def test_a_reload_is_told_with_its_beginning_and_its_end(manager: Hearer, tmp_path: Path) -> None:
    """As Type=notify-reload wants it; a failure stays in the status until the next one."""
    from twisted.internet import reactor

    peer, service = made(str(tmp_path / "notify"))
    house = peer.factory.service
    reloading = house.offers["reload"]
    reloading._reactor = reactor
    peer.clock.advance(2)
    service.startService()
    manager.next()
    wrong: list[Exception] = [OSError("net.rules:3")]

    def look() -> None:
        if wrong:
            raise wrong.pop()

    reloading._checks = (look,)
    for end in ("; the last reload has failed, the log says why", ""):
        reloading.reload()
        await reloading._under_way
        assert manager.next() == {"RELOADING": "1", "MONOTONIC_USEC": "2000000"}
        assert manager.next() == {"READY": "1", "STATUS": f"serving, 1 connection{end}"}
    house.offers["drain"].begin()
    assert manager.next()["STATUS"] == "stopping, 1 connection"
    reloading.reload()
    await reloading._under_way
    assert silent(manager)
    service.stopService()
    peer.factory.service.offers["drain"].forget()


@pytest.mark.parametrize("drains", [True, False])
def test_it_stops_once(drains: bool, manager: Hearer, tmp_path: Path) -> None:
    """With the time that it needs, which may be more than managers wait by themselves."""
    peer, service = made(str(tmp_path / "notify"), drains=drains, reloads=False)
    service.startService()
    manager.next()
    if drains:
        peer.factory.service.offers["drain"].begin()
        peer.factory.service.offers["drain"].forget()
    else:
        service.stopService()
    assert manager.next() == {
        "STOPPING": "1",
        "EXTEND_TIMEOUT_USEC": "42000000" if drains else "10000000",
        "STATUS": "stopping, 1 connection",
    }
    if drains:
        service.stopService()
    assert silent(manager)


def test_where_nobody_listens_nothing_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, logged: Logged) -> None:
    """A socket that is not there is one line in the log."""
    house: Any = None
    service = MultiService()
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    notifying.check(house)
    notifying.equip(service, house, house)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "none"))
    notifying.equip(service, house, house)
    assert "NOTIFY_SOCKET" not in os.environ
    assert any(each.get("why") == "No such file or directory" for each in logged.events)


# as processes


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_manager_sees_it_live(wrapped: bool, tmp_path: Path) -> None:
    """From its start to its end, with a watchdog."""
    site = Site.make(tmp_path)
    (tmp_path / "root").mkdir()
    words = (
        [
            "netguard-wrap",
            "--log-format",
            "json",
            "--",
            "web",
            "--path",
            "root",
            "--listen",
            "tcp:0:interface=127.0.0.1",
        ]
        if wrapped
        else ["netguard-pop", "--log-format", "json", *site.both_ports]
    )
    path = f"@{tmp_path}"
    with (
        managing(path) as manager,
        subprocess.Popen(
            [TWISTD, "-n", "--pidfile=", *words],
            cwd=site.folder,
            env=environment() | {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "1000000"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        assert process.stdout is not None
        assert process.stderr is not None
        server = Server(process, Output(process.stdout), Output(process.stderr))
        assert manager.next() == {"READY": "1", "MAINPID": str(process.pid), "STATUS": "serving, 0 connections"}
        for _ in range(3):
            manager.wait_for("WATCHDOG")
        process.send_signal(signal.SIGHUP)
        manager.wait_for("RELOADING")
        manager.wait_for("READY")
        # A loop that is stuck misses its watchdog.
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        assert manager.silent_for(1.5)
        process.send_signal(signal.SIGCONT)
        manager.wait_for("WATCHDOG")
        process.send_signal(signal.SIGTERM)
        manager.wait_for("STOPPING")
        assert process.wait(PATIENCE) == 0
        server.out.wait(lambda _: server.out.ended)


def test_a_daemon_names_itself(tmp_path: Path) -> None:
    """It is not the process that was started."""
    site = Site.make(tmp_path)
    path = f"@{tmp_path}"
    with managing(path) as manager:
        words = [TWISTD, "netguard-pop", *site.both_ports]
        subprocess.run(
            words, cwd=site.folder, env=environment() | {"NOTIFY_SOCKET": path}, check=True, timeout=PATIENCE
        )
        ready = manager.next()
        daemon = int((site.folder / "twistd.pid").read_text())
        assert ready["MAINPID"] == str(daemon)
        watch = os.pidfd_open(daemon)
        os.kill(daemon, signal.SIGTERM)
        manager.wait_for("STOPPING")
        assert select.select([watch], [], [], PATIENCE)[0]
        os.close(watch)
