"""Tests for --control: under twistd, around netguard-pop and other people's applications, by netguard ctl."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import stat
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from netguard.process.control_client import ControlClient
from tests.popserver import Peer, Server, Site, serving, twistd
from tests.test_cli import COMMAND, netguard


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """What an operator has."""
    return Site.make(tmp_path, {"one": b"Subject: one\n\n1\n"})


def ctl(folder: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    """Run `netguard ctl`."""
    return netguard("ctl", str(folder / "control"), *words)


def told(folder: Path, *words: str) -> Any:
    """The answer to a command."""
    with ControlClient(str(folder / "control")) as client:
        return client.ask(words)


def test_an_operators_day(site: Site) -> None:
    """See who is there, cut one, change a limit, have it explained, switch the heartbeat, reload."""
    with serving(*site.both_ports, "--shed", "off", "--control", "control", cwd=site.folder) as server:
        plain, _ = server.ports(2)
        assert stat.S_IMODE((site.folder / "control").lstat().st_mode) == 0o600
        with Peer(plain) as peer:
            (row,) = told(site.folder, "connections")["connections"]
            assert row["server"] == f"127.0.0.1:{plain}"
            assert {"guard": "LoginTimeout", "for": "age"}.items() <= row["waits"][2].items()
            assert told(site.folder, "cut", str(row["session"])) == {"ok": True, "cut": row["session"]}
            assert peer.gone()
        told(site.folder, "limits", "set", "max-per-peer", "1")
        with Peer(plain) as peer:
            assert b"OK" in peer.greeting
            assert told(site.folder, "explain", "127.0.0.1")["verdict"] == "refused"
            with Peer(plain) as other:
                assert b"OK" not in other.greeting
        assert told(site.folder, "heartbeat", "on", "5s")["heartbeat"] == "5s"
        assert told(site.folder, "reload") == {"ok": True, "reloaded": True}
        status = told(site.folder, "status")
        assert status["pid"] == server.process.pid
        assert status["refused"] == {"ConnectionLimit": 1}
        assert status["cut"] == {"Expelled": 1}
        commands = [each["command"].split()[0] for each in server.wait_for("command", 4)]
        assert commands == ["cut", "limits", "heartbeat", "reload"]
    assert not (site.folder / "control").exists()


def test_draining_ends_the_service(site: Site) -> None:
    """In order, once everybody who is there is done; who wanted that has an answer, however soon that is."""
    with serving(*site.both_ports, "--shed", "off", "--control", "control", cwd=site.folder) as server:
        plain, _ = server.ports(2)
        with Peer(plain) as peer:
            assert peer.apop().startswith(b"+OK")
            assert told(site.folder, "drain") == {"ok": True, "draining": True, "connections": 1}
            assert server.process.wait(30) == 0
    assert not (site.folder / "control").exists()


def test_answers_for_people(site: Site) -> None:
    """Lines and tables; what cannot be done is one line and status 1."""
    with serving(*site.both_ports, "--shed", "off", "--control", "control", cwd=site.folder) as server:
        plain, _ = server.ports(2)
        with Peer(plain):
            done = ctl(site.folder, "connections")
            assert done.returncode == 0
            assert b"LoginTimeout age" in done.stdout
        assert b"heartbeat" in ctl(site.folder, "help").stdout
        refused = ctl(site.folder, "cut", "99999")
        assert (refused.returncode, refused.stdout) == (1, b"")
        assert refused.stderr == b"netguard ctl: there is no session 99999\n"


def test_nobody_at_the_other_end_is_one_line(tmp_path: Path) -> None:
    """With the path in it."""
    done = ctl(tmp_path, "status")
    assert done.returncode == 1
    assert done.stderr.decode() == f"netguard ctl: {tmp_path}/control: No such file or directory\n"


@pytest.mark.parametrize("asked", [[], ["--json"]])
def test_events_are_shown_as_they_happen(site: Site, asked: list[str]) -> None:
    """Until the service ends, which is status 1."""
    with serving(*site.both_ports, "--shed", "off", "--control", "control", cwd=site.folder) as server:
        plain, _ = server.ports(2)
        command = [*COMMAND, "ctl", str(site.folder / "control"), "events", "closed", "command", *asked]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as watching:
            assert watching.stdout is not None
            while not told(site.folder, "heartbeat", "on", "60s") or not _readable(watching.stdout):
                pass
            line = watching.stdout.readline()
            assert b"heartbeat on 60s" in line
            assert (json.loads(line)["event"] == "command") if asked else (b" command uid=" in line)
            with Peer(plain):
                pass
            while b"closed" not in (line := watching.stdout.readline()):
                assert line
            assert server.stop() == 0
            assert watching.wait(30) == 1
            assert watching.stderr is not None
            assert b"the service has closed the connection" in watching.stderr.read()


def _readable(stream: Any) -> bool:
    return bool(select.select([stream], [], [], 0.05)[0])


def test_a_wrapped_application_is_controlled_alike(tmp_path: Path) -> None:
    """Whatever it is."""
    (tmp_path / "index.html").write_text("hello")
    words = ["--control", "control", "--log-format", "json", "--", "web", "--listen", "tcp:0:interface=127.0.0.1"]
    server = Server.twistd("--pidfile", "pid", "netguard-wrap", *words, "--path", ".", cwd=tmp_path)
    try:
        (port,) = server.ports(1)
        with socket.create_connection(("127.0.0.1", port)):
            (row,) = told(tmp_path, "connections")["connections"]
            assert row["client.address"] == "127.0.0.1"
            assert told(tmp_path, "penalties") == {"ok": True, "penalties": []}
    finally:
        server.stop()


@pytest.mark.parametrize("lock", [True, False])
def test_after_a_kill_it_starts_again_under_its_lock(site: Site, *, lock: bool) -> None:
    """Without one, nobody knows whether the socket is an old one: one line says so."""
    words = [
        *site.both_ports,
        "--shed",
        "off",
        "--control",
        "control",
        "--lock",
        str(site.folder / "lock") if lock else "none",
    ]
    server = Server.start(*words, cwd=site.folder)
    server.ports(2)
    server.stop(signal.SIGKILL)
    assert (site.folder / "control").exists()
    if lock:
        with serving(*words, cwd=site.folder) as server:
            server.ports(2)
            assert told(site.folder, "status")["pid"] == server.process.pid
    else:
        server = Server.start(*words, cwd=site.folder)
        assert server.process.wait(30) == 1
        server.out.wait(lambda _: server.out.ended)
        assert "is in the way; only under a lock is it certain to be an old one" in server.log
        assert "Traceback" not in server.log


def test_a_file_in_the_way_stays_and_is_one_line(site: Site) -> None:
    """A mistyped path costs nobody a file."""
    (site.folder / "control").write_text("precious")
    server = Server.start(*site.both_ports, "--shed", "off", "--control", "control", cwd=site.folder)
    assert server.process.wait(30) == 1
    server.err.wait(lambda _: server.err.ended)
    assert server.err.lines == ["twistd: control is in the way, and is no socket"]
    assert (site.folder / "control").read_text() == "precious"


def test_floods_and_garbage_at_the_socket_leave_the_service_as_it_was(site: Site) -> None:
    """Clients that flood, read nothing, send garbage, half-close or vanish; the log stays clean."""
    with (
        serving(*site.both_ports, "--shed", "off", "--control", "control", cwd=site.folder) as server,
        ExitStack() as clients,
    ):
        plain, _ = server.ports(2)
        path = str(site.folder / "control")
        held = []
        for data in (b"connections\n" * 5000, os.urandom(50_000), b"status", b"\x00\n" * 1000, b"events\n"):
            sock = clients.enter_context(socket.socket(socket.AF_UNIX))
            sock.connect(path)
            sock.setblocking(False)
            sock.send(data)
            held.append(sock)
        held[2].shutdown(socket.SHUT_WR)
        with Peer(plain) as peer:
            assert peer.apop().startswith(b"+OK")
            with ControlClient(path) as client:
                assert client.ask(["status"])["connections"] == 1
        clients.close()
        with ControlClient(path) as client:
            assert client.ask(["limits"])["ok"]


def test_the_socket_is_for_the_services_user_alone(tmp_path: Path) -> None:
    """A mistake of its name is one line."""
    done = twistd("-n", "netguard-wrap", "--control", "no/where", "--", "web", "--listen", "tcp:0", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "twistd: cannot listen on the socket no/where: No such file or directory\n"
