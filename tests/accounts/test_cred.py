"""Accounts and twisted.cred, both ways."""

from __future__ import annotations

import hmac
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from twisted.cred.checkers import (
    ANONYMOUS,
    AllowAnonymousAccess,
    ICredentialsChecker,
    InMemoryUsernamePasswordDatabaseDontUse,
)
from twisted.cred.credentials import IAnonymous, IUsernameHashedPassword, IUsernamePassword, UsernamePassword
from twisted.cred.error import UnauthorizedLogin
from twisted.internet.defer import fail, succeed
from zope.interface import implementer
from zope.interface.verify import verifyObject

from netguard.accounts.cred import AccountsChecker, ForeignAccounts
from netguard.accounts.interface import Account, AccountsTrouble
from netguard.accounts.store import Store
from netguard.wire import apop
from netguard.wire.sasl import CheckCram, CheckPassword, FindVerifier
from netguard.wire.scram import Verifier

if TYPE_CHECKING:
    from pathlib import Path

STAMP = b"<1896.697170952@dbc.mtview.ca.us>"
SECRET = b"tanstaaf"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Accounts with one user."""
    path = tmp_path / "accounts"
    store = Store(path)
    store.create()
    store.add("jürgen", {"scram-sha-256": str(Verifier.of(SECRET, b"saltsalt", 4096))})
    store.close()
    return path


def foreign() -> ForeignAccounts:
    """Twisted's own checker in memory, behind one that knows nobody with a password."""
    database = InMemoryUsernamePasswordDatabaseDontUse(alice=SECRET)
    return ForeignAccounts([AllowAnonymousAccess(), database])


# Ours for others


async def test_our_users_log_in_to_other_applications(path: Path) -> None:
    """By name and password, in octets or text; the avatar's id is the name in UTF-8."""
    with closing(AccountsChecker.of_file(path)) as checker:
        await _log_in(checker)


async def _log_in(checker: AccountsChecker) -> None:
    assert verifyObject(ICredentialsChecker, checker)
    for name in ("jürgen", "jürgen".encode()):
        credentials = UsernamePassword(name, SECRET)  # type: ignore[arg-type]
        assert await checker.requestAvatarId(credentials) == "jürgen".encode()


@pytest.mark.parametrize(("name", "password"), [("jürgen", "wrong"), ("nobody", "tanstaaf"), ("\udcff", "x"), ("", "")])
async def test_others_do_not(path: Path, name: str, password: str) -> None:
    """Unknown user and wrong password are one failure, in words without either."""
    with closing(AccountsChecker.of_file(path)) as checker, pytest.raises(UnauthorizedLogin) as refused:
        await checker.requestAvatarId(UsernamePassword(name, password))  # type: ignore[arg-type]
    assert str(refused.value) == "user unknown or secret wrong"


async def test_trouble_is_no_failed_login(path: Path) -> None:
    """It stays trouble, at the start and at a login."""
    with closing(AccountsChecker.of_file(path)) as checker:
        path.chmod(0o644)
        with pytest.raises(AccountsTrouble, match="chmod 600"):
            await checker.requestAvatarId(UsernamePassword(b"alice", SECRET))
    with pytest.raises(AccountsTrouble, match="chmod 600"):
        AccountsChecker.of_file(path)


# Others' for ours


async def test_their_users_log_in_to_our_services() -> None:
    """By PASS, APOP, PLAIN and CRAM-MD5, as far as the checker can."""
    accounts = foreign()
    digest = hmac.digest(SECRET, STAMP, "md5").hex().encode()
    assert await accounts.check_password(b"alice", SECRET) == Account("alice")
    assert await accounts.check_apop(b"alice", STAMP, apop.digest(STAMP, SECRET)) == Account("alice")
    assert await accounts.answer(CheckPassword(b"alice", SECRET)) == "alice"
    assert await accounts.answer(CheckCram(b"alice", STAMP, digest)) == "alice"
    assert accounts.mechanisms == ("CRAM-MD5", "PLAIN", "LOGIN")
    assert await accounts.account("alice") == Account("alice")


async def test_wrong_is_wrong() -> None:
    """Whoever is asked, and in whichever way."""
    accounts = foreign()
    assert await accounts.check_password(b"alice", b"wrong") is None
    assert await accounts.check_password(b"nobody", SECRET) is None
    assert await accounts.check_apop(b"alice", STAMP, b"0" * 32) is None
    assert await accounts.answer(CheckCram(b"alice", STAMP, b"0" * 32)) is None
    assert await accounts.answer(CheckPassword(b"alice", b"")) is None


async def test_without_a_checker_there_is_no_way() -> None:
    """What nobody can check is not offered, and lets nobody in."""
    accounts = ForeignAccounts([AllowAnonymousAccess()])
    assert accounts.mechanisms == ()
    assert await accounts.check_password(b"alice", SECRET) is None
    assert await accounts.check_apop(b"alice", STAMP, b"0" * 32) is None
    assert await accounts.check_identity("alice", ["alice"]) is None
    with pytest.raises(AccountsTrouble, match="cannot answer FindVerifier"):
        await accounts.answer(FindVerifier("alice"))


@implementer(ICredentialsChecker)
class Checker:
    """Answers as it was told to."""

    credentialInterfaces = (IUsernamePassword, IUsernameHashedPassword, IAnonymous)

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def requestAvatarId(self, credentials: object) -> Any:
        """Answer, fail, or raise."""
        if callable(self.answer):
            raise self.answer(credentials.password)  # type: ignore[attr-defined]
        return self.answer


async def test_what_a_checker_fails_with_is_trouble_without_the_password() -> None:
    """Whether it raises or fails, neither text nor frames come along."""
    for answer in (RuntimeError, fail(RuntimeError(SECRET))):
        with pytest.raises(AccountsTrouble) as trouble:
            await ForeignAccounts([Checker(answer)]).check_password(b"alice", SECRET)
        assert str(trouble.value) == "Checker could not check credentials: RuntimeError"
        assert trouble.value.__context__ is None


@pytest.mark.parametrize(
    ("avatar_id", "account"),
    [
        (b"alice", Account("alice")),
        ("alice", Account("alice")),
        (succeed(b"alice"), Account("alice")),
        (ANONYMOUS, None),
        (b"", None),
        (b"\xff", None),
        (7, None),
    ],
)
async def test_an_avatars_id_is_a_name_or_nobody(avatar_id: object, account: Account | None) -> None:
    """The empty one is what Twisted calls somebody who did not say who he is."""
    assert await ForeignAccounts([Checker(avatar_id)]).check_password(b"x", b"x") == account


async def test_the_first_who_lets_in_decides() -> None:
    """Those behind are asked only when those before do not know."""
    accounts = ForeignAccounts([Checker(fail(UnauthorizedLogin())), Checker(b"alice"), Checker(RuntimeError)])
    assert await accounts.check_password(b"alice", SECRET) == Account("alice")
