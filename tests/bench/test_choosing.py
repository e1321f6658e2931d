"""Every script that measures says what there is to be measured, and what there is not."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
SCRIPTS = {
    "run": ("chunk", "echo_alone", "tunnels", "pop_giant"),
    "relays": ("one-by-one", "portforward"),
    "tls_relays": ("resumed-1.3", "stock"),
    "tls_out": ("bulk", "connections"),
    "refusals": ("together", "one-by-one", "denied", "full"),
    "capacity": ("relay TLS", "refused"),
}
"""With some of what each measures."""


def run(*words: str) -> subprocess.CompletedProcess[str]:
    """Run Python in the folder of the scripts, with lines as long as they are."""
    environment = {**os.environ, "COLUMNS": "200", "PYTHONPATH": str(FOLDER.parents[1])}
    return subprocess.run(
        [sys.executable, *words], cwd=FOLDER, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_has_a_line_for_each(script: str) -> None:
    """It ends well, and nothing is measured."""
    told = run(f"{script}.py", "--help")
    assert (told.returncode, told.stderr) == (0, "")
    known = told.stdout.partition("what there is:\n")[2].replace("\n\n", "\n").strip("\n").split("\n")
    assert {name for name in SCRIPTS[script] for line in known if line.startswith(f"  {name}  ")} == {*SCRIPTS[script]}
    assert all(len(line) > len("  relay connections  ") and line[20] == " " != line[21] for line in known)


@pytest.mark.parametrize("script", SCRIPTS)
def test_what_is_not_there_is_told_before_anything_is_measured(script: str) -> None:
    """With what there is."""
    told = run(f"{script}.py", SCRIPTS[script][0].split()[0], "no-such-bench")
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr.splitlines()[-1].startswith(f"{script}.py: error: there is no no-such-bench here, but ")
    assert all(name in told.stderr for name in SCRIPTS[script])


@pytest.mark.parametrize(
    ("words", "beginnings", "names"),
    [
        ([], False, [["pop", "pop TLS", "web"], ["haproxy", "relay"]]),
        (["web", "pop", "web"], False, [["web", "pop"], ["haproxy", "relay"]]),
        (["relay"], False, [["pop", "pop TLS", "web"], ["relay"]]),
        (["relay", "pop"], False, [["pop"], ["relay"]]),
        (["pop"], True, [["pop", "pop TLS"], ["haproxy", "relay"]]),
    ],
)
def test_what_is_asked_for_is_done(words: list[str], beginnings: bool, names: list[list[str]]) -> None:
    """In the order of the words; of what is not asked about, everything."""
    kinds = {"pop": "a", "pop TLS": "b", "web": "c"}, {"haproxy": "d", "relay": "e"}
    told = run("-c", f"import choosing; print(choosing.chosen('x', *{kinds}, beginnings={beginnings}, words={words}))")
    assert (told.stdout.strip(), told.stderr) == (str(names), "")
