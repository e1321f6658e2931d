"""Who is it? All that can be typed for a password, and what each of it takes."""

from __future__ import annotations

import hmac
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from attrs import evolve

from netguard.accounts import passwords
from netguard.accounts.interface import Account, AccountsTrouble
from netguard.accounts.judge import Judge
from netguard.accounts.passwords import Cost
from netguard.accounts.store import Store
from netguard.accounts.totp import Totp
from netguard.wire import otp, scram

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CHEAP = Cost(memory=64, passes=1, lanes=1)
ALICE = Account("alice")
PASS = "correct horse"
PHRASE = b"This is a test."
SECRET = b"12345678901234567890"
# The middle of a step of the clock, and its code, which is that of RFC 6238's appendix B.
NOW, CODE, EARLIER = 1111111111.0, "050471", "081804"

VERIFIER = str(scram.Verifier.of(PASS.encode(), b"saltsalt", 4096))
HASH = passwords.hashed(PASS.encode(), CHEAP)
CHAIN = otp.State.begin("md5", PHRASE, "seed", 10)
CLOCK = str(Totp(SECRET))

Add = "Callable[..., None]"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A new store, in which nobody costs much."""
    made = Store(tmp_path / "accounts")
    made.create()
    made.add_all([], iterations=4096)
    yield made
    made.close()


@pytest.fixture
def judge(store: Store) -> Judge:
    """One whose clock stands still."""
    return Judge(store, cost=CHEAP, now=lambda: NOW)


def one_time(count: int) -> bytes:
    """A one-time password of alice's chain, as it may be typed."""
    return otp.to_words(otp.generate("md5", PHRASE, "seed", count)).lower().encode()


# Passwords


@pytest.mark.parametrize(
    "credentials", [{"scram-sha-256": VERIFIER}, {"password": HASH}, {"scram-sha-256": VERIFIER, "password": HASH}]
)
def test_a_password_is_right_in_each_way_it_may_be_stored(
    store: Store, judge: Judge, credentials: dict[str, str]
) -> None:
    """As a SCRAM verifier, as an Argon2id one, or as both."""
    store.add("alice", credentials)
    assert judge.check_password(b"alice", PASS.encode()) == ALICE
    for name, password in ((b"alice", b"wrong"), (b"alice", b""), (b"bob", PASS.encode()), (b"ALICE", PASS.encode())):
        assert judge.check_password(name, password) is None


def test_two_passwords_are_both_right(store: Store, judge: Judge) -> None:
    """A user may have one for SCRAM and another for PASS."""
    store.add("alice", {"scram-sha-256": VERIFIER, "password": passwords.hashed(b"other", CHEAP)})
    assert judge.check_password(b"alice", PASS.encode()) == ALICE
    assert judge.check_password(b"alice", b"other") == ALICE


def test_a_password_may_be_typed_in_any_form(store: Store, judge: Judge) -> None:
    """Composed or not, it is the same; and a verifier from elsewhere is asked about it as it came."""
    store.add("alice", {"password": passwords.hashed("päss".encode(), CHEAP)})
    store.add("bob", {"password": passwords.hashed("pa\u0308ss".encode(), CHEAP)})
    assert judge.check_password(b"alice", "päss".encode()) == ALICE
    assert judge.check_password(b"alice", "pa\u0308ss".encode()) == ALICE
    assert judge.check_password(b"bob", "pa\u0308ss".encode()) == Account("bob")
    assert judge.check_password(b"bob", "pa\u0308s".encode()) is None


def test_no_mock_lets_anybody_in(store: Store) -> None:
    """Even when all comparisons say yes, who has no such credential is nobody."""
    yes = partial(Judge, digest_matches=lambda *_: True, password_matches=lambda *_: True)
    store.add("alice", {"scram-sha-256": VERIFIER})
    for name in (b"alice", b"nobody"):
        assert yes(store).check_password(name, b"wrong") is None
        assert yes(store).check_apop(name, b"", b"") is None


@pytest.mark.parametrize(
    ("stored", "attempt"),
    [
        ({"scram-sha-256": VERIFIER}, lambda judge: judge.check_password(b"alice", b"wrong")),
        ({"apop": "secret"}, lambda judge: judge.check_apop(b"alice", b"<stamp>", b"0" * 32)),
        ({"apop": "secret"}, lambda judge: judge.check_cram(b"alice", b"<challenge>", b"0" * 32)),
        ({"otp": str(CHAIN)}, lambda judge: judge.check_password(b"alice", b"0" * 16)),
        ({"totp": CLOCK}, lambda judge: judge.check_password(b"alice", b"000000")),
    ],
    ids=["scram", "apop", "cram-md5", "otp", "totp"],
)
def test_secrets_are_compared_in_constant_time(
    stored: dict[str, str],
    attempt: Callable[[Judge], object],
    store: Store,
    judge: Judge,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By `hmac.compare_digest`, which sees each secret of this kind; Argon2id is compared by `cryptography`."""
    store.add("alice", stored)
    compared: list[object] = []
    real = hmac.compare_digest

    def watched(one: Any, other: Any) -> bool:
        compared.append(one)
        return real(one, other)

    monkeypatch.setattr(hmac, "compare_digest", watched)
    assert attempt(judge) is None
    assert compared


# One-time passwords by count


def test_a_one_time_password_works_once(store: Store, judge: Judge) -> None:
    """In words or hexadecimal, in its turn, and what comes next is stored."""
    store.add("alice", {"otp": str(CHAIN)})
    assert judge.check_password(b"alice", one_time(8)) is None
    assert judge.check_password(b"alice", one_time(9)) == evolve(ALICE, otp_left=8)
    assert judge.check_password(b"alice", one_time(9)) is None
    assert judge.find_otp("alice").left == 8
    assert judge.check_password(b"alice", otp.generate("md5", PHRASE, "seed", 8).hex().upper().encode()) == evolve(
        ALICE, otp_left=7
    )
    assert judge.check_password(b"alice", one_time(6)) is None


def test_a_one_time_password_stands_beside_others(store: Store, judge: Judge) -> None:
    """Who has a password too can use either; a used one-time password is not taken for a password."""
    store.add("alice", {"otp": str(CHAIN), "password": HASH})
    assert judge.check_password(b"alice", PASS.encode()) == evolve(ALICE, otp_left=9)
    assert judge.check_password(b"alice", one_time(9)) == evolve(ALICE, otp_left=8)
    assert judge.check_password(b"alice", one_time(9)) is None


def test_a_login_tells_what_is_left_of_the_chain(store: Store, judge: Judge) -> None:
    """Also one by another mechanism, after which the account is looked up; who has no chain has nothing left."""
    store.add("alice", {"otp": str(CHAIN)})
    store.add("bob", {"password": HASH})
    assert judge.find_account("alice") == evolve(ALICE, otp_left=9)
    assert judge.spend_otp("alice", CHAIN, otp.State("md5", 9, "seed", b"12345678"))
    assert judge.find_account("alice") == evolve(ALICE, otp_left=8)
    assert judge.find_account("bob") == Account("bob")


def test_of_two_at_once_one_gets_in(store: Store, judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    """When somebody else has spent it between the question and the answer, it is spent."""
    store.add("alice", {"otp": str(CHAIN)})
    real = Store.spend

    def late(store: Store, *words: str) -> bool:
        assert real(store, *words)
        return real(store, *words)

    monkeypatch.setattr(Store, "spend", late)
    assert judge.check_password(b"alice", one_time(9)) is None


def test_a_chain_that_is_used_up_is_nobodys(store: Store, judge: Judge) -> None:
    """Nobody is asked for the one-time password number 0."""
    store.add("alice", {"otp": str(otp.State.begin("md5", PHRASE, "seed", 1))})
    assert judge.find_otp("alice").mock
    assert judge.check_password(b"alice", one_time(0)) is None


# Codes by the clock


@pytest.mark.parametrize("kind", [{"scram-sha-256": VERIFIER}, {"password": HASH}])
def test_with_totp_a_password_needs_its_code(store: Store, judge: Judge, kind: dict[str, str]) -> None:
    """Code behind password, or nothing; and each code works once."""
    store.add("alice", {**kind, "totp": CLOCK})
    for wrong in (PASS, CODE, "", f"{CODE}{PASS}", f"{PASS} {CODE}", f"{PASS}000000", f"wrong{CODE}", PASS[:-6] + CODE):
        assert judge.check_password(b"alice", wrong.encode()) is None
    assert judge.check_password(b"alice", f"{PASS}{CODE}".encode()) == ALICE
    assert judge.check_password(b"alice", f"{PASS}{CODE}".encode()) is None
    assert judge.check_password(b"alice", f"{PASS}{EARLIER}".encode()) is None
    assert Totp.parse(store.secret("alice", "totp") or "").last == NOW // 30


def test_a_wrong_password_spends_no_code(store: Store, judge: Judge) -> None:
    """Who only looks over somebody's shoulder cannot use the code up."""
    store.add("alice", {"password": HASH, "totp": CLOCK})
    assert judge.check_password(b"alice", f"wrong{CODE}".encode()) is None
    assert judge.check_password(b"alice", f"{PASS}{CODE}".encode()) == ALICE


def test_without_a_password_the_code_is_enough(store: Store, judge: Judge) -> None:
    """That is what the operator has chosen, by giving no password."""
    store.add("alice", {"totp": CLOCK})
    assert judge.check_password(b"alice", f"x{CODE}".encode()) is None
    assert judge.check_password(b"alice", b"\xff" * 6) is None
    assert judge.check_password(b"alice", CODE.encode()) == ALICE
    assert judge.check_password(b"alice", CODE.encode()) is None


def test_of_two_with_one_code_one_gets_in(store: Store, judge: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    """When somebody else has spent it between the question and the answer, it is spent."""
    store.add("alice", {"password": HASH, "totp": CLOCK})
    real = Store.spend

    def late(store: Store, *words: str) -> bool:
        assert real(store, *words)
        return real(store, *words)

    monkeypatch.setattr(Store, "spend", late)
    assert judge.check_password(b"alice", f"{PASS}{CODE}".encode()) is None


def test_with_totp_there_is_no_way_round_by_scram(store: Store, judge: Judge) -> None:
    """SCRAM has no place for a code, so the verifier is then nobody's."""
    store.add("alice", {"scram-sha-256": VERIFIER, "totp": CLOCK})
    assert judge.find_verifier("alice").mock
    store.change("alice", {}, {}, ["totp"])
    assert judge.find_verifier("alice") == scram.Verifier.parse(VERIFIER)


def test_behind_a_code_a_right_password_costs_what_a_wrong_one_costs(store: Store) -> None:
    """Or the time would tell that the password is right and only the code wrong."""
    ran: list[str] = []

    def password_matches(verifier: str, password: bytes) -> bool:
        ran.append(verifier)
        return passwords.matches(verifier, password)

    judge = Judge(store, cost=CHEAP, now=lambda: NOW, password_matches=password_matches)
    store.add("alice", {"scram-sha-256": VERIFIER, "totp": CLOCK})
    store.add("bob", {"scram-sha-256": VERIFIER})
    for password in (PASS, "wrong"):
        assert judge.check_password(b"alice", f"{password}000000".encode()) is None
    assert len(ran) == 2
    assert judge.check_password(b"bob", PASS.encode()) == Account("bob")
    assert len(ran) == 2


# What is stored wrong


@pytest.mark.parametrize(
    ("credentials", "why"),
    [
        ({"password": "{CRYPT}x"}, "not an Argon2id verifier"),
        ({"scram-sha-256": "x"}, "not a SCRAM-SHA-256 verifier"),
        ({"otp": "x"}, "not the state of a chain"),
        ({"totp": "x"}, "not a TOTP secret"),
    ],
)
def test_a_row_that_cannot_be_read_names_its_user(
    store: Store, judge: Judge, credentials: dict[str, str], why: str
) -> None:
    """The operator can find it, and the client is told of trouble instead of a wrong password."""
    store.add("alice", credentials)
    with pytest.raises(AccountsTrouble, match=f"user alice: .*{why}"):
        judge.check_password(b"alice", PASS.encode())


@pytest.mark.parametrize("ask", ["find_verifier", "find_otp"])
def test_so_do_the_mechanisms(store: Store, judge: Judge, ask: str) -> None:
    """A damaged row is no mock."""
    store.add("alice", {"scram-sha-256": "x", "otp": "x"})
    with pytest.raises(AccountsTrouble, match="user alice: it is not"):
        getattr(judge, ask)("alice")
