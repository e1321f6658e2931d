"""How a port stops to accept without dropping who has connected already.

The kernel answers connections before a process accepts them. To close a listening socket resets all that wait in its
queue, though their clients have been told that they are connected. So they are accepted first, and served as those are
who came a moment before. The queue of a socket that somebody else holds, too (systemd, or the next instance), stays as
it is: the other will accept them.
"""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, Any

from netguard.joined_port import ports_of

if TYPE_CHECKING:
    from netguard.service import Service

_QUEUE = 50
"""So many may wait for a port that does not say how many; Twisted's default."""


def stop_accepting(house: Service) -> None:
    """Accept who waits, and close every port of a service that is known.

    Args:
        house: the service. While it is overloaded and accepts nobody, nobody is accepted here either.
    """
    ports: list[Any] = house.open_ports
    for port in ports:
        if house.accepting and not is_shared(port):
            for each in ports_of(port):
                _accept_waiting(each)
        port.stopListening()


def is_shared(port: Any) -> bool:
    """Whether a listening socket was handed to this process, so that somebody else may have it, too.

    Args:
        port: a port of Twisted's.
    """
    return not getattr(port, "_shouldShutdown", True)


def _accept_waiting(port: Any) -> None:
    """Accept at most a queue's length of turns, each of one connection or some: a flood must not keep us here."""
    waiting = select.poll()
    waiting.register(port.fileno(), select.POLLIN)
    for _ in range(getattr(port, "backlog", _QUEUE) + 1):
        if not waiting.poll(0):
            return
        port.doRead()
