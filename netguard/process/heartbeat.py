"""The heartbeat: one line in the log now and then, which says how the service is, and that its event loop turns.

What else has to happen for as long as the loop turns, such as feeding a watchdog, goes along with the same beat.
"""

from __future__ import annotations

import signal
from math import inf
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.logger import Logger

from netguard.errors import OptionError
from netguard.options import is_off
from netguard.process.signals import on_signal
from netguard.units import duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall

    from netguard.process.vitals import Vitals

SHORTEST = 1.0
"""Seconds between two lines at least: more often, the lines would be what keeps the service busy."""

_Service: Any = Service  # it is not annotated
_log = Logger(namespace="netguard")


def interval(text: object) -> float | None:
    """The seconds between two lines, as an operator writes them; None for ``off``.

    Args:
        text: such as ``60s``.

    Raises:
        OptionError: it is something else, or less than a second.
    """
    if is_off(text):
        return None
    try:
        seconds = float(duration(text))
    except ValueError as why:
        raise OptionError(f"heartbeat: {why}, nor off") from None
    if seconds < SHORTEST:
        raise OptionError(f"heartbeat: {duration.text(seconds)} is too often, at most one line a second")
    return seconds


class Heartbeat(_Service):  # type: ignore[misc]
    """Tells ``heartbeat``, regularly and whenever it is switched on or off; SIGUSR2 does that.

    Args:
        vitals: what it tells.
        every: seconds between two lines; None to begin switched off.
        reactor: the reactor.

    Attributes:
        every: seconds between two lines, when it is on.
        beats: whether it is on.
    """

    def __init__(self, vitals: Vitals, every: float | None, reactor: Any) -> None:
        self.vitals = vitals
        self.beats = every is not None
        self.every = 60.0 if every is None else every
        self._reactor = reactor
        self._before = vitals.read()
        self._line_due = 0.0
        self._beat_due = 0.0
        self._companions: list[tuple[float, Callable[[], object]]] = []
        self._call: IDelayedCall | None = None

    def startService(self) -> None:
        """Begin to beat."""
        super().startService()
        self.vitals.begin()
        self._before = self.vitals.read()
        self._line_due = self._reactor.seconds() + self.every
        self._unhook = on_signal(signal.SIGUSR2, self.toggle, self._reactor)
        self._arm()

    def stopService(self) -> Any:
        """Beat no more."""
        self._unhook()
        self._disarm()
        return super().stopService()

    def when_beat(self, do: Callable[[], object], within: float = inf) -> None:
        """Call ``do`` at every beat.

        Args:
            do: what; it fails alone.
            within: seconds between two beats at most, whether lines are told or not; unless given, there is a beat
                when there is a line.
        """
        self._companions.append((within, do))
        self._arm()

    # switching

    def on(self, every: float | None = None) -> None:
        """Switch it on, and tell a line at once.

        Args:
            every: seconds between two lines; as before unless given.
        """
        self.beats = True
        self.every = self.every if every is None else every
        self._tell()
        self._arm()

    def off(self) -> None:
        """Switch it off; a last line says so."""
        if self.beats:
            self.beats = False
            self._tell()
            self._arm()

    def toggle(self) -> None:
        """Switch it off when it is on, and on when it is off."""
        self.off() if self.beats else self.on()

    @property
    def setting(self) -> str:
        """How often it tells a line, as an operator would write it, or ``off``."""
        return duration.text(self.every) if self.beats else "off"

    # beating

    def _arm(self) -> None:
        self._disarm()
        now = self._reactor.seconds()
        line = self._line_due if self.beats else inf
        self._beat_due = min([line, *(now + within for within, _ in self._companions)])
        if self.running and self._beat_due < inf:
            self._call = self._reactor.callLater(max(0.0, self._beat_due - now), self._beat)

    def _disarm(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def _beat(self) -> None:
        self._call = None
        now = self._reactor.seconds()
        self.vitals.house.late(self._beat_due, now)
        for _, do in self._companions:
            try:
                do()
            except Exception:  # noqa: BLE001 - the others, and the heart, go on
                _log.failure("netguard: what goes along with the heartbeat failed")
        if self.beats and now >= self._line_due:
            self._tell()
        self._arm()

    def _tell(self) -> None:
        reading = self.vitals.read()
        about = {**reading.fields(), **reading.since(self._before), "interval": self.setting}
        self.vitals.house.tell("heartbeat", about)
        self.vitals.house.figures.lags.begin()
        self._before = reading
        self._line_due = self._reactor.seconds() + self.every
