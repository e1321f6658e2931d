"""The coarse clock of one factory: once a tick, every connection that is due or active may think."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from twisted.internet.interfaces import IReactorTime

from netguard.errors import Expelled
from netguard.meter import needing_thought

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

    from netguard.sampler import Sampler
    from netguard.wrapper import Wrapper


class House(Protocol):
    """What the sweep needs of the factory."""

    service: Any

    @property
    def reactor(self) -> IReactorTime:
        """The clock."""

    def failed(self, connection: Any, doing: str) -> None:
        """Tell that code called for this connection raised; the exception is the current one."""


class Sweep:
    """One timer for all connections of a factory, which runs while there are any.

    Args:
        house: the factory.
        live: its connections.
        sampler: what was counted and has to be told.
        interval: seconds between two sweeps.

    Attributes:
        ports: how many listen; while any does, the next connection may come at once, so the timer is left to run out
            by itself instead of being set up and taken back for every connection.
    """

    def __init__(self, house: House, live: Mapping[Wrapper, None], sampler: Sampler, interval: float) -> None:
        self.ports = 0
        self._house = house
        self._live = live
        self._sampler = sampler
        self._interval = interval
        self._call: IDelayedCall | None = None
        self._due = 0.0
        self._closed = False

    def opens(self) -> None:
        """One more port listens."""
        self.ports += 1
        self._closed = False

    def closes(self) -> None:
        """A port listens no more; with the last one, nobody's wish keeps the timer going."""
        self.ports = max(0, self.ports - 1)
        self._closed = not self.ports
        self.rest()

    def wake(self) -> None:
        """There is somebody to look at."""
        if self._call is None:
            self._due = self._house.reactor.seconds() + self._interval
            self._call = self._house.reactor.callLater(self._interval, self._turn)

    def rest(self) -> None:
        """Leave no timer behind when there is nothing to sweep and nothing to tell."""
        if self._call is not None and not (self.ports or self._has_to_go_on()):
            self._call.cancel()
            self._call = None

    def _turn(self) -> None:
        self._call = None
        self._house.service.late(self._due, self._house.reactor.seconds())
        self.now()
        if self._has_to_go_on():
            self.wake()

    def _has_to_go_on(self) -> bool:
        restless = self._house.service.restless and not self._closed
        return bool(self._live or self._sampler.holding or restless)

    def now(self) -> None:
        """Let every connection think that is due or active."""
        now = self._house.reactor.seconds()
        for meter in needing_thought(self._live, now):
            try:
                meter.connection.look(now)
            except Exception:  # noqa: BLE001 - one strange transport must not keep the others from being judged
                self._house.failed(meter.connection, "the sweep")
                meter.connection.cut(Expelled())
        self._house.service.tick(now, self._interval)
        self._sampler.flush()
