"""Tests for netguard.process.commands: a command is a row of a table."""

from __future__ import annotations

import pytest

from netguard.process.commands import Call, Command, ControlError, find


def _do(call: Call) -> dict[str, object]:
    return {"words": call.words}


TABLE = (
    Command("limits", "", "List.", _do),
    Command("limits set", "NAME VALUE", "Set.", _do),
    Command("list", "[sort=KEY] [most=N]", "List.", _do),
    Command("events", "[NAME] ...", "Watch.", _do),
    Command("beat", "[on] [EVERY]", "Beat.", _do),
)


@pytest.mark.parametrize(
    ("line", "name", "words", "keyed"),
    [
        ("limits", "limits", (), {}),
        ("limits  set a   b", "limits set", ("a", "b"), {}),
        ("list", "list", (), {}),
        ("list most=3 sort=age", "list", (), {"most": "3", "sort": "age"}),
        ("list most=3 most=4", "list", (), {"most": "4"}),
        ("list most=", "list", (), {"most": ""}),
        ("events", "events", (), {}),
        ("events a b c", "events", ("a", "b", "c"), {}),
        ("beat on 10s", "beat", ("on", "10s"), {}),
        ("limits set a=b most=3", "limits set", ("a=b", "most=3"), {}),
    ],
)
def test_a_line_is_a_command_and_its_arguments(
    line: str, name: str, words: tuple[str, ...], keyed: dict[str, str]
) -> None:
    """The longer name wins; keys count only where the command has them."""
    command, rest = find(TABLE, line)
    call = command.call(rest)
    assert (command.name, call.words, dict(call.keyed)) == (name, words, keyed)


@pytest.mark.parametrize(
    "line", ["limits set", "limits set a", "limits set a b c", "limits x", "list x", "list all=1", "beat a b c"]
)
def test_too_many_and_too_few_arguments_are_refused_with_what_to_write(line: str) -> None:
    """The synopsis is made of the row."""
    command, rest = find(TABLE, line)
    with pytest.raises(ControlError) as refused:
        command.call(rest)
    assert str(refused.value) == f"write: {command.synopsis}"


@pytest.mark.parametrize("line", ["", "x", "limit", "set", "x" * 900, "LIMITS"])
def test_what_is_no_command_is_refused_and_shown_in_part(line: str) -> None:
    """Whatever it is."""
    with pytest.raises(ControlError, match="is no command; write help") as refused:
        find(TABLE, line)
    assert len(str(refused.value)) < 80
