"""The `netguard` command, as a process."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from attrs import frozen

from netguard import cli
from netguard.commands.contract import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMAND = [sys.executable, "-c", "import sys; from netguard.cli import main; sys.exit(main())"]


def netguard(*words: str, stdin: bytes = b"", **options: object) -> subprocess.CompletedProcess[bytes]:
    """Run the command to its end."""
    settings = {"stdout": subprocess.PIPE, **options}
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        [*COMMAND, *words], input=stdin, stderr=subprocess.PIPE, check=False, timeout=60, **settings
    )


def status(*words: str) -> int:
    """Run the command in this process; its exit status."""
    try:
        return cli.main(words)
    except SystemExit as ended:
        return int(str(ended.code))


def test_a_users_life(tmp_path: Path) -> None:
    """Add, list and remove work as separate processes, and the secret stays out of all that is printed."""
    file = str(tmp_path / "accounts")
    secret = b"only alice knows this"
    ran = [
        netguard("users", "-a", file, "add", "alice", "--secret-file", "-", stdin=secret),
        netguard("users", "-a", file, "list", "--json"),
        netguard("users", "-a", file, "add", "alice", "--secret-file", "-", stdin=secret),
        netguard("users", "-a", file, "remove", "alice"),
    ]
    assert [done.returncode for done in ran] == [0, 0, 1, 0]
    assert b"alice" in ran[1].stdout
    for done in ran:
        assert secret not in done.stdout + done.stderr
        assert b"argon2" not in done.stdout + done.stderr
        assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ((), "netguard: the following arguments are required: COMMAND; see 'netguard --help'\n"),
        (("frob",), "netguard: argument COMMAND: invalid choice: 'frob' (choose from"),
        (("users", "list"), "netguard users: which accounts file? give -a FILE\n"),
        (("users", "-a", "/nowhere/accounts", "list"), "netguard users: accounts file /nowhere/accounts: "),
        (("users", "-a", "", "list"), "netguard users: accounts file "),
        (("users", "-a", "/dev/null", "list"), "netguard users: accounts file /dev/null is not a regular file\n"),
        (("users", "-a", "/nowhere/accounts", "add", "al", "--generate"), "netguard users: accounts file /nowhere/"),
    ],
)
def test_whatever_is_wrong_is_one_line_and_status_1(
    words: tuple[str, ...], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is printed to standard output, and no traceback appears."""
    assert status(*words) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(line)
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("surplus", "line"),
    [
        (["hunter2"], "netguard: too many arguments;"),
        (["--secret=hunter2"], "netguard: unknown option --secret;"),
        (["--secret", "hunter2"], "netguard: unknown option --secret;"),
        (["-phunter2"], "netguard: unknown option -p;"),
    ],
)
def test_a_secret_that_was_typed_by_mistake_is_not_repeated(
    tmp_path: Path, surplus: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Surplus arguments are refused without their values, and nothing is done."""
    file = tmp_path / "accounts"
    assert status("users", "-a", str(file), "add", "alice", "--generate", *surplus) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(line)
    assert "hunter2" not in err
    assert not file.exists()


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    """`netguard --help` is the way in."""
    assert status("--help") == 0
    out, err = capsys.readouterr()
    assert err == ""
    for command in cli.COMMANDS:
        assert f"{command.NAME:10}{command.SUMMARY}" in out


def _ways(parser: argparse.ArgumentParser, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The words of every command, and of every command below one."""
    yield words
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, below in action.choices.items():
                yield from _ways(below, (*words, word))


@pytest.mark.parametrize("words", [*_ways(cli._parser())], ids=" ".join)
def test_every_command_explains_itself_and_each_of_its_options(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """`--help` is there for all of them, and no text of theirs upsets argparse, which has its own per cent signs."""
    assert status(*words, "--help") == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.startswith(f"usage: {' '.join(('netguard', *words))} ")


def test_a_name_that_the_locale_cannot_write_is_escaped(tmp_path: Path) -> None:
    """A terminal that knows only ASCII gets the name in escapes, not a traceback."""
    file = str(tmp_path / "accounts")
    assert status("users", "-a", file, "add", "jürgen", "--with", "apop", "--generate") == 0
    done = netguard("users", "-a", file, "list", env={**os.environ, "PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"j\\xfcrgen" in done.stdout


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_under_the_output_is_one_line(tmp_path: Path, unbuffered: str) -> None:
    """Results that cannot be written, at once or at the end, are status 1, said once."""
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    file = str(tmp_path / "accounts")
    assert status("users", "-a", file, "add", "alice", "--with", "apop", "--generate") == 0
    with Path("/dev/full").open("wb") as full:
        done = netguard("users", "-a", file, "list", stdout=full, env=environment)
    assert done.returncode == 1
    assert done.stderr == b"netguard: standard output: No space left on device\n"


def test_a_reader_who_has_had_enough_is_no_error_message(tmp_path: Path) -> None:
    """`netguard users list | head` ends quietly."""
    file = str(tmp_path / "accounts")
    assert status("users", "-a", file, "add", "alice", "--with", "apop", "--generate") == 0
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = netguard("users", "-a", file, "list", stdout=writing)
    finally:
        os.close(writing)
    assert done.returncode == 1
    assert done.stderr == b""


def test_closed_standard_output_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A secret is not made when there is nowhere to show it (Python has no sys.stdout after `>&-`)."""
    file = tmp_path / "accounts"
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", None)
        assert status("users", "-a", str(file), "add", "alice", "--generate") == 1
    assert capsys.readouterr().err == "netguard: standard output is closed\n"
    assert not file.exists()


@frozen
class Probe:
    """A command that does what a test wants.

    Attributes:
        error: what it raises.
    """

    error: BaseException | None
    NAME = "probe"
    SUMMARY = "do what a test wants"

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Take no arguments."""

    def run(self, arguments: argparse.Namespace) -> None:
        """Raise, or do nothing."""
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (None, 0, ""),
        (Refusal("not today"), 1, "netguard probe: not today\n"),
        (KeyboardInterrupt(), 128 + signal.SIGINT, ""),
    ],
)
def test_a_command_is_one_entry_in_a_list(
    error: BaseException | None,
    status: int,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A further command needs nothing but its entry; how it ends is the exit status."""
    monkeypatch.setattr(cli, "COMMANDS", (Probe(error),))
    assert cli.main(["probe"]) == status
    assert capsys.readouterr() == ("", line)


def test_a_defect_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody foresaw keeps its traceback."""
    monkeypatch.setattr(cli, "COMMANDS", (Probe(KeyError("defect")),))
    with pytest.raises(KeyError):
        cli.main(["probe"])
