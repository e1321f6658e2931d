"""``--take-over``: a new instance begins in the place of one that runs."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from twisted.application.service import MultiService
from twisted.internet import reactor as global_reactor
from twisted.python.usage import UsageError

from netguard.plugins import taking_over
from netguard.plugins.taking_over import TakingOver
from netguard.process.commands import ControlError
from netguard.process.inheritance import Inheritance
from netguard.service import Service
from tests.popserver import PATIENCE, Peer, Server, Site
from tests.programs import free_port

if TYPE_CHECKING:
    from tests.conftest import Logged


class Inherited:
    """What was handed over, without another instance."""

    pid, taken, pidfile = 7, 2, "twistd.pid"

    def __init__(self, trouble: str = "") -> None:
        self.calls: list[str] = []
        self.trouble = trouble

    def listen_by(self, _: Any) -> str:
        """Stand in."""
        return "ours"

    def done(self) -> None:
        """Be told."""
        self.calls.append("done")
        if self.trouble:
            raise ControlError(self.trouble)

    def possess(self) -> None:
        """Be told."""
        self.calls.append("possessed")

    def sign(self) -> None:
        """Be told."""
        self.calls.append("signed")

    def follow(self) -> None:
        """Be told, as the control socket is."""
        self.calls.append("followed")

    def close(self) -> None:
        """Be told."""
        self.calls.append("closed")


class Reactor:
    """Runs when a test lets it."""

    def __init__(self) -> None:
        self.starting: list[Callable[[], object]] = []

    def callWhenRunning(self, do: Callable[[], object]) -> None:
        """Wait."""
        self.starting.append(do)


@pytest.mark.parametrize("trouble", ["", "nobody is there"])
async def test_it_takes_over_when_the_reactor_runs(trouble: str, logged: Logged) -> None:
    """And not before; from then on the reactor listens by itself. What goes wrong is told, and it serves on."""
    from twisted.internet.task import deferLater

    house: Any = Service(lambda: None)  # type: ignore[arg-type, return-value]
    fake: Any = Reactor()
    inherited: Any = Inherited(trouble)
    twistd = {"pidfile": ""}
    house.offers["control"] = inherited
    service = TakingOver(house, inherited, fake, twistd)
    assert fake.listenTCP == "ours"
    service.startService()
    assert inherited.calls == []
    fake.starting[0]()
    assert not hasattr(fake, "listenTCP")
    told: list[Any] = []
    for _ in range(1000):
        if told := [*logged.named("error"), *logged.named("taken_over")]:
            break
        await deferLater(global_reactor, 0.01)
    if trouble:
        assert told[0]["problem"] == trouble
        assert (inherited.calls, twistd) == (["done"], {"pidfile": ""})
    else:
        assert (inherited.calls, twistd) == (["done", "possessed", "followed", "signed"], {"pidfile": "twistd.pid"})
        assert (told[0]["pid"], told[0]["ports"]) == (7, 2)


def test_a_start_that_failed_takes_nothing() -> None:
    """The other instance serves on."""
    house: Any = Service(lambda: None)  # type: ignore[arg-type, return-value]
    fake: Any = Reactor()
    inherited: Any = Inherited()
    service = TakingOver(house, inherited, fake)
    service.startService()
    service.stopService()
    fake.starting[0]()
    assert inherited.calls == ["closed"]


def test_one_that_does_not_answer_is_one_line(tmp_path: Path) -> None:
    """The start ends there."""
    given: Any = {"take-over": str(tmp_path / "none")}
    with pytest.raises(UsageError, match=r"^--take-over: .*/none: No such file"):
        taking_over.check(given)
    taking_over.check({"take-over": None})  # type: ignore[arg-type]


def test_without_the_option_nothing_is_taken() -> None:
    """And the reactor stays as it is."""

    class Given:
        inherited = None

    given: Any = Given()
    service = MultiService()
    taking_over.equip(service, Service(lambda: None), given)  # type: ignore[arg-type, return-value]
    assert "listenTCP" not in vars(global_reactor)


# as processes


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Accounts, mail and a certificate."""
    return Site.make(tmp_path, {"hello": b"Subject: hello\n\nhello\n"})


Start = Callable[..., Server]


@pytest.fixture
def start(site: Site) -> Iterator[Start]:
    """Starts instances; what still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def begin(*words: str) -> Server:
        server = Server.twistd("--pidfile", "twistd.pid", *words, cwd=site.folder)
        started.append(server.process)
        return server

    yield begin
    for each in started:
        if each.poll() is None:
            each.kill()
        each.wait()


def pop(site: Site, plain: int, *more: str) -> list[str]:
    """The words for netguard-pop, with a port, a control socket, a status page and twistd's own lock."""
    ports = ["--listen", f"tcp:{plain}:interface=127.0.0.1"]
    return ["netguard-pop", "--log-format", "json", *site.options, *ports, "--control", "ctl", *more]


def test_ports_lock_pidfile_and_control_socket_pass_on(site: Site, start: Start) -> None:
    """Twice in a row; who is in finishes with the one that let it in."""
    plain, admin = free_port(), free_port()
    words = pop(site, plain, "--admin", f"tcp:{admin}")
    old = start(*words)
    old.wait_for("started")
    for _ in range(2):
        with Peer(plain) as inside:
            assert inside.apop().startswith(b"+OK")
            new = start(*words, "--take-over", "ctl")
            (taken,) = new.wait_for("taken_over")
            assert (taken["pid"], taken["ports"]) == (old.process.pid, 2)
            old.wait_for("draining")
            assert inside.ask(b"STAT").startswith(b"-ERR [SYS/TEMP]")
            assert old.process.wait(PATIENCE) == 0
        with Peer(plain) as later:
            assert later.apop().startswith(b"+OK")
        pid = f"{new.process.pid}"
        assert (site.folder / "twistd.pid").read_text() == pid
        assert (site.folder / "twistd.pid.lock").read_text().strip() == pid
        third = start(*words)
        assert third.process.wait(PATIENCE) == 1
        assert f"is running already: process {pid} holds the lock" in third.log
        with socket.create_connection(("127.0.0.1", admin), PATIENCE) as asking:
            asking.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
            assert b"ready" in asking.recv(1000)
        old = new
    assert old.stop() == 0
    assert not (site.folder / "ctl").exists()
    assert not (site.folder / "twistd.pid").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="its queue is Linux's")
@pytest.mark.parametrize("workers", ["off", "2"])
def test_who_waits_when_the_last_one_stops_is_served(workers: str, site: Site, start: Start) -> None:
    """As if it had opened its ports itself: nobody else would accept them. The first had one socket, or several."""
    plain = free_port()
    words = pop(site, plain, "--max-per-peer", "off")
    before = start(*words, *(["--workers", workers] if workers != "off" else []))
    before.wait_for("started")
    for _ in range(2):
        last = start(*words, "--take-over", "ctl")
        last.wait_for("taken_over")
        assert before.process.wait(PATIENCE) == 0
        before = last
    last.process.send_signal(signal.SIGSTOP)
    with ExitStack() as peers:
        waiting = [peers.enter_context(socket.create_connection(("127.0.0.1", plain), PATIENCE)) for _ in range(40)]
        last.process.send_signal(signal.SIGTERM)
        last.process.send_signal(signal.SIGCONT)
        for each in waiting:
            with each.makefile("rb") as lines:
                assert lines.readline().startswith(b"+OK POP3 ready ")
    assert last.process.wait(PATIENCE) == 0


def test_one_that_fails_to_start_changes_nothing(site: Site, start: Start) -> None:
    """The old one serves on, and can be taken over later."""
    plain, other = free_port(), free_port()
    old = start(*pop(site, plain))
    old.wait_for("started")
    with socket.create_server(("127.0.0.1", other)):
        more = ["--listen", f"tcp:{other}:interface=127.0.0.1", "--take-over", "ctl"]
        assert start(*pop(site, plain, *more)).process.wait(PATIENCE) == 1
    killed = start(*pop(site, plain, "--take-over", "ctl", "--maildir", "/nowhere/{user}"))
    assert killed.process.wait(PATIENCE) == 1
    with Peer(plain) as peer:
        assert peer.apop().startswith(b"+OK")
    assert old.process.poll() is None
    new = start(*pop(site, plain, "--take-over", "ctl"))
    new.wait_for("taken_over")
    assert old.process.wait(PATIENCE) == 0
    assert new.stop() == 0


def test_a_signal_in_the_middle_ends_no_port(site: Site, start: Start) -> None:
    """The old one ends before the next one serves: whoever has the sockets by then serves on, and leaves the rest."""
    plain = free_port()
    old = start(*pop(site, plain))
    old.wait_for("started")
    heir = Inheritance.of(str(site.folder / "ctl"))
    assert old.stop() == 0
    ((descriptor,),) = heir.sockets.values()
    with (
        socket.socket(fileno=os.dup(descriptor)) as port,
        socket.create_connection(("127.0.0.1", plain), PATIENCE),
    ):
        port.settimeout(PATIENCE)
        port.accept()[0].close()
    heir.done()
    assert (site.folder / "twistd.pid").read_text() == f"{old.process.pid}"


def test_another_plugin_is_taken_over_too(site: Site, start: Start) -> None:
    """netguard-wrap, as a daemon of its own; a port that the new one does not have is closed."""
    (site.folder / "root").mkdir()
    port = free_port()
    words = ["netguard-wrap", "--log-format", "json", "--control", "ctl", "--"]
    web = ["web", "--path", "root", "--listen", f"tcp:{port}"]
    old = start(*words, *web)
    old.wait_for("started")
    new = start(*words[:-1], "--take-over", "ctl", "--", *web)
    new.wait_for("taken_over")
    assert old.process.wait(PATIENCE) == 0
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as asking:
        asking.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert asking.recv(1000).startswith(b"HTTP/1.0 200")
    elsewhere = free_port()
    last = start(*words[:-1], "--take-over", "ctl", "--", *web[:-1], f"tcp:{elsewhere}")
    last.wait_for("taken_over")
    assert new.process.wait(PATIENCE) == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), PATIENCE)
    assert last.stop(signal.SIGINT) == 0
