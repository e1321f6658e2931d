"""What is promised of a policy: a set of guards, compared by value, made from options and written as options."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock

from netguard import units
from netguard.errors import ContradictoryOptions, OptionError, Reason, UnknownOption
from netguard.factory import GuardedFactory
from netguard.guard import Guard, frozen
from netguard.guards.access_rules import AccessRules
from netguard.guards.bandwidth import Bandwidth
from netguard.guards.byte_limit import ByteLimit
from netguard.guards.connection_limit import ConnectionLimit
from netguard.guards.connection_rate import ConnectionRate
from netguard.guards.idle_timeout import IdleTimeout
from netguard.guards.lifetime import Lifetime
from netguard.guards.minimum_rate import MinimumRate
from netguard.guards.refusal import style as refusal_style
from netguard.guards.transport import kind as transport_kind
from netguard.nameservers import nameservers
from netguard.options import Option, option, options_of
from netguard.policy import CATALOGUE, Policy, defaults, flags, words
from netguard.proxy_url import proxy
from netguard.units import Frequency, Prefix, Unit


@frozen
class Quota(Guard):
    """A guard that is not in the catalogue."""

    most: int | None = option("quota", units.count, "So many.", default=None)


class OverQuota(Reason):
    """The reason of that guard."""

    guard, option, unit = "Quota", "quota", units.count


def _another_quota() -> type[Guard]:
    """A guard of the same name, of another author."""

    @frozen
    class Quota(Guard):
        within: float = option("idle", units.duration, "So long.")

    return Quota


def test_the_order_of_the_guards_does_not_matter() -> None:
    """A connection meets them in the catalogue's order, and after them those that are not in it."""
    one = Policy(Quota(5), ByteLimit(item=1), IdleTimeout(30), ConnectionLimit(1))
    other = Policy(ConnectionLimit(1), IdleTimeout("30s"), Quota("5"), ByteLimit(item="1B"))
    assert one == other
    assert hash(one) == hash(other)
    assert [type(each) for each in one.guards] == [ConnectionLimit, IdleTimeout, ByteLimit, Quota]


def test_policies_differ_when_a_value_does() -> None:
    """Equality is by value, observing included."""
    assert Policy(IdleTimeout(30)) != Policy(IdleTimeout(31))
    assert Policy(IdleTimeout(30)) != Policy(IdleTimeout(30, observe=True))
    assert Policy() == Policy()


def test_two_guards_of_one_kind_become_one() -> None:
    """Each gives what the other has not; what is a default yields."""
    merged = Policy(ByteLimit(received=5, delimiter=b"\0"), ByteLimit(item=7), ByteLimit(item=7, queue=9))
    assert merged == Policy(ByteLimit(received=5, item=7, queue=9, delimiter=b"\0"))
    assert Policy(MinimumRate(sent=5), MinimumRate(received=6, grace=20)) == Policy(MinimumRate(6, 5, 20))
    assert Policy(MinimumRate(received=6, grace=20), MinimumRate(sent=5)) == Policy(MinimumRate(6, 5, 20))


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("one", "other", "text"),
    [
        (IdleTimeout(30), IdleTimeout(60), r"option idle is (30s and also 1m|1m and also 30s) \(IdleTimeout\)"),
        (MinimumRate(1, grace=5), MinimumRate(1, grace=20), "option min-rate-grace is"),
        (ConnectionLimit(1, prefix="24,64"), ConnectionLimit(1, prefix="16,64"), "option peer-prefix is"),
        (IdleTimeout(30), IdleTimeout(30, observe=True), "option observe is (False|True) and also"),
        (ByteLimit(item=5), ByteLimit(received=5, observe=True), "option observe is (False|True) and also"),
    ],
)
def test_guards_of_one_kind_that_contradict_are_refused(one: Guard, other: Guard, text: str, turned: bool) -> None:
    """The error names the option and both values; a guard that acts does not yield to one that only observes."""
    with pytest.raises(ContradictoryOptions, match=text):
        Policy(*((other, one) if turned else (one, other)))


def test_guards_outside_the_catalogue_are_told_apart_by_class() -> None:
    """Two authors may give two guards one name."""
    other = _another_quota()
    policy = Policy(Quota(5), other(3), Quota(5))
    assert policy == Policy(other(3), Quota(5))
    assert len(policy.guards) == 2


def test_a_policy_is_made_from_options() -> None:
    """Text, plain values and the words that switch off; what is not given is not there."""
    made = Policy.from_options(
        {
            "idle": "30s",
            "max-in": 1024,
            "max-item": "off",
            "connect-rate": Frequency(5),
            "lifetime": None,
            "login": False,
        }
    )
    assert made == Policy(IdleTimeout(30), ByteLimit(received=1024), ConnectionRate(total=5))
    assert Policy.from_options({}) == Policy()


def test_defaults_hold_until_they_are_switched_off() -> None:
    """Each surface has its own; an option that is given wins."""
    bare = Policy.from_options({}, "guard")
    assert bare == Policy.from_options({**defaults("guard"), "penalty-exempt": "off"})  # which there is nothing to
    assert bare != Policy.from_options({}, "pop")
    assert IdleTimeout("5m") in bare.guards
    assert IdleTimeout(7) in Policy.from_options({"idle": 7}, "guard").guards
    assert not Policy.from_options(dict.fromkeys(defaults("guard"), "off"), "guard").guards


def test_the_defaults_are_those_of_the_catalogue() -> None:
    """What the design's table marks is on, and nothing else."""
    assert set(defaults("guard")) == {
        *("idle", "first-byte", "handshake", "write-stall"),
        *("max-queue", "max-connections", "max-per-peer"),
        "penalty-exempt",  # for those who add a penalty
    }
    assert set(defaults("pop")) == {
        *defaults("guard"),
        "login",
        "lifetime",
        "min-rate-out",
        "max-item",
        "shed",
        "penalty",
    }
    assert {flag: defaults("pop")[flag] for flag in ("idle", "first-byte", "handshake", "login", "lifetime")} == {
        "idle": "10m",
        "first-byte": "60s",
        "handshake": "30s",
        "login": "60s",
        "lifetime": "24h",
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"idel": 5}, "unknown option 'idel'; did you mean 'idle'\\?"),
        ({"max_in": 5}, "unknown option 'max_in'; did you mean 'max-in'\\?"),
        ({"observ": "all"}, "unknown option 'observ'; did you mean 'observe'\\?"),
        ({"zzz": 5}, "unknown option 'zzz'$"),
        ({"idle": "soon"}, "option idle: 'soon' is not a duration"),
        ({"idle": True}, "option idle: 'True' is not a duration"),
        ({"delimiter": r"\0"}, "option delimiter has no effect by itself"),
        ({"min-rate-grace": 5, "idle": 5}, "option min-rate-grace has no effect by itself"),
        ({"peer-prefix": "24,64", "max-per-peer": "off"}, "option peer-prefix has no effect by itself"),
        (
            {"idle": 5, "observe": "IdelTimeout"},
            "unknown guard in observe 'IdelTimeout'; did you mean 'IdleTimeout'\\?",
        ),
        ({"idle": 5, "observe": "Qqq"}, "unknown guard in observe 'Qqq'$"),
        ({"idle": 5, "observe": 5}, "unknown guard in observe '5'"),
        ({"idle": 5, "observe": "Lifetime"}, "option observe: Lifetime has nothing to observe"),
    ],
)
def test_an_option_that_cannot_be_honoured_is_one_clear_line(given: dict[str, Any], message: str) -> None:
    """A typo, a wrong value, an option that refines nothing, a guard that is not there."""
    with pytest.raises(OptionError, match=message) as caught:
        Policy.from_options(given)
    assert "\n" not in str(caught.value)


def test_an_unknown_option_is_told_before_a_wrong_value() -> None:
    """It may be the reason for it."""
    with pytest.raises(UnknownOption):
        Policy.from_options({"idle": "soon", "idel": 5})


@pytest.mark.parametrize(
    ("observe", "expected"),
    [
        ("IdleTimeout", {IdleTimeout}),
        ("idletimeout", {IdleTimeout}),
        (" IdleTimeout , Lifetime ", {IdleTimeout, Lifetime}),
        (["IdleTimeout", "Lifetime"], {IdleTimeout, Lifetime}),
        (["IdleTimeout,Lifetime"], {IdleTimeout, Lifetime}),
        ("all", {IdleTimeout, Lifetime, ByteLimit}),
        ("ALL", {IdleTimeout, Lifetime, ByteLimit}),
        (["all", "IdleTimeout"], {IdleTimeout, Lifetime, ByteLimit}),
        (True, {IdleTimeout, Lifetime, ByteLimit}),
        ("off", set()),
        (None, set()),
        ("", set()),
        ([], set()),
    ],
)
def test_observe_names_guards(observe: object, expected: set[type[Guard]]) -> None:
    """As a list, with commas, in any case; all means every one that is there."""
    made = Policy.from_options({"idle": 5, "lifetime": 6, "max-in": 7, "observe": observe})
    assert {type(each) for each in made.guards if each.observe} == expected
    assert len(made.guards) == 3


VALUES: dict[Unit, st.SearchStrategy[Any]] = {
    units.duration: st.floats(0.001, 1e7) | st.integers(1, 10**6),
    units.size: st.integers(1, 2**50),
    units.rate: st.integers(1, 2**50),
    units.count: st.integers(1, 10**6),
    units.frequency: st.builds(Frequency, st.integers(1, 10**6), st.sampled_from([1, 60, 3600, 7.5])),
    units.prefix: st.builds(Prefix, st.integers(0, 32), st.integers(0, 128)),
    units.port: st.integers(1, 65535) | st.just("pop3"),
    units.delimiter: st.binary(min_size=1, max_size=5),
    units.adaptive: st.integers(1, 10**6) | st.just("adaptive"),
    transport_kind: st.sampled_from(["native", "stock"]),
    nameservers: st.sampled_from(["127.0.0.1", "127.0.0.1:5353,[::1]:53", ["192.0.2.1", "::1"]]),
    proxy: st.sampled_from(["socks5h://127.0.0.1:1080", "http://joe@proxy.example"]),
    refusal_style: st.sampled_from(["close", "reset"]) | st.from_regex(r"text:[!-~]{1,40}", fullmatch=True),
}
RULES = str(Path(__file__).parent / "everybody.rules")
# Of units that only one option has, by its flag.
CHOSEN: dict[str, st.SearchStrategy[Any]] = {
    "shed": st.sampled_from(["lag>250ms", "load>8.5,rss>1GiB,fds>90%", ["pressure>20%", "connections>9"]]),
    "shed-by": st.sampled_from(["refuse", "tighten", ("refuse", "tighten")]),
    "exempt": st.sampled_from(["10.0.0.0/8", ["192.0.2.1", "2001:db8::/32"]]),
    "proxy-from": st.sampled_from(["10.0.0.0/8", ["unix", "2001:db8::/32"]]),
    "rules": st.sampled_from(["allow 10.0.0.0/8", "deny UNIX, deny .bad.example KNOWN", ["allow ::1", "deny ALL"]]),
    "access": st.just(RULES),
    "privileged-port": st.sampled_from(["allow", "log", "refuse"]),
    "names-fail": st.sampled_from(["closed", "open"]),
    "names": st.sampled_from(["log", "require"]),
    "ident": st.just("log"),
    "penalty-for": st.floats(0.1, 3600),
    "penalty-most": st.floats(3600, 1e7),
    "penalty-exempt": st.sampled_from(["10.0.0.0/8", ["192.0.2.1", "2001:db8::/32"]]),
}
TEXTS: dict[str, str] = {"shed": "lag>7s", "shed-by": "refuse,tighten", "shed-limit": "7", "exempt": "192.0.2.0/24"}
TEXTS |= {"proxy-from": "::1"}
TEXTS |= {"rules": "deny ALL", "access": RULES, "privileged-port": "log", "names-fail": "open"}
TEXTS |= {"names": "require", "dns": "127.0.0.1", "dns-proxy": "socks4a://127.0.0.1", "ident": "log", "ident-port": "7"}
TEXTS |= {"penalty-most": "7h", "penalty-exempt": "192.0.2.0/24"}


def _values_of(one: Option) -> st.SearchStrategy[Any]:
    return CHOSEN[one.flag] if one.flag in CHOSEN else VALUES[one.unit]


DECIDING = [one for ones in flags().values() for one in ones if not one.qualifies]
QUALIFYING = {one.flag: one for ones in flags().values() for one in ones if one.qualifies}


@st.composite
def _options(draw: st.DrawFn) -> dict[str, Any]:
    chosen = draw(st.lists(st.sampled_from(DECIDING), unique_by=lambda one: one.flag, min_size=1))
    given: dict[str, Any] = {one.flag: draw(_values_of(one)) for one in chosen}
    here = [guard for guard in CATALOGUE if any(one.flag in given for one in options_of(guard))]
    for one in (one for guard in here for one in options_of(guard) if one.qualifies):
        if draw(st.booleans()) and (one.flag != "shed-by" or "shed" in given):
            given[one.flag] = draw(_values_of(one))
    observed = draw(st.lists(st.sampled_from([guard.__name__ for guard in here]), unique=True))
    return {**given, "observe": observed} if observed else given


@settings(suppress_health_check=[HealthCheck.too_slow])  # a loaded machine draws slowly
@given(_options())
def test_a_policy_written_as_options_is_read_back_as_an_equal_one(given: dict[str, Any]) -> None:
    """Every option, with any value, alone and with any others; and the text of each is stable."""
    policy = Policy.from_options(given)
    written = policy.options()
    assert all(isinstance(text, str) for text in written.values())
    assert Policy.from_options(written) == policy
    assert Policy.from_options(written).options() == written


@pytest.mark.parametrize("one", [*DECIDING, *QUALIFYING.values()], ids=lambda one: one.flag)
def test_every_option_reaches_its_guard(one: Option) -> None:
    """By flag, as text, it makes the guard that the Python argument makes."""
    texts = {
        units.duration: "7s",
        units.size: "7KiB",
        units.rate: "7KiB/s",
        units.count: "7",
        units.frequency: "7/min",
        units.prefix: "24,56",
        units.delimiter: r"\0",
        refusal_style: "reset",
        transport_kind: "stock",
    }

    def text(one: Option) -> str:
        return TEXTS.get(one.flag) or texts[one.unit]

    guards = [guard for guard in CATALOGUE if one.flag in {each.flag for each in options_of(guard)}]
    for guard in guards:
        first = next(each for each in options_of(guard) if not each.qualifies)
        given = {first.flag: text(first), one.flag: text(one)}
        (made,) = Policy.from_options(given).guards
        arguments = {each.field: text(each) for each in options_of(guard) if each.flag in given}
        assert made == guard(**arguments)


def test_two_guards_that_share_an_option_cannot_be_written_with_two_values_of_it() -> None:
    """In Python they may differ; the text could not say so."""
    policy = Policy(ConnectionLimit(1, prefix="24,64"), ConnectionRate(1, prefix="16,64"))
    with pytest.raises(ContradictoryOptions, match="option peer-prefix is 24,64 and also 16,64"):
        policy.options()


def test_guards_outside_the_catalogue_are_written_and_refused_when_read() -> None:
    """Nothing is lost silently."""
    written = Policy(Quota(5), IdleTimeout(30)).options()
    assert written == {"idle": "30s", "quota": "5"}
    with pytest.raises(UnknownOption, match="quota"):
        Policy.from_options(written)


def test_every_guard_of_the_catalogue_is_there_once() -> None:
    """And flags are lower case, with dashes, one declaration each unless guards share one on purpose."""
    assert len(set(CATALOGUE)) == len(CATALOGUE)
    for flag, ones in flags().items():
        assert flag == flag.lower().replace("_", "-")
        assert len(ones) == (3 if flag == "peer-prefix" else 1)
        assert all(one == ones[0] for one in ones)


def _factory() -> Factory:
    return cast("Factory", Factory.forProtocol(Protocol))


def test_wrap_makes_a_guarded_factory() -> None:
    """With the policy's guards, the names of those that observe, and the clock that it is given."""
    clock, inner = Clock(), _factory()
    made = Policy(IdleTimeout(30, observe=True), Lifetime(60)).wrap(inner, clock)
    assert isinstance(made, GuardedFactory)
    assert made.wrapped is inner
    assert made.reactor is cast("Any", clock)
    assert made.guards == (IdleTimeout(30, observe=True), Lifetime(60))
    assert made.observed == {"IdleTimeout"}


def test_wrapping_what_is_guarded_makes_one_wrapper_with_the_guards_of_both() -> None:
    """Nested wraps fuse, and the clock of the inner one stays."""
    clock, inner = Clock(), _factory()
    made = Policy(IdleTimeout(30)).wrap(Lifetime(60).wrap(inner, clock))
    assert made.wrapped is inner
    assert made.guards == (IdleTimeout(30), Lifetime(60))
    assert made.reactor is cast("Any", clock)


def test_wrapping_what_is_guarded_otherwise_is_refused() -> None:
    """Contradictory options are an error at once, not a surprise later."""
    with pytest.raises(ContradictoryOptions, match="option idle"):
        IdleTimeout(30).wrap(IdleTimeout(60).wrap(_factory(), Clock()))


def test_a_guard_alone_can_be_wrapped_around_a_factory() -> None:
    """``guard.wrap`` is ``Policy(guard).wrap``."""
    clock = Clock()
    assert Bandwidth(received=5).wrap(_factory(), clock).guards == (Bandwidth(received=5),)


@pytest.mark.parametrize(
    ("given", "listed"),
    [
        ({"allow": "::1"}, "allow ::1"),
        ({"deny": ["10.0.0.0/8", "::1, .bad.example"]}, "deny 10.0.0.0/8,deny ::1,deny .bad.example"),
        ({"allow": "::1", "deny": "ALL"}, "allow ::1,deny ALL"),
        ({"deny": "::1", "allow": "ALL"}, "deny ::1,allow ALL"),
        ({"allow": "::1", "rules": "deny ::2,allow ::3", "deny": "ALL"}, "allow ::1,deny ::2,allow ::3,deny ALL"),
        ({"rules": ["deny ::2", "allow ::3"], "deny": "ALL"}, "deny ::2,allow ::3,deny ALL"),
        ({"rules": "deny ::2"}, "deny ::2"),
    ],
)
def test_shorthands_are_one_list_in_the_order_in_which_they_stand(given: dict[str, Any], listed: str) -> None:
    """With each other, and with the option that they stand for."""
    assert Policy.from_options(given) == Policy(AccessRules(listed))
    assert Policy.from_options(given).options()["rules"] == listed


@pytest.mark.parametrize("off", ["off", False, None, ["off"]])
def test_a_shorthand_that_is_off_brings_no_guard_about(off: object) -> None:
    """As with any option; among others, it is a mistake."""
    assert Policy.from_options({"allow": off}) == Policy()
    with pytest.raises(OptionError, match="'off' is not a rule"):
        Policy.from_options({"allow": off, "deny": "ALL"})


def test_every_word_is_known_when_another_is_mistyped() -> None:
    """Options and their shorthands."""
    with pytest.raises(UnknownOption, match="did you mean 'deny'"):
        Policy.from_options({"denny": "ALL"})
    assert {*flags(), "allow", "deny", "observe"} == {*words()}
