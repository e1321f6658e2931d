"""Draining: newcomers stay away, who is in finishes, and at a deadline the rest is cut.

The rules of this file:

* It begins once, whoever asked for it. Ports close first; what was connected by then is served.
* Applications that provide :class:`~netguard.drainable.IDrainable` are told at once. Connections are then closed as
  they come to rest, a share of them at a time: a thousand clients that come back to the next instance in one moment
  would be a flood of our own making.
* A connection that is closed waits for its peer to take what is queued, until the deadline. One that waits for nothing
  but its peer's consent to the end of TLS waits for :data:`CONSENT` only; whoever never gives it has lost nothing.
* It ends once, in any case: at the latest :data:`ABORTING` after everybody was cut.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import TYPE_CHECKING, Any

from attrs import frozen
from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger

from netguard.drainable import IDrainable
from netguard.errors import DrainOver, Expelled, Reason
from netguard.process.http_end import http_end
from netguard.process.newcomers import stop_accepting

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

    from netguard.connection import Connection
    from netguard.service import Service

TICK = 0.25
"""Seconds between two looks at who can go."""

COURTESY = 1.0
"""Seconds of silence after which an application that has a say is asked: the next command may be on its way."""

REST = 2.0
"""Seconds of silence, on both sides, after which an application that says nothing about itself is taken to be done."""

LISTENER = 10.0
"""The same, for one that has never said a word: it may be one that only listens, or busy with its first answer."""

AT_LEAST = 10
"""So many connections may be closed in a tick, however few there are."""

CONSENT = 3.0
"""Seconds that a peer has for its part of the end of TLS."""

ABORTING = 2.0
"""Seconds that aborts may take to be heard of."""

_LAYERS = 8
_log = Logger(namespace="netguard")


@frozen
class Outcome:
    """How a drain ended.

    Args:
        connections: how many lived when it began.
        cut: how many had to be cut.
        seconds: how long it took.
    """

    connections: int
    cut: int
    seconds: float


class Drain:
    """The draining of one service.

    Args:
        house: what its factories have in common.
        reactor: the clock.
        within: seconds from the beginning to the moment at which the rest is cut.
        seconds: a clock that nobody sets, for that; the reactor's, which may be, unless given.

    Attributes:
        began: the moment at which it began, or None.
        outcome: how it ended, or None.
    """

    def __init__(
        self, house: Service, reactor: IReactorTime, within: float, seconds: Callable[[], float] | None = None
    ) -> None:
        self.house = house
        self.within = within
        self.began: float | None = None
        self.outcome: Outcome | None = None
        self._reactor = reactor
        self._seconds = reactor.seconds if seconds is None else seconds
        self._tellers: list[Callable[[], object]] = []
        self._waiting: list[Deferred[Outcome]] = []
        self._told: set[int] = set()
        self._leaving: set[int] = set()
        self._connections = self._cut = 0
        self._gave_up: float | None = None
        self._next: IDelayedCall | None = None

    def when_begun(self, do: Callable[[], object]) -> None:
        """Call ``do`` first of all when it begins, such as to tell that the service is not ready any more."""
        self._tellers.append(do)

    def when_over(self) -> Deferred[Outcome]:
        """Fire when it has ended."""
        waiting: Deferred[Outcome] = Deferred()
        if self.outcome is None:
            self._waiting.append(waiting)
        else:
            waiting.callback(self.outcome)
        return waiting

    def begin(self) -> Deferred[Outcome]:
        """Begin, unless it has begun.

        Returns:
            What :meth:`when_over` does.
        """
        if self.began is None:
            self.began = self._seconds()
            for tell in self._tellers:
                tell()
            stop_accepting(self.house)
            self._connections = self.house.population
            self._next = self._reactor.callLater(0, self._go)
        return self.when_over()

    def _go(self) -> None:
        """The ports are closed by now, as soon as could be after the last connection was accepted."""
        self.house.close()
        self.house.tell("draining", {"connections": self._connections, "within": self.within})
        self._turn()
        empty = [each.when_empty() for each in self.house.factories]
        gatherResults(empty).addCallback(lambda _: self._end())

    def hurry(self) -> None:
        """Wait for nobody any more; nothing happens where it has not begun."""
        if self.began is not None:
            self._give_up(Expelled())

    def forget(self) -> None:
        """The process ends, whatever is under way here: leave no timer."""
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def _turn(self) -> None:
        self._next = None
        if self.outcome is not None or self.began is None:
            return
        now = self._seconds()
        if self._gave_up is not None and now - self._gave_up >= ABORTING:
            self._end()
            return
        if now - self.began >= self.within:
            self._give_up(DrainOver(self.within, now - self.began))
        self._let_go(now - self.began)
        self._next = self._reactor.callLater(TICK, self._turn)

    def _let_go(self, since: float) -> None:
        """Tell whom nobody has told yet; close some of those that are at rest."""
        live = self.house.connections
        staying = [each for each in live if each.number not in self._leaving]
        ticks = max(1.0, (self.within / 2 - since) / TICK)
        places = max(AT_LEAST, ceil(len(staying) / ticks))
        for connection in staying:
            self._tell(connection)
            if places and self._departs(connection):
                self._leaving.add(connection.number)
                places -= 1
        for connection in live:
            if waits_for_consent(connection):
                connection.cut(Expelled())

    def _tell(self, connection: Connection) -> None:
        if connection.state == "open" and connection.number not in self._told:
            self._told.add(connection.number)
            application = drainable_of(connection)
            if application is not None:
                self._ask(connection, application.drain)

    def _departs(self, connection: Connection) -> bool:
        if connection.state != "open":
            return False
        application = drainable_of(connection)
        if application is not None:
            return connection.silent >= COURTESY and bool(self._ask(connection, application.depart))
        if not is_at_rest(connection):
            return False
        self._ask(connection, connection.meter.outside().loseConnection)  # type: ignore[attr-defined]  # a Wrapper
        return True

    def _ask(self, connection: Connection, do: Callable[[], object]) -> object:
        try:
            return do()
        except Exception:  # noqa: BLE001 - one application's defect must not keep the process from its end
            _log.failure("netguard: draining session {session}", session=connection.number)
            connection.cut(Expelled())
            return True

    def _give_up(self, reason: Reason) -> None:
        if self._gave_up is None:
            self._gave_up = self._seconds()
            self._cut = sum(not is_over(each) for each in self.house.connections)
            for each in self.house.factories:
                each.abort_all(reason)

    def _end(self) -> None:
        if self.outcome is None and self.began is not None:
            self.forget()
            cut = self._cut + (0 if self.house.crew is None else self.house.crew.cut)
            self.outcome = Outcome(self._connections, cut, self._seconds() - self.began)
            waiting, self._waiting = self._waiting, []
            for each in waiting:
                each.callback(self.outcome)


def drainable_of(connection: Connection) -> Any:
    """The application's side of a connection as an ``IDrainable``, or None; layers that wrap it are looked through."""
    protocol = connection.meter.protocol  # type: ignore[attr-defined]  # a Wrapper
    for _ in range(_LAYERS):
        found: Any = IDrainable(protocol, None)
        if found is None:
            found = http_end(protocol)
        if found is not None or protocol is None:
            return found
        protocol = getattr(protocol, "wrappedProtocol", None)
    return None


def is_at_rest(connection: Connection, *, passes_on: bool = False) -> bool:
    """Whether nothing is under way on a connection, as far as that can be seen from outside.

    Nothing waits for the peer, what came was answered, the application produces nothing, TLS is set up, and neither
    side has said anything for a moment.

    Args:
        connection: the connection.
        passes_on: whether the application only passes on what others produce, so that having a producer tells nothing.
    """
    meter: Any = connection.meter
    if meter.received <= meter.answered:
        rest = REST
    elif not meter.sent:
        rest = LISTENER
    else:
        return False
    produces = meter.supply is not None and not passes_on
    quiet = meter.sent == meter.taken and meter.received == meter.noticed and not produces
    silent = connection.now - meter.active >= rest
    return quiet and silent and not connection.queued and connection.handshaking is None


def is_over(connection: Connection) -> bool:
    """Whether nothing is left of a connection but its peer's part of the end of TLS."""
    return connection.parting and not connection.queued


def waits_for_consent(connection: Connection) -> bool:
    """Whether that part has been waited for long enough."""
    return is_over(connection) and (connection.handshaking or 0.0) >= CONSENT
