"""Handing a service over to its next instance, which takes its ports while they are open: nobody is refused.

Over the control socket, the next instance gets the listening sockets and the lock. Both instances then accept from the
same queues. Once the next one serves, this one is told to leave: it closes its side of the sockets, which stay open
in the other, and drains.

The rules of this file:

* Until it is told to leave, nothing changes here: a next instance that fails to start has changed nothing.
* To shut a socket down, as Twisted does with those that it has opened, would shut it down for both. So a socket that
  was handed over is only closed, whatever ends this instance: it may be a signal, while the next one starts. When the
  next one goes without having said that it serves, the sockets are ours alone again.
* Those that nobody else had are the next one's alone once this one leaves, which tells it so: whoever waits in their
  queues when that one ends for good is served by nobody else. Where two begin in our place at once, neither is told,
  not even the last one: the other goes, too, once it serves.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

from netguard.process.commands import Call, Command, ControlError
from netguard.process.newcomers import is_shared

if TYPE_CHECKING:
    from netguard.process.instance import SingleInstance
    from netguard.service import Service

GIVE, LEAVE = "hand-over", "hand-over done"
"""The commands."""

_FAMILIES = (socket.AF_INET, socket.AF_INET6)


class HandOver:
    """This side of it.

    Args:
        house: the service.
        lock: the lock of this instance, or None.
        twistd: the options of twistd itself; its pidfile is the next instance's from then on.
    """

    def __init__(self, house: Service, lock: SingleInstance | None, twistd: MutableMapping[str, Any]) -> None:
        self._house = house
        self._lock = lock
        self._twistd = twistd
        self._heirs = 0
        self._several = False
        self._shared: list[Any] = []
        self._alone: set[tuple[str, int]] = set()
        self._pidfile: Any = ""

    @property
    def commands(self) -> tuple[Command, ...]:
        """What the next instance says."""
        return (
            Command(GIVE, "", "Give ports and lock to the next instance (--take-over).", self.give, changes=True),
            Command(LEAVE, "", "The next instance serves: close the ports, and drain.", self.leave, changes=True),
        )

    def _ports(self) -> list[Any]:
        ports: list[Any] = [*self._house.open_ports, *(each for each in self._house.others if each.connected)]
        return ports

    def give(self, call: Call) -> Mapping[str, object]:
        """Send the descriptors along with the answer: first the lock's, if there is one, then the sockets'."""
        if "drain" not in self._house.offers:
            raise ControlError("this service was started with --drain off, and would drop everybody")
        ports = self._ports()
        for port in ports:
            if port.socket.family not in _FAMILIES:
                raise ControlError(f"only ports of TCP can be handed over, and there is {port.getHost()}")
        sockets = [each for port in ports for each in _sockets(port)]
        addresses = [list(each) for each in map(_address, sockets)]
        lock = None if self._lock is None else self._lock.descriptor
        for descriptor in (*(() if lock is None else (lock,)), *(each.fileno() for each in sockets)):
            call.client.transport.sendFileDescriptor(descriptor)
        self._heirs += 1
        self._share()
        call.client.when_gone(self._heir_gone)
        return {"pid": os.getpid(), "lock": lock is not None, "sockets": addresses}

    def _share(self) -> None:
        """From now on, the end of this instance ends neither a socket nor the pidfile."""
        for port in self._ports():
            if not is_shared(port):
                port._shouldShutdown = False  # noqa: SLF001 - Twisted's, of a socket that was not opened here
                self._shared.append(port)
            ours = port in self._shared or getattr(port, "alone", False)  # but for workers, who leave, too
            if ours and port.socket.family in _FAMILIES:
                self._alone.update(map(_address, _sockets(port)))
        if self._house.crew is not None:
            self._house.crew.handed = True
        if self._twistd.get("pidfile"):
            self._pidfile, self._twistd["pidfile"] = self._twistd["pidfile"], ""

    def _heir_gone(self) -> None:
        """Whoever was given all has gone; unless we leave, all is ours again."""
        self._heirs -= 1
        if self._heirs or self._house.offers["drain"].began is not None:
            return
        for port in self._shared:
            port._shouldShutdown = True  # noqa: SLF001 - as it was
        self._shared.clear()
        self._alone.clear()
        if self._house.crew is not None:
            self._house.crew.handed = False
        if self._pidfile:
            self._twistd["pidfile"], self._pidfile = self._pidfile, ""

    def leave(self, _call: Call) -> Mapping[str, object]:
        """Leave everything to the next instance, and drain."""
        if "drain" not in self._house.offers:
            raise ControlError("this service was started with --drain off")
        self._share()
        if "control" in self._house.offers:
            self._house.offers["control"].bequeath()
        for port in self._house.others:
            port.stopListening()
        self._house.offers["drain"].begin()
        self._several = self._several or self._heirs > 1
        alone = [] if self._several else sorted(self._alone)
        return {"draining": True, "connections": self._house.population, "alone": alone}


def _sockets(port: Any) -> list[socket.socket]:
    return getattr(port, "sockets", None) or [port.socket]


def _address(listening: socket.socket) -> tuple[str, int]:
    host, number = listening.getsockname()[:2]
    return host, number
