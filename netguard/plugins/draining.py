"""``--drain``: SIGTERM and SIGINT let a service finish what is under way before anything of it is stopped.

The application's own services live on meanwhile: the reactor is stopped when nobody needs them any more. Whoever stops
the reactor in another way stops it at once, as ever.

How the process ends tells what happened. It ends with status 0 when everybody was done, and by the signal, as twistd
ends by itself, when somebody had to be cut.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.error import ReactorNotRunning
from twisted.python.usage import UsageError

from netguard.options import OFF
from netguard.plugins.concerns import Given, join
from netguard.process.drain import Drain, Outcome
from netguard.process.signals import die_by, on_signal
from netguard.units import duration

if TYPE_CHECKING:
    from netguard.service import Service as House

PARAMETERS: list[list[Any]] = [
    [
        "drain",
        None,
        "30s",
        "how long connections may finish after SIGTERM or SIGINT, before they are cut; a second signal cuts them, too",
    ],
]
FLAGS: list[list[Any]] = []

SIGNALS = (signal.SIGTERM, signal.SIGINT)

PATIENCE = 5.0
"""Seconds that the application has for stopping, once nobody is connected, before a signal ends the process."""

_Service: Any = Service  # it is not annotated


def check(given: Given) -> None:
    """Refuse what is no time."""
    _within(given)


def _within(given: Given) -> float | None:
    text = given["drain"]
    if text in OFF:
        return None
    try:
        within: float = duration(text)
    except ValueError as why:
        raise UsageError(f"--drain {why}") from None
    return within


def equip(service: Any, house: House, given: Given) -> None:
    """Tell when the service starts and stops, and let it drain in between."""
    from twisted.internet import reactor

    within = _within(given)
    drain = None
    if within is not None:
        house.offers["drain"] = drain = Drain(house, reactor, within, time.monotonic)
    name = getattr(given.parent, "subCommand", None)
    join(service, Life(house, drain, reactor, name))


class Life(_Service):  # type: ignore[misc]
    """Tells ``started`` and ``stopped``, and answers the signals in between.

    Args:
        house: what the guarded factories have in common.
        drain: how the service drains; None when it stops at once.
        reactor: the reactor.
        name: what the service is called in the log.
    """

    def __init__(self, house: House, drain: Drain | None, reactor: Any, name: str | None = None) -> None:
        self._house = house
        self._drain = drain
        self._reactor = reactor
        self._about: dict[str, object] = {} if name is None else {"service": name}
        self._before: dict[int, Any] = {}
        self._signal: int | None = None
        self._since = 0.0

    def startService(self) -> None:
        """Wait for the reactor: what it has for the signals is there only then."""
        super().startService()
        self._house.when_serving(self._begin, self._reactor)

    def _begin(self) -> None:
        if not self.running:
            return
        self._since = self._reactor.seconds()
        self._reactor.addSystemEventTrigger("after", "shutdown", self._tell_end)
        if self._drain is not None:
            for number in SIGNALS:
                before = signal.getsignal(number)
                if before is not signal.SIG_IGN:  # a shell that puts us into the background wants that
                    self._before[number] = before
                    self._hear(number, self._drain)
            # In the next turn: what was answered in this one, to the command that began it, goes first.
            self._drain.when_over().addCallback(lambda outcome: self._reactor.callLater(0, self._stop, outcome))
        self._house.tell("started", {**self._about, "pid": os.getpid(), "ports": len(self._house.open_ports)})

    def _hear(self, number: signal.Signals, drain: Drain) -> None:
        def heard() -> None:
            if self._signal is None:
                self._signal = number
                drain.begin()
            else:
                drain.hurry()

        on_signal(number, heard, self._reactor, instead=True)

    def _stop(self, outcome: Outcome) -> None:
        """Nobody needs the application any more: stop it, as the first signal would have done by itself."""
        number = signal.SIGTERM if self._signal is None else self._signal
        before = self._before.get(number)
        self._let_signals_be_final()
        reactors_own = getattr(before, "__self__", None) is self._reactor
        if callable(before) and (outcome.cut or not reactors_own):
            before(number, None)
        else:
            with suppress(ReactorNotRunning):
                self._reactor.stop()

    def _let_signals_be_final(self) -> None:
        """It stops already: whoever sends a signal after a while finds that this takes too long."""
        began = self._reactor.seconds()

        def heard(number: int, _: object) -> None:
            if self._reactor.seconds() - began >= PATIENCE:
                die_by(number)

        for each in self._before:
            signal.signal(each, heard)

    def stopService(self) -> None:
        """The application stops, whoever wanted that: there is nothing to drain any more."""
        super().stopService()
        if self._drain is not None:
            self._drain.forget()
            self._let_signals_be_final()

    def _tell_end(self) -> None:
        about: dict[str, object] = {"duration": round(self._reactor.seconds() - self._since, 3)}
        outcome = None if self._drain is None else self._drain.outcome
        if outcome is not None:
            about |= {"drained": round(outcome.seconds, 3), "connections": outcome.connections, "cut": outcome.cut}
        self._house.tell("stopped", {**self._about, **about})
