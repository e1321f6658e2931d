"""What an operator may know of stored credentials."""

from __future__ import annotations

import pytest

from netguard.accounts import inspection, passwords
from netguard.accounts.credentials import KINDS
from netguard.accounts.passwords import Cost
from netguard.accounts.records import Found
from netguard.accounts.totp import Totp
from netguard.wire import otp, scram

SECRET = b"12345678901234567890"
CHAIN = otp.State.begin("md5", b"This is a test.", "seed", 10)
STORED = {
    "scram-sha-256": str(scram.Verifier.of(b"pencil", b"saltsalt", 4096)),
    "password": passwords.hashed("pä".encode(), Cost(memory=64, passes=1)),
    "apop": "tanstaaf",
    "otp": str(CHAIN),
    "totp": str(Totp(SECRET)),
}


def found(credentials: dict[str, str], settings: dict[str, str] | None = None) -> Found:
    """A user who has these."""
    return Found("alice", True, credentials, settings or {}, bytes(32), 4096)


@pytest.mark.parametrize(
    ("kind", "stored", "words"),
    [
        ("scram-sha-256", STORED["scram-sha-256"], "4096 iterations"),
        ("password", STORED["password"], "64 KiB, 1 passes"),
        ("apop", "tanstaaf", ""),
        ("otp", str(CHAIN), "9 left, renew it soon; next: otp-md5 9 seed"),
        ("otp", str(otp.State.begin("sha1", b"x", "ab1", 11)), "10 left; next: otp-sha1 10 ab1"),
        ("totp", str(Totp(SECRET)), "not used yet"),
        ("totp", str(Totp(SECRET, 37037036)), "last code of 2005-03-18T01:58:00Z"),
    ],
    ids=["scram", "password", "apop", "otp at its end", "otp", "totp", "totp used"],  # the password has a salt
)
def test_the_state_of_a_credential(kind: str, stored: str, words: str) -> None:
    """What it costs, how many are left, and when it was used last."""
    assert inspection.state(kind, stored) == words


@pytest.mark.parametrize("kind", [*sorted(set(KINDS) - {"apop"}), "colour"])
def test_what_cannot_be_read_has_no_state(kind: str) -> None:
    """A damaged row, and one of a later release."""
    with pytest.raises(ValueError, match="not"):
        inspection.state(kind, "x")


def test_a_sound_user_has_no_problems() -> None:
    """Every kind, and settings."""
    assert inspection.problems(found(STORED, {"mailbox": "/srv/a"})) == []


def test_problems_are_one_line_each() -> None:
    """With the user, the kind, and no secret."""
    lines = inspection.problems(found({"apop": "x", "password": "{CRYPT}x", "colour": "x"}, {"expire": "x"}))
    assert [line.partition(": ")[0] for line in lines] == ["alice"] * 3
    assert [line.split(": ")[1] for line in lines] == ["password", "colour", "expire"]


@pytest.mark.parametrize(
    ("secret", "kinds"),
    [
        ("pencil", ["scram-sha-256"]),
        ("pä", ["password"]),
        ("pa\u0308", ["password"]),
        ("tanstaaf", ["apop"]),
        (otp.to_words(otp.generate("md5", b"This is a test.", "seed", 9)), ["otp"]),
        ("287082", ["totp"]),
        ("wrong", []),
    ],
)
def test_what_a_secret_is_right_for(secret: str, kinds: list[str]) -> None:
    """Each kind knows its own, and one of a later release is passed over."""
    assert inspection.matching(found({**STORED, "colour": secret}), secret, 59.0) == kinds


def test_a_damaged_row_matches_nothing() -> None:
    """It is told instead."""
    for kind in ("scram-sha-256", "password", "totp"):
        with pytest.raises(ValueError, match="not"):
            inspection.matching(found({kind: "x"}), "secret", 0.0)


def test_an_apop_secret_may_be_typed_in_any_form() -> None:
    """What is kept is the form in which clients hash it."""
    assert inspection.matching(found({"apop": "pässword"}), "pa\u0308ssword", 0.0) == ["apop"]
    assert inspection.matching(found({"apop": "pässword"}), "password", 0.0) == []
