"""The configuration file is read again: what can change does, the rest is told, and a mistake changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from twisted.application.service import MultiService
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock

from netguard.guarded_endpoints import Together
from netguard.plugins.guard_options import GuardOptions
from netguard.testing import Echo, connect

if TYPE_CHECKING:
    from netguard.service import Service
    from tests.conftest import Logged


class Options(GuardOptions):
    """With listeners."""

    surface = "guard"

    def __init__(self) -> None:
        super().__init__()
        self.listens = ["tcp:1", "tcp:2"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A configuration file."""
    path = tmp_path / "netguard.toml"
    path.write_text("[guards]\nmax-per-peer = 1\n")
    return path


def made(file: Path, *words: str) -> tuple[list[Any], Service]:
    """The guarded factories of both listeners."""
    options = Options()
    options.parseOptions(["--config", str(file), *words])
    together = Together(options.policy, Clock())
    factories = [together.wrap(Factory.forProtocol(Echo), options.policy_of(each)) for each in options.listens]
    options.equip(MultiService(), together.service)
    return factories, together.service


def test_a_limit_changes_for_those_who_come_then(file: Path, logged: Logged) -> None:
    """Over all ports that count together; who is in stays."""
    (first, second), house = made(file)
    peer = connect(first)
    assert connect(second).refused
    file.write_text("[guards]\nmax-per-peer = 3\n")
    assert house.reload()
    others = [connect(second), connect(first)]
    assert [each.refused for each in others] == [False, False]
    assert connect(first).refused
    file.write_text("[guards]\nmax-per-peer = 1\n")
    assert house.reload()
    assert not peer.lost
    assert [(each["option"], each["before"], each["limit"]) for each in logged.named("limit_changed")] == [
        ("max-per-peer", "1", "3"),
        ("max-per-peer", "3", "1"),
    ]


def test_what_was_not_changed_in_the_file_stays_as_an_operator_has_set_it(file: Path, logged: Logged) -> None:
    """Until the file says something new about it."""
    _, house = made(file)
    (dial,) = (each for each in house.dials if each.option.flag == "max-per-peer")
    dial.set("7")
    assert house.reload()
    assert (dial.text, logged.named("limit_changed")) == ("7", [])
    file.write_text("[guards]\nmax-per-peer = 2\n")
    assert house.reload()
    assert dial.text == "2"


def test_the_command_line_wins(file: Path, logged: Logged) -> None:
    """Whatever the file says now."""
    (first, _), house = made(file, "--max-per-peer", "2")
    file.write_text("[guards]\nmax-per-peer = 9\n")
    assert house.reload()
    peers = [connect(first) for _ in range(3)]
    assert [each.refused for each in peers] == [False, False, True]
    assert logged.named("limit_changed") == logged.named("restart_needed") == []


@pytest.mark.parametrize(
    ("text", "about"),
    [
        ('[guards]\nmax-per-peer = 1\nidle = "1m"\n', ("idle", "5m", "1m")),
        ("[guards]\nmax-per-peer = false\n", ("max-per-peer", "1", "off")),
        ('[guards]\nmax-per-peer = 1\nlifetime = "1h"\n', ("lifetime", "off", "1h")),
        ('[guards]\nmax-per-peer = 1\n[listeners."tcp:2"]\nmax-per-peer = 8\n', ("max-per-peer", "1", "8")),
    ],
)
def test_what_cannot_change_needs_a_restart_and_is_told_each_time(
    text: str, about: tuple[str, str, str], file: Path, logged: Logged
) -> None:
    """Until the file has again what holds."""
    before = file.read_text()
    _, house = made(file)
    file.write_text(text)
    assert house.reload()
    assert house.reload()
    told = [(each["option"], each["limit"], each["wanted"]) for each in logged.named("restart_needed")]
    assert told == [about] * 2
    file.write_text(before)
    assert house.reload()
    assert len(logged.named("restart_needed")) == 2


def test_listeners_of_their_own_limits_change_apart(file: Path, logged: Logged) -> None:
    """Each counts its own."""
    file.write_text('[guards]\nmax-per-peer = 1\n[listeners."tcp:2"]\nmax-per-peer = 2\n')
    _, house = made(file)
    file.write_text('[guards]\nmax-per-peer = 1\n[listeners."tcp:2"]\nmax-per-peer = 4\n')
    assert house.reload()
    assert sorted(each.text for each in house.dials if each.option.flag == "max-per-peer") == ["1", "4"]
    assert logged.named("restart_needed") == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[guards]\nmax-per-peer = 5\nmax-per-pear = 1\n", ":3: [guards] unknown option 'max-per-pear'"),
        ("[guards]\nmax-per-peer = -1\n", ":2: [guards] max-per-peer: "),
        ("[guards\n", ": not TOML: "),
        ('[guards]\nmax-per-peer = 5\n[listeners."tcp:3"]\n', ":3: unknown listener 'tcp:3'"),
        (None, ": No such file"),
    ],
)
def test_a_mistake_changes_nothing(text: str | None, why: str, file: Path, logged: Logged) -> None:
    """It is one line, with the file and the line."""
    (first, _), house = made(file)
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    assert not house.reload()
    (event,) = logged.named("reload_failed")
    assert event["reason"].startswith(f"{file}{why}")
    peers = [connect(first), connect(first)]
    assert [each.refused for each in peers] == [False, True]


def test_the_file_is_found_from_wherever_the_process_goes(
    file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A daemon changes its directory."""
    monkeypatch.chdir(tmp_path)
    _, house = made(Path(file.name))
    monkeypatch.chdir("/")
    assert house.reload()
