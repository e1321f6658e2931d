"""A worker whose event loop does not turn is found, and another takes its place."""

from __future__ import annotations

import signal
from pathlib import Path
from time import sleep

import pytest

from tests.crewserver import Caller, crew, ctl, is_served, kill, pids

SOURCES = [f"127.0.0.{n}" for n in range(1, 9)]

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("where", ["lineReceived (talker_plugin.py:", ""])
def test_one_that_hangs_is_replaced(tmp_path: Path, where: str) -> None:
    """Those of the others are served meanwhile, and its own peers by its successor; the log says what it was doing.

    Unless it did nothing, since it was stopped.
    """
    with crew("--worker-timeout", "5s", cwd=tmp_path, says=where and "in lineReceived") as server:
        (port,) = server.ports()
        before = pids(server)
        callers = {source: Caller(port, source) for source in SOURCES}
        answerers = {source: each.answerer for source, each in callers.items()}
        hangs = answerers[SOURCES[0]]
        (number,) = (number for number, pid in before.items() if pid == hangs)
        if where:
            callers[SOURCES[0]].socket.sendall(b"hang\r\n")
        else:
            kill(hangs, signal.SIGSTOP)
        (stuck,) = server.wait_for("worker_stuck", worker=number, pid=hangs, limit=5.0, option="worker-timeout")
        assert stuck["where"].startswith(where)
        assert bool(stuck["where"]) == bool(where)
        server.wait_for("worker_ended", worker=number, pid=hangs, reason="SIGKILL")
        for source, each in callers.items():
            assert bool(each.answerer) == (answerers[source] != hangs)
            assert is_served(port, source)
            each.close()
        after = pids(server, 3)
        assert after[number] != hangs
        assert {**after, number: 0} == {**before, number: 0}
        assert len(server.events("worker_stuck")) == 1


def test_a_parent_that_was_stopped_blames_nobody(tmp_path: Path) -> None:
    """However long that was: a worker has been silent for as long as the parent has listened, and no longer."""
    with crew("--worker-timeout", "3s", cwd=tmp_path) as server:
        (port,) = server.ports()
        for _ in range(2):
            kill(server.process.pid, signal.SIGSTOP)
            try:
                sleep(5)  # what is tried here is how much later it is then
                assert is_served(port)
            finally:
                kill(server.process.pid, signal.SIGCONT)
            status = ctl(tmp_path, "status")
            assert [each["serves"] for each in status["workers"]] == [True, True]
        assert server.events("worker_stuck", "worker_ended") == []
