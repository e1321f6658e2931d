"""Tests for netguard.commands.ctl: what is asked of a service is sent as it stands, and its answer is shown."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from netguard.commands import ctl
from netguard.commands.contract import Parser, Refusal
from tests.process.test_control_client import service


def parsed(*words: str) -> argparse.Namespace:
    """The arguments."""
    parser = Parser(prog="netguard ctl")
    ctl.configure(parser)
    return parser.parse_args(words)


def test_an_answer_is_shown_for_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As lines."""
    path = tmp_path / "control"
    with service(path, b'{"ok": true, "pid": 7}\n') as heard:
        ctl.run(parsed(str(path), "limits", "set", "max-connections", "5"))
    assert heard == [b"limits set max-connections 5\n"]
    assert capsys.readouterr().out == "pid  7\n"


@pytest.mark.parametrize("words", [("--json", "SOCKET", "status"), ("SOCKET", "status", "--json")])
def test_an_answer_is_shown_for_programs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    """As it came, wherever that was asked for."""
    path = tmp_path / "control"
    with service(path, b'{"ok": true, "pid": 7}\n'):
        ctl.run(parsed(*[str(path) if each == "SOCKET" else each for each in words]))
    assert json.loads(capsys.readouterr().out) == {"ok": True, "pid": 7}


def test_what_cannot_be_done_is_a_refusal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In the service's words."""
    path = tmp_path / "control"
    with service(path, b'{"ok": false, "error": "not today"}\n'), pytest.raises(Refusal, match="not today"):
        ctl.run(parsed(str(path), "drain"))
    assert capsys.readouterr().out == ""


def test_events_are_shown_line_by_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Until the service ends; what was lost says how much."""
    path = tmp_path / "control"
    lines = b'{"event": "cut", "time": "T", "message": "cut client=192.0.2.7"}\n{"event": "lost", "count": 3}\n'
    for asked, shown in (
        ((), "T cut client=192.0.2.7\nevent=lost count=3\n"),
        (("--json",), lines.decode()),
    ):
        with service(path, lines), pytest.raises(Refusal, match="has closed"):
            ctl.run(parsed(str(path), "events", *asked))
        assert capsys.readouterr().out == shown
        path.unlink()
