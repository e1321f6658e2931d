"""The options of the guards for any twistd plugin: made from the catalogue, explained, and one line for a mistake."""

from __future__ import annotations

import os
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from math import inf
from pathlib import Path
from typing import Any, ClassVar, NoReturn

from attrs import fields_dict
from twisted.python import usage

from netguard import config as files
from netguard.errors import OptionError
from netguard.help_text import WIDEST, filled
from netguard.help_text import width as terminal
from netguard.options import Option, options_of, spelled_out
from netguard.plugins import (
    admin,
    control,
    draining,
    hardening,
    heart,
    ledger,
    locking,
    logs,
    notifying,
    reloading,
    staffing,
    taking_over,
)
from netguard.plugins.concerns import Concern
from netguard.plugins.rereading import Rereading
from netguard.policy import CATALOGUE, OBSERVE, Policy, flags, words
from netguard.process.inheritance import Inheritance
from netguard.process.instance import SingleInstance
from netguard.service import Service
from netguard.workers.member import Member
from netguard.workers.worker import Program

CONCERNS: tuple[Concern, ...] = (
    *(staffing, taking_over, locking, logs, hardening, reloading, draining, ledger, heart, notifying, control, admin),
)
"""What every service has besides its guards, in the order in which it is checked and joins."""

_RUNNING = (
    "config",
    *(name for concern in CONCERNS for name, *_ in (*concern.PARAMETERS, *concern.FLAGS)),
    *("help", "version"),
)
"""The options that every plugin has besides its guards', in the order in which they are explained."""


def _once(flag: str) -> Callable[[Any, str], None]:
    def take(self: GuardOptions, value: str) -> None:
        if flag in self.given:
            raise usage.UsageError(f"--{flag} is given twice")
        self.given[flag] = value

    return take


def _listed(flag: str) -> Callable[[Any, str], None]:
    def take(self: GuardOptions, value: str) -> None:
        self.given.setdefault(flag, []).append(value)

    return take


def _spelled(flag: str, word: str) -> Callable[[Any, str], None]:
    def take(self: GuardOptions, value: str) -> None:
        self.given.setdefault(flag, []).extend(spelled_out(word, value))

    return take


def _observe(self: GuardOptions, value: str) -> None:
    self.given[OBSERVE] = f"{self.given[OBSERVE]},{value}" if OBSERVE in self.given else value


class GuardOptions(usage.Options):
    """Options of a twistd plugin that has guards; a plugin's own are added by a subclass.

    Attributes:
        surface: whose defaults hold, ``guard`` or ``pop``; a subclass says so.
        given: the guards' options that stand on the command line, by flag.
        instance: the lock that lets one instance run, or None.
        inherited: see :class:`netguard.plugins.concerns.Given`.
        reloads: see :class:`netguard.plugins.concerns.Given`.
        looks: likewise.
        member, crew, patience: likewise.
        config: what the file says, once the options have been parsed.
        policy: the guards, likewise.
    """

    surface: ClassVar[str] = "guard"
    about: ClassVar[str] = ""
    config: files.Config
    instance: SingleInstance | None
    inherited: Inheritance | None = None
    member: Member | None = None
    crew: tuple[Program, int] | None = None
    patience: float = inf
    policy: Policy
    reloads = True

    optParameters: ClassVar[list[list[Any]]] = [
        ["config", None, None, "a TOML file with the options below under [guards]; the command line wins"],
        *(parameter for concern in CONCERNS for parameter in concern.PARAMETERS),
    ]
    optFlags: ClassVar[list[list[Any]]] = [flag for concern in CONCERNS for flag in concern.FLAGS]

    def __init__(self) -> None:
        self.given: dict[str, Any] = {}
        self.looks: list[Callable[[], object]] = []
        super().__init__()  # type: ignore[no-untyped-call]

    def parseOptions(self, options: Iterable[str] | None = None) -> None:
        """Parse; under twistd, a mistake ends it with one line and status 1."""
        try:
            super().parseOptions(options)  # type: ignore[no-untyped-call]
        except (usage.UsageError, OptionError) as why:
            self.fail(why)

    def fail(self, why: Exception | str, see: str = "") -> NoReturn:
        """End with one line that says what is wrong.

        Args:
            why: what is wrong.
            see: the subcommand whose help is named; this one's unless given.

        Raises:
            SystemExit: under twistd, which would print all of its help for a UsageError.
            UsageError: elsewhere.
        """
        message = " ".join(suggesting(str(why), self).split())
        if self.parent is None:
            raise usage.UsageError(message) from None
        name = self.parent.subCommand
        raise SystemExit(f"twistd {name}: {message} (see twistd {see or name} --help)") from None

    def postOptions(self) -> None:
        """Check every concern, the lock first; then make the policy: flags before file, file before defaults."""
        for concern in CONCERNS:
            concern.check(self)
        self.config = files.load(self["config"]) if self["config"] is not None else files.Config()
        self.policy = self.policy_of(None)

    def policy_of(self, listener: str | None, config: files.Config | None = None) -> Policy:
        """The guards of one listener.

        Args:
            listener: the endpoint as ``--listen`` has it; None for what holds where a file says nothing else.
            config: what the file says; what it said at the start unless given.

        Raises:
            OptionError: its options contradict each other.
        """
        try:
            options = (self.config if config is None else config).options(listener)
            return Policy.from_options({**options, **self.given}, self.surface)
        except OptionError as why:
            raise OptionError(why if listener is None else f"listener {listener}: {why}") from None

    def equip(self, service: Any, house: Service) -> Any:
        """Let a service have all that these options say.

        Args:
            service: what ``makeService`` is about to return.
            house: what its guarded factories have in common.

        Returns:
            The same service; with ``--workers``, what has others serve it.
        """
        service = staffing.staffed(service, house, self)
        for concern in CONCERNS:
            concern.equip(service, house, self)
        if self["config"] is not None:
            path = str(Path(self["config"]).absolute())
            house.when_reloaded(Rereading(path, self, getattr(self, "listens", [None]), house))
        return service

    def opt_help(self) -> None:
        """Display this help and exit."""
        try:
            sys.stdout.write(f"{self}\n")
            sys.stdout.flush()
        except BrokenPipeError:  # whoever reads it (`| head`) has had enough; Python would try again at its exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)

    def __str__(self) -> str:
        return f"{filled(self.getSynopsis(), terminal())}\n\n{self.getUsage()}"

    def getUsage(self, width: int | None = None) -> str:
        """The help: the plugin's own options, how it runs, then the guards one by one, with units and defaults."""
        columns = terminal() if width is None else min(width, WIDEST)
        names = {name.rstrip("="): name for name in self.longOpt if name.rstrip("=") not in words()}
        running = {name: names.pop(name) for name in _RUNNING}
        own = sorted(names.values(), key=lambda name: not hasattr(self, f"opt_{name.rstrip('=').replace('-', '_')}"))
        chunks = {"What it serves": own, "How it runs": running.values()}
        parts = [f"{filled(self.about, columns)}\n" if self.about else ""]
        parts += [
            _chunk(what, [(name, self._doc(name)) for name in row], columns) for what, row in chunks.items() if row
        ]
        parts += [self._guard_usage(guard, columns) for guard in CATALOGUE]
        parts.append(_chunk("All guards", [(f"{OBSERVE}=", _OBSERVE_HELP)], columns))
        parts.append("Any option of a guard is switched off by 'off', as in --idle off.\n")
        return "\n".join(part for part in parts if part)

    def _doc(self, name: str) -> str:
        return " ".join((self.docs.get(name.rstrip("=")) or "").split())

    def _guard_usage(self, guard: type, width: int) -> str:
        summary = (guard.__doc__ or "").strip().partition("\n")[0]
        rows = []
        for one in options_of(guard):
            rows.append((f"{one.flag}=", explain(guard, one, self.surface)))
            rows += [(f"{word}=", _spelling(one.flag, word)) for word in one.shorthands]
        return _chunk(f"{guard.__name__}: {summary}", rows, width)


def suggesting(message: str, options: usage.Options) -> str:
    """What getopt says about an unknown option, with the nearest one that exists.

    Args:
        message: the text of an error.
        options: whose options were parsed.
    """
    unknown = re.fullmatch(r"option --(\S+) not recognized", message)
    if unknown is None:
        return message
    near = get_close_matches(unknown[1], [each.rstrip("=") for each in options.longOpt], n=1)
    return f"unknown option --{unknown[1]}" + (f"; did you mean --{near[0]}?" if near else "")


_OBSERVE_HELP = (
    "Only report what this guard (its name, or 'all') would have done, and do nothing. May be given several times."
)


def explain(guard: type, one: Option, surface: str) -> str:
    """One option in words: what it does, what to write, and what holds when it is not given.

    Args:
        guard: the guard that has it.
        one: the option.
        surface: whose default is told.
    """
    default, refined = one.defaults.get(surface), fields_dict(guard)[one.field].default
    if one.qualifies and refined is not None:
        default = one.unit.text(refined)
    return f"{one.help} Write {one.unit.expects}. Default: {default or one.otherwise or 'off'}."


def _spelling(flag: str, word: str) -> str:
    return f"--{word} VALUE is the same as --{flag} '{word} VALUE'; the order in which they are given counts."


def _chunk(title: str, rows: Iterable[tuple[str, str]], width: int) -> str:
    lines = textwrap.wrap(title, width, subsequent_indent="    ")
    for name, text in rows:
        lines.append(f"  --{name}")
        lines += textwrap.wrap(text, width, initial_indent=" " * 8, subsequent_indent=" " * 8, break_on_hyphens=False)
    return "\n".join(lines) + "\n"


def _declare(flags_of: Mapping[str, tuple[Option, ...]]) -> None:
    """Give GuardOptions one handler for each option; Twisted finds them by their names."""
    for flag, ones in flags_of.items():
        take = _listed(flag) if ones[0].unit.many else _once(flag)
        take.__doc__ = ones[0].help
        setattr(GuardOptions, "opt_" + flag.replace("-", "_"), take)
        for word in ones[0].shorthands:
            short = _spelled(flag, word)
            short.__doc__ = _spelling(flag, word)
            setattr(GuardOptions, "opt_" + word.replace("-", "_"), short)


_declare(flags())
_observe.__doc__ = _OBSERVE_HELP
setattr(GuardOptions, "opt_" + OBSERVE, _observe)
