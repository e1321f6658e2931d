"""The control socket of a service with workers: one answer for all."""

from __future__ import annotations

import json
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from netguard.process.commands import Command, ControlError
from netguard.process.control_client import ControlClient
from netguard.units import Prefix
from netguard.workers.spreading import spread
from netguard.workers.steering import worker_of
from tests.crewserver import Caller, crew, ctl, is_served, kill, pids, until

SOURCES = [f"127.0.0.{n}" for n in range(1, 9)]
OPTIONS = ["--penalty", "2/1h", "--penalty-for", "1h", "--penalty-exempt", "off", "--max-item", "20"]


def test_without_workers_nothing_is_spread() -> None:
    """The table is as it was."""
    table = [Command("help", "", "These.", print)]
    assert spread(None, table) is table


def test_one_answer_for_all(tmp_path: Path) -> None:
    """Sums where sums are meant, and each row says whose it is."""
    with crew(*OPTIONS, cwd=tmp_path) as server:
        (port,) = server.ports()
        callers = {source: Caller(port, source) for source in SOURCES}
        for source, each in callers.items():
            assert each.say(source.encode()) == source.encode()
        _connections_are_one_list(tmp_path)
        _status_is_the_sum(tmp_path, pids(server))
        _one_is_cut(tmp_path, callers)
        _limits_hold_everywhere(tmp_path, port)
        for each in callers.values():
            each.close()
        _misdeeds_are_found_wherever_they_are(tmp_path, port)


def _connections_are_one_list(folder: Path) -> None:
    told = ctl(folder, "connections")
    rows = told["connections"]
    assert (told["total"], told["matching"], len(rows)) == (8, 8, 8)
    assert {each["client.address"]: each["worker"] - 1 for each in rows} == {
        source: worker_of(source, 2, Prefix()) for source in SOURCES
    }
    assert len({each["session"] for each in rows}) == 8
    sent = ctl(folder, "connections", "sort=received", "most=3")
    assert len(sent["connections"]) == 3
    (one,) = ctl(folder, "connections", "match=127.0.0.7")["connections"]
    assert one["client.address"] == "127.0.0.7"
    with pytest.raises(ControlError, match="no key to sort by"):
        ctl(folder, "connections", "sort=nonsense")


def _status_is_the_sum(folder: Path, workers: dict[int, int]) -> None:
    status = ctl(folder, "status")
    assert status["connections"] == status["accepted"] == 8
    assert status["bytes_in"] == sum(len(each) + 2 for each in SOURCES)
    assert {each["worker"]: each["pid"] for each in status["workers"]} == workers
    assert sum(each["connections"] for each in status["workers"]) == 8
    assert status["pid"] not in workers.values()


def _one_is_cut(folder: Path, callers: dict[str, Caller]) -> None:
    for source in SOURCES[:2]:
        (row,) = ctl(folder, "connections", f"match={source}")["connections"]
        assert ctl(folder, "cut", str(row["session"])) == {"ok": True, "cut": row["session"]}
        assert callers[source].say(b"still there?") == b""
        with pytest.raises(ControlError, match=f"there is no session {row['session']}"):
            ctl(folder, "cut", str(row["session"]))
    assert callers[SOURCES[2]].say(b"still there?") == b"still there?"


def _limits_hold_everywhere(folder: Path, port: int) -> None:
    assert {each["option"]: each["value"] for each in ctl(folder, "limits")["limits"]}["max-per-peer"] == "100"
    assert ctl(folder, "limits", "set", "max-per-peer", "1")["before"] == "100"
    for source in ("127.0.1.1", "127.0.1.2", "127.0.1.3"):
        with Caller(port, source) as first, Caller(port, source) as second:
            assert first.answerer
            assert not second.answerer
            told = ctl(folder, "explain", source)
            assert (told["connections"], told["verdict"]) == (1, "refused")
    with pytest.raises(ControlError, match="cannot be set"):
        ctl(folder, "limits", "set", "nonsense", "1")
    ctl(folder, "limits", "set", "max-per-peer", "50")


def _misdeeds_are_found_wherever_they_are(folder: Path, port: int) -> None:
    bad = ["127.0.2.1", "127.0.2.2", "127.0.2.3", "127.0.2.4"]
    for source in bad:
        for _ in range(3):
            with Caller(port, source) as caller:
                caller.say(b"x" * 100)
    rows = ctl(folder, "penalties")["penalties"]
    assert {each["peer"] for each in rows} == set(bad)
    assert len(ctl(folder, "penalties", "most=2")["penalties"]) == 2
    assert ctl(folder, "clear", bad[0])["cleared"] == 1
    with pytest.raises(ControlError, match="nothing is known of"):
        ctl(folder, "clear", bad[0])
    assert ctl(folder, "clear", "all")["cleared"] == 3
    assert is_served(port, bad[1])


def test_a_successor_knows_what_was_set_and_numbers_on(tmp_path: Path) -> None:
    """And while nobody is there, it is said who is missing."""
    with crew(cwd=tmp_path) as server:
        (port,) = server.ports()
        ctl(tmp_path, "limits", "set", "max-per-peer", "1")
        workers = pids(server)
        kill(workers[2])
        server.wait_for("worker_ended")
        pids(server, 3)
        source = next(each for each in SOURCES if worker_of(each, 2, Prefix()) == 1)
        with Caller(port, source) as first:
            assert first.answerer
            assert not is_served(port, source)
            (row,) = ctl(tmp_path, "connections")["connections"]
            assert row["session"] > 1_000_000
            assert row["worker"] == 2
            assert ctl(tmp_path, "cut", str(row["session"]))["cut"] == row["session"]


def test_events_of_all_are_one_stream(tmp_path: Path) -> None:
    """The parent's, too; until the client sends something."""
    with crew(cwd=tmp_path) as server, ControlClient(str(tmp_path / "ctl")) as client:
        (port,) = server.ports()
        lines: list[Any] = []

        def watch() -> None:
            for event in client.watch(["events", "closed", "heartbeat"]):
                lines.append(event)
                if len(lines) == 9:
                    return

        watching = Thread(target=watch)
        watching.start()
        until(lambda: _is_followed(tmp_path))
        for source in SOURCES:
            assert is_served(port, source)
        until(lambda: len([each for each in lines if each["event"] == "closed"]) == 8)
        ctl(tmp_path, "heartbeat", "on")
        watching.join(30)
        assert [each["event"] for each in lines].count("heartbeat") == 1
        assert {each["client.address"] for each in lines if each["event"] == "closed"} == set(SOURCES)
        assert json.dumps(lines)


def _is_followed(folder: Path) -> bool:
    """The commands of one client are carried out one after the other; those of others, in between."""
    return bool(ctl(folder, "status")["ok"])
