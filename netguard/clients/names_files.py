"""The machine's own files about names: hosts(5) and resolv.conf(5), read in bounds and again when they have changed."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Mapping
from typing import Generic, TypeVar

from attrs import define, field, frozen

from netguard import events
from netguard.clients.names_text import Address, address, host_name, labels

HOSTS, SERVERS = "/etc/hosts", "/etc/resolv.conf"

DOMAIN = 53
_LOOK = 5.0
"""Seconds for which a file is taken not to have changed."""
_LARGEST = 2**20
"""Octets of a file that are read: some ten milliseconds of work."""
_MOST_SERVERS = 3
"""resolv.conf(5): MAXNS."""

_Content = TypeVar("_Content")


@define(eq=False)
class Watched(Generic[_Content]):
    """What a file says; it is looked at again when somebody asks, and not too often. There is no timer.

    A file that is not there says nothing. One that cannot be used (a pipe, too large, not readable) changes nothing:
    what was read before stays, and the event ``error`` says why, once.

    Args:
        path: the file.
        parse: lines to content.
        seconds: the clock.
    """

    path: str
    parse: Callable[[Iterable[str]], _Content]
    seconds: Callable[[], float]
    content: _Content = field(init=False)
    _stamp: object = field(default=None, init=False)
    _looked: float = field(default=0.0, init=False)

    def __attrs_post_init__(self) -> None:
        """Read it."""
        self.content = self.parse(())
        self._look()

    def current(self) -> _Content:
        """What it says now."""
        if not 0 <= self.seconds() - self._looked < _LOOK:
            self._look()
        return self.content

    def _look(self) -> None:
        self._looked = self.seconds()
        try:
            there = os.stat(self.path)  # noqa: PTH116 - one call, no object, five seconds apart
            stamp: object = (there.st_ino, there.st_size, there.st_mtime_ns)
        except OSError:
            stamp = None
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self.content = self.parse(() if stamp is None else _lines(self.path))
        except (OSError, ValueError) as why:
            reason = str(why) or type(why).__name__
            events.emit("error", {"doing": "reading a file of names", "path": self.path, "reason": reason})


def _lines(path: str) -> list[str]:
    """The lines of a file; without waiting, whatever stands there."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - it is a descriptor
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise ValueError("it is not a regular file")
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        message = f"it has more than {_LARGEST} octets"
        raise ValueError(message)
    return data.decode("ascii", "replace").splitlines()


@frozen
class Hosts:
    """What hosts(5) says.

    Args:
        names: the name of each address: the first one that its first line has.
        addresses: the addresses of each name.
    """

    names: Mapping[Address, str]
    addresses: Mapping[str, frozenset[Address]]


def parse_hosts(lines: Iterable[str]) -> Hosts:
    """Read hosts(5). What is no address, or no host name, is skipped."""
    names: dict[Address, str] = {}
    addresses: dict[str, set[Address]] = {}
    for line in lines:
        host, *aliases = line.partition("#")[0].split() or [""]
        where = address(host)
        if where is None:
            continue
        for alias in aliases:
            name = host_name(labels(alias) or ())
            if name is not None:
                names.setdefault(where, name)
                addresses.setdefault(name, set()).add(where)
    return Hosts(names, {name: frozenset(all_of_them) for name, all_of_them in addresses.items()})


def parse_servers(lines: Iterable[str]) -> tuple[tuple[str, int], ...]:
    """Read the name servers from resolv.conf(5): three at most, and this machine's own where there is none.

    Its options are for the C library: how long and how often to ask is decided by one deadline here.
    """
    found: list[str] = []
    for line in lines:
        keyword, *values = line.split() or [""]
        if keyword == "nameserver" and values and address(values[0]) is not None and values[0] not in found:
            found.append(values[0])
    return tuple((host, DOMAIN) for host in found[:_MOST_SERVERS] or ["127.0.0.1"])
