"""Where in a TOML file a key stands: Python's parser does not say, and whoever made a mistake wants to know."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from attrs import field, frozen

_NAME = r"""(?:[A-Za-z0-9_-]+|"[^"\\]*"|'[^']*')"""
_DOTTED = rf"{_NAME}(?:\s*\.\s*{_NAME})*"
_HEADER = re.compile(rf"\s*\[\s*({_DOTTED})\s*\]\s*(?:#.*)?$")
_KEY = re.compile(rf"\s*({_DOTTED})\s*=")
_LONG = re.compile(r'"""|' + "'''")


@frozen
class Lines:
    """The lines of a file's tables and keys.

    Args:
        places: numbers, from 1, by table and key; a table itself has the key None.
    """

    places: Mapping[tuple[tuple[str, ...], str | None], int] = field(factory=dict)

    @classmethod
    def read(cls, text: str) -> Lines:
        """Find them.

        Args:
            text: a file that is TOML; keys in tables that are written in one line are not found.
        """
        places: dict[tuple[tuple[str, ...], str | None], int] = {}
        table: tuple[str, ...] = ()
        for number, line in _outside_of_texts(text):
            header, key = _HEADER.match(line), _KEY.match(line)
            if header is not None:
                table = _names(header[1])
                places.setdefault((table, None), number)
                places.setdefault((table[:-1], table[-1]), number)
            elif key is not None:
                *inner, name = _names(key[1])
                places.setdefault(((*table, *inner), name), number)
        return cls(places)

    def of(self, table: tuple[str, ...], key: str | None = None) -> int | None:
        """The line of a key, or else of its table, from 1; None when neither was found."""
        return self.places.get((table, key), self.places.get((table, None)))


def _names(dotted: str) -> tuple[str, ...]:
    return tuple(each.strip("\"'") for each in re.findall(_NAME, dotted))


def _outside_of_texts(text: str) -> Iterator[tuple[int, str]]:
    """The numbered lines that do not begin inside a text of several lines."""
    open_mark = ""
    for number, line in enumerate(text.splitlines(), 1):
        if not open_mark:
            yield number, line
        for mark in _LONG.findall(line):
            if open_mark in ("", mark):
                open_mark = "" if open_mark else mark
