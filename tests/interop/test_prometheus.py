"""Prometheus' own tool has nothing to say about our metrics, and the alerts on our pages ring when they should."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import Clock

from netguard.admin.asked import Asked
from netguard.admin.metrics import Metrics
from netguard.errors import Idle, TooManyFromPeer
from netguard.process.vitals import Vitals
from netguard.service import Service
from tests.crewserver import Caller, ask_page, crew, is_served, kill, pids, until
from tests.programs import needs

pytestmark = needs("promtool")

RULES = Path(__file__).parent.parent.parent / "docs" / "examples" / "netguard-alerts.yml"
SOURCES = [f"127.0.0.{n}" for n in range(1, 5)]
ACCEPTED = "netguard_accepted_total 4.0"
REFUSED = 'netguard_refused_total{guard="ConnectionLimit",reason="TooManyFromPeer"} 4.0'
ENDED = 'netguard_events_total{event="worker_ended"}'
STUCK = 'netguard_events_total{event="worker_stuck"}'
WOULD = 'netguard_observed_total{event="would_cut",guard="IdleTimeout"}'
US = 'instance="mail:9113"'


def metrics(house: Service) -> bytes:
    """What a scrape gets."""
    return Metrics(Vitals(house), ["ConnectionLimit", "IdleTimeout"]).page(Asked("GET", "/metrics")).body


def test_the_metrics_are_as_prometheus_wants_them() -> None:
    """Names, units and help texts, whatever has been counted."""
    house = Service(Clock)
    house.figures.refused[TooManyFromPeer] += 3
    house.figures.cut[Idle] += 1
    house.figures.would["would_cut", "IdleTimeout"] += 1
    house.late(0.0, 0.3)
    for text in (metrics(Service(Clock)), metrics(house)):
        checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


@pytest.mark.slow
def test_the_sums_of_workers_are_as_prometheus_wants_them(tmp_path: Path) -> None:
    """They are the counts of one service, whoever has counted, and say how often a worker has ended, from 0 on."""
    limits = ["--max-item", "20", "--max-per-peer", "1", "--worker-timeout", "5s"]
    observed = ["--idle", "1h", "--observe", "IdleTimeout"]
    with crew("--admin", f"unix:{tmp_path / 'admin'}", *limits, *observed, cwd=tmp_path) as server:
        (port,) = (each["server.port"] for each in server.wait_for("listening", 2) if "server.port" in each)
        assert all(counted(tmp_path, f"{each} 0.0") for each in (ENDED, STUCK, WOULD))
        callers = [Caller(port, source) for source in SOURCES]
        assert all(each.answerer for each in callers)
        for source in SOURCES:
            assert not is_served(port, source)
        assert callers[0].say(b"x" * 100) == b""
        until(lambda: counted(tmp_path, REFUSED) and counted(tmp_path, ACCEPTED), "the count of all")
        kill(callers[1].answerer, signal.SIGSTOP)
        pids(server, 3)
        text = until(lambda: counted(tmp_path, f"{ENDED} 1.0"), "the end of one")
        assert f"{STUCK} 1.0" in text
        assert REFUSED in text
        for each in callers:
            each.close()
    checked = subprocess.run(["promtool", "check", "metrics"], input=text.encode(), capture_output=True, check=False)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


def counted(folder: Path, line: str) -> str:
    """The metrics, once this line is among them."""
    text = ask_page(folder / "admin", "GET /metrics").partition("\r\n\r\n")[2]
    return text if line in text.splitlines() else ""


def ringing(folder: Path, series: dict[str, str]) -> set[str]:
    """Which alerts ring after half an hour; `promtool test rules` says so, by what it had not expected."""
    names = ("NetguardNotReady", "NetguardRefusesMany", "NetguardLoopLags")
    given = [{"series": name, "values": values} for name, values in series.items()]
    test: dict[str, Any] = {"interval": "1m", "input_series": given}
    test["alert_rule_test"] = [{"eval_time": "30m", "alertname": name, "exp_alerts": []} for name in names]
    shutil.copy(RULES, folder / "rules.yml")
    (folder / "test.yml").write_text(json.dumps({"rule_files": ["rules.yml"], "tests": [test]}))
    told = subprocess.run(["promtool", "test", "rules", "test.yml"], cwd=folder, capture_output=True, check=False)
    text = (told.stdout + told.stderr).decode()
    assert ("SUCCESS" in text) is (told.returncode == 0), text
    return {name for name in names if f"alertname: {name}" in text}


WELL = {
    f"netguard_ready{{{US}}}": "1+0x30",
    f"netguard_accepted_total{{{US}}}": "0+600x30",
    f'netguard_refused_total{{{US},guard="ConnectionLimit",reason="TooManyFromPeer"}}': "0+6x30",
    f'netguard_loop_lag_seconds_bucket{{{US},le="0.25"}}': "0+240x30",
    f'netguard_loop_lag_seconds_bucket{{{US},le="1.0"}}': "0+240x30",
    f'netguard_loop_lag_seconds_bucket{{{US},le="+Inf"}}': "0+240x30",
}


@pytest.mark.parametrize(
    ("changes", "alerts"),
    [
        ({}, set()),
        ({"netguard_ready": "0+0x30"}, {"NetguardNotReady"}),
        ({"netguard_ready": "1 _x29"}, {"NetguardNotReady"}),
        ({"netguard_refused_total": "0+500x30"}, {"NetguardRefusesMany"}),
        ({"netguard_accepted_total": "0+0x30", "netguard_refused_total": "0+50x30"}, set()),
        ({'le="0.25"': "0+220x30"}, {"NetguardLoopLags"}),
        ({'le="0.25"': "0+239x30"}, set()),
    ],
)
def test_the_alerts_ring_when_they_should(changes: dict[str, str], alerts: set[str], tmp_path: Path) -> None:
    """And not when all is well, or when next to nothing happens."""
    series = {name: next((new for word, new in changes.items() if word in name), old) for name, old in WELL.items()}
    assert ringing(tmp_path, series) == alerts
