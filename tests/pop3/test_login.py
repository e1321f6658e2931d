"""Letting somebody in: what is asked of whom, and when a refusal may be known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from netguard.accounts.interface import Account
from netguard.pop3.login import Door, Entered, Found, Refused
from netguard.wire import sasl
from netguard.wire.pop3_events import Apop, Denial, Disproved, Password, Proved

if TYPE_CHECKING:
    from tests.pop3.doubles import World


@pytest.fixture
def told() -> list[str]:
    """What the door told of trouble."""
    return []


@pytest.fixture
def door(world: World, told: list[str]) -> Door:
    """A door to the world's mailboxes."""
    return Door(world.factory().settings, told.append)


async def test_password_opens(world: World, door: Door) -> None:
    """The right password opens the mailbox of its account."""
    entered = await door.enter(Password(b"alice", b"wonder land"), b"<x@y>", lambda: True)
    assert entered == Entered(Account("alice"), world.mailbox)


async def test_apop_is_checked_over_the_timestamp(world: World, door: Door) -> None:
    """A digest is handed over with the timestamp of this connection."""
    await door.enter(Apop(b"alice", b"0" * 32), b"<x@y>", lambda: True)
    assert world.accounts.asked == [(b"apop", b"alice", b"<x@y>", b"0" * 32)]


@pytest.mark.parametrize(
    "login", [Password(b"alice", b"x"), Password(b"nobody", b"x"), Password(b"a/b", b"x"), Password(b"\xff", b"x")]
)
async def test_refusal(world: World, door: Door, login: Password, told: list[str]) -> None:
    """Wrong secrets, unknown and impossible names are one refusal, and the accounts are asked for each."""
    assert await door.enter(login, b"<x@y>", lambda: True) == Refused(Denial.CREDENTIALS, guessed=True)
    assert len(world.accounts.asked) == 1
    assert told == []


async def test_nobody_waits(world: World, door: Door) -> None:
    """No mailbox is opened when nobody wants it any more."""
    await door.enter(Password(b"alice", b"wonder land"), b"<x@y>", lambda: False)
    assert world.opener.opened == []


async def test_account_with_an_impossible_name(world: World, door: Door, told: list[str]) -> None:
    """Even if a store of accounts answers with another name, one that is no name opens nothing."""
    world.accounts.secrets[b"bob"] = b"s"

    class Renaming(type(world.accounts)):  # type: ignore[misc]
        def _answer(self, name: bytes, right: bool) -> object:
            return super()._answer(b"../" + name, right=right)

    world.accounts = Renaming(world.held)
    world.accounts.anybody = True
    entered = await Door(world.factory().settings, told.append).enter(Password(b"bob", b"s"), b"<x@y>", lambda: True)
    assert entered == Refused(Denial.TROUBLE, at_once=True)
    assert world.opener.opened == []
    assert told == ["opening a mailbox"]


async def test_who_has_proved_to_be_somebody_is_let_in(world: World, door: Door) -> None:
    """SASL names the account; nothing more is checked, but that it is there."""
    world.accounts.settings["alice"] = {"expire": 3.0}
    entered = await door.enter(Proved("PLAIN", "alice"), b"<x@y>", lambda: True)
    assert entered == Entered(Account("alice", expire=3.0), world.mailbox)
    refused = Refused(Denial.CREDENTIALS, guessed=True)
    assert await door.enter(Proved("PLAIN", "gone"), b"<x@y>", lambda: True) == refused
    assert await door.enter(Disproved("PLAIN"), b"<x@y>", lambda: True) == refused


async def test_questions_are_answered_by_who_knows(world: World, door: Door, told: list[str]) -> None:
    """The accounts; but whose certificate it is, they learn from the connection."""
    assert await door.consult(sasl.CheckPassword(b"bob", b"builder"), tuple) == Found("bob")
    assert await door.consult(sasl.CheckCertificate(""), lambda: ["bob", "nobody"]) == Found("bob")
    world.accounts.failure = RuntimeError("on fire")
    assert await door.consult(sasl.FindOtp("bob"), tuple) == Refused(Denial.TROUBLE)
    assert told == ["checking credentials"]


async def test_who_logs_in_too_often_has_to_wait(world: World, door: Door) -> None:
    """From the last login; another user does not, and a wrong secret is not told from a right one by it."""
    world.accounts.settings["alice"] = {"login_delay": 60.0}

    async def come(name: bytes, password: bytes) -> object:
        came = await door.enter(Password(name, password), b"<x@y>", lambda: True)
        if isinstance(came, Entered):
            came.mailbox.release()
        return came.denial if isinstance(came, Refused) else None

    assert await come(b"alice", b"wonder land") is None
    assert await come(b"alice", b"wonder land") is Denial.TOO_SOON
    assert await come(b"alice", b"wrong") is Denial.CREDENTIALS
    assert await come(b"bob", b"builder") is None
    assert await come(b"bob", b"builder") is None
    world.clock.advance(60)
    assert await come(b"alice", b"wonder land") is None


async def test_an_account_may_say_where_its_mailbox_is(world: World, door: Door) -> None:
    """Its name is looked at all the same."""
    world.accounts.settings["alice"] = {"mailbox": "/srv/mail/of-alice"}
    assert isinstance(await door.enter(Proved("PLAIN", "alice"), b"<x@y>", lambda: True), Entered)
    assert world.opener.opened == ["/srv/mail/of-alice"]
