"""``--take-over`` of a service with workers: by more of them, by fewer, and by one process."""

from __future__ import annotations

from pathlib import Path
from threading import Event, Thread

import pytest

from tests.crewserver import is_served, start
from tests.popserver import Server

SOURCES = [f"127.0.0.{n}" for n in range(1, 9)]


@pytest.mark.slow
@pytest.mark.parametrize(("before", "after"), [("1", "2"), ("2", "1"), ("2", "2"), ("2", "3"), ("3", "1"), ("3", "2")])
def test_nobody_is_refused_meanwhile(tmp_path: Path, before: str, after: str) -> None:
    """The sockets are the same ones, and whoever serves now serves all of them."""
    words = ("--lock", "lock", "--max-per-peer", "off")
    old = start("--workers", before, *words, cwd=tmp_path)
    old.wait_for("started")
    (port,) = old.ports()
    listen = (f"tcp:{port}:interface=127.0.0.1",)
    over, served = Event(), list[bool]()

    def call() -> None:
        while not over.is_set():
            served.extend(is_served(port, source) for source in SOURCES)

    calling = Thread(target=call)
    calling.start()
    new: Server | None = None
    try:
        new = start("--workers", after, "--take-over", "ctl", *words, cwd=tmp_path, listen=listen)
        new.wait_for("taken_over")
        assert old.process.wait(30) == 0
    finally:
        over.set()
        calling.join(30)
        old.process.kill()
        status = None if new is None else new.stop()
    assert status == 0
    old.out.wait(lambda _: old.out.ended)
    old.err.wait(lambda _: old.err.ended)
    assert "Traceback" not in old.log + new.log
    assert all(served)
    assert old.events("worker_ended") == []
