"""The ways in which an option can be wrong."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_LONGEST_NAME = 60


class OptionError(ValueError):
    """An option that cannot be honoured. Its text is one line for the person who wrote the option."""


class UnknownOption(OptionError):
    """An option that no guard declares.

    Args:
        name: the option as it was written.
        known: the options that exist here; the nearest is offered as "did you mean".
        what: the word for it, where it is another kind of name.
    """

    def __init__(self, name: str, known: Iterable[str], what: str = "option") -> None:
        self.name = name
        near = get_close_matches(name[:_LONGEST_NAME], list(known), n=1, cutoff=0.6)
        self.suggestion: str | None = near[0] if near else None
        hint = f"; did you mean {self.suggestion!r}?" if self.suggestion else ""
        super().__init__(f"unknown {what} {name[:_LONGEST_NAME]!r}{hint}")


class ContradictoryOptions(OptionError):
    """Two guards of one kind, brought together by nesting or by one policy, disagree about an option."""
