"""Tests for netguard.peer."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address

from netguard.packed import packed
from netguard.peer import Caller, Peer, address_of, named, unmapped
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


def test_a_caller_is_known_by_its_address() -> None:
    """In every form in which somebody asks for it."""
    caller = Caller("::ffff:192.0.2.1", 7, 1.5)
    assert (caller.host, caller.packed, caller.now) == ("192.0.2.1", packed("192.0.2.1"), 1.5)
    assert caller.address == address_of("192.0.2.1", 7)
    assert Caller("nobody", 7, 0.0).packed == "nobody"


def test_a_caller_has_a_key_for_each_prefix() -> None:
    """And makes none twice."""
    caller, wide = Caller("2001:db8::1", 7, 0.0), Prefix(32, 32)
    assert caller.key(wide) == packed("2001:db8::")
    assert caller.key(wide) is caller.key(wide)
    assert caller.key(Prefix(32, 128)) == packed("2001:db8::1")
