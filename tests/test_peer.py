"""Tests for netguard.peer."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address

from netguard.peer import Peer, address_of, named, peer_key, unmapped
from netguard.units import Prefix


def test_a_claim_counts_before_what_was_seen() -> None:
    """Both are kept."""
    seen, claimed = address_of("192.0.2.1", 1), address_of("192.0.2.2", 2)
    found = [Peer(seen).effective, Peer(seen, claimed).effective, Peer(None).effective]
    assert found == [seen, claimed, None]


def test_addresses_are_of_their_family() -> None:
    """A mapped one is an IPv4 address."""
    assert address_of("192.0.2.1", 1) == IPv4Address("TCP", "192.0.2.1", 1)
    assert address_of("2001:db8::1", 1) == IPv6Address("TCP", "2001:db8::1", 1)
    assert address_of("::ffff:192.0.2.1", 1) == IPv4Address("TCP", "192.0.2.1", 1)
    assert unmapped("::ffff:c000:201") == "::ffff:c000:201"


@pytest.mark.parametrize(
    ("address", "name"),
    [
        (HostnameAddress(b"mail.example", 1), "mail.example"),
        (HostnameAddress(b"\xff\x1b", 1), "\\xff\x1b"),
        (IPv4Address("TCP", "192.0.2.1", 1), None),
        (None, None),
    ],
)
def test_a_peer_behind_a_proxy_may_have_a_name_only(address: Any, name: str | None) -> None:
    """Which nobody here has resolved."""
    assert named(address) == name


@pytest.mark.parametrize(
    ("one", "other", "prefix", "same"),
    [
        ("192.0.2.1", "192.0.2.2", Prefix(), False),
        ("192.0.2.1", "::ffff:192.0.2.1", Prefix(), True),
        ("192.0.2.1", "192.0.2.2", Prefix(24, 64), True),
        ("192.0.2.1", "192.0.3.1", Prefix(24, 64), False),
        ("192.0.2.1", "203.0.113.9", Prefix(0, 0), True),
        ("192.0.2.1", "2001:db8::1", Prefix(0, 0), False),
        ("2001:db8::1", "2001:db8::ffff:1", Prefix(), True),
        ("2001:db8::1", "2001:db8:0:1::1", Prefix(), False),
        ("2001:db8::1", "2001:db8::2", Prefix(32, 128), False),
        ("2001:db8::1", "2001:0db8:0:0::1", Prefix(32, 128), True),
        ("fe80::1%eth0", "fe80::1%eth1", Prefix(32, 128), True),
        ("localhost", "localhost", Prefix(24, 64), True),
        ("localhost", "elsewhere", Prefix(24, 64), False),
        ("no:address", "no:address", Prefix(), True),
    ],
)
def test_a_prefix_makes_one_peer(one: str, other: str, prefix: Prefix, same: bool) -> None:
    """Both families apart; text that is no address is a peer as it is."""
    assert (peer_key(one, prefix) == peer_key(other, prefix)) is same
    assert hash(peer_key(one, prefix)) is not None
