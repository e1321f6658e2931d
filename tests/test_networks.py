"""What is promised of networks: text means what an operator thinks it means, and an address is in them or it is not."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_interface, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netguard.networks import FirstOf, Network, Networks, network_of, networks
from netguard.packed import pack, packed

READ: list[tuple[Any, str]] = [
    ("10.0.0.0/8", "10.0.0.0/8"),
    (" 10.0.0.0/8 , 192.0.2.7 ", "10.0.0.0/8,192.0.2.7"),
    ("192.0.2.7,10.0.0.0/8,192.0.2.7/32", "10.0.0.0/8,192.0.2.7"),
    ("10.0.0.0/255.0.0.0", "10.0.0.0/8"),
    ("192.0.2.7/255.255.255.255", "192.0.2.7"),
    ("0.0.0.0/0.0.0.0", "0.0.0.0/0"),
    ("::1", "::1"),
    ("[::1]", "::1"),
    ("2001:DB8::/32", "2001:db8::/32"),
    ("[2001:db8::]/32", "2001:db8::/32"),
    ("::/0,0.0.0.0/0", "0.0.0.0/0,::/0"),
    ("::ffff:192.0.2.7", "192.0.2.7"),
    ("::ffff:c000:207", "192.0.2.7"),
    ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
    ("::ffff:0:0/96", "0.0.0.0/0"),
    ("::fffe:0:0/95", "::fffe:0:0/95"),
    (["10.0.0.0/8", "::1,192.0.2.7"], "10.0.0.0/8,192.0.2.7,::1"),
    (IPv4Network("10.0.0.0/8"), "10.0.0.0/8"),
    (IPv6Network("::ffff:10.0.0.0/104"), "10.0.0.0/8"),
    ((IPv4Address("192.0.2.7"), IPv6Address("::1")), "192.0.2.7,::1"),
    (Networks("10.0.0.0/8"), "10.0.0.0/8"),
    ((Networks("10.0.0.0/8"), "::1"), "10.0.0.0/8,::1"),
]

REFUSED: list[tuple[Any, str]] = [
    ("", "'' is not an address or a network such as"),
    ("10.0.0.0/8,", "'' is not an address"),
    ([], "'' is not an address"),
    ("10.0.0.1/8", "'10.0.0.1/8' has bits behind its first 8; write 10.0.0.0/8"),
    ("192.0.2.7/255.255.255.0", "write 192.0.2.0/24"),
    ("2001:db8::1/64", "write 2001:db8::/64"),
    ("[2001:db8::1]/64", "write 2001:db8::/64"),
    ("10.0.0.0/33", "'10.0.0.0/33' is not"),
    ("10.0.0.0/008", "'10.0.0.0/008' is not"),
    ("10.0.0.0/-1", "'10.0.0.0/-1' is not"),
    ("10.0.0.0/", "'10.0.0.0/' is not"),
    ("10.0.0.0/0.255.255.255", "is not"),
    ("10.0.0.0/255.0.255.0", "is not"),
    ("10.0.0.0/8.", "is not"),
    ("::/129", "is not"),
    ("2001:db8::/255.0.0.0", "is not"),
    ("[10.0.0.0]/8", "is not"),
    ("[::1", "is not"),
    ("::1]", "is not"),
    ("fe80::1%eth0", "is not"),
    ("10.0.0", "is not"),
    ("10.0.0.00", "is not"),
    ("10.0.0.256", "is not"),
    ("٣.0.0.0", "is not"),
    ("localhost", "'localhost' is not"),
    ("x" * 1000, "x' is not"),
    (5, "'5' is not"),
    (True, "'True' is not"),
    (None, "'None' is not"),
    ([5], "'5' is not"),
    (b"10.0.0.0/8", "is not"),
    (ip_interface("10.0.0.1/8"), "'10.0.0.1/8' is not"),
]


@pytest.mark.parametrize(("value", "text"), READ)
def test_networks_are_read_and_written(value: Any, text: str) -> None:
    """What is written is read back as an equal value, whose hash is equal."""
    found = networks(value)
    assert networks.text(found) == text
    assert networks(text) == found
    assert hash(networks(text)) == hash(found)
    assert networks(found) is found


@pytest.mark.parametrize(("value", "why"), REFUSED)
def test_what_is_no_network_is_refused(value: Any, why: str) -> None:
    """The complaint is one short line that says what was expected, or which network was meant."""
    with pytest.raises(ValueError, match=re.escape(why)) as refused:
        networks(value)
    assert len(str(refused.value)) < 200


IN = [
    ("10.0.0.0/8", "10.0.0.0"),
    ("10.0.0.0/8", "10.255.255.255"),
    ("10.0.0.0/8", "::ffff:10.0.0.1"),
    ("10.0.0.0/8", "::ffff:a00:1"),
    ("10.0.0.0/8", "::FFFF:10.0.0.1%eth0"),
    ("192.0.2.7", "192.0.2.7"),
    ("0.0.0.0/0", "203.0.113.9"),
    ("::/0", "2001:db8::1"),
    ("fe80::/10", "fe80::1%eth0"),
    ("2001:db8::/33", "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff"),
    ("198.51.100.0/24,::1,10.0.0.0/8", "::1"),
]
OUT = [
    ("10.0.0.0/8", "9.255.255.255"),
    ("10.0.0.0/8", "11.0.0.0"),
    ("192.0.2.7", "192.0.2.6"),
    ("2001:db8::/33", "2001:db8:8000::"),
    ("::/0", "192.0.2.7"),
    ("::/0", "::ffff:192.0.2.7"),
    ("0.0.0.0/0", "::c000:207"),
    ("::/0,0.0.0.0/0", "localhost"),
    ("::/0,0.0.0.0/0", ""),
    ("::/0,0.0.0.0/0", ":"),
    ("::/0,0.0.0.0/0", "10.0.0.1\0"),
    ("::/0,0.0.0.0/0", "::\0"),
    ("::/0,0.0.0.0/0", "\udcff"),
    ("::/0,0.0.0.0/0", "1"),
    ("::/0,0.0.0.0/0", "010.0.0.1"),
    ("::/0,0.0.0.0/0", "/run/socket"),
    ("::/0,0.0.0.0/0", None),
]


@pytest.mark.parametrize(("written", "host"), IN)
def test_an_address_inside_is_contained(written: str, host: str) -> None:
    """The first and the last of a network, IPv4-mapped addresses as IPv4, zones aside."""
    assert Networks(written).contains(host)
    assert Networks(written).contains(pack(host))


@pytest.mark.parametrize(("written", "host"), OUT)
def test_an_address_outside_is_not(written: str, host: str | None) -> None:
    """The neighbours of a network are outside, and what is no address is in no network."""
    assert not Networks(written).contains(host)
    assert not Networks(written).contains(pack(host))


def test_no_networks_contain_nothing() -> None:
    """An empty set is false, and is no value of the unit."""
    assert not Networks()
    assert not Networks().contains("192.0.2.7")
    assert str(Networks()) == ""


def test_the_order_in_which_networks_are_written_does_not_matter() -> None:
    """Nor do repetitions."""
    assert Networks("::1,10.0.0.0/8") == Networks(["10.0.0.0/8", "::1", "[::1]/128"])
    assert Networks("::1") != Networks("::2")


def test_one_network_is_an_object_of_the_standard_library() -> None:
    """So that others can reckon with it."""
    assert network_of("[2001:db8::]/32") == IPv6Network("2001:db8::/32")


_NUMBERS = (
    st.integers(0, 2**32 - 1) | st.integers(0xFFFF << 32, (0xFFFF << 32) + 2**32 - 1) | st.integers(0, 2**128 - 1)
)


@st.composite
def _network(draw: st.DrawFn) -> Network:
    address = ip_address(draw(_NUMBERS))
    bits = draw(st.integers(0, address.max_prefixlen))
    return ip_network((int(address), bits) if address.version == 4 else (address.packed, bits), strict=False)


def _unmapped(number: int) -> Any:
    address = ip_address(number)
    return getattr(address, "ipv4_mapped", None) or address


@given(st.lists(_network(), min_size=1, max_size=8), _NUMBERS, st.booleans())
def test_looking_up_is_as_looking_one_by_one(several: list[Network], number: int, near: bool) -> None:
    """For every set of networks and every address, near them too."""
    if near:
        number = int(several[0].network_address) ^ (number & 1)
    found = Networks(several)
    host = _unmapped(number)
    assert found.contains(str(ip_address(number))) == any(host in each for each in found.networks)
    assert networks(networks.text(found)) == found


@given(st.lists(st.tuples(st.integers(0, 9), _network()), max_size=8), _NUMBERS, st.integers(-1, 1))
def test_the_lowest_number_is_found(numbered: list[tuple[int, Network]], number: int, near: int) -> None:
    """Of the networks that an address is in, at their edges and within each other."""
    if numbered and near:
        chosen = numbered[0][1]
        number = int(chosen.network_address if near < 0 else chosen.broadcast_address) + near
    address = packed(str(ip_address(max(0, min(number, 2**128 - 1)))))
    assert address is not None
    here = ip_address(address)
    found = [at for at, network in numbered if here.version == network.version and here in network]
    assert FirstOf(numbered, 99).look(address) == min(found, default=99)
