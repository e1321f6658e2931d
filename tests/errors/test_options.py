"""Mistakes in options: each is one line that a person can act upon."""

from __future__ import annotations

import pytest

from netguard.errors import options
from netguard.errors.options import ContradictoryOptions, OptionError, UnknownOption


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("idel", "unknown option 'idel'; did you mean 'idle'?"),
        ("zzz", "unknown option 'zzz'"),
        ("x" * 500, f"unknown option {'x' * 60!r}"),
    ],
)
def test_an_unknown_option_names_its_like(name: str, text: str) -> None:
    """If there is one; and is no longer than a person can read."""
    assert str(UnknownOption(name, ["idle", "lifetime"])) == text


def test_every_mistake_is_a_value_error() -> None:
    """So that code that knows nothing of netguard treats it as a bad value."""
    assert issubclass(OptionError, ValueError)
    assert issubclass(ContradictoryOptions, OptionError)
    assert str(UnknownOption("a", [], "table")) == "unknown table 'a'"
    assert options.__doc__
