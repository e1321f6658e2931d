"""Tells systemd, or who else listens at ``NOTIFY_SOCKET``, how the service is; there is nothing to switch on."""

from __future__ import annotations

import os
from math import ceil
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.logger import Logger

from netguard.plugins.concerns import Given, join
from netguard.process.drain import ABORTING, Drain
from netguard.process.notify import Manager, Notifier

if TYPE_CHECKING:
    from netguard.service import Service as House

PARAMETERS: list[list[Any]] = []
FLAGS: list[list[Any]] = []

STATUS = 10.0
"""Seconds between two looks at whether there is a new status to tell."""

STOPPING = 10.0
"""Seconds that the application may take to stop, once nobody is connected any more."""

_Service: Any = Service  # it is not annotated
_log = Logger(namespace="netguard")


def check(_given: Given) -> None:
    """There is nothing to check."""


def equip(service: Any, house: House, _given: Given) -> None:
    """Take the manager's socket out of the environment, and tell it what happens."""
    from twisted.internet import reactor

    manager = Manager.taken_from(os.environ, os.getpid())
    if manager is None:
        return
    try:
        notifier = Notifier(manager, reactor)  # now: a chroot may hide it later
    except OSError as why:
        _log.warn("the service manager cannot be told: {why}", why=why.strerror)
    else:
        join(service, Notifying(house, notifier, manager.watchdog, reactor))


class Notifying(_Service):  # type: ignore[misc]
    """Tells a manager that the service is ready, how it is, and when it reloads and stops.

    Args:
        house: what the guarded factories have in common; its heartbeat feeds the watchdog, so that a loop that is stuck
            is found.
        notifier: tells it.
        watchdog: seconds within which the manager wants to hear from us; None where it does not watch.
        reactor: the reactor.
    """

    def __init__(self, house: House, notifier: Notifier, watchdog: float | None, reactor: Any) -> None:
        self._house = house
        self._notifier = notifier
        self._reactor = reactor
        self._drain: Drain | None = house.offers.get("drain")
        self._told = ""
        self._state = "serving"
        self._trouble = ""
        beat = house.offers["heartbeat"].when_beat
        beat(self._tell_status, within=STATUS)
        if watchdog is not None:
            beat(self._feed, within=watchdog / 2)
        if "reload" in house.offers:
            house.offers["reload"].when_reloading(self._reloading, self._reloaded)
        if self._drain is not None:
            self._drain.when_begun(self._stopping)

    def startService(self) -> None:
        """Wait for the reactor: nobody is served before it runs."""
        super().startService()
        self._house.when_serving(self._ready, self._reactor)

    def _ready(self) -> None:
        if self.running:
            self._notifier.tell(READY=1, MAINPID=os.getpid(), STATUS=self._status())

    def _feed(self) -> None:
        self._notifier.tell(WATCHDOG=1)

    def _status(self) -> str:
        count = self._house.population
        self._told = f"{self._state}, {count} connection{'' if count == 1 else 's'}{self._trouble}"
        return self._told

    def _tell_status(self) -> None:
        before = self._told
        if self._status() != before:
            self._notifier.tell(STATUS=self._told)

    def _reloading(self) -> None:
        if self._state == "serving":
            self._notifier.reloading()

    def _reloaded(self, good: bool) -> None:
        self._trouble = "" if good else "; the last reload has failed, the log says why"
        if self._state == "serving":
            self._notifier.tell(READY=1, STATUS=self._status())

    def _stopping(self) -> None:
        """It may take longer than managers wait by themselves."""
        if self._state != "stopping":
            self._state = "stopping"
            within = 0.0 if self._drain is None else self._drain.within + ABORTING
            usec = ceil((within + STOPPING) * 1_000_000)
            self._notifier.tell(STOPPING=1, EXTEND_TIMEOUT_USEC=usec, STATUS=self._status())

    def stopService(self) -> None:
        """Whoever stops it, the manager hears of it."""
        super().stopService()
        self._stopping()
        self._notifier.close()
