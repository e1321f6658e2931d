"""One declaration for one option.

``option()`` on a field of a frozen guard is the only place where an option is written down. From it come the Python
argument, the command-line flag, the keyword of an endpoint string, the key in a configuration file and the row of the
documentation; the converter is the parser, so a guard that exists is valid.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from netguard.errors import OptionError
from netguard.units import Unit

OFF = frozenset({"off", "none", "no"})
_KEY = "netguard"


@attrs.frozen
class Option:
    """What is known about one option.

    Args:
        flag: its name on every surface: ``--flag``, ``flag=`` in an endpoint string, ``flag =`` in a file.
        unit: what its value is.
        help: one sentence, for ``--help`` and the documentation.
        defaults: text by surface: ``guard`` (a bare ``guard:`` or ``netguard-wrap``), ``pop`` (``netguard-pop``).
        qualifies: it only refines other options of its guard and brings no guard into being by itself.
        field: the Python argument.
        shorthands: words that stand for the flag and for the first word of each value, on every surface: ``word VALUE``
            is ``flag "word VALUE"``.
        otherwise: what holds when it is not given and has no default, in words; empty when it is off then.
    """

    flag: str
    unit: Unit
    help: str
    defaults: Mapping[str, str] = attrs.field(factory=dict)
    qualifies: bool = False
    field: str = ""
    shorthands: tuple[str, ...] = ()
    otherwise: str = ""


@attrs.define
class Dial:
    """An option that can be changed while the service runs.

    Args:
        guard: the guard whose it is, as it was made.
        option: the option.
        value: what holds now.
        turn: called with a new value.
    """

    guard: Any
    option: Option
    value: Any
    turn: Callable[[Any], object]

    @property
    def text(self) -> str:
        """What holds now, as one would write it."""
        return self.option.unit.text(self.value)

    def set(self, text: str) -> None:
        """Change it.

        Args:
            text: the new value, as one would write it.

        Raises:
            OptionError: it is not of the option's unit.
        """
        try:
            value = self.option.unit(text)
        except ValueError as why:
            raise OptionError(f"option {self.option.flag}: {why}") from None
        self.turn(value)
        self.value = value


def choice(*words: str) -> Unit:
    """A unit whose values are words.

    Args:
        words: those that may be written.
    """

    def parse(value: Any) -> str:
        word = str(value).strip().lower()
        if word not in words:
            raise ValueError(value)
        return word

    first = f"{', '.join(words[:-1])} or " if len(words) > 1 else ""
    return Unit("choice", f"{first}{words[-1]}", parse)


def is_off(value: object) -> bool:
    """Whether a value, from any surface, switches its option off."""
    if isinstance(value, list | tuple) and len(value) == 1:  # of an option that may be given several times
        (value,) = value
    return value is None or value is False or (isinstance(value, str) and value.strip().lower() in OFF)


def option(
    flag: str,
    converter: Unit,
    help: str,  # noqa: A002 - the word that argparse and twisted.python.usage use
    *,
    default: Any = attrs.NOTHING,
    defaults: Mapping[str, str] | None = None,
    refines: bool = False,
    shorthands: tuple[str, ...] = (),
    otherwise: str = "",
) -> Any:
    """Declare a field of a guard as an option.

    Args:
        flag: the option's name on every surface; lower case, with dashes.
        converter: the unit of its value.
        help: one sentence that says what the option does.
        default: the value when the option is not given. Without one the guard needs it; with None the option is one of
            several that bring the guard about; with anything else it refines the others.
        defaults: text by surface, for the options that are on unless switched off; see :class:`Option`.
        refines: it refines the others although its default is None.
        shorthands: words that stand for the flag and for the first word of each value; see :class:`Option`.
        otherwise: what holds when it is not given, in words; see :class:`Option`.

    Raises:
        OptionError: (when a guard is made) the value is not of that unit; the text names the option.
    """

    def convert(value: object) -> object:
        if value is None and default is None:
            return None
        try:
            return converter(value)
        except ValueError as why:
            also = f" ({', '.join(shorthands)})" if shorthands else ""
            raise OptionError(f"option {flag}{also}: {why}") from None

    qualifies = refines or (default is not attrs.NOTHING and default is not None)
    known = Option(flag, converter, help, dict(defaults or {}), qualifies, "", shorthands, otherwise)
    return attrs.field(default=default, converter=convert, metadata={_KEY: known})


def spelled_out(word: str, value: Any) -> list[Any]:
    """What a shorthand stands for: the values of the option that it belongs to.

    Args:
        word: the shorthand, which becomes the first word of each value.
        value: one value, several with commas, or a list.
    """
    if is_off(value):
        return ["off"]
    if isinstance(value, list | tuple):
        return [item for each in value for item in spelled_out(word, each)]
    if value is True:  # which is no word, and the option's own unit says so
        return [value]
    return [f"{word} {each.strip()}" for each in str(value).split(",")]


def options_of(guard: type) -> tuple[Option, ...]:
    """The options that a guard class declares, in the order of its fields."""
    return tuple(
        attrs.evolve(each.metadata[_KEY], field=each.name) for each in attrs.fields(guard) if _KEY in each.metadata
    )
