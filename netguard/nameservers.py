"""Name servers as an operator writes them: addresses, each with a port where it is not the usual one."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import Any

from netguard.units import Unit, port

DOMAIN = 53
"""RFC 1035, section 4.2."""

MOST = 8
"""So many servers may be named: each may be asked within one deadline."""

Nameserver = tuple[str, int]

_IPV6 = r"([0-9A-Fa-f]*:[0-9A-Fa-f:.]*(?:%[\w.-]+)?)"
_PORT = r"(?::(\w[\w-]*))?"
_SERVER = re.compile(rf"\[{_IPV6}\]{_PORT}|([0-9.]+){_PORT}|{_IPV6}")


def _server(text: str) -> Nameserver:
    """One server: ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT."""
    match = _SERVER.fullmatch(text.strip())
    if match is None:
        raise ValueError(text)
    host = match[1] or match[3] or match[5]
    named = match[2] or match[4]
    found = DOMAIN if named is None else port(named)
    if not found:
        raise ValueError(text)
    ip_address(host.partition("%")[0])
    return host, found


def _read(value: Any) -> Iterator[Nameserver]:
    if isinstance(value, str):
        yield from map(_server, value.split(","))
    elif isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], int):  # noqa: PLR2004 - address and port
        yield _server(written(value))
    elif isinstance(value, Iterable) and not isinstance(value, bytes | bytearray):
        for each in value:
            yield from _read(each)
    else:
        raise ValueError(value)


def _parse(value: Any) -> tuple[Nameserver, ...]:
    found = tuple(dict.fromkeys(_read(value)))
    if not 0 < len(found) <= MOST:
        raise ValueError(value)
    return found


def written(server: Nameserver) -> str:
    """A server as one writes it."""
    host, number = server
    return f"[{host}]:{number}" if ":" in host else f"{host}:{number}"


def _write(value: tuple[Nameserver, ...]) -> str:
    return ",".join(map(written, value))


nameservers = Unit(
    "nameservers",
    f"one to {MOST} IP addresses of name servers such as 127.0.0.1, 192.0.2.1:5353 or [::1]:53, with commas",
    _parse,
    _write,
    many=True,
)
