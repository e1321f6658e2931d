"""The limits of an account end its sessions, and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netguard.accounts.interface import Account
from netguard.application import connection_of
from netguard.guards.login_timeout import LoginTimeout
from netguard.pop3.account_limits import impose
from netguard.testing import connect

if TYPE_CHECKING:
    from tests.pop3.doubles import World


def enter(world: World, **settings: Any) -> Any:
    """A session of alice's, under a guard."""
    world.accounts.settings["alice"] = settings
    peer = connect(LoginTimeout("1h").wrap(world.factory(), world.clock))
    assert peer.transport is not None
    peer.transport.startTLS(None)
    peer.advance(100)
    peer.feed(b"USER alice\r\nPASS wonder land\r\n")
    return peer


def cut_by(peer: Any) -> object:
    """The option that ended it."""
    return peer.events[-1].fields["option"] if peer.lost else None


def test_lifetime_counts_from_the_login(world: World) -> None:
    """Not from the connection."""
    peer = enter(world, lifetime=60.0)
    peer.advance(59)
    assert cut_by(peer) is None
    peer.advance(1.5)
    assert cut_by(peer) == "lifetime"


def test_so_many_bytes_and_no_more(world: World) -> None:
    """The one that is too many ends it."""
    peer = enter(world, max_out=400)
    peer.feed(b"STAT\r\n")
    assert cut_by(peer) is None
    peer.feed(b"RETR 1\r\n" * 20)
    assert cut_by(peer) == "max-out"


def test_without_limits_nothing_ends(world: World) -> None:
    """Nor where no guard is."""
    peer = enter(world)
    peer.feed(b"RETR 1\r\n" * 20)
    peer.advance(1000)
    assert cut_by(peer) is None
    impose(connection_of(None), Account("alice", lifetime=1))
