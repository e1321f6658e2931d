"""The units that ship, with systemd's own tools: closed, in order, and served through sockets that it opens."""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from netguard.plugins.pop import Options
from tests.popserver import PATIENCE, ROOT, TWISTD, Peer, Server, Site, environment, trusting
from tests.programs import free_port, needs

UNITS = ROOT / "docs" / "examples" / "systemd"
SERVICE = UNITS / "netguard-pop.service"
LOOPBACK = "127.0.0.1"


def setting(name: str, unit: Path = SERVICE) -> str:
    """The last value of a setting."""
    found: list[str] = re.findall(rf"^{name}=(.*)$", unit.read_text().replace("\\\n", " "), re.MULTILINE)
    return found[-1]


@needs("systemd-analyze")
def test_the_service_is_closed_off() -> None:
    """Systemd rates what a unit leaves open: 10 is everything, and Debian's own mail servers have 8.7 and more."""
    rated = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", str(SERVICE)],
        capture_output=True,
        text=True,
        check=False,
    )
    overall = re.search(r"Overall exposure level for netguard-pop.service: ([0-9.]+)", rated.stdout)
    assert overall is not None, rated.stderr
    assert float(overall[1]) <= 2.0
    assert rated.returncode == 0


@needs("systemd-analyze")
def test_the_units_are_in_order(tmp_path: Path) -> None:
    """Nothing in them is unknown; only where the program lies is another place here."""
    for unit in (*UNITS.glob("*.service"), *UNITS.glob("*.socket")):
        (tmp_path / unit.name).write_text(unit.read_text().replace("/opt/netguard/bin/twistd", TWISTD))
    verified = subprocess.run(
        ["systemd-analyze", "verify", *map(str, sorted(tmp_path.iterdir()))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert [line for line in verified.stderr.splitlines() if "netguard" in line] == []


@needs("systemd-sysusers")
def test_its_user_can_be_made(tmp_path: Path) -> None:
    """The one that the unit names, and of the name that the directories belong to."""
    (tmp_path / "etc").mkdir()
    subprocess.run(["systemd-sysusers", f"--root={tmp_path}", str(UNITS / "sysusers.conf")], check=True)
    passwd = (tmp_path / "etc" / "passwd").read_text()
    assert re.search(rf"^{setting('User')}:.*:/srv/mail:/usr/sbin/nologin$", passwd, re.MULTILINE)
    if os.getuid() == 0:
        subprocess.run(["systemd-tmpfiles", "--create", f"--root={tmp_path}", str(UNITS / "tmpfiles.conf")], check=True)
        assert (tmp_path / "srv" / "mail").stat().st_mode & 0o777 == 0o700
        assert (tmp_path / "etc" / "netguard" / "netguard.toml").read_text() == ""


def command(site: Site, *more: str) -> list[str]:
    """The command of the unit, with files of the test's own."""
    program, *words = shlex.split(setting("ExecStart"))
    assert program == "/opt/netguard/bin/twistd"
    ours = {
        "--maildir": f"{site.folder}/mail/{{user}}",
        "--accounts": str(site.accounts),
        "--tls": str(site.pem),
        "--config": str(site.folder / "netguard.toml"),
        "--log-format": "json",
    }
    (site.folder / "netguard.toml").touch()
    return [TWISTD, *(ours.get(before, word) for before, word in zip(["", *words], words, strict=False)), *more]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Accounts, mail and a certificate."""
    return Site.make(tmp_path, {"hello": b"Subject: hello\n\nhello\n"})


@contextmanager
def running(words: list[str], site: Site, **how: object) -> Iterator[Server]:
    """A process of ours for the time of a block."""
    server = Server.run(*words, cwd=site.folder, **how)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.process.kill()
        server.process.wait(PATIENCE)
        for output in (server.out, server.err):
            if not output.ended:
                output.wait(lambda _, output=output: output.ended)  # type: ignore[misc]


def serves(plain: int, tls: int, site: Site) -> None:
    """Mail comes through both ports."""
    with Peer(plain) as peer:
        assert peer.apop().startswith(b"+OK")
        assert peer.ask(b"QUIT").startswith(b"+OK")
    with Peer(tls, trusting(site.pem)) as peer:
        assert peer.apop().startswith(b"+OK")
        assert peer.ask(b"QUIT").startswith(b"+OK")


@needs("systemd-socket-activate")
def test_it_serves_through_sockets_that_systemd_opens(site: Site) -> None:
    """By the names that the socket units give them; the first client begins it."""
    plain, tls = free_port(), free_port()
    activate = ["systemd-socket-activate", "-l", str(plain), "-l", str(tls), "--fdname=pop3:pop3s"]
    passed = [f"--setenv={name}={environment()[name]}" for name in ("PYTHONPATH", "LC_ALL", "PATH")]
    with running([*activate, *passed, *command(site)], site) as server:
        server.err.wait(lambda lines: sum("Listening on" in line for line in lines) == 2)
        serves(plain, tls, site)
        assert [each["transport"] for each in server.events("listening")] == ["native", "native"]
        assert server.stop() == 0


@needs("systemd-socket-activate")
def test_workers_cannot_have_a_socket_that_systemd_has_opened(site: Site) -> None:
    """They are told so in one line: a group of sockets has to be one user's, and its others need the right to open."""
    port = free_port()
    activate = ["systemd-socket-activate", "-l", str(port), "--fdname=pop3"]
    passed = [f"--setenv={name}={environment()[name]}" for name in ("PYTHONPATH", "LC_ALL", "PATH")]
    words = [TWISTD, "-n", "--pidfile=", "netguard-pop", "--log-format", "json", *site.options, "--workers", "2"]
    with running([*activate, *passed, *words, "--listen", "systemd:domain=INET6:name=pop3"], site) as server:
        server.err.wait(lambda lines: any("Listening on" in line for line in lines))
        socket.create_connection((LOOPBACK, port), PATIENCE).close()
        assert server.process.wait(PATIENCE) == 1
        server.err.wait(lambda _: server.err.ended)
        told = [line for line in server.err.lines if line.startswith("twistd: ")]
        why = "--workers opens ports itself, as in tcp:110, and cannot share a socket that another program has opened"
        assert told == [f"twistd: {why}: cannot listen on systemd:domain=INET6:name=pop3"]


HAND_OVER = """
import os, sys
high = [os.dup(os.dup(int(each))) for each in sys.argv[1:3]]
for place, each in enumerate(high, 3):
    os.dup2(each, place)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2", "LISTEN_FDNAMES": "pop3:pop3s"}
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Runs a program with two sockets as systemd hands them over."""


@pytest.fixture
def sockets() -> Iterator[list[socket.socket]]:
    """The two that a manager holds, whoever serves them."""
    made = [socket.socket(socket.AF_INET6) for _ in range(2)]
    for each in made:
        each.bind(("::1", 0))
        each.listen(50)
    yield made
    for each in made:
        each.close()


def test_who_comes_between_two_instances_waits(site: Site, sockets: list[socket.socket]) -> None:
    """The manager holds the sockets: one instance drains, the next serves who connected meanwhile; all are served."""
    plain, tls = sockets
    words = [sys.executable, "-c", HAND_OVER, str(plain.fileno()), str(tls.fileno()), *command(site)]
    fds = [each.fileno() for each in sockets]
    with running(words, site, pass_fds=fds) as first:
        first.wait_for("started")
        with socket.create_connection(plain.getsockname()[:2], PATIENCE) as served:
            assert served.recv(100).startswith(b"+OK")
            first.process.terminate()
            first.wait_for("draining")
            waiting = [socket.create_connection(plain.getsockname()[:2], PATIENCE) for _ in range(20)]
            assert served.recv(100).startswith(b"-ERR [SYS/TEMP]")
        assert first.process.wait(PATIENCE) == 0
    with running(words, site, pass_fds=fds) as second:
        for each in waiting:
            assert each.recv(100).startswith(b"+OK")
            each.close()
        assert second.stop() == 0


def test_workers_that_took_its_sockets_over_leave_them_to_the_manager(site: Site, sockets: list[socket.socket]) -> None:
    """It has opened them, and has them on when these workers have ended: whoever comes then waits for the next ones."""
    fds = [each.fileno() for each in sockets]
    words = [sys.executable, "-c", HAND_OVER, *map(str, fds), *command(site), "--control", "ctl"]
    listen = [f"--listen=tcp:{each.getsockname()[1]}:interface=\\:\\:1" for each in sockets]
    with running(words, site, pass_fds=fds) as first:
        first.wait_for("started")
        over = ["--workers", "2", "--control", "ctl", "--take-over", "ctl"]
        second = Server.start(*site.options, *over, *listen, cwd=site.folder)
        try:
            second.wait_for("taken_over")
            assert first.process.wait(PATIENCE) == 0
        finally:
            assert second.stop() == 0
    for each in sockets:
        socket.create_connection(each.getsockname()[:2], PATIENCE).close()


# the container file: what can be seen of it without building one


def instructions() -> dict[str, list[str]]:
    """What stands behind each instruction, in order."""
    text = (ROOT / "docs" / "examples" / "Containerfile").read_text()
    found: dict[str, list[str]] = {}
    for line in re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", "").splitlines():
        if line:
            name, rest = line.split(None, 1)
            found.setdefault(name, []).append(rest)
    return found


def test_the_container_runs_unprivileged_and_its_command_is_understood() -> None:
    """A user by number, so that Kubernetes believes it; the graceful signal; ports that need no privileges."""
    seen = instructions()
    assert seen["USER"] == ["1000:1000"]
    assert seen["STOPSIGNAL"] == ["SIGTERM"]
    assert all(int(port) >= 1024 for port in seen["EXPOSE"][0].split())
    assert "ADD" not in seen
    entry, words = (json.loads(seen[name][0]) for name in ("ENTRYPOINT", "CMD"))
    assert entry == ["twistd", "-n", "--pidfile=", "netguard-pop"]
    words[words.index("--log-format") :] = []  # it needs a twistd
    options = Options()
    options.parseOptions(words)
    assert [each.rpartition(":")[2] for each in options.listens] == seen["EXPOSE"][0].split()
