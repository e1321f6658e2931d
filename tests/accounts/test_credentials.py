"""Kinds of credential."""

from __future__ import annotations

import re

import pytest

from netguard.accounts import credentials, passwords, totp
from netguard.wire import otp, scram


def test_a_generated_secret_has_160_bits_and_needs_no_quoting() -> None:
    """32 characters of a-z and 2-7, and never the same twice."""
    made = {credentials.generate() for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch(r"[a-z2-7]{32}", secret) for secret in made)


def test_an_apop_secret_is_kept_as_it_is() -> None:
    """Both sides of APOP need the secret itself."""
    assert credentials.KINDS["apop"].stored("tanstaaf", 4096) == "tanstaaf"


def test_an_apop_secret_is_kept_as_clients_hash_it() -> None:
    """In the form of SASLprep (RFC 6856, section 2.2), whichever way its letters were composed."""
    for typed in ("pässword", "pa\u0308ssword", "p\u00adässword"):
        assert credentials.KINDS["apop"].stored(typed, 4096) == "pässword"


def test_of_a_password_only_the_verifier_is_kept() -> None:
    """What is stored does not contain the password, and matches it."""
    stored = credentials.KINDS["password"].stored("päss", 4096)
    assert "päss" not in stored
    assert passwords.matches(stored, "päss".encode())
    decomposed = credentials.KINDS["password"].stored("pa\u0308ss", 4096)
    assert passwords.matches(decomposed, "päss".encode())


def test_of_a_scram_password_only_the_verifier_is_kept() -> None:
    """It matches the password, costs what it should, and has another salt each time."""
    stored = [credentials.KINDS["scram-sha-256"].stored("päss", 4096) for _ in range(2)]
    assert stored[0] != stored[1]
    verifier = scram.Verifier.parse(stored[0])
    assert verifier.matches("päss".encode())
    assert verifier.iterations == 4096


def test_of_a_pass_phrase_the_last_one_time_password_is_kept() -> None:
    """499 can be used, from a fresh seed each time."""
    chains = [otp.State.parse(credentials.KINDS["otp"].stored("a pass phrase", 4096)) for _ in range(2)]
    assert chains[0].seed != chains[1].seed
    chain = chains[0]
    assert (chain.algorithm, chain.left) == ("sha1", 499)
    assert chain.after(otp.generate("sha1", b"a pass phrase", chain.seed, 499)) is not None


def test_a_totp_secret_is_kept_and_shown_as_a_uri() -> None:
    """No code was used yet; the app reads name, secret and issuer from what is shown."""
    kind = credentials.KINDS["totp"]
    secret = credentials.generate()
    assert totp.Totp.parse(kind.stored(secret, 4096)) == totp.Totp(totp.secret_of(secret))
    shown = kind.shown("alice@example.org", secret)
    assert shown.startswith("otpauth://totp/netguard:alice%40example.org?")
    assert f"secret={secret.upper()}" in shown


def test_what_is_made_here_may_be_kept() -> None:
    """A generated secret passes the check of every kind, and all but TOTP show it as it is."""
    for kind in credentials.KINDS.values():
        secret = credentials.generate()
        assert kind.check(secret) is secret
        assert kind.shown("alice", secret).lower().count(secret) == 1
        assert (kind.shown("alice", secret) == secret) is (kind.name != "totp")


def test_kinds_that_the_code_names_are_there() -> None:
    """The default is one whose secret does not lie open, and what a person types is a password."""
    assert list(credentials.KINDS) == ["scram-sha-256", "password", "apop", "otp", "totp"]
    assert credentials.DEFAULT == "scram-sha-256"
    assert set(credentials.TYPED) < set(credentials.KINDS)


@pytest.mark.parametrize("phrase", ["x" * 10, "x" * 63, "a phrase of words"])
def test_pass_phrases(phrase: str) -> None:
    """10 to 63 characters of ASCII are what every generator takes."""
    assert credentials.check_phrase(phrase) is phrase


@pytest.mark.parametrize("phrase", ["x" * 9, "x" * 64, "ä" * 20, "", "a\nphrase of words"])
def test_what_is_no_pass_phrase(phrase: str) -> None:
    """Anything else is refused without being repeated."""
    with pytest.raises(ValueError, match=r"10 to 63 characters|empty|control") as refused:
        credentials.check_phrase(phrase)
    assert "xxx" not in str(refused.value)


def test_what_is_no_totp_secret() -> None:
    """What is no base32 is refused."""
    with pytest.raises(ValueError, match="base32"):
        credentials.check_totp("no base32!")


def test_seeds_are_random() -> None:
    """Hardly ever the same twice, and in the form that generators take."""
    made = {credentials.new_seed() for _ in range(100)}
    assert len(made) > 90
    assert all(re.fullmatch(r"[a-z]{2}\d{4}", seed) for seed in made)


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


def test_a_chain_that_begins_is_listed_in_the_order_of_use() -> None:
    """Number and words of each, of which each hashes to the one before; no repr shows them."""
    chain = credentials.begin_chain("a pass phrase", 3, "md5")
    state = otp.State.parse(chain.stored)
    assert credentials.challenge(chain.stored) == f"otp-md5 3 {state.seed}"
    assert [number for number, _ in chain.passwords] == [3, 2, 1]
    for number, words in chain.passwords:
        assert otp.from_words(words) == otp.generate("md5", b"a pass phrase", state.seed, number)
        assert words not in repr(chain)


def test_the_cost_of_a_verifier() -> None:
    """It is read from what is stored."""
    assert credentials.iterations(credentials.scram_verifier("x", 4097)) == 4097
