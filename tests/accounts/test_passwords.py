"""Argon2id verifiers."""

from __future__ import annotations

import re
from threading import Thread

import attrs
import pytest
from cryptography.exceptions import UnsupportedAlgorithm

from netguard.accounts import passwords
from netguard.accounts.interface import AccountsTrouble
from netguard.accounts.passwords import Cost, UnusableVerifier

CHEAP = Cost(memory=64, passes=1, lanes=1)
# From the own tests of the reference implementation (src/test.c): "password", "somesalt", 2 passes, 64 MiB.
REFERENCE = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"


def test_the_reference_implementation_agrees() -> None:
    """A verifier of the reference implementation is understood."""
    assert passwords.matches(REFERENCE, b"password")
    assert not passwords.matches(REFERENCE, b"Password")


def test_a_password_matches_its_own_verifier_only() -> None:
    """The right password passes; another, a longer and an empty one do not."""
    verifier = passwords.hashed(b"correct horse", CHEAP)
    assert passwords.matches(verifier, b"correct horse")
    for wrong in (b"", b"correct hors", b"correct horse ", b"\xff\x00", b"x" * 500):
        assert not passwords.matches(verifier, wrong)


def test_the_default_cost_is_the_second_recommended_option_of_rfc_9106() -> None:
    """64 MiB, 3 passes, 1 lane, a salt of 128 bits and a tag of 256."""
    verifier = passwords.hashed(b"x")
    assert passwords.cost_of(verifier) == Cost(65536, 3, 1)
    assert re.fullmatch(r"\$argon2id\$v=19\$m=65536,t=3,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}", verifier)


def test_every_verifier_has_its_own_salt() -> None:
    """Equal passwords do not show."""
    assert passwords.hashed(b"x", CHEAP) != passwords.hashed(b"x", CHEAP)


def test_nobodys_verifier_costs_the_same_and_matches_nothing() -> None:
    """The verifier for unknown users has the form and the cost of a real one."""
    verifier = passwords.nobodys(CHEAP)
    assert passwords.cost_of(verifier) == CHEAP
    assert len(verifier) == len(passwords.hashed(b"x", CHEAP))
    assert not passwords.matches(verifier, b"x")
    assert passwords.cost_of(passwords.nobodys()) == Cost()


@pytest.mark.parametrize(
    "verifier",
    [
        "",
        "plain text",
        "$argon2i$v=19$m=64,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "$argon2id$v=16$m=64,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "$argon2id$v=19$m=0,t=1,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        REFERENCE + "\n",
        REFERENCE.replace("t=2", "t=-2"),
    ],
)
def test_what_is_no_verifier_is_refused_before_any_work(verifier: str) -> None:
    """Another form, another Argon2, another version and a negative cost are not tried."""
    with pytest.raises(UnusableVerifier, match="not an Argon2id verifier"):
        passwords.matches(verifier, b"x")


@pytest.mark.parametrize(
    ("field", "most", "what"),
    [
        ("m", passwords.MOST_MEMORY, "KiB of memory"),
        ("t", passwords.MOST_PASSES, "passes"),
        ("p", passwords.MOST_LANES, "lanes"),
    ],
)
def test_a_verifier_may_not_ask_for_more_than_the_limit(field: str, most: int, what: str) -> None:
    """Each part of the cost passes at its limit and is refused one above it, with both numbers."""
    numbers = {"m": 64, "t": 1, "p": 1}

    def verifier(value: int) -> str:
        asked = {**numbers, field: value}
        return REFERENCE.replace("m=65536,t=2,p=1", f"m={asked['m']},t={asked['t']},p={asked['p']}")

    assert most in attrs.astuple(passwords.cost_of(verifier(most)))
    with pytest.raises(UnusableVerifier, match=f"{most + 1} {what}, limit {most}"):
        passwords.cost_of(verifier(most + 1))


def test_an_openssl_without_argon2_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the library cannot do it, the operator is told what is missing."""

    def missing(**_: object) -> None:
        raise UnsupportedAlgorithm("no argon2")

    monkeypatch.setattr(passwords, "Argon2id", missing)
    with pytest.raises(AccountsTrouble, match=r"came with 3\.2"):
        passwords.hashed(b"x")


@pytest.mark.parametrize("lanes", [1, 4, 16])
def test_many_at_once(lanes: int) -> None:
    """Checks that run at the same time all come to an answer, though OpenSSL has few threads for their lanes."""
    verifier = passwords.hashed(b"right", Cost(memory=512, passes=1, lanes=lanes))
    answers: list[bool] = []

    def check() -> None:
        answers.extend(passwords.matches(verifier, given) for given in [b"wrong", b"right"] * 10)

    checks = [Thread(target=check, daemon=True) for _ in range(8)]
    for each in checks:
        each.start()
    for each in checks:
        each.join(30)
    assert sorted(answers) == [False] * 80 + [True] * 80
