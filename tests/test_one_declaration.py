"""An option is declared once: Python, command line, endpoint string and file make equal policies of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.testing import MemoryReactorClock
from twisted.scripts import twistd

from netguard import config
from netguard.endpoint_strings import CLIENTS, SERVERS, quote
from netguard.guard import Guard
from netguard.guards.access_rules import AccessRules
from netguard.guards.proxy_protocol import Proxies
from netguard.load.thresholds import thresholds
from netguard.networks import Networks
from netguard.options import Option, options_of
from netguard.plugins.guard_options import GuardOptions
from netguard.policy import CATALOGUE, OBSERVE, Policy, defaults, flags, words
from netguard.rules import Rules
from netguard.units import Frequency, Prefix

RULES = str(Path(__file__).parent / "everybody.rules")

# One value of each unit: as text, as a TOML value, and as Python has it.
VALUES: dict[str, tuple[str, str, object]] = {
    "duration": ("90s", "90", 90.0),
    "size": ("5KiB", "5120", 5120),
    "rate": ("6KiB/s", "6144", 6144),
    "count": ("7", "7", 7),
    "frequency": ("8/min", '"8/min"', Frequency(8, 60.0)),
    "prefix": ("24,56", "[24, 56]", Prefix(24, 56)),
    "port": ("1113", "1113", 1113),
    "bytes": (r"\r\n", '"\\r\\n"', b"\r\n"),
    "thresholds": ("lag>250ms,load>8", '["lag>250ms", "load>8"]', thresholds("lag>250ms,load>8")),
    "actions": ("refuse,tighten", '["refuse", "tighten"]', ("refuse", "tighten")),
    "limit": ("adaptive", '"adaptive"', "adaptive"),
    "networks": ("10.0.0.0/8,::1", '["10.0.0.0/8", "::1"]', Networks("10.0.0.0/8,::1")),
    "proxies": ("unix,10.0.0.0/8", '["unix", "10.0.0.0/8"]', Proxies(Networks("10.0.0.0/8"), unix=True)),
    "transport": ("stock", '"stock"', "stock"),
    "rules": ("deny ::1,allow ALL", '["deny ::1", "allow ALL"]', Rules("deny ::1,allow ALL")),
    "rules-file": (RULES, json.dumps(RULES), RULES),
    "nameservers": (
        "127.0.0.1:53,[::1]:5353",
        '["127.0.0.1", "[::1]:5353"]',
        (("127.0.0.1", 53), ("::1", 5353)),
    ),
    "proxy": ("socks5h://127.0.0.1:1080", '"socks5h://127.0.0.1:1080"', "socks5h://127.0.0.1:1080"),
    "refusal": ("text:not now", '"text:not now"', "text:not now"),
}
# Of options whose unit is a choice of words of their own, by flag.
CHOSEN: dict[str, str] = {"privileged-port": "refuse", "names-fail": "open", "names": "require", "ident": "log"}


def value_of(one: Option) -> tuple[str, str, object]:
    """A value of an option: as text, as a TOML value, and as Python has it."""
    word = CHOSEN.get(one.flag)
    return VALUES[one.unit.name] if word is None else (word, json.dumps(word), word)


@frozen
class Case:
    """One option, alone as far as it can be.

    Args:
        guard: whose it is.
        options: it, and what it needs beside it.
    """

    guard: type[Guard]
    options: tuple[Option, ...]

    def __str__(self) -> str:
        """Name it."""
        return self.options[0].flag

    def text(self) -> dict[str, str]:
        """Its values as text; everything else that would be on is off."""
        off = dict.fromkeys(defaults("guard"), "off")
        return off | {each.flag: value_of(each)[0] for each in self.options}

    def python(self) -> Policy:
        """The policy as an author writes it."""
        return Policy(self.guard(**{each.field: value_of(each)[2] for each in self.options}))


def cases() -> list[Case]:
    """Every option of every guard; one that only refines others with one of those."""
    found = []
    for guard in CATALOGUE:
        deciding = next(each for each in options_of(guard) if not each.qualifies)
        found += [Case(guard, (each, deciding) if each.qualifies else (each,)) for each in options_of(guard)]
    return found


def from_command_line(text: Mapping[str, str], _: Path) -> Policy:
    """As an operator types flags."""
    options = GuardOptions()
    options.parseOptions([word for flag, value in text.items() for word in (f"--{flag}", value)])
    return options.policy


def from_server_string(text: Mapping[str, str], _: Path) -> Policy:
    """As an operator writes a server's endpoint."""
    words = ":".join(f"{flag}={quote(value)}" for flag, value in text.items())
    endpoint: Any = serverFromString(MemoryReactorClock(), f"guard:tcp:80:{words}")
    policy: Policy = endpoint.policy
    return policy


def from_client_string(text: Mapping[str, str], _: Path) -> Policy:
    """As an operator writes a client's endpoint."""
    words = ":".join(f"{flag}={quote(value)}" for flag, value in text.items())
    endpoint: Any = clientFromString(MemoryReactorClock(), f"guard:{words}:tcp:host:80")
    policy: Policy = endpoint.policy
    return policy


def from_file(text: Mapping[str, str], folder: Path) -> Policy:
    """As an operator writes strings into a file."""
    return _filed({flag: json.dumps(value) for flag, value in text.items()}, folder)


def from_file_with_numbers(text: Mapping[str, str], folder: Path) -> Policy:
    """As an operator writes TOML's own types into a file."""
    natural = (
        {short: toml for short, toml, _ in VALUES.values()}
        | {each: json.dumps(each) for each in CHOSEN.values()}
        | {"off": "false", "all": '["all"]'}
    )
    return _filed({flag: natural[value] for flag, value in text.items()}, folder)


def _filed(rows: Mapping[str, str], folder: Path) -> Policy:
    file = folder / "guards.toml"
    file.write_text("[guards]\n" + "".join(f"{flag} = {value}\n" for flag, value in rows.items()))
    assert config.load(file).options()
    options = GuardOptions()
    options.parseOptions(["--config", str(file)])
    return options.policy


SURFACES = [from_command_line, from_server_string, from_client_string, from_file, from_file_with_numbers]
Surface = Callable[[Mapping[str, str], Path], Policy]


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("case", cases(), ids=str)
def test_every_option_means_the_same_on_every_surface(case: Case, surface: Surface, tmp_path: Path) -> None:
    """One option, five ways to write it, one policy."""
    assert surface(case.text(), tmp_path) == case.python()


@pytest.mark.parametrize("surface", SURFACES)
def test_all_options_together_mean_the_same_on_every_surface(surface: Surface, tmp_path: Path) -> None:
    """The whole catalogue, with every guard only observing."""
    text = {flag: value_of(ones[0])[0] for flag, ones in flags().items()}
    python = Policy(
        *(guard(observe=True, **{each.field: value_of(each)[2] for each in options_of(guard)}) for guard in CATALOGUE)
    )
    assert surface({**text, OBSERVE: "all"}, tmp_path) == python


@pytest.mark.parametrize("surface", [each for each in SURFACES if each is not from_file_with_numbers])
@pytest.mark.parametrize("words", [("allow", "deny"), ("deny", "allow")])
def test_shorthands_mean_the_same_on_every_surface(words: tuple[str, str], surface: Surface, tmp_path: Path) -> None:
    """What stands first is the first rule."""
    first, second = words
    text = dict.fromkeys(defaults("guard"), "off") | {first: "10.0.0.0/8, ::1", second: "ALL"}
    listed = f"{first} 10.0.0.0/8,{first} ::1,{second} ALL"
    assert surface(text, tmp_path) == Policy(AccessRules(listed))


@pytest.mark.parametrize("surface", [each for each in SURFACES if each is not from_file_with_numbers])
def test_what_a_policy_says_of_itself_makes_it_again(surface: Surface, tmp_path: Path) -> None:
    """`Policy.options()` is text that every surface takes."""
    policy = from_command_line({"max-in": "5KiB", "delimiter": r"\r\n", OBSERVE: "all"}, tmp_path)
    assert surface(policy.options(), tmp_path) == policy


def test_the_values_of_these_tests_differ_from_every_default() -> None:
    """Otherwise an option that is not read at all would pass."""
    for one in (one for ones in flags().values() for one in ones):
        value = value_of(one)[2]
        assert one.unit(value_of(one)[0]) == value
        assert value not in [one.unit(text) for text in one.defaults.values()]


def test_no_option_is_called_like_a_keyword_of_twisted() -> None:
    """Who writes an endpoint string must not have to guess whose keyword it is."""
    known = {key for kinds in (SERVERS, CLIENTS) for kind in kinds.values() for key in kind.keywords}
    assert known & {*words()} == set()


def test_no_option_is_called_like_one_of_twistd() -> None:
    """A flag behind the plugin's name that means another thing before it would be a trap."""
    options: Any = twistd.ServerOptions()  # type: ignore[attr-defined]
    assert {name.rstrip("=") for name in options.longOpt} & {*words()} == set()
