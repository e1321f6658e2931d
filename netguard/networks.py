"""Sets of IPv4 and IPv6 networks, and whether an address is in one of them, however many there are."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network, ip_address
from typing import Any

from attrs import field, frozen

from netguard.packed import Packed, packed
from netguard.units import Unit

Network = IPv4Network | IPv6Network

_IPV4_BITS, _IPV6_BITS = 32, 128
_ALL_IPV4 = 2**_IPV4_BITS - 1
_MAPPED_BITS = 96
_MAPPED = 0xFFFF
_NETWORK = re.compile(r"(\[)?([0-9A-Fa-f:.]+)(?(1)\])(?:/([0-9.]+))?")
_LONGEST = 60

EXPECTED = "an address or a network such as 192.0.2.7, 10.0.0.0/8, ::1 or 2001:db8::/32"


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


class FirstOf:
    """Numbered networks; for an address, the lowest number of those that it is in. One look, however many there are.

    Networks lie one in the other or apart. So the addresses fall into ranges for each of which the answer is known.

    Args:
        networks: the networks, each after its number.
        nobody: the answer for an address that is in none, higher than every number.
    """

    __slots__ = ("_ipv4", "_ipv6")

    def __init__(self, networks: Iterable[tuple[int, Network]], nobody: int) -> None:
        numbered = [*networks]
        self._ipv4 = _ranges([each for each in numbered if each[1].version == 4], 4, nobody)  # noqa: PLR2004
        self._ipv6 = _ranges([each for each in numbered if each[1].version == 6], 16, nobody)  # noqa: PLR2004

    def look(self, address: bytes) -> int:
        """Find the lowest number.

        Args:
            address: as :func:`netguard.packed.packed` gives it.
        """
        starts, answers = self._ipv4 if len(address) == 4 else self._ipv6  # noqa: PLR2004
        return answers[bisect_right(starts, address) - 1]


def _ranges(numbered: list[tuple[int, Network]], size: int, nobody: int) -> tuple[list[bytes], list[int]]:
    """Where ranges of addresses start, and the answer for each."""
    answers: dict[int, int] = {0: nobody}
    around: list[tuple[int, int]] = [(2 ** (8 * size), nobody)]  # where it ends, and its answer; the narrowest last

    def leave(start: int) -> None:
        while around[-1][0] <= start:
            end, _ = around.pop()
            answers[end] = around[-1][1]

    for number, network in sorted(numbered, key=lambda each: (int(each[1].network_address), each[1].prefixlen)):
        start = int(network.network_address)
        leave(start)
        answers[start] = min(number, around[-1][1])
        around.append((start + (1 << (8 * size - network.prefixlen)), answers[start]))
    while len(around) > 1:
        end, _ = around.pop()
        answers[end] = around[-1][1]
    starts = sorted(each for each in answers if each < 2 ** (8 * size))
    return [each.to_bytes(size, "big") for each in starts], [answers[each] for each in starts]


@frozen
class Networks:
    """A set of networks; two with the same networks are equal, in whatever order they were written.

    Args:
        networks: text with commas, objects of :mod:`ipaddress`, or an iterable of those. None at all contains nothing.

    Raises:
        ValueError: one of them is no network; see :func:`network_of`.
    """

    networks: tuple[Network, ...] = field(converter=_ordered, default=())
    _first: FirstOf = field(init=False, repr=False, eq=False)

    @_first.default
    def _look_up(self) -> FirstOf:
        return FirstOf([(0, each) for each in self.networks], 1)

    def contains(self, host: Packed) -> bool:
        """Whether an address is in one of the networks; one look, however many they are.

        Args:
            host: an address in either form; see :mod:`netguard.packed`. Any other text is in none, and so is None,
                which peers without an address have.
        """
        if not self.networks:
            return False
        if type(host) is str:
            host = packed(host)
        return type(host) is bytes and not self._first.look(host)

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
class Telling(Unit):
    """A unit that says itself what is wrong, and with which of its parts."""

    def __call__(self, value: Any) -> Any:
        """Read a value."""
        return self.parse(value)


networks = Telling("networks", "networks such as 10.0.0.0/8,192.0.2.7,2001:db8::/32", _parse, str, many=True)
