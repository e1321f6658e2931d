"""Names of users."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netguard.accounts.names import LONGEST_NAME, check_name, folded, from_wire


@pytest.mark.parametrize("name", ["a", "alice", "alice@example.org", "a.b-c_d+e", "x" * 64, "jürgen", "ü" * 32, "%s"])
def test_one_visible_word_is_a_name(name: str) -> None:
    """What a person would call a user passes unchanged, up to 64 octets."""
    assert check_name(name) is name


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "at least one"),
        ("x" * 65, "longer than 64 octets"),
        ("ü" * 33, "longer than 64 octets"),
        ("a/b", "must not be a path"),
        ("/", "must not be a path"),
        (".", "begins with a dot"),
        ("..", "begins with a dot"),
        (".alice", "begins with a dot"),
        ("a b", "white space"),
        ("alice\n", "white space"),
        ("a\tb", "white space"),
        ("a\u3000b", "white space"),
        ("a\0b", "control"),
        ("a\x1b[31m", "control"),
        ("a\x7f", "control"),
        ("a\x9bb", "control"),
        ("a\u202eb", "invisible"),
        ("a\u200bb", "invisible"),
        ("a\udcffb", "invisible"),
        ("u\u0308", "SASLprep"),
        ("\uff41lice", "SASLprep"),
        ("ﬁn", "SASLprep"),
        ("\u0627a", "right to left"),
    ],
)
def test_anything_else_is_refused_with_its_rule(name: str, why: str) -> None:
    """A path, a control, an invisible or an overlong name is refused, in a line that is safe to print."""
    with pytest.raises(ValueError, match=why) as refused:
        check_name(name)
    assert str(refused.value).isascii()
    assert str(refused.value).isprintable()


@given(st.text(max_size=80))
def test_what_passes_is_one_component_of_a_path(name: str) -> None:
    """Whatever passes can neither leave a directory, nor end a line, nor be too long for a file name."""
    try:
        check_name(name)
    except ValueError:
        return
    assert 1 <= len(name.encode()) <= LONGEST_NAME
    assert name.isprintable()
    assert "/" not in name
    assert name.split() == [name]
    assert not name.startswith(".")


@pytest.mark.parametrize(
    ("one", "other"), [("alice", "Alice"), ("straße", "STRASSE"), ("ﬁn", "fin"), ("\uff21lice", "alice")]
)
def test_near_duplicates_fold_to_the_same(one: str, other: str) -> None:
    """Names that differ only in case or in the form of their characters are taken to be alike."""
    assert folded(one) == folded(other)


@given(st.text(max_size=20))
def test_folding_twice_changes_nothing(name: str) -> None:
    """A folded name is its own folded form, so that it can be looked up."""
    composed = unicodedata.normalize("NFC", name)
    assert folded(folded(composed)) == folded(composed)


def test_bytes_of_a_client_become_text_or_nobody() -> None:
    """UTF-8 is read strictly; what is not UTF-8 is the name of nobody."""
    assert from_wire("jürgen".encode()) == "jürgen"
    assert from_wire(b"\xff\xfe") == ""
    assert from_wire(b"\xed\xa0\x80") == ""


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        ("ju\u0308rgen", "jürgen"),  # u and two dots
        ("\uff21lice", "Alice"),  # a wide letter
        ("ali\u00adce", "alice"),  # a soft hyphen
        ("ali\u0000ce", ""),
        ("ali\ue000ce", ""),  # private use
        ("\u0627a", ""),  # both directions
    ],
)
def test_a_name_has_one_spelling_whoever_types_it(sent: str, name: str) -> None:
    """SASLprep is applied to what comes, and what it refuses is the name of nobody (RFC 6856, section 2.2)."""
    assert from_wire(sent.encode()) == name
