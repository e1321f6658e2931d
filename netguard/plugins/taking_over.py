"""``--take-over``: begin in the place of an instance that runs, with its ports and its lock, and have it drain."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from twisted.python.usage import UsageError

from netguard.plugins.concerns import Given, join
from netguard.process.commands import ControlError
from netguard.process.inheritance import Inheritance

if TYPE_CHECKING:
    from netguard.service import Service as House

PARAMETERS: list[list[Any]] = [
    ["take-over", None, None, "the control socket of an instance that runs: take its ports and its lock over"],
]
FLAGS: list[list[Any]] = []

_Service: Any = Service  # it is not annotated


def check(given: Given) -> None:
    """Get what the other instance has; it stands before the lock, which would be held otherwise."""
    if given["take-over"] is not None:
        try:
            given.inherited = Inheritance.of(given["take-over"])
        except ControlError as why:
            raise UsageError(f"--take-over: {why}") from None


def equip(service: Any, house: House, given: Given) -> None:
    """Let whatever listens on a port that was handed over use its socket, until the service runs."""
    from twisted.internet import reactor

    if given.inherited is not None:
        join(service, TakingOver(house, given.inherited, reactor, {} if given.parent is None else given.parent))


class TakingOver(_Service):  # type: ignore[misc]
    """Takes over when the reactor runs: by then everything listens.

    Args:
        house: where it is told.
        inheritance: what was handed over.
        reactor: the reactor. Until it runs, it listens by the sockets that were handed over.
        twistd: the options of twistd itself, which has to remove the pidfile at the end.
    """

    def __init__(
        self, house: House, inheritance: Inheritance, reactor: Any, twistd: MutableMapping[str, Any] | None = None
    ) -> None:
        self._house = house
        self._twistd = {} if twistd is None else twistd
        self._inheritance = inheritance
        self._reactor = reactor
        reactor.listenTCP = inheritance.listen_by(reactor)

    def startService(self) -> None:
        """Wait for the reactor."""
        super().startService()
        self._reactor.callWhenRunning(self._runs)

    def _runs(self) -> None:
        del self._reactor.listenTCP  # the reactor's own is below
        if self._house.crew is None:
            self._begun()
        else:
            self._house.crew.callWhenRunning(self._begun)

    def _begun(self) -> None:
        if self.running:
            deferToThread(self._inheritance.done).addCallback(self._taken).addErrback(self._failed)
        else:
            self._inheritance.close()

    def _taken(self, _: object) -> None:
        self._inheritance.possess()
        if "control" in self._house.offers:
            self._house.offers["control"].follow()
        self._inheritance.sign()
        if self._inheritance.pidfile is not None:
            self._twistd["pidfile"] = self._inheritance.pidfile
        self._house.tell("taken_over", {"pid": self._inheritance.pid, "ports": self._inheritance.taken})

    def _failed(self, why: Failure) -> None:
        about = {"doing": "taking over", "where": f"process {self._inheritance.pid}", "problem": why.getErrorMessage()}
        self._house.tell("error", about)
