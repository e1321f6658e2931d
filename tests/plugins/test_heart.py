"""Tests for --heartbeat: under twistd, in netguard-pop and around other people's applications."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.popserver import Peer, Site, serving, twistd


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """What an operator has."""
    return Site.make(tmp_path, {"one": b"Subject: one\n\n1\n"})


@pytest.mark.parametrize("word", ["often", "0s", "20ms"])
def test_what_is_no_interval_ends_the_start_with_one_line(tmp_path: Path, word: str) -> None:
    """Before anything was opened."""
    done = twistd("-n", "netguard-wrap", "--heartbeat", word, "--", "web", "--listen", "tcp:0", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("twistd netguard-wrap: --heartbeat: ")
    assert done.stderr.count("\n") == 1


def test_the_heart_of_a_running_service(site: Site) -> None:
    """Lines come by themselves and count what happened; SIGUSR2 ends and begins them."""
    with serving(*site.both_ports, "--heartbeat", "1s", cwd=site.folder) as server:
        plain, _ = server.ports(2)
        with Peer(plain) as peer:
            assert peer.greeting.startswith(b"+OK")
        first = server.wait_for("heartbeat", 1)[0]
        last = server.wait_for("heartbeat", 1, closed=1)[0]
        server.process.send_signal(signal.SIGUSR2)
        server.wait_for("heartbeat", 1, interval="off")
        told = len(server.events("heartbeat"))
        server.process.send_signal(signal.SIGUSR2)
        again = server.wait_for("heartbeat", told + 1)[told]
    assert first["interval"] == again["interval"] == "1s"
    assert first["rss"] > 2**20
    assert first["fds"] > 5
    assert (last["accepted"], last["refused"], last["connections"], last["peak"]) == (1, 0, 0, 1)
    assert again["uptime"] > first["uptime"]
