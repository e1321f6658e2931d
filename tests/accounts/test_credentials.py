"""Kinds of credential."""

from __future__ import annotations

import re

import pytest

from netguard.accounts import credentials, passwords


def test_a_generated_secret_has_160_bits_and_needs_no_quoting() -> None:
    """32 characters of a-z and 2-7, and never the same twice."""
    made = {credentials.generate() for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch(r"[a-z2-7]{32}", secret) for secret in made)


def test_an_apop_secret_is_kept_as_it_is() -> None:
    """Both sides of APOP need the secret itself."""
    assert credentials.KINDS["apop"].stored("tanstaaf") == "tanstaaf"


def test_of_a_password_only_the_verifier_is_kept() -> None:
    """What is stored does not contain the password, and matches it."""
    stored = credentials.KINDS["password"].stored("päss")
    assert "päss" not in stored
    assert passwords.matches(stored, "päss".encode())


@pytest.mark.parametrize("secret", ["x", " leading and trailing ", "pä$$", "x" * 248, "ü" * 124])
def test_what_a_client_can_send_is_a_secret(secret: str) -> None:
    """Spaces and non-ASCII are fine, up to 248 octets."""
    assert credentials.check_secret(secret) is secret


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        ("", "empty"),
        ("x" * 249, "249 octets"),
        ("ü" * 125, "250 octets"),
        ("quite\nsecret", "control"),
        ("quite\rsecret", "control"),
        ("quite\0secret", "control"),
        ("quite\x7fsecret", "control"),
    ],
)
def test_what_no_client_can_send_is_refused_without_being_repeated(secret: str, why: str) -> None:
    """A complaint says why and does not hold the secret."""
    with pytest.raises(ValueError, match=why) as refused:
        credentials.check_secret(secret)
    assert "secret" not in str(refused.value).replace("the secret", "")
    assert "xx" not in str(refused.value)


def test_advice_warns_of_a_short_apop_secret_only() -> None:
    """15 characters are warned about, 16 are not; a password is not open to offline guessing."""
    assert "15 characters" in (credentials.advice("apop", "x" * 15) or "")
    assert credentials.advice("apop", "x" * 16) is None
    assert credentials.advice("password", "x") is None
