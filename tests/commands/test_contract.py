"""What a command of `netguard` is."""

from __future__ import annotations

import pytest

from netguard.commands.contract import Parser, Refusal


def parser() -> Parser:
    """One with an option and a command that has one too."""
    made = Parser(prog="netguard", description="First line.\n\n  kept as written")
    made.add_argument("--generate", action="store_true")
    made.add_subparsers(dest="command").add_parser("users").add_argument("--json", action="store_true")
    return made


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["frob"], "netguard: argument command: invalid choice: 'frob' (choose from"),
        (["--gen"], "netguard: unrecognized arguments: --gen"),
        (["users", "--js"], "netguard: unrecognized arguments: --js"),
    ],
)
def test_a_bad_command_line_is_one_line_and_status_1(
    words: list[str], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wrong or an abbreviated option ends with one line on standard error that says where help is."""
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(words)
    assert ended.value.code == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(line)
    assert err.endswith("; see 'netguard --help'\n")
    assert err.count("\n") == 1


def test_help_keeps_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """Examples in a description are printed as they were written, and help is status 0."""
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(["--help"])
    assert ended.value.code == 0
    assert "First line.\n\n  kept as written\n" in capsys.readouterr().out


def test_a_refusal_is_its_line() -> None:
    """Its text is what a person reads."""
    assert str(Refusal("give -a FILE")) == "give -a FILE"
