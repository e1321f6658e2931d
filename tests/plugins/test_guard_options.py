"""The options that every plugin with guards has: made from the catalogue, explained, one line for a mistake."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from twisted.application.service import Application, Service
from twisted.internet.task import Clock
from twisted.logger import ILogObserver
from twisted.python import usage
from twisted.scripts import twistd

from netguard.options import Option, options_of
from netguard.plugins import guard_options
from netguard.plugins.guard_options import CONCERNS, GuardOptions, explain, suggesting
from netguard.policy import CATALOGUE, Policy, words
from netguard.service import Service as House
from netguard.units import Unit

if TYPE_CHECKING:
    from pathlib import Path


class PopLike(GuardOptions):
    """A plugin's own options beside the guards'."""

    surface = "pop"
    about = "Serves something."
    optParameters = [["maildir", None, None, "where the mail is"]]  # noqa: RUF012 - as Twisted wants them


def parsed(*words: str, kind: type[GuardOptions] = GuardOptions) -> GuardOptions:
    """Options after parsing."""
    options = kind()
    options.parseOptions(words)
    return options


def under_twistd(*words: str, twistd_words: tuple[str, ...] = ("-n",)) -> GuardOptions:
    """Options after parsing, with twistd's own before them, as twistd parses them."""
    parent: Any = twistd.ServerOptions()  # type: ignore[attr-defined]
    parent.parseOptions(("--pidfile=", *twistd_words))
    parent.subCommand = "netguard-wrap"
    options = GuardOptions()
    options.parent = parent
    options.parseOptions(words)
    return options


def complaint(*words: str) -> str:
    """What is said about wrong options."""
    with pytest.raises(usage.UsageError) as caught:
        parsed(*words)
    return str(caught.value)


def test_every_option_of_the_catalogue_is_a_flag() -> None:
    """Whatever a guard declares can be typed."""
    names = {name.rstrip("=") for name in GuardOptions().longOpt}
    besides = {each[0] for concern in CONCERNS for each in (*concern.PARAMETERS, *concern.FLAGS)}
    assert names == {*words(), *besides, "config", "help", "version"}


@pytest.mark.parametrize(("kind", "surface"), [(GuardOptions, "guard"), (PopLike, "pop")])
def test_without_a_word_the_defaults_of_the_surface_hold(kind: type[GuardOptions], surface: str) -> None:
    """Each plugin says whose defaults it has."""
    assert parsed(kind=kind).policy == Policy.from_options({}, surface)


def test_a_plugin_keeps_its_own_options() -> None:
    """A subclass adds to the guards' options, and they to its."""
    options = parsed("--maildir", "/m", "--idle", "30s", kind=PopLike)
    assert options["maildir"] == "/m"
    assert options.policy.options()["idle"] == "30s"


def test_a_flag_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    """The nearest word counts; what nobody mentions is as it is by default."""
    file = tmp_path / "guards.toml"
    file.write_text('[guards]\nidle = "31s"\nmax-per-peer = 31\nobserve = "IdleTimeout"\n')
    policy = parsed("--config", str(file), "--idle", "32s", "--observe", "WriteStall").policy
    said = policy.options()
    assert (said["idle"], said["max-per-peer"], said["max-connections"]) == ("32s", "31", "900")
    assert said["observe"] == "WriteStall"
    assert "idle" not in parsed("--config", str(file), "--idle", "off", "--observe", "off").policy.options()


def test_observe_may_be_given_several_times() -> None:
    """It is a list; in each word, commas part names, too."""
    policy = parsed("--observe", "IdleTimeout", "--observe", "WriteStall,ConnectionLimit").policy
    assert policy.options()["observe"] == "ConnectionLimit,IdleTimeout,WriteStall"


def test_rules_keep_the_order_in_which_they_are_typed() -> None:
    """Whichever words they are typed with; those of a file do not hold beside them."""
    typed = ("--allow", "::1,::2", "--deny", "2001:db8::/32", "--rules", "deny ::3", "--allow", "ALL")
    policy = parsed(*typed).policy
    assert policy.options()["rules"] == "allow ::1,allow ::2,deny 2001:db8::/32,deny ::3,allow ALL"
    assert "rules" not in parsed("--allow", "off").policy.options()
    assert "option rules (allow, deny): '10.0.0.1/8' has bits" in complaint("--deny", "10.0.0.1/8")


def test_typed_rules_stand_in_place_of_a_files(tmp_path: Path) -> None:
    """Two lists are never mixed: nobody could say in which order."""
    file = tmp_path / "guards.toml"
    file.write_text('[guards]\nallow = "::1"\n')
    assert parsed("--config", str(file)).policy.options()["rules"] == "allow ::1"
    assert parsed("--config", str(file), "--deny", "::2").policy.options()["rules"] == "deny ::2"


def test_an_option_that_takes_a_list_is_repeated_like_observe(monkeypatch: pytest.MonkeyPatch) -> None:
    """A unit says whether its option may be given several times; all values are collected."""
    many = Unit("names", "names", list, many=True)
    flag = "strangers"
    monkeypatch.setattr(GuardOptions, "opt_" + flag, None, raising=False)
    guard_options._declare({flag: (Option(flag, many, "Let strangers in."),)})
    taken: Any = GuardOptions()
    taken.opt_strangers("a")
    taken.opt_strangers("b")
    assert taken.given == {flag: ["a", "b"]}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--idel", "3"], "unknown option --idel; did you mean --idle?"),
        (["--quux"], "unknown option --quux"),
        (["--idle", "3", "--idle", "4"], "--idle is given twice"),
        (["--idle", "x"], "option idle: 'x' is not a duration such as 30s, 5m, 1h30m or 250ms"),
        (["--idle"], "option --idle requires argument"),
        (["--observe", "IdelTimeout"], "unknown guard in observe 'IdelTimeout'; did you mean 'IdleTimeout'?"),
        (["--config", "/no/such/file"], "/no/such/file: No such file or directory"),
        (["--log-format", "xml"], "--log-format is text or json, not 'xml'"),
        (["--log-format", "json"], "--log-format works under twistd only"),
        (["stray"], "Wrong number of arguments."),
    ],
)
def test_a_mistake_is_a_usage_error_of_one_line(words: list[str], said: str) -> None:
    """Where no twistd is around, whoever parses gets Twisted's own kind of error."""
    assert complaint(*words) == said


def test_under_twistd_a_mistake_ends_it_with_one_line_and_status_1() -> None:
    """By itself, twistd would print all of its help, and the mistake below it."""
    with pytest.raises(SystemExit) as caught:
        under_twistd("--idel", "3")
    assert caught.value.code == (
        "twistd netguard-wrap: unknown option --idel; did you mean --idle? (see twistd netguard-wrap --help)"
    )


def test_a_plugin_may_end_with_its_own_line() -> None:
    """What its makeService finds wrong is told in the same form, and may name another help."""
    options = under_twistd()
    with pytest.raises(SystemExit) as caught:
        options.fail(ValueError("two\nlines"), see="web")
    assert caught.value.code == "twistd netguard-wrap: two lines (see twistd web --help)"


def test_only_what_getopt_says_is_reworded() -> None:
    """Every other text stays as it is."""
    assert suggesting("option --idel is odd", GuardOptions()) == "option --idel is odd"


def test_help_explains_every_option_with_its_unit_an_example_and_its_default() -> None:
    """Who reads the help can write the option."""
    text = re.sub(r"\s+", " ", str(parsed(kind=PopLike)))
    assert "Serves something." in text
    assert "--maildir= where the mail is" in text
    for guard in CATALOGUE:
        assert f"{guard.__name__}: " in text
        for one in options_of(guard):
            assert f"--{one.flag}= {explain(guard, one, 'pop')}" in text
            assert one.unit.expects in text
    assert "--deny= --deny VALUE is the same as --rules 'deny VALUE'; the order in which they are given counts." in text
    assert "Cut a connection from which no byte at all has come within this time." in text
    assert "Default: 60s." in text
    assert "switched off by 'off'" in text


def test_help_names_the_defaults_of_the_plugins_own_surface() -> None:
    """What is on in netguard-pop need not be on elsewhere; what only refines has its own default."""
    by_flag = {one.flag: (guard, one) for guard in CATALOGUE for one in options_of(guard)}
    assert explain(*by_flag["idle"], "guard").endswith("Default: 5m.")
    assert explain(*by_flag["idle"], "pop").endswith("Default: 10m.")
    assert explain(*by_flag["lifetime"], "guard").endswith("Default: off.")
    assert explain(*by_flag["peer-prefix"], "guard").endswith("Default: 32,64.")
    assert explain(*by_flag["names-within"], "pop").endswith("Default: 3s.")
    assert explain(*by_flag["dns"], "pop").endswith("Default: those of the machine.")


def test_help_is_no_wider_than_a_page() -> None:
    """Long lines are wrapped, whatever width is asked for."""
    text = GuardOptions().getUsage(width=400)
    assert max(len(line) for line in text.splitlines() if line.startswith("        ")) <= 100


def test_a_log_format_is_checked_against_twistd() -> None:
    """`--logger` has a format of its own; both together would be a riddle."""
    with pytest.raises(SystemExit, match="--log-format and twistd's --logger exclude each other"):
        under_twistd("--log-format", "json", twistd_words=("-n", "--logger", "twisted.logger.jsonFileLogObserver"))


@pytest.mark.parametrize("words", [(), ("--log-format", "json")])
def test_a_service_brings_the_chosen_format_along(words: tuple[str, ...]) -> None:
    """Without one it brings nothing, and twistd writes its log as always."""
    service: Any = Service()
    assert under_twistd(*words).equip(service, House(Clock)) is service
    application: Any = Application("web")
    service.setServiceParent(application)
    assert (application.getComponent(ILogObserver) is not None) == bool(words)
