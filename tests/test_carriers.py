"""Which transport carries whom, by itself: told for each port, and counted by the status; on every reactor there is."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.crewserver import ctl, install
from tests.popserver import PATIENCE, Server, assert_clean, environment

LOCAL = "interface=127.0.0.1"
CARRIED = {
    f"tcp:0:{LOCAL}": "native",
    r"tcp6:0:interface=\:\:1": "native",
    "unix:here": "stock",
    f"haproxy:tcp:0:{LOCAL}": "stock",
}
"""What a service listens on, and what carries it."""

PROXY = b"PROXY TCP4 192.0.2.7 192.0.2.1 4321 80\r\n"


@contextmanager
def talker(*words: str, reactor: str, cwd: Path) -> Iterator[Server]:
    """A service that echoes on all of these, under a reactor; it must end well."""
    install(cwd)
    inner = [word for each in CARRIED for word in ("--listen", each)]
    ours = ["--log-format", "json", "--control", "ctl", "--max-per-peer", "1", "--write-stall", "7s", *words]
    server = Server.twistd(
        *([f"--reactor={reactor}"] if reactor else []),
        *("netguard-wrap", *ours, "--", "talker", *inner),
        cwd=cwd,
        env=environment() | {"PYTHONPATH": f"{environment()['PYTHONPATH']}{os.pathsep}{cwd}"},
    )
    try:
        server.wait_for("started")
        yield server
    finally:
        status = server.stop()
    assert status == 0, server.log
    assert_clean(server.log)


def dial(told: dict[str, Any], cwd: Path) -> socket.socket:
    """A connection to a port that was told."""
    family = {"127.0.0.1": socket.AF_INET, "::1": socket.AF_INET6}.get(told["server.address"], socket.AF_UNIX)
    made = socket.socket(family)
    made.settimeout(PATIENCE)
    local = family == socket.AF_UNIX
    made.connect(str(cwd / "here") if local else (told["server.address"], told["server.port"]))
    return made


def says(peer: socket.socket, words: bytes) -> bytes:
    """What is said to that; nothing by who is not served."""
    try:
        peer.sendall(words)
        return peer.recv(100)
    except OSError:
        return b""


def is_served(told: dict[str, Any], words: bytes, cwd: Path) -> bool:
    """Whether one more client is; who is not may be reset before its connect has returned."""
    try:
        with dial(told, cwd) as peer:
            return says(peer, words) != b""
    except ConnectionResetError:
        return False


@pytest.mark.parametrize("reactor", ["", "poll", "select", "asyncio"])
def test_each_port_has_what_can_carry_it(reactor: str, tmp_path: Path) -> None:
    """UNIX sockets and PROXY endpoints have the wrapper, and the same guards: one connection of each peer."""
    with talker(reactor=reactor, cwd=tmp_path) as server:
        told = server.wait_for("listening", len(CARRIED))
        assert sorted(each["transport"] for each in told) == sorted(CARRIED.values())
        assert ctl(tmp_path, "status")["transports"] == {"native": 2, "stock": 2}
        by_unix = [each for each in told if "server.port" not in each]
        assert [each["transport"] for each in by_unix] == ["stock"]
        for each in told:
            headed = PROXY if each["transport"] == "stock" and each not in by_unix else b""
            with dial(each, tmp_path) as first:
                assert says(first, headed + b"hello\r\n") == b"hello\r\n"
                served = is_served(each, headed + b"hello\r\n", tmp_path)
                assert served is (each in by_unix)  # who comes by a UNIX socket has no address


@pytest.mark.parametrize("reactor", ["", "asyncio"])
def test_there_is_a_way_back(reactor: str, tmp_path: Path) -> None:
    """``transport=stock``: then none is ours."""
    with talker("--transport", "stock", reactor=reactor, cwd=tmp_path) as server:
        told = server.wait_for("listening", len(CARRIED))
        assert {each["transport"] for each in told} == {"stock"}
        assert ctl(tmp_path, "status")["transports"] == {"stock": 4}
        with dial(told[0], tmp_path) as first:
            assert says(first, b"hello\r\n") == b"hello\r\n"
