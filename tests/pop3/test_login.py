"""Letting somebody in: what is asked of whom, and when a refusal may be known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from netguard.pop3.login import Door, Entered, Refused, pseudonym, seconds_left
from netguard.wire.pop3_events import Apop, Denial, Password

if TYPE_CHECKING:
    from tests.pop3.doubles import World


@pytest.fixture
def told() -> list[str]:
    """What the door told of trouble."""
    return []


@pytest.fixture
def door(world: World, told: list[str]) -> Door:
    """A door to the world's mailboxes."""
    return Door(world.accounts, world.opener, told.append)


async def test_password_opens(world: World, door: Door) -> None:
    """The right password opens the mailbox of its account."""
    entered = await door.enter(Password(b"alice", b"wonder land"), b"<x@y>", lambda: True)
    assert entered == Entered("alice", world.mailbox)


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

    accounts = Renaming(world.held)
    accounts.anybody = True
    entered = await Door(accounts, world.opener, told.append).enter(Password(b"bob", b"s"), b"<x@y>", lambda: True)
    assert entered == Refused(Denial.TROUBLE, at_once=True)
    assert world.opener.opened == []
    assert told == ["opening a mailbox"]


@pytest.mark.parametrize(
    ("elapsed", "period", "left"),
    [(0.0, 2.0, 2.0), (0.5, 2.0, 1.5), (2.0, 2.0, 2.0), (2.5, 2.0, 1.5), (7.0, 2.0, 1.0), (3.0, 0.0, 0.0)],
)
def test_seconds_left(elapsed: float, period: float, left: float) -> None:
    """A failure is answered at the next multiple of the period; with none, at once."""
    assert seconds_left(elapsed, period) == pytest.approx(left)


def test_pseudonym() -> None:
    """A pseudonym is the same for a name and a key, and differs for others."""
    key = b"k" * 16
    assert pseudonym(b"alice", key) == pseudonym(b"alice", key)
    assert len({pseudonym(b"alice", key), pseudonym(b"bob", key), pseudonym(b"alice", b"j" * 16)}) == 3
    assert pseudonym(b"\xff" * 500, key).isalnum()
