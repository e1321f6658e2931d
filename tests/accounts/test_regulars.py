"""Who was let in since the accounts file last changed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from twisted.internet.task import Clock

from netguard.accounts.interface import Account
from netguard.accounts.regulars import AGE, Regular, Regulars
from netguard.page_cache import look_at_hand
from netguard.secret import Secret, WipedError
from netguard.stamp import Stamp
from netguard.wire import apop

if TYPE_CHECKING:
    from pathlib import Path

STAMP = b"<1896.697170952@dbc.mtview.ca.us>"
SECRET = "tanstaaf-only-alice-knows"
ALICE = Account("alice", mailbox="/srv/alice")


class World:
    """An accounts file, and who was let in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.path.write_bytes(b"1")
        self.clock = Clock()
        self.digests = 0
        self.regulars = self.made()

    def made(self, most: int = 4096) -> Regulars:
        """Nobody was let in."""
        return Regulars(str(self.path), matches=self.matches, now=self.clock.seconds, most=most)

    def matches(self, stamp: bytes, secret: bytes, given: bytes) -> bool:
        """Count one digest."""
        self.digests += 1
        assert len(secret) >= 25
        return apop.matches(stamp, secret, given)

    def stamp(self) -> Stamp:
        """That of the file."""
        return Stamp.of(self.path.stat(), folder=False)

    def note(self, account: Account = ALICE, secret: str = SECRET) -> Regular:
        """Somebody is let in."""
        regular = Regular(account, Secret(secret), self.stamp())
        self.regulars.note(account.name.encode(), regular)
        return regular

    def login(self, name: bytes = b"alice", secret: str = SECRET) -> Account | None:
        """Somebody comes again."""
        return self.regulars.apop(name, STAMP, apop.digest(STAMP, secret.encode()))


@pytest.fixture
def world(tmp_path: Path) -> World:
    """One in which the file can be looked at."""
    world = World(tmp_path / "accounts")
    if look_at_hand(str(world.path)) is None:
        pytest.skip("this kernel does not say what is in memory")
    return world


def test_who_was_let_in_is_let_in_again(world: World) -> None:
    """With the same secret; as often as they come."""
    assert world.login() is None
    world.note()
    assert world.login() == world.login() == ALICE


def test_whoever_it_is_the_work_is_the_same(world: World) -> None:
    """Right, wrong, unknown, or of before: one digest."""
    world.note()
    for name, secret in ((b"alice", SECRET), (b"alice", "wrong"), (b"nobody", SECRET), (b"", ""), (b"\xff", "")):
        world.digests = 0
        assert (world.login(name, secret) == ALICE) is ((name, secret) == (b"alice", SECRET))
        assert world.digests == 1


CHANGES = ["written", "replaced", "opened to others", "removed", "set back"]


@pytest.mark.parametrize("change", CHANGES)
def test_any_change_of_the_file_makes_all_forgotten(world: World, change: str) -> None:
    """Whether a user is still there, nobody knows then without asking."""
    world.note()
    before = world.path.stat()
    match change:
        case "written":
            world.path.write_bytes(b"2")
        case "replaced":
            (world.path.with_name("other")).write_bytes(b"1")
            world.path.with_name("other").replace(world.path)
        case "opened to others":
            world.path.chmod(0o644)
        case "removed":
            world.path.unlink()
        case "set back":
            world.path.write_bytes(b"2")
    if change in ("replaced", "set back"):
        os.utime(world.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert world.login() is None
    if change != "removed":
        world.note(Account("bob"))
        assert len(world.regulars) == 1
        assert world.login() is None
        assert world.login(b"bob") == Account("bob")


def test_a_file_that_proves_nothing_is_asked_each_time(world: World) -> None:
    """Who was let in before is forgotten, too: the file has changed."""
    world.note()
    world.regulars.note(b"bob", Regular(Account("bob"), Secret(SECRET), None))
    assert (world.login(), world.login(b"bob"), len(world.regulars)) == (None, None, 0)


def test_everybody_is_looked_up_again_after_a_while(world: World) -> None:
    """Then they are dropped as soon as somebody else is looked up."""
    world.note()
    world.clock.advance(AGE - 1)
    world.note(Account("bob"))
    assert world.login() == ALICE
    world.clock.advance(1)
    assert world.login() is None
    assert world.login(b"bob") == Account("bob")
    world.note(Account("carol"))
    assert len(world.regulars) == 2


def test_no_more_are_remembered_than_may_be(world: World) -> None:
    """Who was looked up first goes first; who was looked up again is new."""
    world.regulars = world.made(most=3)
    for name in ("a", "b", "c", "a", "d"):
        world.note(Account(name))
    assert [name for name in "abcd" if world.login(name.encode())] == ["a", "c", "d"]


def test_secrets_are_not_shown_and_are_overwritten(world: World) -> None:
    """When their users are forgotten, nobody can have them any more."""
    regular = world.note()
    assert SECRET not in repr(regular)
    octets = regular.secret._octets
    del regular
    world.regulars.forget()
    assert octets == bytes(len(SECRET))
    assert world.login() is None


def test_a_secret_that_was_wiped_lets_nobody_in(world: World) -> None:
    """At the end of a service all are."""
    world.note().secret.wipe()
    with pytest.raises(WipedError):
        world.login()
