"""Watches bytes that wait for a peer whom no guard watches, and does what has to wait until it has taken them.

Guards stand around the clients' connections only. That a backend takes nothing is seen here; so is when the last bytes
of a connection that is to be reset have arrived, since a reset throws away what is still on its way.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any

from attrs import define, field

from netguard.outflow import progress

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

TICK = 0.25
"""Seconds between two looks."""

Do = Callable[[float], object]


@define
class _Watch:
    """What is known of one transport: the figure of :func:`netguard.outflow.progress`, and when it last grew."""

    transport: Any
    figure: int
    grew: float
    stuck: Do
    taken: Do | None


@define(eq=False)
class Stalls:
    """One timer for all that waits, which runs while something does.

    Args:
        clock: the clock.
        limit: seconds without progress after which a peer is stuck.

    Attributes:
        watches: what is watched, by the ``id`` of the transport.
    """

    clock: IReactorTime
    limit: float = inf
    watches: dict[int, _Watch] = field(factory=dict, init=False)
    _call: IDelayedCall | None = field(default=None, init=False)

    def watch(self, transport: Any, stuck: Do, taken: Do | None = None) -> None:
        """Watch what has been written to a transport; what was watched of it before is forgotten.

        Args:
            transport: the transport.
            stuck: called with the seconds for which nothing was taken, when those are too many.
            taken: called when everything has been taken: at once, or at one of the next looks.
        """
        figure, outstanding = progress(transport)
        if taken is not None and not outstanding:
            self.forget(transport)
            taken(0.0)
            return
        self.watches[id(transport)] = _Watch(transport, figure, self.clock.seconds(), stuck, taken)
        self._wake()

    def forget(self, transport: Any) -> None:
        """Watch it no more."""
        self.watches.pop(id(transport), None)
        if not self.watches and self._call is not None:
            self._call.cancel()
            self._call = None

    def __len__(self) -> int:
        """How many transports are watched."""
        return len(self.watches)

    def _wake(self) -> None:
        if self._call is None and self.watches:
            self._call = self.clock.callLater(TICK, self._turn)

    def _turn(self) -> None:
        self._call = None
        for each in list(self.watches.values()):
            if self.watches.get(id(each.transport)) is each:
                self._look(each)
        self._wake()

    def _look(self, watch: _Watch) -> None:
        figure, outstanding = progress(watch.transport)
        if figure > watch.figure:
            watch.figure, watch.grew = figure, self.clock.seconds()
        waited = self.clock.seconds() - watch.grew
        if watch.taken is not None and not outstanding:
            do = watch.taken
        elif waited >= self.limit:
            do = watch.stuck
        else:
            return
        self.watches.pop(id(watch.transport), None)
        do(waited)
