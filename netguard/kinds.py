"""What a word of the log is: its level, what it tells a person, and an example."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from attrs import frozen

if TYPE_CHECKING:
    from constantly import NamedConstant  # type: ignore[import-untyped]  # as Twisted's own modules do

Fields = Mapping[str, object]


@frozen
class Kind:
    """One word of the vocabulary: its level, what it tells a person, and an example of its fields."""

    level: NamedConstant
    meaning: str
    example: Fields
