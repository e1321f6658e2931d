"""SASLprep: one form for what is typed in several ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netguard.wire.saslprep import Unprepared, prepared_password, saslprep


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        # The examples of RFC 4013, section 3.
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        # A space of another width, a letter in two parts, a wide letter, nothing, and one that came after Unicode 3.2.
        ("a\u00a0b\u3000c", "a b c"),
        ("u\u0308", "ü"),
        ("\uff41", "a"),
        ("", ""),
        ("\u00ad\u200b", ""),
        ("\U0001f600", "\U0001f600"),
        # From right to left, from end to end.
        ("\u0627\u0628", "\u0627\u0628"),
        ("\u06271\u0628", "\u06271\u0628"),
    ],
)
def test_what_is_typed_differently_becomes_one(text: str, prepared: str) -> None:
    """Each text has the prepared form that the RFC gives it, and that form is its own."""
    assert saslprep(text) == prepared
    assert saslprep(prepared) == prepared


@pytest.mark.parametrize(
    "text",
    [
        "\u0007",  # the RFC's own example
        "a\0b",
        "a\x7f",
        "ä\n",
        "\u0085",
        "\ue000",  # private use
        "\ufdd0",  # no character
        chr(0xD800),  # a surrogate
        "\ufffd",
        "\u2ff0",
        "\u200e",
        "\U000e0041",  # a tag
        "\u0627\u0031",  # the RFC's other example: from right to left, ending from left to right
        "\u0031\u0627",
        "\u0627a\u0628",
    ],
)
def test_what_cannot_be_typed_or_read_is_refused(text: str) -> None:
    """Controls, non-characters and mixed directions are refused with words that do not repeat them."""
    with pytest.raises(Unprepared) as refused:
        saslprep(text)
    assert text not in str(refused.value)


def test_a_password_always_has_a_form() -> None:
    """One that SASLprep refuses, or that is not UTF-8, stays what it is."""
    assert prepared_password("I\u00adX".encode()) == b"IX"
    assert prepared_password(b"\x07") == b"\x07"
    assert prepared_password(b"\xff\xfe") == b"\xff\xfe"


@given(st.text(max_size=20))
def test_any_text_is_prepared_once_and_for_all_or_refused(text: str) -> None:
    """Whatever comes is refused, or has a form that preparing does not change again."""
    try:
        prepared = saslprep(text)
    except Unprepared:
        return
    assert saslprep(prepared) == prepared


@given(st.binary(max_size=40))
def test_any_password_is_prepared_once_and_for_all(password: bytes) -> None:
    """Whatever octets come, preparing twice is preparing once."""
    assert prepared_password(prepared_password(password)) == prepared_password(password)
