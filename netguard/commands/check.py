"""`netguard check`: is a configuration file right, and what holds when a service is started with it?"""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

from twisted.internet.protocol import Factory
from twisted.internet.task import Clock

from netguard import config
from netguard.commands.contract import Refusal
from netguard.commands.guard_arguments import SURFACES
from netguard.errors import OptionError
from netguard.options import Option, is_off, options_of
from netguard.policy import CATALOGUE, OBSERVE, Policy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netguard.config import Config

NAME = "check"
SUMMARY = "check a configuration file, and show what holds with it"

DEFAULT = "default"

_DESCRIPTION = """\
Check a configuration file (--config of the services) and show the options that hold with it, each with where it comes
from. Nothing is started. Flags of a command line, which win over the file, are not known here.
"""

_EXAMPLES = """\
examples:
  netguard check /etc/netguard/pop.toml
  netguard check guards.toml --for netguard-wrap --json
"""

Row = tuple[str, str, str]
"""An option's flag, its value and where that comes from."""


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `netguard check`."""
    parser.description = _DESCRIPTION
    parser.epilog = _EXAMPLES
    parser.add_argument("file", metavar="FILE", help="the TOML file")
    parser.add_argument(
        "--for",
        dest="service",
        choices=SURFACES,
        default="netguard-pop",
        help="whose defaults hold for what the file leaves out (default: netguard-pop)",
    )
    parser.add_argument("--json", action="store_true", help="write JSON, for programs")


def run(arguments: argparse.Namespace) -> None:
    """Check, and show."""
    surface = SURFACES[arguments.service]
    try:
        filed = config.load(arguments.file)
        found = {name: list(rows(filed, surface, name)) for name in (None, *filed.listeners)}
    except OptionError as why:
        raise Refusal(str(why)) from None
    (_as_json if arguments.json else _as_text)(arguments, found)


def rows(filed: Config, surface: str, listener: str | None) -> Iterator[Row]:
    """What holds for a listener, in the catalogue's order; what the file switches off is named, too.

    Args:
        filed: the file.
        surface: whose defaults hold.
        listener: the listener; None for those that have no options of their own.

    Raises:
        OptionError: the options contradict each other.
    """
    given = filed.options(listener)
    try:
        policy = Policy.from_options(given, surface)
        policy.wrap(Factory(), Clock())  # what guards need besides, such as files of their own, has to be there
        written = policy.options()
    except OptionError as why:
        place = filed.path if listener is None else f"{filed.path}: listener {listener}"
        raise OptionError(f"{place}: {why}") from None
    seen: set[str] = set()
    for one in _options():
        if one.flag in seen:
            continue
        seen.add(one.flag)
        value = written.get(one.flag)
        if value is not None or (one.flag in given and is_off(given[one.flag])):
            yield one.flag, value or "off", filed.origin(one.flag, listener) or DEFAULT
    if OBSERVE in written:
        yield OBSERVE, written[OBSERVE], filed.origin(OBSERVE, listener) or DEFAULT


def _options() -> Iterator[Option]:
    for guard in CATALOGUE:
        yield from options_of(guard)


def _as_json(arguments: argparse.Namespace, found: dict[str | None, list[Row]]) -> None:
    shown = {
        name: {flag: {"value": value, "origin": origin} for flag, value, origin in rows}
        for name, rows in found.items()
        if name is not None
    }
    guards = {flag: {"value": value, "origin": origin} for flag, value, origin in found[None]}
    document = {"file": arguments.file, "for": arguments.service, "guards": guards, "listeners": shown}
    sys.stdout.write(json.dumps(document, indent=2) + "\n")


def _as_text(arguments: argparse.Namespace, found: dict[str | None, list[Row]]) -> None:
    sys.stdout.write(f"{arguments.file} is right; with it, {arguments.service} has:\n")
    common = found.pop(None)
    _table(common)
    for name, rows in found.items():
        own = [row for row in rows if row not in common]
        sys.stdout.write(f"\nand on {name}, instead:\n" if own else f"\nand on {name} the same\n")
        _table(own)


def _table(rows: list[Row]) -> None:
    widths = [max((len(row[place]) for row in rows), default=0) for place in (0, 1)]
    for flag, value, origin in rows:
        sys.stdout.write(f"  {flag:{widths[0]}}  {value:{widths[1]}}  {origin}\n")
