"""The options of the guards as arguments of a command, made from the catalogue; a file's come below them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from netguard import config
from netguard.commands.contract import Refusal
from netguard.errors import OptionError
from netguard.options import spelled_out
from netguard.policy import OBSERVE, Policy, flags, shorthands

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netguard.options import Option

SURFACES = {"netguard-pop": "pop", "netguard-relay": "guard", "netguard-wrap": "guard"}
"""The services, and whose defaults hold in each."""


class _Give(argparse.Action):
    """Keeps an option as the services' own parser does: one that takes a list may be given several times."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        """Keep one value."""
        given: dict[str, Any] = {**namespace.given}
        namespace.given = given
        flag = (option_string or "").removeprefix("--")
        short = shorthands().get(flag)
        if short is not None:
            given[short] = [*given.get(short, []), *spelled_out(flag, values)]
        elif flag == OBSERVE or flags()[flag][0].unit.many:
            given[flag] = [*given.get(flag, []), values]
        elif flag in given:
            parser.error(f"--{flag} is given twice")
        else:
            given[flag] = values


def add_guard_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``--for``, ``--config`` and every option of the catalogue.

    Args:
        parser: the command's.
    """
    parser.add_argument(
        "--for",
        dest="service",
        choices=SURFACES,
        default="netguard-pop",
        help="whose defaults hold for what is not given (default: netguard-pop)",
    )
    parser.add_argument("--config", metavar="FILE", help="a configuration file; the options here win")
    parser.set_defaults(given={})
    group = parser.add_argument_group("options of the guards, as the services have them")
    for flag, ones in flags().items():
        for word in (flag, *ones[0].shorthands):
            group.add_argument(f"--{word}", action=_Give, metavar=_word(ones[0]), help=argparse.SUPPRESS)
    group.add_argument(f"--{OBSERVE}", action=_Give, metavar="GUARD", help=argparse.SUPPRESS)


def _word(one: Option) -> str:
    return one.unit.name.upper()


def policy_of(arguments: argparse.Namespace) -> Policy:
    """The policy that a service with these arguments would have.

    Args:
        arguments: parsed.

    Raises:
        Refusal: an option or the file cannot be honoured.
    """
    try:
        filed = config.load(arguments.config) if arguments.config is not None else config.Config()
        return Policy.from_options({**filed.options(), **arguments.given}, SURFACES[arguments.service])
    except OptionError as why:
        raise Refusal(str(why)) from None
