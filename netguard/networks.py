"""Sets of IPv4 and IPv6 networks, and whether an address is in one of them, however many there are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network, ip_address
from socket import AF_INET, AF_INET6, inet_pton
from typing import Any

from attrs import field, frozen

from netguard.units import Unit

Network = IPv4Network | IPv6Network

_IPV4_BITS, _IPV6_BITS = 32, 128
_ALL_IPV4 = 2**_IPV4_BITS - 1
_MAPPED_BITS = 96
_MAPPED = 0xFFFF
_NETWORK = re.compile(r"(\[)?([0-9A-Fa-f:.]+)(?(1)\])(?:/([0-9.]+))?")
_LONGEST = 60

EXPECTED = "an address or a network such as 192.0.2.7, 10.0.0.0/8, ::1 or 2001:db8::/32"


def number_of(host: str) -> tuple[int, int] | None:
    """An address as a number.

    Args:
        host: an address in text form, as sockets give it; a zone (``%eth0``) does not count.

    Returns:
        How many bits the address has, 32 or 128, and its number. IPv4-mapped IPv6 addresses are IPv4 addresses. None
        for any other text.
    """
    try:
        if ":" not in host:
            return _IPV4_BITS, int.from_bytes(inet_pton(AF_INET, host), "big")
        number = int.from_bytes(inet_pton(AF_INET6, host.partition("%")[0]), "big")
    except (OSError, ValueError):  # no address; not even a possible text
        return None
    return (_IPV4_BITS, number & _ALL_IPV4) if number >> _IPV4_BITS == _MAPPED else (_IPV6_BITS, number)


def network_of(text: str) -> Network:
    """Read one network.

    Args:
        text: an address, IPv6 with or without brackets, and perhaps a slash and how many bits count, or an IPv4
            netmask. A network of IPv4-mapped addresses is an IPv4 network.

    Raises:
        ValueError: it is none, or has bits behind those that count; the text says which network was meant.
    """
    match = _NETWORK.fullmatch(text.strip())
    if match is None:
        raise _unexpected(text)
    try:
        address = ip_address(match[2])
        bits = address.max_prefixlen if match[3] is None else _bits(match[3], address.max_prefixlen)
    except ValueError:
        raise _unexpected(text) from None
    if match[1] and address.version != 6:  # noqa: PLR2004 - brackets are for colons
        raise _unexpected(text)
    kind = IPv4Network if isinstance(address, IPv4Address) else IPv6Network
    network = kind((int(address), bits), strict=False)
    if network.network_address != address:
        message = f"{text.strip()!r} has bits behind its first {bits}; write {written(network)}"
        raise ValueError(message)
    return _unmapped(network)


def _unexpected(text: object) -> ValueError:
    return ValueError(f"{str(text).strip()[:_LONGEST]!r} is not {EXPECTED}")


def _bits(text: str, most: int) -> int:
    if "." in text and most == _IPV4_BITS:
        holes: int = int(IPv4Address(text)) ^ _ALL_IPV4
        if holes & (holes + 1):
            raise ValueError(text)
        return most - holes.bit_length()
    bits = int(text)
    if bits > most or len(text) > len(str(most)):
        raise ValueError(text)
    return bits


def _unmapped(network: Network) -> Network:
    start = int(network.network_address)
    if network.version == 4 or network.prefixlen < _MAPPED_BITS or start >> _IPV4_BITS != _MAPPED:  # noqa: PLR2004
        return network
    return IPv4Network((start & _ALL_IPV4, network.prefixlen - _MAPPED_BITS))


def written(network: Network) -> str:
    """A network as an operator would write it: without a length when it is one address."""
    whole = network.prefixlen == network.max_prefixlen
    return str(network.network_address) if whole else str(network)


def _read(value: Any) -> Iterator[Network]:
    if isinstance(value, str):
        yield from map(network_of, value.split(","))
    elif isinstance(value, Networks):
        yield from value.networks
    elif isinstance(value, IPv4Interface | IPv6Interface):  # an address of a machine, of whose network it is not said
        raise _unexpected(value)
    elif isinstance(value, IPv4Network | IPv6Network | IPv4Address | IPv6Address):
        yield network_of(str(value))
    elif isinstance(value, Iterable) and not isinstance(value, bytes | bytearray):
        for each in value:
            yield from _read(each)
    else:
        raise _unexpected(value)


def _rank(network: Network) -> tuple[int, int, int]:
    return network.version, int(network.network_address), network.prefixlen


def _ordered(value: Any) -> tuple[Network, ...]:
    return tuple(sorted(set(_read(value)), key=_rank))


Tables = tuple[tuple[int, int, frozenset[int]], ...]


@frozen
class Networks:
    """A set of networks; two with the same networks are equal, in whatever order they were written.

    Args:
        networks: text with commas, objects of :mod:`ipaddress`, or an iterable of those. None at all contains nothing.

    Raises:
        ValueError: one of them is no network; see :func:`network_of`.
    """

    networks: tuple[Network, ...] = field(converter=_ordered, default=())
    _tables: Tables = field(init=False, repr=False, eq=False)

    @_tables.default
    def _look_up(self) -> Tables:
        """For each length of prefix that occurs: of which addresses, how far to shift, and what is then to be seen."""
        found: dict[tuple[int, int], set[int]] = {}
        for each in self.networks:
            shift = each.max_prefixlen - each.prefixlen
            found.setdefault((each.max_prefixlen, shift), set()).add(int(each.network_address) >> shift)
        return tuple((bits, shift, frozenset(seen)) for (bits, shift), seen in found.items())

    def contains(self, host: str | None) -> bool:
        """Whether an address is in one of the networks; one look for each length of prefix.

        Args:
            host: an address in text form; see :func:`number_of`. Any other text is in none, and so is None, which peers
                without an address have.
        """
        number = None if host is None else number_of(host)
        if number is None:
            return False
        size, value = number
        return any(bits == size and value >> shift in seen for bits, shift, seen in self._tables)

    def __str__(self) -> str:
        """Write them as an operator would."""
        return ",".join(map(written, self.networks))

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.networks)


def _parse(value: Any) -> Networks:
    found = value if isinstance(value, Networks) else Networks(value)
    if not found:
        raise _unexpected("")
    return found


@frozen
class _Telling(Unit):
    """A unit that says itself what is wrong, and with which of its parts."""

    def __call__(self, value: Any) -> Any:
        """Read a value."""
        return self.parse(value)


networks = _Telling("networks", "networks such as 10.0.0.0/8,192.0.2.7,2001:db8::/32", _parse, str, many=True)
