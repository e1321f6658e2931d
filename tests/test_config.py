"""A configuration file gives options, and every mistake in one is told in a line that begins with its name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from netguard import config
from netguard.errors import OptionError
from netguard.policy import Policy
from netguard.units import Prefix


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the test's configuration is."""
    return tmp_path / "guards.toml"


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("", {}),
        ("[guards]", {}),
        ('[guards]\nidle = "30s"', {"idle": "30s"}),
        ("[guards]\nidle = 30", {"idle": 30}),
        ("[guards]\nidle = 2.5", {"idle": 2.5}),
        ("[guards]\nidle = false", {"idle": False}),
        ('[guards]\nidle = "off"', {"idle": "off"}),
        ("[guards]\npeer-prefix = [24, 56]\nmax-per-peer = 3", {"peer-prefix": [24, 56], "max-per-peer": 3}),
        ('[guards]\nobserve = ["IdleTimeout", "WriteStall"]', {"observe": ["IdleTimeout", "WriteStall"]}),
        ('[guards]\nobserve = "all"', {"observe": "all"}),
        ("[guards]\nobserve = false", {"observe": False}),
    ],
)
def test_options_come_as_they_were_written(file: Path, text: str, options: dict[str, Any]) -> None:
    """Text and numbers alike; a policy takes both."""
    file.write_text(text)
    loaded = config.load(file)
    assert loaded.options() == options
    Policy.from_options(loaded.options(), "guard")


def test_a_list_of_numbers_is_a_prefix(file: Path) -> None:
    """TOML has lists, so nobody has to write them into a string."""
    file.write_text("[guards]\nmax-per-peer = 3\npeer-prefix = [24, 56]\n")
    (limit,) = Policy.from_options(config.load(file).options()).guards
    assert limit.prefix == Prefix(24, 56)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[guards]\nidel = 3", "2: [guards] unknown option 'idel'; did you mean 'idle'?"),
        ("[guard]\nidle = 3", "1: unknown table or key 'guard'; did you mean 'guards'?"),
        ("idle = 3", "1: unknown table or key 'idle'; options stand under [guards]"),
        ('observe = "all"', "1: unknown table or key 'observe'; options stand under [guards]"),
        ("guards = 3", "1: guards is a table: write [guards], and the options below it"),
        ('[guards]\nidle = "3x"', "2: [guards] idle: '3x' is not a duration such as 30s, 5m, 1h30m or 250ms"),
        ("[guards]\nidle = true", "2: [guards] idle: true is not a duration such as 30s, 5m, 1h30m or 250ms"),
        ("[guards]\nmax-per-peer = true", "2: [guards] max-per-peer: true is not a whole number above 0"),
        ("[guards]\nidle = [3]", "2: [guards] idle: '[3]' is not a duration such as 30s, 5m, 1h30m or 250ms"),
        ("[guards]\nidle = 2020-01-01", "2: [guards] idle: '2020-01-01' is not a duration"),
        ("[guards]\nidle = {a = 1}", "2: [guards] idle: \"{'a': 1}\" is not a duration"),
        (
            "[guards]\nobserve = 3",
            "2: [guards] observe: write names of guards, or all, as a string or a list of strings",
        ),
        ("[guards]\nobserve = [3]", "2: [guards] observe: write names of guards"),
        ("[guards]\nobserve = true", "2: [guards] observe: write names of guards"),
        ("listeners = 3", '1: listeners are tables: write [listeners."tcp:pop3"], and the options below it'),
        (
            '[listeners]\n"tcp:pop3" = 3',
            '2: [listeners] listeners.tcp:pop3 is a table: write [listeners."tcp:pop3"], and',
        ),
        (
            '[listeners."tcp:pop3"]\n\nidel = 3',
            "3: [listeners.\"tcp:pop3\"] unknown option 'idel'; did you mean 'idle'?",
        ),
        ("[guards]\nallow = '10.0.0.1/8'", "2: [guards] allow: '10.0.0.1/8' has bits behind its first 8; write"),
        ("[guards]\ndeny = [true]", "2: [guards] deny: 'True' is not"),
        ("[guards]\ndeny = true", "2: [guards] deny: true is not rules such as"),
        ("allow = '::1'", "1: unknown table or key 'allow'; options stand under [guards]"),
        ("[guards", " not TOML: "),
    ],
)
def test_a_mistake_is_one_line_with_the_name_of_the_file(file: Path, text: str, complaint: str) -> None:
    """Nothing in a file is ignored, and what is wrong is said as one would say it of a flag."""
    file.write_text(text)
    with pytest.raises(OptionError) as caught:
        config.load(file)
    assert str(caught.value).startswith(f"{file}:{complaint}")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_text_is_not_toml(file: Path) -> None:
    """Binary junk is a mistake as any other."""
    file.write_bytes(b"\xff\xfe[guards]")
    with pytest.raises(OptionError, match="not TOML"):
        config.load(file)


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    """A missing file and a directory are told by the system's own words."""
    with pytest.raises(OptionError, match=r"none\.toml: No such file or directory$"):
        config.load(tmp_path / "none.toml")
    with pytest.raises(OptionError, match=r": Is a directory$"):
        config.load(str(tmp_path))


def test_a_listener_may_have_options_of_its_own(file: Path) -> None:
    """They come on top of the others, and what is off there is off there alone."""
    file.write_text('[guards]\nidle = 30\nlifetime = 60\n[listeners."tcp:pop3"]\nidle = 5\nlifetime = false\n')
    loaded = config.load(file)
    assert loaded.options() == {"idle": 30, "lifetime": 60}
    assert loaded.options("tcp:pop3") == {"idle": 5, "lifetime": False}
    assert loaded.options("tcp:995") == loaded.options()
    assert loaded.origin("idle") == f"{file}:2"
    assert loaded.origin("idle", "tcp:pop3") == f"{file}:5"
    assert loaded.origin("idle", "tcp:995") == f"{file}:2"
    assert loaded.origin("login") is None


def test_options_for_a_listener_that_is_not_there_are_refused(file: Path) -> None:
    """Whoever wrote them believes that they hold."""
    file.write_text('[listeners."tcp:pop"]\nidle = 5\n')
    loaded = config.load(file)
    loaded.refuse_others(["tcp:pop"])
    with pytest.raises(OptionError, match=r":1: unknown listener 'tcp:pop'; did you mean 'tcp:pop3'\?$"):
        loaded.refuse_others(["tcp:pop3"])
    with pytest.raises(OptionError, match=r":1: unknown listener 'tcp:pop'; there are unix:x, ssl:1$"):
        loaded.refuse_others(["unix:x", "ssl:1"])


def test_shorthands_are_told_as_what_they_stand_for(file: Path) -> None:
    """In the order of the keys; a listener's own rules stand in place of the others."""
    file.write_text(
        '[guards]\ndeny = [".bad.example", "10.0.0.0/8"]\nallow = "ALL"\n[listeners."tcp:1"]\nallow = "::1"\n'
        '[listeners."tcp:2"]\ndeny = false\n'
    )
    loaded = config.load(file)
    assert loaded.options() == {"rules": ["deny .bad.example", "deny 10.0.0.0/8", "allow ALL"]}
    assert loaded.options("tcp:1") == {"rules": ["allow ::1"]}
    assert Policy.from_options(loaded.options("tcp:2")) == Policy()
    assert loaded.origin("rules") == f"{file}:3"
    assert loaded.origin("rules", "tcp:1") == f"{file}:5"
    assert loaded.origin("rules", "tcp:3") == f"{file}:3"
