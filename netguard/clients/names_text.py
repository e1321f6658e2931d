"""Addresses and host names as text, checked; what does not pass is never used and never shown.

A name from the DNS is whatever somebody wrote into a zone: any octets at all. A host name is letters, digits, hyphens
(RFC 1123, section 2.1) and, since so many have them, underscores.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TypeAlias

import idna

from netguard.wire.dns import Name

Address: TypeAlias = IPv4Address | IPv6Address

_LABEL = re.compile(rb"(?!-)[a-z0-9_-]{1,63}(?<!-)\Z")
_LONGEST = 253


def address(host: str) -> Address | None:
    """The address that a text is, without its zone; an IPv4-mapped IPv6 address is its IPv4 address.

    Args:
        host: an address as sockets give it.

    Returns:
        None for any other text.
    """
    try:
        found = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def reverse_name(of: Address) -> Name:
    """The name under which the DNS has the names of an address (RFC 1035, section 3.5; RFC 3596, section 2.5)."""
    return tuple(of.reverse_pointer.encode("ascii").split(b"."))


def host_name(name: Name) -> str | None:
    """A name of the DNS as text, if it is a host name.

    Args:
        name: its labels, in lower case.

    Returns:
        Lower case, without a dot at the end; None when it is too long, when a label has other characters, or when the
        last one is a number, for then the whole could be taken for an address.
    """
    if not name or not all(map(_LABEL.match, name)) or name[-1].isdigit():
        return None
    text = b".".join(name).decode("ascii")
    return text if len(text) <= _LONGEST else None


def labels(text: str) -> Name | None:
    """The labels of a host name in text; None when it is none."""
    name = tuple(text.lower().removesuffix(".").encode("ascii", "replace").split(b"."))
    return None if host_name(name) is None else name


def described(name: Name) -> str:
    r"""Any name of the DNS for a person's eyes: what does not print, and a dot inside a label, as ``\DDD``."""
    return (
        ".".join("".join(chr(octet) if octet in _PLAIN else f"\\{octet:03d}" for octet in label) for label in name)
        or "."
    )


_PLAIN = frozenset(range(ord("!"), ord("~") + 1)) - set(b".\\\"'();@$")
"""What stands in zone files as it is (RFC 1035, section 5.1), quotes excepted."""


def in_letters(name: str) -> str | None:
    """An internationalised host name as its readers write it, to be shown beside the name, never instead of it.

    Names that look alike are told apart by the ASCII form only.

    Args:
        name: a host name.

    Returns:
        None when it has no internationalised label, or one that the rules (RFC 5891) do not allow.
    """
    if "xn--" not in name:
        return None
    try:
        text = idna.decode(name)
    except (idna.IDNAError, UnicodeError, IndexError):
        return None
    return text if text.isprintable() and not text.isascii() else None
