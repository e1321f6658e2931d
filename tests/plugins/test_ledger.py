"""Tests for --ledger under twistd, with every service that has guards; tests/interop/test_fleet.py has what it does."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from netguard.process.control_client import ControlClient
from tests.popserver import Site, environment, serving, twistd
from tests.programs import LOOPBACK, free_port, needs, private
from tests.redisserver import PASSWORD, USER, redis, with_user
from tests.test_cli import netguard

WEB = ("--", "web", "--listen", f"tcp:0:interface={LOOPBACK}", "--path", ".")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("memcached://h", "--ledger: it is a URL such as"),
        (f"rediss://u:{PASSWORD}@h", "--ledger: others see a password that stands here"),
        ("env", "--ledger: the environment has no NETGUARD_LEDGER"),
        ("rediss://h?ca=missing.pem", "--ledger: ca missing.pem: No such file or directory"),
        ("rediss://u@h?secret=missing", "--ledger: secret file missing: No such file or directory"),
        ("redis://h?lease=x", "--ledger: 'x' is not a duration"),
    ],
)
def test_what_cannot_be_used_ends_the_start_with_one_line(tmp_path: Path, url: str, why: str) -> None:
    """Before anything was opened; no password is repeated."""
    done = twistd("-n", "netguard-wrap", "--ledger", url, *WEB, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"twistd netguard-wrap: {why}")
    assert done.stderr.count("\n") == 1
    assert PASSWORD not in done.stdout + done.stderr


@needs("redis-server")
@pytest.mark.parametrize("service", ["netguard-wrap", "netguard-relay"])
def test_every_service_can_be_in_a_fleet(tmp_path: Path, service: str) -> None:
    """As a user with few rights, whose password is in a file; the status says how it is, and leaving is told."""
    tmp_path.chmod(0o700)
    with redis(tmp_path, *with_user(tmp_path)) as server:
        secret = private(tmp_path / "secret", f"{PASSWORD}\n")
        url = f"redis://{USER}@{LOOPBACK}:{server.port}/0?name=mail&within=200ms&secret={secret}"
        words = ["--ledger", url, "--control", "control", "--connect-rate-per-peer", "9/s", "--penalty", "9/m"]
        relay = ("--listen", f"tcp:0:interface={LOOPBACK}", "--to", f"tcp:{LOOPBACK}:{free_port()}")
        words += WEB if service == "netguard-wrap" else relay
        with serving(*words, cwd=tmp_path, service=service) as running:
            running.wait_for("ledger_joined", ledger=f"redis://{LOOPBACK}:{server.port}/0?name=mail")
            with ControlClient(str(tmp_path / "control")) as client:
                status = client.ask(["status"])["ledger"]
            shown = netguard("ctl", str(tmp_path / "control"), "status").stdout.decode()
            command = subprocess.run(
                ["ps", "-o", "args", "-p", str(running.process.pid)], capture_output=True, text=True, check=True
            ).stdout
        assert (status["joined"], status["machines"], status["peers"], status["unread"]) == (True, 0, 0, 0)
        assert all(key in shown for key in status)
        assert running.events("ledger_lost") == []
        for text in (running.log, command):
            assert PASSWORD not in text


@needs("redis-server")
def test_the_environment_may_have_the_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger that is not there yet does not keep a service from starting."""
    port = free_port()
    monkeypatch.setenv("NETGUARD_LEDGER", f"redis://{USER}:{PASSWORD}@{LOOPBACK}:{port}/0?name=mail")
    site = Site.make(tmp_path, {})
    assert environment()["NETGUARD_LEDGER"]
    words = [*site.options, "--listen", f"tcp:0:interface={LOOPBACK}", "--ledger", "env"]
    with serving(*words, cwd=tmp_path) as running:
        (lost,) = running.wait_for("ledger_lost")
        assert running.ports()
    assert lost["reason"].startswith("it cannot be reached: ")
    assert PASSWORD not in running.log
