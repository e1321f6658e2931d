"""Addresses and host names: what passes, what does not, and how it is shown."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netguard.clients.names_text import address, described, host_name, in_letters, labels, reverse_name
from netguard.wire.dns import Name


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::ffff:c000:201", "192.0.2.1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::", "::"),
    ],
)
def test_an_address_is_itself_however_it_is_written(text: str, expected: str) -> None:
    """IPv4-mapped ones are IPv4, zones do not count."""
    assert address(text) == ip_address(expected)


@pytest.mark.parametrize("text", ["", "localhost", "192.0.2", "192.0.2.256", "192.0.2.01", ":::", "1", "\0", "unix"])
def test_other_text_is_no_address(text: str) -> None:
    """Nor is what C libraries take for one."""
    assert address(text) is None


def test_reverse_names() -> None:
    """Octets backwards, and nibbles backwards."""
    assert reverse_name(ip_address("192.0.2.1")) == (b"1", b"2", b"0", b"192", b"in-addr", b"arpa")
    name = reverse_name(ip_address("2001:db8::567:89ab"))
    assert b".".join(name) == b"b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ((b"mail", b"example"), "mail.example"),
        ((b"localhost",), "localhost"),
        ((b"_dmarc", b"under_score", b"example"), "_dmarc.under_score.example"),
        ((b"3com", b"example"), "3com.example"),
        ((b"1", b"2", b"example"), "1.2.example"),
        ((b"xn--bcher-kva", b"example"), "xn--bcher-kva.example"),
        ((b"a" * 63, b"example"), "a" * 63 + ".example"),
        ((b"a" * 61,) * 4 + (b"exam",), ".".join(["a" * 61] * 4 + ["exam"])),
    ],
)
def test_host_names_pass(name: Name, text: str) -> None:
    """RFC 1123, and underscores."""
    assert host_name(name) == text
    assert labels(text) == name
    assert labels(text.upper() + ".") == name


@pytest.mark.parametrize(
    "name",
    [
        (),
        (b"",),
        (b"mail", b"", b"example"),
        (b"-mail", b"example"),
        (b"mail-", b"example"),
        (b"a" * 64, b"example"),
        (b"a" * 61,) * 4 + (b"examp", b"le"),
        (b"two words", b"example"),
        (b"line\nfeed", b"example"),
        (b"line", b"example\n"),
        (b"esc\x1b[2j", b"example"),
        (b"nul\0", b"example"),
        (b"dot.inside", b"example"),
        (b"caf\xc3\xa9", b"example"),
        (b"*", b"example"),
        (b"192", b"0", b"2", b"1"),
        (b"a", b"7"),
    ],
)
def test_what_is_no_host_name_does_not_pass(name: Name) -> None:
    """Control octets, blanks, dots inside labels, names too long, and what could be taken for an address."""
    assert host_name(name) is None


@pytest.mark.parametrize("text", ["", ".", "caf\u00e9.example", "a..b", "a b", "1.2.3.4", "\ud800"])
def test_text_that_is_no_host_name_has_no_labels(text: str) -> None:
    """It cannot be asked for."""
    assert labels(text) is None


@given(st.lists(st.binary(max_size=10), max_size=5).map(tuple))
def test_whatever_passes_is_harmless(name: Name) -> None:
    """Letters, digits, hyphens, underscores and dots, and read back it is the same."""
    text = host_name(tuple(label.lower() for label in name))
    if text is not None:
        assert set(text) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_.")
        assert address(text) is None
        assert labels(text) is not None


@given(st.lists(st.binary(min_size=1, max_size=10), max_size=5).map(tuple))
def test_any_name_is_described_in_printable_ascii(name: Name) -> None:
    """And two different names never look the same."""
    text = described(name)
    assert text.isascii()
    assert text.isprintable()
    assert " " not in text
    assert (text == ".") == (not name)


def test_names_are_described_as_in_zone_files() -> None:
    """RFC 1035, section 5.1: three decimal digits."""
    assert described((b"a.b", b"c\\d", b"\x1b[", b"5.0-25")) == r"a\046b.c\092d.\027[.5\0460-25"


@pytest.mark.parametrize(
    ("name", "letters"),
    [
        ("xn--bcher-kva.example", "b\u00fccher.example"),
        ("mail.example", None),
        ("xn--.example", None),
        ("xn--a.example", None),
        ("xn--" + "9" * 50 + ".example", None),
        ("xn--n3h.example", None),  # a snowman: no letter
        ("a_b.xn--bcher-kva.example", None),
        ("mail.axn--b.example", None),
    ],
)
def test_international_names_are_shown_if_the_rules_allow_them(name: str, letters: str | None) -> None:
    """IDNA 2008 has letters only: no control, no symbol, nothing that changes the direction of the rest."""
    assert in_letters(name) == letters
