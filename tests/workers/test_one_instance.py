"""The lock of a service with workers: the parent's, for as long as that lives, whatever becomes of a worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crewserver import crew, is_served, kill, lives, pids, start, until
from tests.popserver import PATIENCE

pytestmark = pytest.mark.slow
WORDS = ("--workers", "2", "--lock", "lock")


def is_turned_away(folder: Path) -> bool:
    """Whether one more instance ends with one line that says why."""
    more = start(*WORDS, cwd=folder)
    status = more.process.wait(PATIENCE)
    more.err.wait(lambda _: more.err.ended)
    more.out.wait(lambda _: more.out.ended)
    assert len(more.err.lines) == 1
    assert "Traceback" not in more.log
    return status == 1 and "lock" in more.err.lines[0]


def test_the_parent_holds_it_and_no_worker_does(tmp_path: Path) -> None:
    """Nor a successor of one that was killed; workers that outlive their parent do not keep the next one out."""
    with crew("--lock", "lock", cwd=tmp_path) as server:
        assert is_turned_away(tmp_path)
        workers = pids(server)
        kill(workers[1])
        server.wait_for("worker_ended")
        pids(server, 3)
        assert is_turned_away(tmp_path)
        assert is_served(server.ports()[0])
    server = start(*WORDS, cwd=tmp_path)
    server.wait_for("started")
    workers = pids(server)
    server.process.kill()
    server.process.wait(PATIENCE)
    with crew("--lock", "lock", cwd=tmp_path) as successor:
        assert is_served(successor.ports()[0])
    until(lambda: not any(map(lives, workers.values())))
    server.out.wait(lambda _: server.out.ended)
    server.err.wait(lambda _: server.err.ended)
