"""The parent of the workers: it opens the ports, starts the workers, and starts those anew that die. It serves nobody.

The rules of this file:

* The application is made here, too, so that what is wrong with its options is told at once, and so that it opens its
  ports as it would; but it is never started.
* A worker that dies is replaced: at once when it has lived for a while, else later and later. One that cannot even
  start for the first time ends the service: what is wrong is wrong with all of them.
* To what a service has in common, the crew is one more factory, whose connections live elsewhere. So it drains as any.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import CannotListenError

from netguard.errors import DrainOver
from netguard.workers import totals
from netguard.workers.listening import SharedListening, listening_by
from netguard.workers.place import LOOK, Place
from netguard.workers.roster import Roster
from netguard.workers.snapshot import Sums
from netguard.workers.sockets import NotSteeredError, steer
from netguard.workers.steering import program
from netguard.workers.worker import Post, Program

if TYPE_CHECKING:
    from netguard.errors import Reason
    from netguard.process.inheritance import Inheritance
    from netguard.service import Service as House
    from netguard.units import Prefix

GRACE = 5.0
"""Seconds that workers have for ending when the parent does."""

_Service: Any = Service  # it is not annotated


class Crew(Roster, _Service):  # type: ignore[misc]
    """The workers of a service.

    Args:
        plan: the application's service, which opens its ports here.
        house: what its factories have in common.
        reactor: the reactor.
        start: how a worker is started.
        workers: how many.
        prefix: how many bits of an address make one peer.
        inherited: what another instance has handed over, or None.
        patience: seconds for which a worker may not answer before it is ended, and another begins.

    Attributes:
        sums: their figures.
        tend: called now and then, such as to look after the log.
        proxied: why peers cannot be steered by their addresses; None when they can.
        handed: whether another instance has the sockets, too.
        failed: called with the reason when a worker cannot start for the first time.
    """

    guards: tuple[Any, ...] = ()
    closed = False

    def __init__(
        self,
        plan: Any,
        house: House,
        reactor: Any,
        start: Program,
        workers: int,
        prefix: Prefix,
        inherited: Inheritance | None = None,
        patience: float = inf,
    ) -> None:
        super().__init__(reactor, workers, prefix)
        self.patience = patience
        self.house = house
        self.start = start
        self.sums = Sums(house.figures)
        self.proxied: str | None = None
        self.handed = False
        self.tend: Callable[[], object] = lambda: None
        self.failed: Callable[[str], object] = lambda _: None
        self._plan = plan
        self._listening = SharedListening(reactor, workers, inherited)
        self._starting: list[Callable[[], object]] = []
        self._emptying: list[Deferred[None]] = []
        self._served = False
        self._poll: Any = None
        self.table: totals.Table | None = None

    # what a factory of the house has

    @property
    def population(self) -> int:
        """How many connections live, over all workers."""
        return 0 if self.table is None else self.table.sum_of(0)

    @property
    def connections(self) -> list[Any]:
        """None lives in this process."""
        return []

    @property
    def is_listening(self) -> bool:
        """Whether somebody serves."""
        return any(each.serves for each in self.places)

    @property
    def cut(self) -> int:
        """How many had to be cut."""
        return sum(each.cut for each in self.places)

    def close(self) -> None:
        """Let the workers drain: nobody but they has their sockets, unless those were handed over, by us or to us."""
        self.closed = True
        shared = " shared" if self.handed or not self._listening.alone else ""
        for each in self.places:
            each.part(f"part{shared}")

    def when_empty(self) -> Deferred[None]:
        """Fire once all workers have ended."""
        if all(each.gone for each in self.places):
            return succeed(None)
        self._emptying.append(Deferred())
        return self._emptying[-1]

    def abort_all(self, reason: Reason | None = None) -> None:
        """Let them cut whoever is there, unless it is the deadline that they have themselves."""
        if not isinstance(reason, DrainOver):
            for each in self.places:
                each.ask("hurry").addErrback(_whatever)

    def let_think(self) -> None:
        """There is nobody here whose limits could be others now."""

    # the life of the service

    def privilegedStartService(self) -> None:
        """Open the ports while the process may still open any.

        Raises:
            CannotListenError: something that is to listen cannot be shared, or nothing is.
        """
        super().privilegedStartService()
        refused: list[CannotListenError] = []
        with listening_by(self.reactor, self._listening.listen, refused):
            self._plan.privilegedStartService()
        if refused:
            raise refused[0]
        if not self._listening.ports:
            raise CannotListenError(None, "nothing", OSError(0, "with --workers, ports have to be opened at the start"))
        if self.proxied is not None:
            self._tell_unsteered(self.proxied)
        self._steer()

    def _steer(self) -> None:
        made = program(self.workers, self.prefix)
        try:
            for port in self._listening.ports:
                steer(port.sockets, made)
        except NotSteeredError as why:
            self._tell_unsteered(str(why))

    def _tell_unsteered(self, why: str) -> None:
        self.house.tell("unsteered", {"option": "workers", "reason": why})

    def startService(self) -> None:
        """Wait for the reactor; privileges have been dropped by now, so the workers never have any."""
        super().startService()
        self.reactor.callWhenRunning(self._begin)

    def _begin(self) -> None:
        if not self.running:
            return
        memory = totals.memory(self.workers)
        self.table = totals.Table(memory, self.workers)
        for at in range(self.workers):
            sockets = [(*port.asked, port.of(at, self.workers)) for port in self._listening.ports]
            self.places.append(Place(self, Post(at + 1, self.workers, memory, sockets)))
        for each in self.places:
            each.fill()
        self._poll = self.reactor.callLater(LOOK, self._look)

    def callWhenRunning(self, do: Callable[[], object]) -> None:
        """Call it once all workers serve."""
        if self._served:
            do()
        else:
            self._starting.append(do)

    def changed(self) -> None:
        """A worker serves, or has ended."""
        if not self._served and self.places and all(each.serves for each in self.places):
            self._served = True
            starting, self._starting = self._starting, []
            for do in starting:
                do()
        if all(each.gone for each in self.places):
            emptying, self._emptying = self._emptying, []
            for waiting in emptying:
                waiting.callback(None)

    @property
    def served(self) -> bool:
        """Whether all workers have served once."""
        return self._served

    def stopService(self) -> Any:
        """End the workers, at once where they have not ended."""
        super().stopService()
        self.closed = True
        if self._poll is not None:
            self._poll.cancel()
            self._poll = None
        for port in self._listening.ports:
            port.stopListening()
        for each in self.places:
            each.part("stop")
        late = self.reactor.callLater(GRACE, self._kill)
        return self.when_empty().addCallback(lambda _: late.active() and late.cancel())

    def _kill(self) -> None:
        for each in self.places:
            each.kill()

    def _look(self) -> None:
        """Look at every worker, and at what else is to be looked at."""
        self._poll = self.reactor.callLater(LOOK, self._look)
        for each in self.places:
            each.look()
        self.tend()


def _whatever(_: object) -> None:
    """It has ended, or will be ended."""
