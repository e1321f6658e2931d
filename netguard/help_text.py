"""Help on a terminal: paragraphs as wide as that is, and what is laid out, such as an example, as it is written."""

from __future__ import annotations

import shutil
import textwrap

WIDEST = 100
"""Columns: longer lines are hard to read, however wide the terminal is."""


def width() -> int:
    """The columns of the terminal, as far as lines should go; 80 where there is no terminal."""
    return min(shutil.get_terminal_size().columns, WIDEST)


def filled(text: str, columns: int) -> str:
    """The same text with its paragraphs filled; one in which a line begins with a blank stays as it is.

    Args:
        text: paragraphs, with an empty line between two.
        columns: how wide.
    """
    return "\n\n".join(_filled(each, columns) for each in text.strip("\n").split("\n\n"))


def _filled(paragraph: str, columns: int) -> str:
    lines = paragraph.splitlines()
    if any(line.startswith(" ") for line in lines):
        return paragraph
    return textwrap.fill(" ".join(lines), columns, break_long_words=False, break_on_hyphens=False)


def entry(name: str, text: str, columns: int, at: int) -> str:
    """A name, and beside it what it means.

    Args:
        name: as it begins the line.
        text: a sentence or more.
        columns: how wide.
        at: the column at which the text begins.
    """
    indent = " " * at
    return textwrap.fill(text, columns, initial_indent=f"{name:{at}}", subsequent_indent=indent)
