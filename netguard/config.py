"""Options from a TOML file: ``[guards]``, with the options of the catalogue for its keys, and what a listener has else.

.. code-block:: toml

    [guards]
    idle = "30s"
    max-per-peer = 20
    peer-prefix = [24, 56]
    lifetime = false      # the same as "off"

    [listeners."tls:pop3s"]
    idle = "5m"           # here, and only here

Nothing is ignored: an unknown table or key stops the start, since a mistyped limit is a limit that is not there.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from netguard.config_lines import Lines
from netguard.errors import OptionError, UnknownOption
from netguard.options import is_off, spelled_out
from netguard.policy import OBSERVE, flags, shorthands, without_shorthands, words

TABLE = "guards"
LISTENERS = "listeners"


@frozen
class Config:
    """What a file says.

    Args:
        guards: options by flag, ready for :meth:`netguard.policy.Policy.from_options`.
        listeners: the same for single listeners, by the endpoint that ``--listen`` has; they come on top.
        path: the file; empty when there is none.
        lines: where in the file what stands.
    """

    guards: Mapping[str, Any] = field(factory=dict)
    listeners: Mapping[str, Mapping[str, Any]] = field(factory=dict)
    path: str = ""
    lines: Lines = field(factory=Lines, repr=False, eq=False)

    def options(self, listener: str | None = None) -> dict[str, Any]:
        """The options of a listener, or of all that have none of their own.

        Args:
            listener: the endpoint as ``--listen`` has it.
        """
        own = self.listeners.get(listener or "", {})
        return {**without_shorthands(self.guards), **without_shorthands(own)}

    def refuse_others(self, listens: list[str]) -> None:
        """Refuse a file that has options for a listener that does not exist.

        Args:
            listens: the endpoints that do.

        Raises:
            OptionError: there is one; the line names what exists.
        """
        for name in self.listeners:
            if name not in listens:
                unknown = UnknownOption(name, listens, "listener")
                here = f"; there are {', '.join(listens)}" if unknown.suggestion is None else ""
                raise OptionError(f"{self._at((LISTENERS, name))}: {unknown}{here}")

    def _at(self, table: tuple[str, ...], key: str | None = None) -> str:
        line = self.lines.of(table, key)
        return self.path if line is None else f"{self.path}:{line}"

    def origin(self, flag: str, listener: str | None = None) -> str | None:
        """Where an option stands, as ``FILE:LINE``.

        Args:
            flag: the option.
            listener: whose option it is.

        Returns:
            None when the file does not have it.
        """
        same = (flag, *(word for word, meant in shorthands().items() if meant == flag))
        own = {} if listener is None else self.listeners.get(listener, {})
        for table, place in ((own, (LISTENERS, listener or "")), (self.guards, (TABLE,))):
            for word in same:
                if word in table:
                    return self._at(place, word)
        return None


def load(path: str | Path) -> Config:
    """Read a file.

    Args:
        path: a TOML file.

    Raises:
        OptionError: the file cannot be read, is no TOML, or has a table, a key or a value that means nothing; one line
            that begins with the file's name and, where it is known, the number of the line.
    """
    text = _read(Path(path))
    try:
        document = tomllib.loads(text)
    except ValueError as why:
        raise OptionError(f"{path}: not TOML: {why}") from None
    return _Reader(str(path), Lines.read(text)).config(document)


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except OSError as why:
        raise OptionError(f"{path}: {why.strerror or why}") from None
    except ValueError as why:
        raise OptionError(f"{path}: not TOML: {why}") from None


@frozen
class _Reader:
    """Checks a document.

    Args:
        path: its file.
        lines: where in the file what stands.
    """

    path: str
    lines: Lines

    def config(self, document: Mapping[str, Any]) -> Config:
        """The document's options, or the first mistake."""
        for name in document:
            if name not in (TABLE, LISTENERS):
                hint = f"; options stand under [{TABLE}]" if name in words() else ""
                unknown = UnknownOption(name, [TABLE, LISTENERS], "table or key")
                self.fail(f"{unknown}{hint}", (), name)
        listeners = document.get(LISTENERS, {})
        if not isinstance(listeners, dict):
            self.fail(
                f'{LISTENERS} are tables: write [{LISTENERS}."tcp:pop3"], and the options below it', (), LISTENERS
            )
        return Config(
            self.table((TABLE,), document.get(TABLE, {})),
            {name: self.table((LISTENERS, name), table) for name, table in listeners.items()},
            self.path,
            self.lines,
        )

    def table(self, name: tuple[str, ...], table: Any) -> dict[str, Any]:
        """One table's options."""
        if not isinstance(table, dict):
            shown = _shown(name)
            self.fail(f"{'.'.join(name)} is a table: write {shown}, and the options below it", name[:-1], name[-1])
        return {flag: self.checked(name, flag, value) for flag, value in table.items()}

    def checked(self, table: tuple[str, ...], flag: str, value: Any) -> Any:
        """One option's value."""
        known = flags()
        if flag == OBSERVE:
            if value is False or isinstance(value, str) or _is_words(value):
                return value
            self.fail(f"{OBSERVE}: write names of guards, or all, as a string or a list of strings", table, flag)
        if flag not in words():
            self.fail(str(UnknownOption(flag, words())), table, flag)
        short = shorthands().get(flag)
        unit = known[short or flag][0].unit
        if value is True:
            self.fail(f"{flag}: true is not {unit.expects}", table, flag)
        if not is_off(value):
            try:
                unit(value if short is None else spelled_out(flag, value))
            except ValueError as why:
                self.fail(f"{flag}: {why}", table, flag)
        return value

    def fail(self, why: str, table: tuple[str, ...], key: str) -> Any:
        """Say what is wrong, and where."""
        line = self.lines.of(table, key)
        place = self.path if line is None else f"{self.path}:{line}"
        raise OptionError(f"{place}: {_shown(table)}{' ' if table else ''}{why}") from None


def _shown(table: tuple[str, ...]) -> str:
    """A table's header as it stands in a file."""
    first, *rest = table or ("",)
    return f"[{first}{''.join(f'.{chr(34)}{each}{chr(34)}' for each in rest)}]" if table else ""


def _is_words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)
