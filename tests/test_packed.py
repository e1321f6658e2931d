"""Tests for netguard.packed."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netguard.packed import pack, packed, peer_key, unpacked
from netguard.units import Prefix


def test_an_address_is_packed() -> None:
    """Whatever it is wrapped in."""
    assert packed("192.0.2.7") == packed("::ffff:192.0.2.7") == bytes([192, 0, 2, 7])
    assert packed("::1") == packed("0:0::0:1%lo") == bytes(15) + b"\x01"
    assert packed("nobody") is None
    assert packed("no\0body") is None


def test_what_is_no_address_is_looked_up_as_it_is() -> None:
    """And nothing is nothing."""
    assert pack("192.0.2.7") == packed("192.0.2.7")
    assert (pack("nobody"), pack("no:body"), pack(None)) == ("nobody", "no:body", None)


@pytest.mark.parametrize("text", ["192.0.2.7", "2001:db8::1", "255.255.255.255", "::"])
def test_an_address_is_text_again(text: str) -> None:
    """Of either family."""
    assert unpacked(packed(text) or b"") == text


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
    assert (peer_key(pack(one), prefix) == peer_key(pack(other), prefix)) is same
    assert hash(peer_key(pack(one), prefix)) is not None


@given(st.one_of(st.binary(min_size=4, max_size=4), st.binary(min_size=16, max_size=16)), st.data())
def test_the_key_of_a_peer_is_the_first_address_of_its_network(address: bytes, data: st.DataObject) -> None:
    """For every length of a prefix."""
    bits = data.draw(st.integers(0, 8 * len(address)))
    prefix = Prefix(bits, 64) if len(address) == 4 else Prefix(32, bits)
    network = ip_network((address, bits), strict=False)
    assert peer_key(address, prefix) == network.network_address.packed
    assert ip_address(peer_key(address, prefix) or b"") in network
