"""Tests for `netguard check`: what holds with a file, and where it comes from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from netguard.cli import main
from netguard.policy import Policy, defaults

FILE = """\
[guards]
idle = "30s"
lifetime = false
observe = "WriteStall"

[listeners."tls:pop3s"]
idle = 5

[listeners."tcp:pop3"]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of an operator's."""
    path = tmp_path / "guards.toml"
    path.write_text(FILE)
    return path


def test_what_holds_is_shown_with_its_origin(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file's lines, what it switches off, and the defaults."""
    assert main(["check", str(file)]) == 0
    told = capsys.readouterr().out
    rows = {line.split()[0]: line.split()[1:] for line in told.splitlines() if line.startswith("  ")}
    assert rows["max-per-peer"] == [defaults("pop")["max-per-peer"], "default"]
    assert rows["lifetime"] == ["off", f"{file}:3"]
    assert rows["observe"] == ["WriteStall", f"{file}:4"]
    assert f"idle  5s  {file}:7" in told
    assert "and on tcp:pop3 the same" in told
    assert rows.keys() >= defaults("pop").keys()


@pytest.mark.parametrize(("service", "surface"), [("netguard-pop", "pop"), ("netguard-wrap", "guard")])
def test_what_is_shown_is_what_holds(
    file: Path, service: str, surface: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A policy made of what is shown equals the one that a service would have."""
    assert main(["check", str(file), "--for", service, "--json"]) == 0
    shown: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (shown["file"], shown["for"]) == (str(file), service)
    expected = {"idle": "30s", "lifetime": False, "observe": "WriteStall"}
    assert _policy(shown["guards"]) == Policy.from_options(expected, surface)
    assert _policy(shown["listeners"]["tls:pop3s"]) == Policy.from_options({**expected, "idle": 5}, surface)
    assert shown["guards"]["idle"]["origin"] == f"{file}:2"


def _policy(rows: dict[str, dict[str, str]]) -> Policy:
    return Policy.from_options({flag: row["value"] for flag, row in rows.items()})


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[guards]\nidel = 3", "guards.toml:2: [guards] unknown option 'idel'; did you mean 'idle'?"),
        ("[guards]\nmax-item = 3\npeer-prefix = 'x'", "guards.toml:3: [guards] peer-prefix: 'x' is not"),
        (
            '[listeners."tcp:1"]\nmin-rate-out = "off"\nmin-rate-grace = 1',
            "toml: listener tcp:1: option min-rate",
        ),
    ],
)
def test_a_mistake_is_one_line(file: Path, text: str, complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    """On standard error, with status 1."""
    file.write_text(text)
    assert main(["check", str(file)]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert complaint in told.err
    assert told.err.startswith("netguard check: ")
    assert told.err.count("\n") == 1


def test_a_file_of_nothing_leaves_the_defaults(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """All of them, marked."""
    file.write_text("")
    assert main(["check", str(file)]) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert rows
    assert all(line.endswith("default") for line in rows)
