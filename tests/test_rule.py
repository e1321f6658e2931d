"""What is promised of one rule: it means what its text says, and text that could mean another thing is refused."""

from __future__ import annotations

import re
from ipaddress import IPv4Network, IPv6Network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netguard.rule import Name, Rule, Word, rules_of, subject_of
from netguard.wire.ident import UserId

LONGEST_LABEL = "a" * 63
LONGEST_NAME = ".".join(["a" * 63] * 3 + ["a" * 61])

SUBJECTS: list[tuple[str, Any, str]] = [
    ("10.0.0.0/8", IPv4Network("10.0.0.0/8"), "10.0.0.0/8"),
    ("10.0.0.0/255.0.0.0", IPv4Network("10.0.0.0/8"), "10.0.0.0/8"),
    ("192.0.2.7", IPv4Network("192.0.2.7/32"), "192.0.2.7"),
    ("2001:DB8::/32", IPv6Network("2001:db8::/32"), "2001:db8::/32"),
    ("[2001:db8::]/32", IPv6Network("2001:db8::/32"), "2001:db8::/32"),
    ("[::1]", IPv6Network("::1/128"), "::1"),
    ("::ffff:192.0.2.7", IPv4Network("192.0.2.7/32"), "192.0.2.7"),
    ("mail.example", Name("mail.example"), "mail.example"),
    ("Mail.EXAMPLE.", Name("mail.example"), "mail.example"),
    (".Bad.Example", Name("bad.example", below=True), ".bad.example"),
    (".example.", Name("example", below=True), ".example"),
    ("localhost", Name("localhost"), "localhost"),
    ("ident.example", Name("ident.example"), "ident.example"),
    ("_host.x_y.example", Name("_host.x_y.example"), "_host.x_y.example"),
    ("7.example", Name("7.example"), "7.example"),
    ("xn--bcher-kva.example", Name("xn--bcher-kva.example"), "xn--bcher-kva.example"),
    (LONGEST_LABEL, Name(LONGEST_LABEL), LONGEST_LABEL),
    (LONGEST_NAME, Name(LONGEST_NAME), LONGEST_NAME),
    ("ALL", Word.ALL, "ALL"),
    ("all", Word.ALL, "ALL"),
    ("Known", Word.KNOWN, "KNOWN"),
    ("UNKNOWN", Word.UNKNOWN, "UNKNOWN"),
    ("paranoid", Word.PARANOID, "PARANOID"),
    ("unix", Word.UNIX, "UNIX"),
]

REFUSED = [
    ("10.0.0.1/8", "'10.0.0.1/8' has bits behind its first 8; write 10.0.0.0/8"),
    ("[2001:db8::1]/64", "write 2001:db8::/64"),
    ("10.0.0.256", "'10.0.0.256' is not an address or a network such as"),
    ("10.0.0", "'10.0.0' is not an address or a network"),
    (".2.1", "'.2.1' is not an address or a network"),
    ("131.155.", "'131.155.' is not an address or a network"),
    ("10", "'10' is not an address or a network"),
    ("10.0.0.0/", "is not an address or a network"),
    ("host.example/24", "is not an address or a network"),
    ("host.example:80", "is not an address or a network"),
    ("fe80::1%eth0", "is not an address or a network"),
    ("*.example", "'*.example' is not an address, a network, a host name"),
    ("-a.example", "is not an address, a network, a host name"),
    ("a-.example", "is not an address, a network, a host name"),
    ("a..example", "is not an address, a network, a host name"),
    ("..example", "is not an address, a network, a host name"),
    ("a.example..", "is not an address, a network, a host name"),
    (".", "is not an address, a network, a host name"),
    ("", "is not an address, a network, a host name"),
    ("bücher.example", "is not an address, a network, a host name"),
    ("a\nb", "is not an address, a network, a host name"),
    ("[10.0.0.1]", "is not an address, a network, a host name"),
    (LONGEST_LABEL + "a", "is not an address, a network, a host name"),
    (LONGEST_NAME + "a", "is not an address, a network, a host name"),
    ("EXCEPT", "'EXCEPT' cannot be used here: write the exception as a rule of its own"),
    ("LOCAL", "'LOCAL' cannot be used here"),
    ("deny", "'deny' cannot be used here: each rule has one allow or deny"),
    ("Allow", "'Allow' cannot be used here"),
    ("ident", "'ident' cannot be used here: what an ident server says of a user proves nothing"),
    ("IDENT:joe", "'IDENT:joe' cannot be used here: what an ident server says"),
    ("ident=joe", "no rule goes by it: write the host alone"),
    ("joe@mail.example", "'joe@mail.example' cannot be used here: what an ident server says"),
    ("joe@10.0.0.0/8", "'joe@10.0.0.0/8' cannot be used here"),
    ("KNOWN@ALL", "'KNOWN@ALL' cannot be used here"),
    ("j" * 400 + "@", "cannot be used here: what an ident server says"),
]


@pytest.mark.parametrize(("text", "subject", "written"), SUBJECTS)
def test_a_rule_concerns_what_it_says(text: str, subject: Any, written: str) -> None:
    """And what it writes is read back as the same rule."""
    assert subject_of(text) == subject
    (rule,) = rules_of(f"allow {text}")
    assert rule == Rule(allow=True, what=subject)
    assert str(rule) == f"allow {written}"
    assert rules_of(str(rule)) == (rule,)


@pytest.mark.parametrize(("text", "why"), REFUSED)
def test_what_concerns_nobody_is_refused(text: str, why: str) -> None:
    """With one short line; so are words and shapes that mean another thing elsewhere."""
    with pytest.raises(ValueError, match=re.escape(why)) as refused:
        subject_of(text)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize("what", [UserId("UNIX", "US-ASCII", b"root"), "root", b"root", None], ids=repr)
def test_a_rule_concerns_nobody_by_a_claim(what: Any) -> None:
    """Nor by a text that nobody has read."""
    with pytest.raises(TypeError, match="'what' must be"):
        Rule(allow=True, what=what)


def test_a_line_may_concern_several() -> None:
    """It is one rule for each of them, all at the same place."""
    rules = rules_of("  DENY\t.bad.example  192.0.2.7 ", "net.rules:3")
    assert rules == (
        Rule(allow=False, what=Name("bad.example", below=True)),
        Rule(allow=False, what=IPv4Network("192.0.2.7")),
    )
    assert [each.place for each in rules] == ["net.rules:3"] * 2


@pytest.mark.parametrize("line", ["", "  ", "allow", "deny ", "alow ALL", "10.0.0.0/8", "allow: ALL", "ALL allow"])
def test_what_begins_otherwise_is_no_rule(line: str) -> None:
    """A rule is never guessed."""
    with pytest.raises(ValueError, match=re.escape(f"{line.strip()!r} is not a rule: write allow or deny, and")):
        rules_of(line)


def test_a_place_does_not_make_a_rule_another_one() -> None:
    """The same rule from a file and from an option is equal, hash and all."""
    assert rules_of("allow ALL", "a:1") == rules_of("allow ALL")
    assert {*rules_of("allow ALL", "a:1"), *rules_of("allow ALL")} == {*rules_of("allow ALL")}
    assert rules_of("allow ALL") != rules_of("deny ALL")


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        ("mail.example", True),
        (".example", True),
        ("KNOWN", True),
        ("UNKNOWN", True),
        ("PARANOID", True),
        ("ALL", False),
        ("UNIX", False),
        ("10.0.0.0/8", False),
        ("::1", False),
    ],
)
def test_a_rule_knows_whether_it_needs_a_name(text: str, *, needs: bool) -> None:
    """Addresses and everybody can be told without."""
    (rule,) = rules_of(f"deny {text}")
    assert rule.needs_name is needs


@given(st.text(max_size=300))
def test_any_text_is_a_rule_or_refused_in_one_line(text: str) -> None:
    """Nothing else can come of it."""
    try:
        rules = rules_of(f"allow {text}")
    except ValueError as why:
        assert "\n" not in str(why)  # noqa: PT017 - either is right
    else:
        assert rules_of("allow " + " ".join(str(each).removeprefix("allow ") for each in rules)) == rules
