"""What is promised of rules: the first that matches decides, however they are written and however many there are."""

from __future__ import annotations

import os
import re
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netguard import rules as module
from netguard.errors import OptionError
from netguard.networks import Networks
from netguard.rule import Name, Rule, Word, rules_of
from netguard.rules import Decision, Rules, decide, read_rules, rules
from netguard.verdict import Failure, Mismatch, NoName, Timeout, Verdict, Verified

if TYPE_CHECKING:
    from pathlib import Path

V4, V6 = "192.0.2.7", "2001:db8::7"
GOOD = Verified("host.good.example")

# rules, host, verdict, outcome, the place of the rule that decides (None: no rule)
DECIDED: list[tuple[str, str | None, Verdict | None, str, int | None]] = [
    ("allow 192.0.2.0/24", V4, None, "allow", 0),
    ("allow 192.0.2.0/24", "192.0.3.0", None, "deny", None),
    ("deny 192.0.2.0/24", V4, None, "deny", 0),
    ("deny 192.0.2.0/24", V6, None, "allow", None),
    ("allow 10.0.0.0/8,deny 192.0.2.0/24", "203.0.113.1", None, "allow", None),
    ("deny 10.0.0.0/8,allow 192.0.2.0/24", "203.0.113.1", None, "deny", None),
    ("deny 192.0.2.7,allow 192.0.2.0/24,deny ALL", V4, None, "deny", 0),
    ("deny 192.0.2.7,allow 192.0.2.0/24,deny ALL", "192.0.2.8", None, "allow", 1),
    ("deny 192.0.2.7,allow 192.0.2.0/24,deny ALL", V6, None, "deny", 2),
    ("allow 192.0.2.0/24,deny 192.0.2.7", V4, None, "allow", 0),
    ("allow 192.0.2.0/24,deny 192.0.2.0/24", V4, None, "allow", 0),
    ("allow ALL,deny 192.0.2.7", V4, None, "allow", 0),
    ("deny 2001:db8::/32", V6, None, "deny", 0),
    ("deny 192.0.2.7", "::ffff:192.0.2.7", None, "deny", 0),
    ("deny fe80::/10", "fe80::1%eth0", None, "deny", 0),
    ("deny 0.0.0.0/0", V6, None, "allow", None),
    # a name is asked for only where it decides
    ("deny .bad.example", V4, None, "ask", 0),
    ("allow 192.0.2.0/24,deny .bad.example", V4, None, "allow", 0),
    ("allow 192.0.2.0/24,deny .bad.example", V6, None, "ask", 1),
    ("deny 10.0.0.0/8,allow KNOWN,deny ALL", V4, None, "ask", 1),
    ("deny UNKNOWN", V4, None, "ask", 0),
    ("deny PARANOID", V4, None, "ask", 0),
    ("allow ALL,deny .bad.example", V4, None, "allow", 0),
    # names, whole and by suffix, by whole labels
    ("allow host.good.example", V4, GOOD, "allow", 0),
    ("allow host.good.example", V4, Verified("HOST.Good.Example."), "allow", 0),
    ("allow good.example", V4, GOOD, "deny", None),
    ("allow .good.example", V4, GOOD, "allow", 0),
    ("allow .example", V4, GOOD, "allow", 0),
    ("allow .host.good.example", V4, GOOD, "deny", None),
    ("allow .trusted.net", V4, Verified("nottrusted.net"), "deny", None),
    ("allow .trusted.net", V4, Verified("x.nottrusted.net"), "deny", None),
    ("allow .trusted.net", V4, Verified("trusted.net"), "deny", None),
    ("allow .trusted.net", V4, Verified("x.trusted.net"), "allow", 0),
    ("allow .trusted.net", V4, Verified("trusted.net.evil.example"), "deny", None),
    ("deny .good.example,allow .example", V4, GOOD, "deny", 0),
    ("allow .example,deny .good.example", V4, GOOD, "allow", 0),
    ("deny host.good.example,allow KNOWN", V4, GOOD, "deny", 0),
    ("allow KNOWN,deny host.good.example", V4, GOOD, "allow", 0),
    ("deny .bad.example,allow 192.0.2.7,deny KNOWN", V4, GOOD, "allow", 1),
    # an address that somebody has for a name, or a PTR that is not verified, is nobody's name
    ("allow .good.example", V4, Mismatch(("host.good.example",)), "deny", None),
    ("allow host.good.example", V4, Mismatch(("host.good.example",)), "deny", None),
    # the words of tcp_wrappers
    ("allow KNOWN", V4, GOOD, "allow", 0),
    ("allow KNOWN", V4, NoName(), "deny", None),
    ("allow KNOWN", V4, Mismatch(), "deny", None),
    ("deny UNKNOWN", V4, GOOD, "allow", None),
    ("deny UNKNOWN", V4, NoName(), "deny", 0),
    ("deny UNKNOWN", V4, Mismatch(), "allow", None),
    ("deny PARANOID", V4, GOOD, "allow", None),
    ("deny PARANOID", V4, NoName(), "allow", None),
    ("deny PARANOID", V4, Mismatch(("x.example",)), "deny", 0),
    ("deny UNIX,allow ALL", V4, None, "allow", 1),
    # peers without an IP address
    ("deny 0.0.0.0/0,deny ::/0", None, None, "allow", None),
    ("allow 0.0.0.0/0", None, None, "deny", None),
    ("allow 0.0.0.0/0,allow UNIX", None, None, "allow", 1),
    ("allow ALL,deny UNIX", None, None, "allow", 0),
    ("deny UNIX,allow ALL", None, None, "deny", 0),
    ("deny UNKNOWN,deny PARANOID,deny KNOWN,deny .example", None, None, "allow", None),
    ("deny UNKNOWN,allow UNIX", "pipe:3", None, "allow", 1),
    # a name given where no rule needs one
    ("allow 192.0.2.0/24", V4, Timeout(), "allow", 0),
    ("deny 192.0.2.0/24", V6, Timeout(), "allow", None),
]


@pytest.mark.parametrize(("text", "host", "verdict", "outcome", "place"), DECIDED)
def test_the_first_rule_that_matches_decides(
    text: str, host: str | None, verdict: Verdict | None, outcome: str, place: int | None
) -> None:
    """Else the opposite of the last one."""
    listed = Rules(text)
    rule = None if place is None else listed.rules[place]
    assert decide(listed, host, verdict) == Decision(outcome, rule)  # type: ignore[arg-type]


def test_without_rules_everybody_may_come_in() -> None:
    """With an address or none."""
    assert decide(Rules(), V4) == decide(Rules(), None) == Decision("allow")


@pytest.mark.parametrize("verdict", [Timeout(), Failure(), Failure(2)])
@pytest.mark.parametrize(
    ("text", "closed", "opened"),
    [
        ("deny .bad.example", ("failed", 0), ("allow", None)),
        ("allow .good.example", ("failed", 0), ("deny", None)),
        ("deny UNKNOWN,allow ALL", ("failed", 0), ("allow", 1)),
        ("deny PARANOID,deny ALL", ("failed", 0), ("deny", 1)),
        ("allow 192.0.2.0/24,deny KNOWN", ("allow", 0), ("allow", 0)),
        ("deny 203.0.113.0/24,deny KNOWN,allow 192.0.2.0/24", ("failed", 1), ("allow", 2)),
    ],
)
def test_a_name_that_could_not_be_found_out_is_its_own_answer(
    verdict: Verdict, text: str, closed: tuple[str, int | None], opened: tuple[str, int | None]
) -> None:
    """Neither UNKNOWN nor PARANOID: it fails, or rules that need a name do not concern the peer."""
    listed = Rules(text)
    for names_fail, (outcome, place) in (("closed", closed), ("open", opened)):
        rule = None if place is None else listed.rules[place]
        assert decide(listed, V4, verdict, names_fail=names_fail) == Decision(outcome, rule)  # type: ignore[arg-type]


READ: list[tuple[Any, str]] = [
    ("allow 10.0.0.0/8", "allow 10.0.0.0/8"),
    ("allow 10.0.0.0/8 .example, DENY all", "allow 10.0.0.0/8,allow .example,deny ALL"),
    (["allow 10.0.0.0/8,deny ALL", "allow ::1"], "allow 10.0.0.0/8,deny ALL,allow ::1"),
    (Rule(allow=True, what=Word.ALL), "allow ALL"),
    ([Rule(allow=False, what=Name("bad.example", below=True)), "allow ALL"], "deny .bad.example,allow ALL"),
    (Rules("deny ALL"), "deny ALL"),
    ((Rules("deny ::1"), "deny ALL"), "deny ::1,deny ALL"),
]


@pytest.mark.parametrize(("value", "text"), READ)
def test_rules_are_read_and_written(value: Any, text: str) -> None:
    """What is written is read back as equal rules, in the same order."""
    found = rules(value)
    assert rules.text(found) == text
    assert rules(text) == found
    assert hash(rules(text)) == hash(found)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("", "'' is not a rule"),
        ("allow ALL,", "'' is not a rule"),
        ("allow ALL,.example", "'.example' is not a rule"),
        ("allow 10.0.0.1/8", "write 10.0.0.0/8"),
        ([], "there is no rule; write rules such as allow 10.0.0.0/8"),
        (5, "'5' is not rules such as allow"),
        (None, "'None' is not rules"),
        (b"allow ALL", "is not rules"),
        (["allow ALL", 5], "'5' is not rules"),
    ],
)
def test_what_is_no_rule_is_refused(value: Any, why: str) -> None:
    """With one line that says which part, and what was expected."""
    with pytest.raises(ValueError, match=re.escape(why)):
        rules(value)


def test_the_order_of_rules_matters() -> None:
    """Two lists are equal only when they say the same in the same order."""
    assert Rules("allow ::1,deny ALL") != Rules("deny ALL,allow ::1")
    assert rules(Rules("allow ::1")) == Rules("allow ::1")
    assert not Rules()


def test_rules_are_put_behind_others() -> None:
    """Those of the options come before those of the file."""
    assert Rules("allow ::1") + Rules("deny ALL") == Rules("allow ::1,deny ALL")


def test_rules_know_which_one_needs_a_name_first() -> None:
    """If any does."""
    assert Rules("allow ::1,deny .bad.example,deny KNOWN").first_name == rules_of("deny .bad.example")[0]
    assert Rules("allow ::1,deny ALL").first_name is None


# files


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where the rules of a test stand."""
    return tmp_path / "net.rules"


def test_a_file_has_comments_and_blank_lines(file: Path) -> None:
    """Several addresses and names may stand on a line; each rule knows its place."""
    file.write_bytes(
        b"\xef\xbb\xbf# who may come in\r\n\r\n  allow 10.0.0.0/8, 192.0.2.7 .good.example  # ours\r\n\tdeny ALL"
    )
    found = read_rules(file)
    assert str(found) == "allow 10.0.0.0/8,allow 192.0.2.7,allow .good.example,deny ALL"
    assert [each.place for each in found.rules] == [f"{file}:3"] * 3 + [f"{file}:4"]


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        (b"allow ALL\n\nalow ::1\n", 3, "'alow ::1' is not a rule: write allow or deny, and"),
        (b"# x\nallow 10.0.0.1/8", 2, "'10.0.0.1/8' has bits behind its first 8; write 10.0.0.0/8"),
        (b"allow\n", 1, "'allow' is not a rule"),
        (b"allow ,\n", 1, "'allow' is not a rule"),
        (b"allow .example deny ALL\n", 1, "'deny' cannot be used here"),
        (b"allow ALL\n\x0bdeny ::1/200\n", 2, "'::1/200' is not an address or a network"),
        (b"allow ALL\ndeny ALL\nallow \xff", 3, "not UTF-8"),
        (b"allow ALL\0\n", 1, "is not an address, a network, a host name"),
    ],
)
def test_a_mistake_in_a_file_is_told_with_its_line(file: Path, text: bytes, line: int, why: str) -> None:
    """One line: FILE:LINE and what is wrong."""
    file.write_bytes(text)
    with pytest.raises(OptionError, match=re.escape(f"{file}:{line}: ") + ".*" + re.escape(why)) as told:
        read_rules(str(file))
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("text", [b"", b"\n\n", b"# allow ALL\n"])
def test_a_file_without_a_rule_is_a_mistake(file: Path, text: bytes) -> None:
    """One that was cut short must not let everybody in."""
    file.write_bytes(text)
    with pytest.raises(OptionError, match=re.escape(f"{file}: there is no rule in it; to let everybody in")):
        read_rules(file)


def test_what_cannot_be_read_is_told(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing file, a directory, a pipe that nobody writes into, and a file that is too long."""
    with pytest.raises(OptionError, match=re.escape(f"{file}: No such file")):
        read_rules(file)
    with pytest.raises(OptionError, match="not a file"):
        read_rules(file.parent)
    os.mkfifo(file)
    with pytest.raises(OptionError, match="not a file"):
        read_rules(file)
    file.unlink()
    file.write_text("allow ALL")
    monkeypatch.setattr(module, "_LARGEST", len("allow ALL"))
    assert read_rules(file) == Rules("allow ALL")
    file.write_text("allow ALL ")
    with pytest.raises(OptionError, match="longer than"):
        read_rules(file)


# the index against the definition

_NUMBERS = st.sampled_from([0x0A000000, 0x0A000001, 0x0AFFFFFF, 0x0B000000, 0x20010DB8 << 96, (0x20010DB8 << 96) + 1])
_HOSTS = st.none() | _NUMBERS.map(lambda number: str(ip_address(number))) | st.just("::ffff:10.0.0.1") | st.just("x")
_LABELS = st.lists(st.sampled_from(["a", "b", "ab"]), min_size=1, max_size=3).map(".".join)
_VERDICTS = st.one_of(
    st.none(),
    st.builds(Verified, _LABELS),
    st.sampled_from([NoName(), Mismatch(("a",)), Timeout(), Failure(2)]),
)


@st.composite
def _network(draw: st.DrawFn) -> str:
    address = ip_address(draw(_NUMBERS))
    length = draw(st.sampled_from([0, 7, 8, 16, 31, 32] + [33, 64, 127, 128] * (address.version == 6)))
    number = int(address) >> (address.max_prefixlen - length) << (address.max_prefixlen - length)
    return f"{type(address)(number)}/{length}"


_RULES = st.lists(
    st.tuples(
        st.sampled_from(["allow", "deny"]),
        st.one_of(
            _network(), _network(), _LABELS, _LABELS.map(".{}".format), st.sampled_from([each.name for each in Word])
        ),
    ).map(" ".join),
    max_size=8,
)


def _concerns(rule: Rule, host: str | None, verdict: Verdict | None) -> bool | None:
    """Whether a rule concerns a peer, by definition; None when that is not known."""
    what = rule.what
    addressed = Networks("0.0.0.0/0,::/0").contains(host)
    if what is Word.ALL:
        return True
    if what is Word.UNIX or not addressed:
        return what is Word.UNIX and not addressed
    if not isinstance(what, Name | Word):
        return Networks(what).contains(host)
    return None if verdict is None or isinstance(verdict, Timeout | Failure) else _fits(what, verdict)


def _fits(what: Name | Word, verdict: Verdict) -> bool:
    if isinstance(what, Word):
        return type(verdict) is {Word.KNOWN: Verified, Word.UNKNOWN: NoName, Word.PARANOID: Mismatch}[what]
    if not isinstance(verdict, Verified):
        return False
    labels, wanted = verdict.name.split("."), what.name.split(".")
    return labels[-len(wanted) :] == wanted and (len(labels) > len(wanted)) == what.below


def _naive(listed: Rules, host: str | None, verdict: Verdict | None, names_fail: str) -> Decision:
    for rule in listed.rules:
        concerns = _concerns(rule, host, verdict)
        if concerns is None and verdict is None:
            return Decision("ask", rule)
        if concerns is None and names_fail == "closed":
            return Decision("failed", rule)
        if concerns:
            return Decision("allow" if rule.allow else "deny", rule)
    return Decision("deny" if listed.rules and listed.rules[-1].allow else "allow")


@given(_RULES, _HOSTS, _VERDICTS, st.sampled_from(["open", "closed"]))
def test_the_index_decides_as_the_definition_does(
    lines: list[str], host: str | None, verdict: Verdict | None, names_fail: str
) -> None:
    """For any rules, any peer and any verdict: going through the list one by one comes to the same rule."""
    listed = Rules([rule for line in lines for rule in rules_of(line, line)])
    decision = decide(listed, host, verdict, names_fail=names_fail)
    expected = _naive(listed, host, verdict, names_fail)
    assert decision == expected
    assert decision.rule is None or decision.rule is expected.rule or decision.rule == expected.rule


def test_many_rules_are_looked_up_and_not_gone_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand networks are one look: no rule is touched when a peer comes."""
    lines = [f"deny 10.{high}.{low}.0/24" for high in range(40) for low in range(250)]
    listed = Rules([*lines, "allow 192.0.2.7", "deny ALL"])
    monkeypatch.delattr(Rule, "needs_name")
    object.__setattr__(listed, "rules", ())
    assert decide(listed, "10.39.249.1").outcome == "deny"
    assert decide(listed, V4).outcome == "allow"
