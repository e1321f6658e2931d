"""What a command of `netguard` is.

A command is one module of this package, listed in :data:`netguard.cli.COMMANDS`:

* ``NAME``: the word on the command line;
* ``SUMMARY``: what it does, in a few words, for ``netguard --help``;
* ``configure(parser)``: declare its arguments, and give the parser a description with examples;
* ``run(arguments)``: do it. Results go to standard output, everything else to standard error. It raises
  :class:`Refusal` for whatever the person who typed it can mend. What it answers is the exit status; None is 0.

Secrets are never arguments: other users see the command line of every process.
"""

from __future__ import annotations

import argparse
from typing import NoReturn, Protocol

from netguard.help_text import filled


class Refusal(Exception):
    """A command that cannot be carried out. Its text is one line for the person who typed it."""


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Fills paragraphs, and leaves examples as they are."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return filled(text, width)  # what has an indent here, has it already


class Parser(argparse.ArgumentParser):
    """argparse's parser, ending with one line and status 1, as every part of netguard does.

    Options are not abbreviated: a script that uses ``--gen`` would change its meaning with the next option.
    """

    def __init__(self, **options: object) -> None:
        settings = {"formatter_class": _Formatter, "allow_abbrev": False}
        super().__init__(**{**settings, **options})  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and where help is."""
        self.exit(1, f"{self.prog}: {message}; see '{self.prog} --help'\n")


class Command(Protocol):
    """The shape of a command's module."""

    NAME: str
    SUMMARY: str

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """Declare the arguments."""

    def run(self, arguments: argparse.Namespace) -> int | None:
        """Carry the command out, or raise Refusal; the answer is the exit status, None for 0."""
