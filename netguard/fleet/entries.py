"""What machines write for each other: JSON with a version, small, and never believed to be in order.

``{"v": 1, "n": 7, "news": {"max-per-peer": {"192.0.2.7": 3}}}`` is the seventh news of a machine, and
``{"v": 1, "n": 7, "after": "1700-0", "state": {…}}`` what was so there when that had been told, at that position.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from attrs import field, frozen

from netguard.fleet.ledger import LONGEST

VERSION = 1

_POSITION = re.compile(r"[0-9]{1,19}-[0-9]{1,19}", re.ASCII)
_MOST_NUMBER = 2**53

Parts = Mapping[str, Mapping[str, Any]]
"""By the flag of a tally, what it says."""


@frozen
class Entry:
    """One of them.

    Args:
        number: that of the news, or of the last news before a state.
        parts: what each tally says.
        after: of a state: the position of those news.
        leaving: of news: there will be no more.
    """

    number: int
    parts: Parts = field(factory=dict)
    after: str | None = None
    leaving: bool = False

    def encoded(self) -> bytes:
        """As it is written."""
        about: dict[str, Any] = {"v": VERSION, "n": self.number}
        if self.after is not None:
            about |= {"after": self.after, "state": self.parts}
        else:
            about |= {"news": {flag: part for flag, part in self.parts.items() if part}}
        if self.leaving:
            about["leaving"] = True
        return json.dumps(about, separators=(",", ":")).encode()

    @classmethod
    def news_of(cls, octets: bytes) -> Entry | None:
        """The news that somebody wrote; None when it is nothing that this version understands."""
        said = _read(octets)
        return None if said is None else cls(said["n"], _parts(said.get("news")), None, said.get("leaving") is True)

    @classmethod
    def state_of(cls, octets: bytes) -> Entry | None:
        """The state that somebody wrote; None when it is nothing that this version understands."""
        said = _read(octets)
        if said is None or not is_position(after := said.get("after")):
            return None
        return cls(said["n"], _parts(said.get("state")), after)


def is_position(value: object) -> bool:
    """Whether a ledger can be asked what comes behind it."""
    return isinstance(value, str) and _POSITION.fullmatch(value) is not None


def _read(octets: bytes) -> dict[str, Any] | None:
    if len(octets) > LONGEST:
        return None
    try:
        said = json.loads(octets, parse_constant=_refuse)
    except (ValueError, RecursionError):  # what is no JSON, no UTF-8, a number without end, or too deep
        return None
    if not isinstance(said, dict) or said.get("v") != VERSION or not _is_number(said.get("n")):
        return None
    return said


def _is_number(value: object) -> bool:
    return type(value) is int and 0 <= value < _MOST_NUMBER


def _parts(value: object) -> Parts:
    if not isinstance(value, dict):
        return {}
    return {flag: part for flag, part in value.items() if isinstance(part, dict)}


def _refuse(word: str) -> NoReturn:
    raise ValueError(word)
