"""The example in the kit's own documentation."""

from __future__ import annotations

import textwrap
from typing import Any

import netguard.testing


def test_the_example_for_guard_authors_works_as_it_stands() -> None:
    """It is pasted into a file, and its tests pass."""
    text = netguard.testing.__doc__ or ""
    source = textwrap.dedent(text.split("::\n", 1)[1])
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(source, "example", "exec"), names)  # noqa: S102 - it is ours
    tests = [each for name, each in names.items() if name.startswith("test_")]
    assert len(tests) == 2
    for each in tests:
        each()
