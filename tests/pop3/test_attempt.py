"""What somebody tried: for guards, which count it, and for the log, which must not tell it."""

from __future__ import annotations

import pytest

from netguard.pop3.attempt import Attempt
from netguard.wire import otp, sasl
from netguard.wire.pop3_events import Apop, Consult, Disproved, Login, Password, Proved

KEY = b"k" * 16
CHAIN = otp.mock(b"secret", "alice")


@pytest.mark.parametrize(
    ("login", "attempt"),
    [
        (Apop(b"alice", b"0" * 32), Attempt(b"alice")),
        (Password(b"alice", b"x"), Attempt(b"alice", b"x")),
        (Consult("PLAIN", sasl.CheckPassword(b"alice", b"x")), Attempt(b"alice", b"x")),
        (Consult("CRAM-MD5", sasl.CheckCram(b"alice", b"<1@h>", b"0" * 32)), Attempt(b"alice")),
        (Consult("SCRAM-SHA-256", sasl.FindVerifier("\xe4")), Attempt(b"\xc3\xa4")),
        (Consult("OTP", sasl.FindOtp("alice")), Attempt(b"alice")),
        (Consult("OTP", sasl.SpendOtp("alice", CHAIN, CHAIN)), None),
        (Consult("EXTERNAL", sasl.CheckCertificate("")), Attempt(b"")),
        (Consult("OAUTHBEARER", sasl.CheckToken("alice", "t")), Attempt(b"alice", b"t")),
        (Proved("PLAIN", "alice"), None),
        (Disproved("PLAIN"), None),
    ],
)
def test_what_a_request_is_about(login: Login, attempt: Attempt | None) -> None:
    """A password is the same whatever brings it; what never looks the same twice is no secret to count by."""
    assert Attempt.of(login) == attempt


def test_a_token_is_the_same_for_the_same() -> None:
    """Where the name ends and the secret begins counts, too; without a secret there is none."""
    attempts = [Attempt(b"alice", b"x"), Attempt(b"alic", b"ex"), Attempt(b"alice", b"y"), Attempt(b"bob", b"x")]
    assert len({each.token(KEY) for each in attempts}) == 4
    assert Attempt(b"alice", b"x").token(KEY) == attempts[0].token(KEY) != attempts[0].token(b"j" * 16)
    assert Attempt(b"alice").token(KEY) is None


def test_pseudonym() -> None:
    """The same for a name and a key, and another for others."""
    alice, bob = Attempt(b"alice"), Attempt(b"bob")
    assert alice.pseudonym(KEY) == Attempt(b"alice", b"x").pseudonym(KEY)
    assert len({alice.pseudonym(KEY), bob.pseudonym(KEY), alice.pseudonym(b"j" * 16)}) == 3
    assert Attempt(b"\xff" * 500).pseudonym(KEY).isalnum()


def test_no_representation_shows_a_secret() -> None:
    """It may come into a log by a defect of ours."""
    assert "hush" not in repr(Attempt(b"alice", b"hush"))
