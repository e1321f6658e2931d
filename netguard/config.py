"""Options from a TOML file: ``[guards]``, with the options of the catalogue for its keys.

.. code-block:: toml

    [guards]
    idle = "30s"
    max-per-peer = 20
    peer-prefix = [24, 56]
    lifetime = false      # the same as "off"

Nothing is ignored: an unknown table or key stops the start, since a mistyped limit is a limit that is not there.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from netguard.errors import OptionError, UnknownOption
from netguard.options import is_off
from netguard.policy import OBSERVE, flags

TABLE = "guards"


def load(path: str | Path) -> dict[str, Any]:
    """The guards' options of a file, by flag, ready for :meth:`netguard.policy.Policy.from_options`.

    Args:
        path: a TOML file.

    Raises:
        OptionError: the file cannot be read, is no TOML, or has a table, a key or a value that means nothing; one line
            that begins with the file's name.
    """
    try:
        return _guards(_read(Path(path)))
    except OptionError as why:
        raise OptionError(f"{path}: {why}") from None


def _read(path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8"))
    except OSError as why:
        raise OptionError(why.strerror or str(why)) from None
    except ValueError as why:  # of TOML and of UTF-8 alike
        raise OptionError(f"not TOML: {why}") from None


def _guards(document: Mapping[str, Any]) -> dict[str, Any]:
    for name in document:
        if name != TABLE:
            known = flags()
            hint = f"; options stand under [{TABLE}]" if name in known or name == OBSERVE else ""
            raise OptionError(f"{UnknownOption(name, [TABLE], 'table or key')}{hint}")
    table = document.get(TABLE, {})
    if not isinstance(table, dict):
        raise OptionError(f"{TABLE} is a table: write [{TABLE}], and the options below it")
    return {flag: _checked(flag, value) for flag, value in table.items()}


def _checked(flag: str, value: Any) -> Any:
    known = flags()
    if flag == OBSERVE:
        if value is False or isinstance(value, str) or _is_words(value):
            return value
        raise OptionError(f"[{TABLE}] {OBSERVE}: write names of guards, or all, as a string or a list of strings")
    if flag not in known:
        raise OptionError(f"[{TABLE}] {UnknownOption(flag, [*known, OBSERVE])}")
    unit = known[flag][0].unit
    if value is True:
        raise OptionError(f"[{TABLE}] {flag}: true is not {unit.expects}")
    if not is_off(value):
        try:
            unit(value)
        except ValueError as why:
            raise OptionError(f"[{TABLE}] {flag}: {why}") from None
    return value


def _is_words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)
