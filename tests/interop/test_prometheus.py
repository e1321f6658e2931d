"""Prometheus' own tool has nothing to say about our metrics, and the alerts on our pages ring when they should."""

from __future__ import annotations

import json
import shutil
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
from tests.programs import needs

pytestmark = needs("promtool")

RULES = Path(__file__).parent.parent.parent / "docs" / "examples" / "netguard-alerts.yml"
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
