"""Tests for netguard.help_text, and that every help is read well on a terminal of 80 columns."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from netguard import cli
from netguard.help_text import WIDEST, entry, filled, width

PROGRAMS = Path(sys.executable).parent
VERBS = ("add", "set", "otp", "list", "show", "verify", "remove", "import")
HELPS = [
    ["netguard", "--help"],
    *(["netguard", command.NAME, "--help"] for command in cli.COMMANDS),
    *(["netguard", "users", verb, "--help"] for verb in VERBS),
    *(["twistd", f"netguard-{name}", "--help"] for name in ("pop", "relay", "wrap")),
]


def test_paragraphs_are_filled_and_what_is_laid_out_is_not() -> None:
    """An example is one that has a line which begins with a blank."""
    text = "\none two\nthree a-hyphen\n\nas it is:\n  an example that is longer than all\n\nlast\n"
    assert filled(text, 11) == "one two\nthree\na-hyphen\n\nas it is:\n  an example that is longer than all\n\nlast"


def test_an_entry_has_its_text_beside_its_name() -> None:
    """All of its lines begin in the same column."""
    assert entry("  name", "one two three", 14, 8) == "  name  one\n        two\n        three"


@pytest.mark.parametrize(("columns", "lines"), [(60, 60), (WIDEST + 1, WIDEST)])
def test_lines_are_as_long_as_the_terminal_and_no_longer_than_can_be_read(
    columns: int, lines: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment may say how wide it is."""
    monkeypatch.setenv("COLUMNS", str(columns))
    assert width() == lines


@pytest.mark.parametrize("words", HELPS, ids=" ".join)
def test_a_help_fits_into_80_columns(words: list[str]) -> None:
    """Examples included, so that they can be copied."""
    asked = [str(PROGRAMS / words[0]), *words[1:]]
    shown = subprocess.run(
        asked, env={**os.environ, "COLUMNS": "80"}, capture_output=True, text=True, check=True, timeout=60
    )
    assert [line for line in shown.stdout.splitlines() if len(line) > 80] == []
    assert shown.stderr == ""


def test_who_has_read_enough_of_a_help_sees_no_traceback() -> None:
    """As with `| head -1`."""
    with subprocess.Popen(
        [PROGRAMS / "twistd", "netguard-relay", "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as asked:
        assert asked.stdout is not None
        asked.stdout.close()
        _, errors = asked.communicate(timeout=60)
        assert (asked.returncode, errors) == (0, b"")
