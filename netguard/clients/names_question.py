"""One question to the name servers, in turn and again, until one of them answers or the deadline has come."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from attrs import field, frozen
from twisted.internet.defer import Deferred, TimeoutError, ensureDeferred, succeed  # noqa: A004 - Twisted's name for it
from twisted.python.failure import Failure

from netguard.clients.names_server import Asked, Connect, Server
from netguard.clients.places import Places
from netguard.verdict import Timeout
from netguard.wire.dns import Name, Reply

PLACES = Places(200, 16)
"""Questions that are under way in this process at once: in all, and on account of one peer. Each has a socket for each
server that it has been put to."""

_MOMENT = 0.001
"""Seconds before the deadline in which nobody is asked any more: nobody would hear the answer."""

_PARTS = 7
_PARTS_OF_ONE = 4
"""The deadline is parted so that one server is asked three times (1 + 2 + 4 parts), two or three of them twice."""


@frozen
class Network:
    """Whom to ask, and how.

    Args:
        reactor: what reads, connects and tells the time.
        servers: answers the addresses and ports of the name servers, the first to be asked first.
        connect: how to reach them over TCP, from a host and a port; when it is given, UDP is not used.
        places: what bounds the questions that are under way.
    """

    reactor: Any
    servers: Callable[[], tuple[tuple[str, int], ...]]
    connect: Connect | None = None
    places: Places = field(default=PLACES)

    def ask(self, name: Name, kind: int, deadline: float, peer: Hashable) -> Deferred[Asked | Timeout]:
        """Ask one question. It can be cancelled, and leaves nothing behind then.

        Args:
            name: what to ask for.
            kind: the type of record.
            deadline: the moment, by the reactor's clock, at which it is over; waiting for its turn included.
            peer: on whose account.
        """
        left = deadline - self.reactor.seconds()
        if left <= 0:
            return succeed(Timeout())
        asking = ensureDeferred(self._ask(name, kind, deadline, peer))
        if not asking.called:
            asking.addTimeout(left, self.reactor).addErrback(_late)
        return asking

    async def _ask(self, name: Name, kind: int, deadline: float, peer: Hashable) -> Asked | Timeout:
        async with self.places.place(peer):
            left = deadline - self.reactor.seconds()
            if left <= 0:  # its turn came, and the reactor was late to say that time is over
                return Timeout()
            asking = _Asking(self, name, kind, left)
            try:
                return await asking.answer
            finally:
                asking.close()


def _late(why: Failure) -> Timeout:
    why.trap(TimeoutError)
    return Timeout()


class _Asking:
    """A question under way.

    Args:
        network: whom to ask.
        name: what to ask for.
        kind: the type of record.
        left: seconds until it is over.
    """

    def __init__(self, network: Network, name: Name, kind: int, left: float) -> None:
        self.answer: Deferred[Asked] = Deferred()
        self._reactor = network.reactor
        self._last = self._reactor.seconds() + left - _MOMENT
        self._servers = [
            Server(network.reactor, each, name, kind, self._answered, network.connect) for each in network.servers()
        ]
        count = len(self._servers)
        self._patience = left / max(_PARTS, _PARTS_OF_ONE * count)
        self._turn = 0
        self._timer: Any = None
        self._ask_next()

    def close(self) -> None:
        """Leave nothing behind."""
        self._wait(None)
        for each in self._servers:
            each.close()

    def _ask_next(self) -> None:
        turn, count = self._turn, len(self._servers)
        self._turn += 1
        patience = self._patience * 2 ** (turn // count)
        self._wait(patience if self._reactor.seconds() + patience < self._last else None)
        server = self._servers[turn % count]
        if server.over:
            self._ask_next()
        else:
            server.ask()

    def _wait(self, seconds: float | None) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None if seconds is None else self._reactor.callLater(seconds, self._ask_next)

    def _answered(self, asked: Asked) -> None:
        if isinstance(asked.outcome, Reply) or all(each.over for each in self._servers):
            self.close()
            self.answer.callback(asked)
        else:
            self._ask_next()
