"""Access rules: an ordered list of which the first that matches decides, at a cost that hardly grows with the list."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from attrs import field, frozen

from netguard.errors import OptionError
from netguard.networks import FirstOf, Network, Telling
from netguard.packed import Packed, packed
from netguard.rule import Name, Rule, Word, rules_of
from netguard.verdict import Failure, Mismatch, Timeout, Verdict, Verified

__all__ = ["Decision", "Rule", "Rules", "decide", "read_rules", "rules", "rules_file"]

Outcome = Literal["allow", "deny", "ask", "failed"]

_LARGEST = 16 * 2**20
_BY_VERDICT = {Verified: Word.KNOWN, Mismatch: Word.PARANOID}
_MEANT = "rules such as allow 10.0.0.0/8,deny .bad.example"
_FILE = "the path of a file with rules, one on each line"


@frozen(cache_hash=True)
class Decision:
    """What rules say about a peer.

    Args:
        outcome: ``allow`` or ``deny``; ``ask`` when it depends on the peer's name, which has not been looked up;
            ``failed`` when it depends on the name and that could not be found out.
        rule: the rule that decides, or that depends on the name. None when none concerns the peer: then the opposite of
            the last rule holds, and where there are no rules everybody may come in.
    """

    outcome: Outcome
    rule: Rule | None = None

    @property
    def shown(self) -> str:
        """The rule as it is written, and where it stands."""
        place = None if self.rule is None else self.rule.place
        return f"{self.rule} ({place})" if place else str(self.rule)


def _read(value: Any) -> Iterator[Rule]:
    if isinstance(value, str):
        for each in value.split(","):
            yield from rules_of(each)
    elif isinstance(value, Rule):
        yield value
    elif isinstance(value, Rules):
        yield from value.rules
    elif isinstance(value, Iterable) and not isinstance(value, bytes | bytearray):
        for each in value:
            yield from _read(each)
    else:
        message = f"{str(value)[:60]!r} is not {_MEANT}"
        raise ValueError(message)  # noqa: TRY004 - as every unit says it


def _ordered(value: Any) -> tuple[Rule, ...]:
    return tuple(_read(value))


@frozen
class Rules:
    """An ordered list of rules; equal when the same rules stand in the same order.

    Args:
        rules: text with commas, such as ``"allow 10.0.0.0/8, deny ALL"``, :class:`netguard.rule.Rule`, or an iterable
            of those.

    Raises:
        ValueError: one of them is no rule; see :func:`netguard.rule.rules_of`.
    """

    rules: tuple[Rule, ...] = field(converter=_ordered, default=())
    index: Index = field(init=False, repr=False, eq=False)

    @index.default
    def _make_index(self) -> Index:
        return Index(self.rules)

    def __str__(self) -> str:
        """Write them as an operator would."""
        return ",".join(map(str, self.rules))

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.rules)

    def __add__(self, others: Rules) -> Rules:
        """These rules, and after them others."""
        return Rules((*self.rules, *others.rules))

    @property
    def first_name(self) -> Rule | None:
        """The first rule that needs a peer's name."""
        return next((each for each in self.rules if each.needs_name), None)


class Index:
    """Where in a list the first rule stands that concerns a peer. A place behind the last one stands for none.

    Args:
        rules: the list.

    Attributes:
        asks: where the first rule stands that needs a name.
        networks: where the first rule stands that concerns an address.
        without_address: where the first rule stands that concerns peers without an IP address.
        decisions: what to answer, by place.
    """

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self.never = len(rules)
        self.asks = next((at for at, rule in enumerate(rules) if rule.needs_name), self.never)
        self.words: dict[Word, int] = {}
        self.names: dict[str, int] = {}
        self.suffixes: dict[str, int] = {}
        networks: list[tuple[int, Network]] = []
        for at, rule in enumerate(rules):
            what = rule.what
            if isinstance(what, Word):
                self.words.setdefault(what, at)
            elif isinstance(what, Name):
                (self.suffixes if what.below else self.names).setdefault(what.name, at)
            else:
                networks.append((at, what))
        everybody = self.words.get(Word.ALL, self.never)
        self.networks = FirstOf([each for each in networks if each[0] < everybody], everybody)
        self.without_address = min(everybody, self.words.get(Word.UNIX, self.never))
        self.decisions = (*(Decision(_outcome(each.allow), each) for each in rules), _otherwise(rules))

    def by_verdict(self, verdict: Verdict) -> int:
        """The first rule that concerns whoever got this verdict."""
        first = self.words.get(_BY_VERDICT.get(type(verdict), Word.UNKNOWN), self.never)
        if not isinstance(verdict, Verified):
            return first
        name = verdict.name.lower().removesuffix(".")
        first = min(first, self.names.get(name, first))
        _, dot, rest = name.partition(".") if self.suffixes else ("", "", "")
        while dot:
            first = min(first, self.suffixes.get(rest, first))
            _, dot, rest = rest.partition(".")
        return first


def _outcome(allow: bool) -> Outcome:
    return "allow" if allow else "deny"


def _otherwise(rules: tuple[Rule, ...]) -> Decision:
    return Decision(_outcome(not rules or not rules[-1].allow))


def decide(rules: Rules, host: Packed, verdict: Verdict | None = None, *, names_fail: str = "closed") -> Decision:
    """What rules say about a peer: the first that matches decides.

    The words have the meaning that they have in tcp_wrappers, but for one thing: that a name could not be found out,
    for nobody answered in time or the name servers failed, is neither UNKNOWN nor PARANOID.

    Args:
        rules: the rules.
        host: the peer's address, in either form; see :mod:`netguard.packed`. No network concerns a peer without an IP
            address, nor does a rule about names, which could not be looked up: only ALL and UNIX do.
        verdict: what looking its name up has come to; None when that has not been done.
        names_fail: what becomes of a peer whose name could not be found out, when it depends on that: ``closed``, the
            outcome is ``failed``; ``open``, rules that need a name do not concern the peer.
    """
    index = rules.index
    address = packed(host) if isinstance(host, str) else host
    if address is None:
        return index.decisions[index.without_address]
    first = index.networks.look(address)
    if first <= index.asks:
        return index.decisions[first]
    if verdict is None:
        return Decision("ask", rules.rules[index.asks])
    if not isinstance(verdict, Timeout | Failure):
        first = min(first, index.by_verdict(verdict))
    elif names_fail == "closed":
        return Decision("failed", rules.rules[index.asks])
    return index.decisions[first]


def read_rules(path: str | Path) -> Rules:
    """Read a file of rules: one line each, ``#`` begins a comment, several addresses or names with blanks or commas.

    Args:
        path: the file, in UTF-8.

    Raises:
        OptionError: the file cannot be read, has something else in it, or no rule at all; one line, with the file's
            name and the number of the line.
    """
    found: list[Rule] = []
    for number, line in enumerate(_text(Path(path)).split("\n"), 1):
        rule = line.partition("#")[0].replace(",", " ").strip()
        try:
            found += rules_of(rule, f"{path}:{number}") if rule else ()
        except ValueError as why:
            raise OptionError(f"{path}:{number}: {why}") from None
    if not found:  # a file that was cut short must not let everybody in
        raise OptionError(f"{path}: there is no rule in it; to let everybody in, write allow ALL")
    return Rules(found)


def _text(path: Path) -> str:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe would wait for somebody to write into it
            raise OptionError(f"{path}: not a file")
        with path.open("rb") as file:
            read = file.read(_LARGEST + 1)
        if len(read) > _LARGEST:
            raise OptionError(f"{path}: longer than {_LARGEST >> 20} MiB")
        return read.decode("utf-8-sig")
    except OSError as why:
        raise OptionError(f"{path}: {why.strerror or why}") from None
    except UnicodeDecodeError as why:
        line = why.object[: why.start].count(b"\n") + 1
        raise OptionError(f"{path}:{line}: not UTF-8") from None


def _parse(value: Any) -> Rules:
    found = value if isinstance(value, Rules) else Rules(value)
    if not found:
        message = f"there is no rule; write {_MEANT}"
        raise ValueError(message)
    return found


def _parse_path(value: Any) -> str:
    if not isinstance(value, str | os.PathLike) or not str(value).strip():
        message = f"{str(value)[:60]!r} is not {_FILE}"
        raise ValueError(message)
    path = os.path.abspath(value)  # noqa: PTH100 - links stay as they are; daemons go elsewhere
    read_rules(path)
    return path


rules = Telling("rules", _MEANT, _parse, str, many=True)
rules_file = Telling("rules-file", _FILE, _parse_path, str)
