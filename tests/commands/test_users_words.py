"""What the verbs of `netguard users` have in common."""

from __future__ import annotations

import argparse

import pytest

from netguard.accounts.credentials import KINDS
from netguard.accounts.settings import SETTINGS
from netguard.commands import users_words as words
from netguard.commands.contract import Parser


def test_every_kind_is_explained() -> None:
    """The help of `add` has a line for each."""
    begun = [line for line in words.KIND_LIST.splitlines() if not line.startswith("   ")]
    assert [line.split()[0] for line in begun] == list(KINDS)


def test_every_setting_is_an_option() -> None:
    """What is given comes back as text by its key; what is not given does not."""
    parser = Parser(prog="x")
    words.settings_arguments(parser)
    assert words.given_settings(parser.parse_args([])) == {}
    given = ["--mailbox=/a/./b", "--login-delay=90", "--expire=7", "--lifetime=1h", "--max-out=1024"]
    assert words.given_settings(parser.parse_args(given)) == {
        "mailbox": "/a/b",
        "login-delay": "90s",
        "expire": "7",
        "lifetime": "1h",
        "max-out": "1KiB",
    }
    assert {word.partition("=")[0] for word in given} == {f"--{key}" for key in SETTINGS}


def test_words_are_told_apart() -> None:
    """Kinds are kinds, and what can be taken away is a kind or a setting."""
    assert words.kinds("apop,otp") == ["apop", "otp"]
    assert words.removable("apop,mailbox") == ["apop", "mailbox"]
    for wrong in ("mailbox", "", "apop,", "apop,apop"):
        with pytest.raises(argparse.ArgumentTypeError):
            words.kinds(wrong)


def test_moments_are_in_utc() -> None:
    """As RFC 3339 writes them."""
    assert words.when(0) == "1970-01-01T00:00:00Z"


def test_a_name_is_checked() -> None:
    """What can be no name is a bad argument."""
    assert words.name("alice") == "alice"
    with pytest.raises(argparse.ArgumentTypeError, match="dot"):
        words.name(".alice")
