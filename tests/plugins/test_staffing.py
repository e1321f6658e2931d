"""``--workers``: what is refused at the start, and what a worker is given instead of what is its parent's."""

from __future__ import annotations

import os
import signal
import sys
from math import inf
from pathlib import Path
from typing import Any

import pytest
from twisted.python.usage import UsageError

from netguard.plugins import staffing
from netguard.plugins.wrap import Options
from netguard.policy import Policy
from netguard.units import Prefix
from netguard.workers.assignment import VARIABLE, Assignment
from netguard.workers.steering import worker_of
from tests import popserver
from tests.crewserver import kill, lives, pids, until
from tests.popserver import Peer, Server, Site

TWISTD = {
    "nodaemon": True,
    "debug": False,
    "logfile": None,
    "chroot": None,
    "pidfile": "twistd.pid",
    "uid": 5,
    "gid": 6,
}


class Given(dict[str, Any]):
    """Options."""

    def __init__(
        self, workers: str = "2", twistd: dict[str, Any] | None = TWISTD, timeout: str = "30s", **more: Any
    ) -> None:
        super().__init__({"workers": workers, "worker-timeout": timeout, **more})
        self.parent = None if twistd is None else dict(twistd)
        self.member = self.crew = None


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (Given("none"), "^--workers: 'none' is not"),
        (Given("0"), "^--workers: '0' is not"),
        (Given("65"), "^--workers: 65 are too many, 64 at most"),
        (Given(timeout="soon"), "^--worker-timeout: 'soon' is not .*, nor off"),
        (Given(timeout="1s"), "^--worker-timeout: 1s is too short, at least 2s"),
        (Given(twistd=None), "--workers works under twistd only"),
        (Given(twistd={}), "--workers works under twistd only"),
        (
            Given(twistd={**TWISTD, "chroot": "/srv"}),
            "--workers: no worker could be started inside of twistd's --chroot",
        ),
        (Given(demo=1), "--workers: a demonstration has one process"),
    ],
)
def test_what_cannot_be_is_one_line(given: Any, why: str) -> None:
    """Before anything is made."""
    with pytest.raises(UsageError, match=why):
        staffing.check(given)


def test_elsewhere_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other systems have no such memory."""
    monkeypatch.delattr(os, "memfd_create")
    given: Any = Given()
    with pytest.raises(UsageError, match="--workers needs Linux"):
        staffing.check(given)


def test_one_is_no_crew() -> None:
    """All is as without the option."""
    given: Any = Given("1")
    staffing.check(given)
    assert given.crew is None
    service: Any = object()
    house: Any = object()
    assert staffing.staffed(service, house, given) is service
    staffing.equip(service, house, given)


def test_a_worker_is_started_as_its_parent_was() -> None:
    """From the same folder."""
    given: Any = Given("3")
    staffing.check(given)
    program, workers = given.crew
    assert (workers, given.patience) == (3, 30.0)
    assert program.words == (sys.executable, *sys.orig_argv[1:])
    assert program.folder == str(Path.cwd())


def test_workers_may_hang_where_that_is_wanted() -> None:
    """Such as under a debugger."""
    given: Any = Given(timeout="off")
    staffing.check(given)
    assert given.patience == inf


@pytest.mark.parametrize(
    ("twistd", "logfile"),
    [
        (TWISTD, None),
        ({**TWISTD, "nodaemon": False}, "twistd.log"),
        ({**TWISTD, "nodaemon": False, "logfile": "x"}, "x"),
    ],
)
def test_a_worker_has_nothing_of_its_parents(
    twistd: dict[str, Any], logfile: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither lock nor pidfile, control socket, page, heartbeat; it is no daemon, and becomes nobody else."""
    made: list[Any] = []
    monkeypatch.setattr(staffing, "Member", made.append)
    opened = os.open(os.devnull, os.O_RDONLY)
    assignment = Assignment(1, 2, 1, opened, opened, ())
    monkeypatch.setenv(VARIABLE, assignment.text)
    given: Any = Given(twistd=twistd, control="ctl", admin="tcp:9113", heartbeat="60s")
    staffing.check(given)
    os.close(opened)
    assert made == [assignment]
    assert VARIABLE not in os.environ
    about = {"lock": "none", "control": None, "admin": None, "heartbeat": "off", "log-size": "off"}
    assert about.items() <= given.items()
    parent = {"nodaemon": True, "pidfile": "", "uid": None, "gid": None, "logfile": logfile}
    assert parent.items() <= given.parent.items()


def test_who_is_no_worker_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is not for people."""
    monkeypatch.setenv(VARIABLE, "2")
    given: Any = Given()
    with pytest.raises(UsageError, match=r"^--workers: NETGUARD_WORKER is for workers.*unset it"):
        staffing.check(given)


def test_who_is_a_peer_to_any_guard_is_one_workers() -> None:
    """The fewest bits that any of them counts by."""
    policies = [
        Policy.from_options({"max-per-peer": "5", "peer-prefix": "24,56"}),
        Policy.from_options({"max-per-peer": "5", "peer-prefix": "32,48"}),
    ]
    assert staffing._widest(policies) == Prefix(24, 48)
    assert staffing._widest([Policy.from_options({"idle": "1m"})]) == Prefix()


def test_the_help_has_it() -> None:
    """Every plugin's."""
    assert "--workers=" in Options().getUsage()


def test_a_mailbox_is_one_sessions_whoever_serves_it(tmp_path: Path) -> None:
    """Two workers, one mailbox: the second is told so; a worker that dies leaves no lock behind."""
    site = Site.make(tmp_path, {"one": b"Subject: one\n\nhello\n"})
    words = ["--listen", "tcp:0:interface=127.0.0.1", "--workers", "2"]
    with popserver.serving(*site.options, *words, cwd=tmp_path) as server:
        (port,) = server.ports()
        workers = pids(server)
        first, second = (
            next(f"127.0.0.{n}" for n in range(1, 99) if worker_of(f"127.0.0.{n}", 2, Prefix()) == at) for at in (0, 1)
        )
        with Peer(port, source=first) as one:
            assert one.apop().startswith(b"+OK")
            with Peer(port, source=second) as other:
                assert other.apop().startswith(b"-ERR [IN-USE]")
            kill(workers[1])
            server.wait_for("worker_ended")
            with Peer(port, source=second) as other:
                assert other.apop().startswith(b"+OK")
        pids(server, 3)


def test_a_daemon_has_workers(tmp_path: Path) -> None:
    """Its log is one file, its pidfile the parent's; all of them end with it."""
    site = Site.make(tmp_path)
    words = ["--listen", "tcp:0:interface=127.0.0.1", "--workers", "2", "--log-format", "json"]
    done = popserver.twistd("netguard-pop", *site.options, *words, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    log, pidfile = tmp_path / "twistd.log", tmp_path / "twistd.pid"
    until(lambda: '"event": "started"' in log.read_text())
    text = log.read_text()
    port = int(text.partition('"server.port": ')[2].partition(",")[0].rstrip("}"))
    for at in range(1, 5):
        with Peer(port, source=f"127.0.0.{at}") as peer:
            assert peer.greeting.startswith(b"+OK")
    daemon = int(pidfile.read_text())
    kill(daemon, signal.SIGTERM)
    until(lambda: not lives(daemon))
    assert not pidfile.exists()
    text = log.read_text()
    assert text.count('"event": "worker_started"') == 2
    assert text.count('"event": "stopped"') == 1
    popserver.assert_clean(text)


def test_the_service_waits_for_a_worker_before_it_says_that_it_is_ready(tmp_path: Path) -> None:
    """``started`` comes behind the last of them."""
    site = Site.make(tmp_path)
    server = Server.start(*site.options, "--listen", "tcp:0:interface=127.0.0.1", "--workers", "3", cwd=tmp_path)
    server.wait_for("started")
    names = [each["event"] for each in server.events("worker_started", "started")]
    assert names == ["worker_started"] * 3 + ["started"]
    assert server.stop() == 0
