"""What the verbs of `netguard users` have in common: their words, and how they read and say them."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from netguard.accounts import credentials
from netguard.accounts.names import check_name
from netguard.accounts.settings import SETTINGS
from netguard.commands.contract import Refusal
from netguard.help_text import entry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from netguard.accounts.store import Store

KIND_LIST = "\n".join(entry(f"  {kind.name}", kind.summary, 78, 17) for kind in credentials.KINDS.values())


def accounts_argument(parser: argparse.ArgumentParser) -> None:
    """Take the accounts file, before or behind the verb: SUPPRESS, so that neither default undoes the other."""
    where: Any = {"metavar": "FILE", "default": argparse.SUPPRESS, "help": "the accounts file"}
    parser.add_argument("-a", "--accounts", **where)


def name_argument(parser: argparse.ArgumentParser, explained: str = "the exact name") -> None:
    """Take the name of a user."""
    parser.add_argument("name", metavar="NAME", type=name, help=explained)


def settings_arguments(parser: argparse.ArgumentParser) -> None:
    """Take what can be set of a user."""
    group = parser.add_argument_group("settings of this user")
    for setting in SETTINGS.values():
        unit = setting.unit
        group.add_argument(
            f"--{setting.key}",
            dest=f"set_{setting.attribute}",
            metavar=unit.name.upper(),
            type=_reader(unit),
            help=f"{setting.help}: {unit.expects}",
        )


def given_settings(arguments: argparse.Namespace) -> dict[str, str]:
    """The settings that were given, as text, by key."""
    given = {key: getattr(arguments, f"set_{setting.attribute}") for key, setting in SETTINGS.items()}
    return {key: SETTINGS[key].unit.text(value) for key, value in given.items() if value is not None}


def _reader(unit: Callable[[str], Any]) -> Callable[[str], Any]:
    def read(text: str) -> Any:
        try:
            return unit(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return read


def name(text: str) -> str:
    """A name of a user."""
    try:
        return check_name(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def kinds(text: str) -> list[str]:
    """Kinds of credential, parted by commas."""
    return _words(text, credentials.KINDS, "a kind of credential")


def removable(text: str) -> list[str]:
    """Kinds of credential and settings, parted by commas."""
    return _words(text, {**credentials.KINDS, **SETTINGS}, "a kind of credential or a setting")


def _words(text: str, known: Mapping[str, object], what: str) -> list[str]:
    words = text.split(",")
    for word in words:
        if word not in known:
            raise argparse.ArgumentTypeError(f"{word!a} is not {what}; there are: {', '.join(known)}")
    if len(set(words)) != len(words):
        raise argparse.ArgumentTypeError(f"{what} is given twice")
    return words


def unknown(store: Store, name: str, accounts: str) -> Refusal:
    """The complaint about a name that nobody has, with the nearest that somebody has."""
    near = get_close_matches(name, [user.name for user in store.users()], n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return Refusal(f"there is no user {name!r} in {accounts}{hint}")


def when(seconds: int) -> str:
    """A moment in UTC."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def tell(line: str) -> None:
    """Say what is for the person and not for a pipe."""
    sys.stderr.write(f"netguard users: {line}\n")
