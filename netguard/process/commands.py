"""What a command of the control socket is: a row of a table, from which reading, refusing and help come."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from math import inf
from typing import Any

from attrs import field, frozen

_KEYED = re.compile(r"\[([a-z]+)=[A-Z]+\]")


class ControlError(Exception):
    """A command cannot be carried out. The text is one line for who gave it."""


@frozen
class Call:
    """A command that somebody gave.

    Args:
        words: its arguments, without those that are keyed.
        keyed: those, as in ``most=20``.
        client: the connection on which it came.
    """

    words: tuple[str, ...] = ()
    keyed: Mapping[str, str] = field(factory=dict)
    client: Any = None


@frozen
class Command:
    """One row of the table.

    Args:
        name: one word or two.
        arguments: what stands behind it: ``WORD``, ``[WORD]``, ``[key=VALUE]``, and ``...`` for any number.
        help: what it does, in a sentence.
        do: carries it out: answers a mapping for JSON, or an awaitable of one. Raises ControlError.
        changes: whether it changes something; then it is told in the log.
    """

    name: str
    arguments: str
    help: str
    do: Callable[[Call], Any]
    changes: bool = False

    @property
    def synopsis(self) -> str:
        """The command with its arguments."""
        return f"{self.name} {self.arguments}".strip()

    def call(self, words: Sequence[str], client: Any = None) -> Call:
        """Read the arguments.

        Args:
            words: what stands behind the name.
            client: who gave them.

        Raises:
            ControlError: there are too many or too few, or one that the command does not know.
        """
        keys = set(_KEYED.findall(self.arguments))
        plain = [each for each in self.arguments.split() if not _KEYED.fullmatch(each)]
        keyed, left = dict[str, str](), list[str]()
        for word in words:
            key, sign, value = word.partition("=")
            if sign and key in keys:
                keyed[key] = value
            else:
                left.append(word)
        least = sum(not each.startswith(("[", "...")) for each in plain)
        most = inf if "..." in plain else len(plain)
        if not least <= len(left) <= most:
            raise ControlError(f"write: {self.synopsis}")
        return Call(tuple(left), keyed, client)


def find(commands: Sequence[Command], line: str) -> tuple[Command, list[str]]:
    """The command of a line, and the words behind it.

    Args:
        commands: the table.
        line: what was given.

    Raises:
        ControlError: there is no such command.
    """
    words = line.split()
    by_name = {each.name: each for each in commands}
    for length in (2, 1):
        found = by_name.get(" ".join(words[:length]))
        if found is not None:
            return found, words[length:]
    raise ControlError(f"{' '.join(words)[:40]!r} is no command; write help")
