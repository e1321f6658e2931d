"""Checks of credentials against an accounts file."""

from __future__ import annotations

import hmac
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.threads import deferToThread

from netguard.accounts import passwords
from netguard.accounts.checks import StoredAccounts
from netguard.accounts.credentials import APOP, PASSWORD
from netguard.accounts.interface import Account, AccountsTrouble
from netguard.accounts.judge import Judge
from netguard.accounts.names import from_wire
from netguard.accounts.passwords import Cost
from netguard.accounts.records import Asked
from netguard.accounts.schema import ITERATIONS
from netguard.accounts.store import Store
from netguard.page_cache import is_local, look_at_hand
from netguard.wire import apop, mechanisms, otp, scram
from netguard.wire.sasl import (
    CheckCertificate,
    CheckCram,
    CheckPassword,
    CheckToken,
    FindOtp,
    FindVerifier,
    Question,
    SpendOtp,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CHEAP = Cost(memory=64, passes=1, lanes=1)
STAMP = b"<1896.697170952@dbc.mtview.ca.us>"
SECRET = "tanstaaf-only-alice-knows"
PASS = "correct-horse-only-alice-knows"
NOW = 1_800_000_000.0


def digest(secret: str) -> bytes:
    """What a client answers to the greeting."""
    return apop.digest(STAMP, secret.encode())


@define
class Work:
    """Counts the dear parts of a check, and does them.

    Attributes:
        digests: how many secrets were digested.
        costs: what each Argon2id run cost.
        iterations: what each PBKDF2 run cost.
    """

    digests: int = 0
    costs: list[Cost] = field(factory=list)
    iterations: list[int] = field(factory=list)

    def digest_matches(self, stamp: bytes, secret: bytes, given: bytes) -> bool:
        """Count one digest."""
        self.digests += 1
        assert len(secret) >= 25
        return apop.matches(stamp, secret, given)

    def password_matches(self, verifier: str, password: bytes) -> bool:
        """Count one run of Argon2id."""
        self.costs.append(passwords.cost_of(verifier))
        return passwords.matches(verifier, password)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with alice, who has both, bob with APOP only, and carol with a password only."""
    path = tmp_path / "accounts"
    store = Store(path)
    store.create()
    verifier = passwords.hashed(PASS.encode(), CHEAP)
    store.add("alice", {APOP: SECRET, PASSWORD: verifier})
    store.add("bob", {APOP: SECRET})
    store.add("jürgen", {PASSWORD: verifier})
    store.close()
    return path


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    """The counters of this test."""
    work = Work()
    real = scram.Verifier.matches

    def matches(verifier: scram.Verifier, password: bytes) -> bool:
        work.iterations.append(verifier.iterations)
        return real(verifier, password)

    monkeypatch.setattr(scram.Verifier, "matches", matches)
    return work


@pytest.fixture
def accounts(path: Path, work: Work) -> Iterator[StoredAccounts]:
    """The accounts, asked at once instead of in threads."""
    judge = partial(
        Judge, cost=CHEAP, digest_matches=work.digest_matches, password_matches=work.password_matches, now=lambda: NOW
    )
    made = StoredAccounts(path, in_thread=maybeDeferred, judge=judge)
    yield made
    made.close()


async def test_the_right_apop_digest_is_the_account(accounts: StoredAccounts) -> None:
    """Name and digest of a user with an APOP secret are that user."""
    assert await accounts.check_apop(b"alice", STAMP, digest(SECRET)) == Account("alice")


async def test_the_right_password_is_the_account(accounts: StoredAccounts) -> None:
    """Name and password are the user, also with a name that is not ASCII."""
    assert await accounts.check_password(b"alice", PASS.encode()) == Account("alice")
    assert await accounts.check_password("jürgen".encode(), PASS.encode()) == Account("jürgen")


WRONG_APOP = [
    (b"alice", STAMP, digest("wrong")),
    (b"alice", STAMP, digest(SECRET).upper()),
    (b"alice", STAMP, b""),
    (b"alice", STAMP, b"\xff" * 32),
    (b"alice", b"<other@host>", digest(SECRET)),
    (b"alice", STAMP, digest(PASS)),
    (b"nobody", STAMP, digest(SECRET)),
    ("jürgen".encode(), STAMP, digest(SECRET)),
    (b"Alice", STAMP, digest(SECRET)),
    (b"alice\0", STAMP, digest(SECRET)),
    (b"alice\0evil", STAMP, digest(SECRET)),
    (b"\xff\xfe", STAMP, digest(SECRET)),
    (b"", STAMP, digest(SECRET)),
    (b"' OR 1=1 --", STAMP, digest(SECRET)),
]
WRONG_PASSWORD = [
    (b"alice", b"wrong"),
    (b"alice", b""),
    (b"alice", PASS.encode() + b" "),
    (b"alice", SECRET.encode()),
    (b"alice", b"\xff\x00" * 100),
    (b"nobody", PASS.encode()),
    (b"bob", SECRET.encode()),
    (b"ALICE", PASS.encode()),
    (b"\xff\xfe", PASS.encode()),
    (b"", b""),
]


@pytest.mark.parametrize(("name", "stamp", "given"), WRONG_APOP)
async def test_every_wrong_apop_login_is_none_after_one_digest(
    accounts: StoredAccounts, work: Work, name: bytes, stamp: bytes, given: bytes
) -> None:
    """Wrong secret, unknown user, no such credential and no such name cost the same single digest."""
    assert await accounts.check_apop(name, stamp, given) is None
    assert work == Work(digests=1)


@pytest.mark.parametrize(("name", "password"), WRONG_PASSWORD)
async def test_every_wrong_password_is_none_after_one_run_of_equal_cost(
    accounts: StoredAccounts, work: Work, name: bytes, password: bytes
) -> None:
    """Wrong password, unknown user, no such credential and no such name cost a run of each hash alike."""
    assert await accounts.check_password(name, password) is None
    assert work == Work(costs=[CHEAP], iterations=[ITERATIONS])


async def test_right_and_wrong_ask_the_store_once(accounts: StoredAccounts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Known or unknown, the store gets one question."""
    questions: list[str] = []
    real = Store.asked

    def counted(store: Store, name: str, kinds: tuple[str, ...]) -> Asked:
        questions.append(name)
        return real(store, name, kinds)

    monkeypatch.setattr(Store, "asked", counted)
    for name in (b"alice", b"nobody", b"bob", b"\xff"):
        await accounts.check_apop(name, STAMP, digest(SECRET))
        await accounts.check_password(name, PASS.encode())
        await accounts.answer(CheckCram(name, STAMP, b"0" * 32))
        await accounts.answer(FindVerifier(from_wire(name)))
        await accounts.answer(FindOtp(from_wire(name)))
    assert questions == [name for name in ("alice", "nobody", "bob", "") for _ in range(5)]


async def test_the_dummies_never_log_anybody_in(path: Path) -> None:
    """Even when the comparison says yes, an unknown user is nobody."""
    judge = partial(Judge, digest_matches=lambda *_: True, password_matches=lambda *_: True)
    accounts = StoredAccounts(path, in_thread=maybeDeferred, judge=judge)
    assert await accounts.check_apop(b"nobody", STAMP, b"") is None
    assert await accounts.check_password(b"nobody", b"") is None
    assert await accounts.check_password(b"bob", b"") is None
    accounts.close()


async def test_real_threads_check_many_at_once(path: Path) -> None:
    """With Twisted's threads, forty logins at once are all answered right."""
    accounts = StoredAccounts(path, judge=partial(Judge, cost=CHEAP))
    asked = [
        accounts.check_apop(name, STAMP, digest(secret))
        for name in (b"alice", b"nobody")
        for secret in (SECRET, "wrong")
        for _ in range(5)
    ]
    asked += [accounts.check_password(name, PASS.encode()) for name in (b"alice", b"nobody") for _ in range(10)]
    found = await gatherResults(asked)
    assert found == [Account("alice")] * 5 + [None] * 15 + [Account("alice")] * 10 + [None] * 10
    accounts.close()


async def test_a_change_is_seen_without_a_restart(accounts: StoredAccounts, path: Path) -> None:
    """A user who is added while the service runs can log in; one who is removed cannot."""
    assert await accounts.check_apop(b"dave", STAMP, digest(SECRET)) is None
    other = Store(path)
    other.add("dave", {APOP: SECRET})
    assert await accounts.check_apop(b"dave", STAMP, digest(SECRET)) == Account("dave")
    other.remove("dave")
    assert await accounts.check_apop(b"dave", STAMP, digest(SECRET)) is None
    other.close()


async def test_who_comes_again_needs_no_thread(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as nothing has changed; a wrong digest, and anybody else, is looked up as ever."""
    monkeypatch.setattr("netguard.stamp.GRAIN", -2_000_000_000)
    if look_at_hand(str(path)) is None or not is_local(str(path)):
        pytest.skip("this kernel, or this file system, does not say what is in memory")
    threads: list[object] = []

    def in_thread(*work: Any) -> Deferred[Any]:
        threads.append(work[1])
        return maybeDeferred(*work)

    accounts = StoredAccounts(path, in_thread=in_thread, judge=partial(Judge, cost=CHEAP))

    async def asked(name: bytes, secret: str, account: Account | None) -> int:
        threads.clear()
        assert await accounts.check_apop(name, STAMP, digest(secret)) == account
        return len(threads)

    bob = Account("bob")
    assert [await asked(b"bob", SECRET, bob) for _ in range(3)] == [1, 0, 0]
    assert await asked(b"bob", "wrong", None) == 1
    assert await asked(b"nobody", SECRET, None) == 1
    store = Store(path)
    store.change("bob", {APOP: "new-" + SECRET}, {"mailbox": "/srv/bob"})
    assert await asked(b"bob", SECRET, None) == 1
    bob = Account("bob", mailbox="/srv/bob")
    assert [await asked(b"bob", "new-" + SECRET, bob) for _ in range(2)] == [1, 0]
    store.remove("bob")
    assert await asked(b"bob", "new-" + SECRET, None) == 1
    assert [await asked(b"alice", SECRET, Account("alice")) for _ in range(2)] == [1, 0]
    path.chmod(0o640)
    with pytest.raises(AccountsTrouble, match="open to others"):
        await asked(b"alice", SECRET, Account("alice"))
    path.chmod(0o600)
    assert await asked(b"alice", SECRET, Account("alice")) == 1
    store.close()
    accounts.close()
    assert await asked(b"alice", SECRET, Account("alice")) == 1
    accounts.close()


async def test_a_change_just_after_a_login_is_seen(path: Path) -> None:
    """Within the clock's grain a change may not show, so nobody is remembered who was let in just after one."""
    accounts, store = StoredAccounts(path, in_thread=maybeDeferred, judge=partial(Judge, cost=CHEAP)), Store(path)
    for number in range(20):
        store.change("bob", {APOP: f"{number} {SECRET}"}, {})
        assert await accounts.check_apop(b"bob", STAMP, digest(f"{number} {SECRET}")) == Account("bob")
        store.change("bob", {APOP: "another " + SECRET}, {})
        assert await accounts.check_apop(b"bob", STAMP, digest(f"{number} {SECRET}")) is None
    store.close()
    accounts.close()


async def test_too_many_password_checks_are_trouble_and_apop_goes_on(path: Path) -> None:
    """What exceeds the queue fails at once and is no answer about the user; APOP does not wait behind it."""
    accounts = StoredAccounts(path, judge=partial(Judge, cost=CHEAP), at_once=1, waiting=1)
    first, second = (accounts.check_password(b"alice", PASS.encode()) for _ in range(2))
    with pytest.raises(AccountsTrouble, match="limit 2"):
        await accounts.check_password(b"alice", PASS.encode())
    assert await accounts.check_apop(b"alice", STAMP, digest(SECRET)) == Account("alice")
    assert await gatherResults([first, second]) == [Account("alice")] * 2
    accounts.close()


async def test_trouble_with_the_file_is_trouble_for_known_and_unknown(
    accounts: StoredAccounts, path: Path, work: Work
) -> None:
    """A file that is open to others answers nobody, and says why."""
    path.chmod(0o644)
    for name in (b"alice", b"nobody"):
        with pytest.raises(AccountsTrouble, match="chmod 600"):
            await accounts.check_apop(name, STAMP, digest(SECRET))
        with pytest.raises(AccountsTrouble, match="chmod 600"):
            await accounts.check_password(name, PASS.encode())
    assert work == Work()


async def test_an_unusable_verifier_names_its_user(accounts: StoredAccounts, path: Path) -> None:
    """A row that cannot be checked is trouble that the operator can find."""
    store = Store(path)
    store.add("dave", {PASSWORD: "{CRYPT}abc"})
    store.close()
    with pytest.raises(AccountsTrouble, match="user dave: what is stored as password is not an Argon2id"):
        await accounts.check_password(b"dave", b"x")


def _leak(*values: bytes | str) -> bool:
    raise RuntimeError(*values)


async def _leak_token(question: CheckToken) -> str | None:
    raise RuntimeError(question.token)


@pytest.mark.parametrize("in_thread", [maybeDeferred, deferToThread])
async def test_an_unforeseen_error_carries_no_secret(
    path: Path, in_thread: Callable[..., object], capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever fails inside is AccountsTrouble without cause, context or text that holds a secret."""
    judge = partial(Judge, digest_matches=_leak, password_matches=_leak)
    accounts = StoredAccounts(path, in_thread=in_thread, judge=judge, whose_token=_leak_token)  # type: ignore[arg-type]
    store = Store(path)
    verifier = store.secret("alice", PASSWORD)
    store.close()
    assert verifier
    for asked in (
        accounts.check_apop(b"alice", STAMP, digest(SECRET)),
        accounts.check_password(b"alice", PASS.encode()),
        accounts.answer(CheckPassword(b"alice", PASS.encode())),
        accounts.answer(CheckToken("alice", SECRET)),
    ):
        texts: list[str] = []

        def keep(failure: object, texts: list[str] = texts) -> None:
            texts += [repr(failure), str(failure)]
            texts += [failure.getTraceback(detail=detail) for detail in ("default", "brief", "verbose")]  # type: ignore[attr-defined]
            value = failure.value  # type: ignore[attr-defined]
            assert value.__cause__ is None
            assert value.__context__ is None
            assert isinstance(value, AccountsTrouble)

        await asked.addErrback(keep)
        printed = "".join(capfd.readouterr())
        assert "RuntimeError" in texts[1]
        for secret in (SECRET, PASS, digest(SECRET).decode(), verifier):
            assert secret not in "".join(texts) + printed
    accounts.close()


def test_nothing_printable_about_the_accounts_is_a_secret(accounts: StoredAccounts) -> None:
    """The object's own words give nothing away."""
    for word in (SECRET, PASS, "argon2id"):
        assert word not in repr(accounts) + str(accounts)


def test_verify_tells_at_the_start(accounts: StoredAccounts, path: Path) -> None:
    """A sound file passes; a missing one is one clear line."""
    accounts.verify()
    path.unlink()
    with pytest.raises(AccountsTrouble, match="No such file"):
        accounts.verify()


# What SASL mechanisms ask


async def test_questions_are_answered_by_what_is_stored(accounts: StoredAccounts, path: Path) -> None:
    """Verifier, chain, password and digest are those of the user, and one-time passwords are spent once."""
    verifier = scram.Verifier.of(PASS.encode(), b"saltsalt", 4096)
    chain = otp.State.begin("sha1", b"This is a test.", "seed", 10)
    spent = chain.after(otp.generate("sha1", b"This is a test.", "seed", 9))
    store = Store(path)
    store.add("dave", {"scram-sha-256": str(verifier), "otp": str(chain)})
    assert await accounts.answer(FindVerifier("dave")) == verifier
    assert await accounts.answer(FindOtp("dave")) == chain
    assert await accounts.answer(CheckPassword(b"dave", PASS.encode())) == "dave"
    assert await accounts.answer(CheckPassword(b"dave", b"wrong")) is None
    assert spent is not None
    assert await accounts.answer(SpendOtp("dave", chain, spent)) is True
    assert await accounts.answer(SpendOtp("dave", chain, spent)) is False
    assert store.secret("dave", "otp") == str(spent)
    store.close()


async def test_cram_md5_takes_the_secret_of_apop(accounts: StoredAccounts) -> None:
    """The digest of the challenge with it is right, and no other is."""
    right = hmac.digest(SECRET.encode(), STAMP, "md5").hex().encode()
    assert await accounts.answer(CheckCram(b"alice", STAMP, right)) == "alice"
    for name, wrong in ((b"alice", b"0" * 32), (b"nobody", right), ("jürgen".encode(), right)):
        assert await accounts.answer(CheckCram(name, STAMP, wrong)) is None


async def test_nobody_gets_mocks_that_stay_after_a_restart(accounts: StoredAccounts, path: Path) -> None:
    """Who has no such credential is answered like somebody who has, and always with the same."""
    for name in ("nobody", "bob", ""):
        verifier, chain = await accounts.answer(FindVerifier(name)), await accounts.answer(FindOtp(name))
        assert verifier.mock
        assert verifier.iterations == ITERATIONS
        assert chain.mock
        again = StoredAccounts(path, in_thread=maybeDeferred)
        assert await again.answer(FindVerifier(name)) == verifier
        assert await again.answer(FindOtp(name)) == chain
        again.close()


async def test_accounts_are_found_with_their_settings(accounts: StoredAccounts, path: Path) -> None:
    """However somebody logged in, the settings come along; who is not there is nobody."""
    store = Store(path)
    assert store.change("alice", {}, {"mailbox": "/srv/mail/a", "login-delay": "30s"})
    store.close()
    account = Account("alice", mailbox="/srv/mail/a", login_delay=30)
    assert await accounts.account("alice") == account
    assert await accounts.check_apop(b"alice", STAMP, digest(SECRET)) == account
    assert await accounts.check_password(b"alice", PASS.encode()) == account
    assert await accounts.account("nobody") is None


@pytest.mark.parametrize(
    ("wanted", "identities", "who"),
    [
        ("", ["alice"], "alice"),
        ("alice", ["alice", "bob"], "alice"),
        ("", ["alice", "bob"], None),
        ("", ["nobody", "alice", "alice"], "alice"),
        ("bob", ["alice"], None),
        ("nobody", ["nobody"], None),
        ("", [], None),
        ("", [f"n{number}" for number in range(16)] + ["alice"], None),
    ],
)
async def test_a_certificate_means_one_user(
    accounts: StoredAccounts, wanted: str, identities: list[str], who: str | None
) -> None:
    """A name that the certificate proves and that is a user's; when there are two, the client has to say which."""
    assert await accounts.check_identity(wanted, identities) == who


async def test_bearer_tokens_are_somebody_elses(path: Path) -> None:
    """Whose token it is says the hook; who is no user here is nobody all the same."""
    asked = []

    async def whose(question: CheckToken) -> str | None:
        asked.append(question)
        return {"good": "alice", "foreign": "mallory"}.get(question.token)

    accounts = StoredAccounts(path, in_thread=maybeDeferred, whose_token=whose)
    assert accounts.mechanisms == mechanisms.ALL
    assert await accounts.answer(CheckToken("alice", "good", "mail.example", 995)) == "alice"
    assert await accounts.answer(CheckToken("", "foreign")) is None
    assert await accounts.answer(CheckToken("", "bad")) is None
    assert asked[0] == CheckToken("alice", "good", "mail.example", 995)
    accounts.close()


@pytest.mark.parametrize("question", [CheckToken("alice", "x"), CheckCertificate("alice")])
async def test_what_a_file_cannot_know_is_trouble(accounts: StoredAccounts, question: Question) -> None:
    """Without a hook there are no tokens, and of certificates the connection knows."""
    assert set(mechanisms.ALL) - set(accounts.mechanisms) == {"OAUTHBEARER"}
    with pytest.raises(AccountsTrouble, match=f"cannot answer {type(question).__name__}"):
        await accounts.answer(question)
