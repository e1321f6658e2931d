"""Tests for netguard.plugins.explaining: a running service says what it would do."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.address import IPv6Address

from netguard.guard import Misdeed
from netguard.guards.access_rules import AccessRules
from netguard.guards.connection_limit import ConnectionLimit
from netguard.guards.load_shedding import LoadShedding
from netguard.guards.penalties import Penalties
from netguard.load.signals import Signals
from netguard.plugins.explaining import Explainer, is_of
from netguard.policy import Policy
from netguard.process.commands import ControlError
from netguard.testing import connect

POLICY = Policy(
    ConnectionLimit(per_peer=2),
    AccessRules("deny 203.0.113.0/24"),
    LoadShedding(shed="lag>250ms"),
    Penalties("2/10m", exempt=None),
)


@pytest.fixture
def peer() -> Any:
    """Somebody who is there."""
    return connect(POLICY)


def explained(peer: Any, host: str) -> Any:
    """What is said of an address."""
    command = Explainer(POLICY, peer.factory.service).command
    return command.do(command.call([host]))


def test_a_stranger_is_let_in_and_who_is_denied_is_not(peer: Any) -> None:
    """With the guards that were asked."""
    assert explained(peer, "198.51.100.7")["verdict"] == "admitted"
    told = explained(peer, "203.0.113.9")
    assert told["verdict"] == "refused"
    assert "limit deny 203.0.113.0/24" in told["reason"]
    last = {"guard": "AccessRules", "outcome": "refuses", "options": "rules deny 203.0.113.0/24, names-fail closed"}
    assert told["guards"][-1] == last


def test_the_connections_that_are_there_count(peer: Any) -> None:
    """And so do limits that were changed."""
    assert explained(peer, "192.0.2.1")["verdict"] == "admitted"
    (dial,) = peer.factory.service.dials
    dial.set("1")
    told = explained(peer, "192.0.2.1")
    assert (told["verdict"], told["connections"]) == ("refused", 1)
    assert "option max-per-peer" in told["reason"]
    assert explained(peer, "192.0.2.2")["verdict"] == "admitted"


def test_all_that_is_one_peer_counts_together(peer: Any) -> None:
    """As for the limit: a network of IPv6, and an address of IPv4 in either form."""
    for last in (7, 8):
        connect(peer.factory, address=IPv6Address("TCP", f"2001:db8::{last}", last))
    assert explained(peer, "2001:db8::9")["connections"] == 2
    assert explained(peer, "2001:db8::9")["verdict"] == "refused"
    assert explained(peer, "2001:db8:0:1::9")["connections"] == 0
    told = explained(peer, "::ffff:192.0.2.1")
    assert (told["from"], told["connections"]) == ("192.0.2.1", 1)
    assert explained(peer, "::ffff:203.0.113.9")["verdict"] == "refused"


def test_the_load_of_the_moment_counts(peer: Any) -> None:
    """As it is read."""
    peer.factory.service.signals = Signals.fixed({"lag": 0.3})
    assert "option shed" in explained(peer, "198.51.100.7")["reason"]


def test_a_penalty_counts(peer: Any) -> None:
    """Of the address, or of its network."""
    peer.factory.service.misdeed(peer.connection, Misdeed("failed-login", 3.0))
    assert "misbehaved, and is refused for 60s" in explained(peer, "192.0.2.1")["penalty"]
    other: Any = connect(peer.factory, address=IPv6Address("TCP", "2001:db8::7", 7))
    peer.factory.service.misdeed(other.connection, Misdeed("failed-login", 3.0))
    assert explained(peer, "2001:db8::9")["verdict"] == "refused"
    assert explained(peer, "2001:db8:1::9")["verdict"] == "admitted"


def test_a_peer_without_an_address_is_nobody_else() -> None:
    """As one behind a proxy that has resolved its name."""
    assert not is_of("192.0.2.1", "mail.example")
    assert is_of("192.0.2.1", "192.0.2.1")


@pytest.mark.parametrize("word", ["mail.example", "192.0.2.", "192.0.2.0/24", "\x1b"])
def test_what_is_no_address_is_refused(peer: Any, word: str) -> None:
    """With one line."""
    with pytest.raises(ControlError, match="is no address"):
        explained(peer, word)


def test_asking_changes_nothing(peer: Any, logged: Any) -> None:
    """Neither counts nor the log."""
    before = len(logged.events)
    for _ in range(5):
        explained(peer, "192.0.2.1")
    assert len(logged.events) == before
    assert peer.factory.service.figures.now == 1
