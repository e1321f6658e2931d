"""What the factories of one service, one for each of its ports, have in common; what a guard is installed in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import cached_property
from math import inf
from time import process_time
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakSet

from netguard import events
from netguard.clients.ident_service import Idents
from netguard.clients.names_service import Names
from netguard.errors import OptionError
from netguard.figures import Figures
from netguard.load.signals import Signals

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

    from netguard.verbs import Misdeed

_TEXT = "text:"
CLOSE, RESET = "close", "reset"


class Port(Protocol):
    """What can stop to accept for a while; every port of Twisted's can."""

    def stopReading(self) -> None:
        """Leave newcomers in the kernel's queue."""

    def startReading(self) -> None:
        """Accept again."""


class Service:
    """What all connections of a service share, whichever port they came through.

    Args:
        clock: answers the reactor, once it is needed.

    Attributes:
        names: looks up the names of peers; None where a caller supposes that nobody does.
        ident: asks their ident servers; None where nobody shall.
        patience: by how much the time limits of connections that are not settled are multiplied.
        style: how refused connections are answered: ``close``, ``reset`` or ``text:`` and the text.
        native: whether ports are to carry connections by our own transport, where they can.
        given_up_after: seconds for which a peer may take nothing before the kernel gives it up.
        figures: what was counted since the service began.
        penalties: ledgers of misdeeds, for those who list and clear them.
        tallies: what guards count together with other machines (:class:`netguard.elsewhere.Tally`).
        totals: one for each count over all peers: called with a column in which other processes count, too.
        sharers: how many processes serve the same ports, this one included.
        crew: the processes that serve in the place of this one, or None.
        cpu: the seconds of processor time that the service has used.
        offers: what the concerns of a process have for each other, by name: ``heartbeat``, ``reload``, ``drain``.
        dials: the options of guards that can be changed while the service runs (:class:`netguard.options.Dial`).
        troubles: what could not be used when files were last read again.
        ports: what accepts connections, as far as it is known.
        carriers: how many of them are carried by our own transport (``native``), and how many by Twisted's (``stock``).
        others: ports of the process that are not guarded, such as that of ``--admin``.
        restless: somebody wants to be called at the next tick, whether there are connections or not.
        closed: nobody is admitted any more, and whatever begins to listen is stopped at once.
        strained: newcomers are refused for now, since there is too much to do.
    """

    def __init__(self, clock: Callable[[], IReactorTime]) -> None:
        self._clock = clock
        self.names: Any = Names(clock)
        self.ident: Any = Idents(clock)
        self.patience = 1.0
        self.style = CLOSE
        self.native = True
        self.given_up_after = inf
        self.figures = Figures()
        self.penalties: list[Any] = []
        self.tallies: list[Any] = []
        self.totals: list[Callable[[Any], object]] = []
        self.sharers = 1
        self.crew: Any = None
        self.cpu: Callable[[], float] = process_time
        self.offers: dict[str, Any] = {}
        self.dials: list[Any] = []
        self.troubles: list[str] = []
        self.ports: list[Any] = []
        self.carriers: Counter[str] = Counter()
        self.others: list[Any] = []
        self._holders: set[str] = set()
        self._factories: WeakSet[Any] = WeakSet()  # a client's endpoint makes one for each connection
        self._ticking: list[Callable[[float], object]] = []
        self._judges: list[Callable[[Any, Misdeed], object]] = []
        self._readers: list[Callable[[], object]] = []
        self._mourners: list[Callable[[Any], object]] = []
        self._reviews: list[Callable[[Any], Awaitable[object]]] = []
        self._ticked = -inf
        self.restless = self.closed = self.strained = False

    @cached_property
    def reactor(self) -> IReactorTime:
        """The clock that everything of this service goes by."""
        return self._clock()

    def seconds(self) -> float:
        """The present moment."""
        return self.reactor.seconds()

    @cached_property
    def signals(self) -> Signals:
        """The readings of the service's and the machine's load; whoever wants others puts them here."""
        return Signals(self.reactor.seconds, lambda: self.population)

    @property
    def population(self) -> int:
        """How many connections live."""
        return sum(each.population for each in self._factories)

    @property
    def connections(self) -> list[Any]:
        """The connections that live now, over all ports."""
        return [one for each in self._factories for one in each.connections]

    def join(self, factory: Any) -> None:
        """One more factory belongs to the service."""
        self._factories.add(factory)
        if self.closed:
            factory.close()

    @property
    def factories(self) -> list[Any]:
        """The factories that belong to the service."""
        return list(self._factories)

    def close(self) -> None:
        """Admit nobody any more, for good; those who are in stay."""
        self.closed = True
        for each in self.factories:
            each.close()

    def when_serving(self, do: Callable[[], object], reactor: Any) -> None:
        """Call ``do`` once somebody serves: when the reactor runs, or those do who serve in the place of this process.

        Args:
            do: what.
            reactor: the reactor.
        """
        (reactor if self.crew is None else self.crew).callWhenRunning(do)

    def tell(self, name: str, fields: Mapping[str, object]) -> None:
        """Tell an event of the service."""
        self.figures.told[name] += 1
        events.emit(name, fields)

    # time

    def each_tick(self, do: Callable[[float], object]) -> None:
        """Call ``do`` with the time at every sweep: while there are connections, or ``do`` has last returned True."""
        self._ticking.append(do)

    def late(self, due: float, now: float) -> None:
        """A sweep of one of the factories was due, and comes now: the difference is how much the reactor lags."""
        self.figures.lags.add(now - due)
        if self._ticking:
            self.signals.lag.tick(due, now)

    def tick(self, now: float, interval: float) -> None:
        """A sweep of one of the factories; the others' sweeps of the same moment change nothing."""
        if self._ticking and not 0 <= now - self._ticked < interval / 2:
            self._ticked = now
            answers = [do(now) for do in self._ticking]  # all of them are to be called
            self.restless = any(answers)

    def tighten(self, share: float) -> None:
        """Multiply the time limits of all connections that are not settled by this; 1 takes it back."""
        self.patience = share
        for factory in self._factories:
            factory.let_think()

    # misdeeds

    def when_misdeed(self, do: Callable[[Any, Misdeed], object]) -> None:
        """Call ``do`` with the connection and its misdeed, whenever one is told."""
        self._judges.append(do)

    def misdeed(self, connection: Any, misdeed: Misdeed) -> None:
        """The peer of a connection did something that it should not have done."""
        for judge in self._judges:
            judge(connection, misdeed)

    # files that are read again

    def when_reloaded(self, do: Callable[[], object]) -> None:
        """Call ``do`` when files are to be read again; if it raises OptionError, that is told and nothing changed."""
        self._readers.append(do)

    def when_reviewed(self, review: Callable[[Any], Awaitable[object]]) -> None:
        """Await ``review`` with every connection that lives when rules were read again, if such are to be cut."""
        self._reviews.append(review)

    def review(self) -> Iterator[Awaitable[object]]:
        """What is to be awaited so that those who are in are judged by the rules of now; one for each, as it comes."""
        return (review(each) for each in self.connections if each.state == "open" for review in self._reviews)

    def reload(self, *troubles: Exception) -> bool:
        """Read all files again.

        Args:
            troubles: what somebody has found out already about files that are not read here.

        Returns:
            Whether all could be used. What could not stays as it was, and the event ``reload_failed`` says why.
        """
        found = list(troubles)
        for read in self._readers:
            try:
                read()
            except OptionError as why:
                found.append(why)
        self.troubles = list(dict.fromkeys(map(str, found)))  # several processes may have read one file
        for trouble in self.troubles:
            self.tell("reload_failed", {"reason": trouble})
        if not found:
            self.tell("reloaded", {})
        return not found

    # what the kernel does by itself

    def give_up_after(self, seconds: float, do: Callable[[Any], object]) -> None:
        """Let the kernel give up peers that take nothing for so long; ``do`` is called with each connection lost."""
        self.given_up_after = min(self.given_up_after, seconds)
        self._mourners.append(do)

    def lost(self, connection: Any) -> None:
        """A connection is lost, perhaps since the kernel has given its peer up."""
        for each in self._mourners:
            each(connection)

    # how newcomers are refused, and when they are not even accepted

    def refuse_by(self, style: str) -> None:
        """Answer refused connections so: ``close``, ``reset`` or ``text:`` and the text."""
        self.style = style

    def carry_by(self, kind: str) -> None:
        """Carry connections by our ``native`` transport where that can be, or by Twisted's ``stock`` one."""
        self.native = kind == "native"

    @property
    def text(self) -> str | None:
        """The text that refused connections are told, or None."""
        return self.style.removeprefix(_TEXT) if self.style.startswith(_TEXT) else None

    @property
    def resets(self) -> bool:
        """Whether refused connections are reset."""
        return self.style == RESET

    def listens(self, port: Any) -> None:
        """A port accepts connections for this service."""
        self.ports.append(port)
        if self.closed:
            port.stopListening()
        elif self._holders:
            port.stopReading()

    def listens_besides(self, port: Any) -> Any:
        """A port of the process that is not guarded; returns it."""
        self.others.append(port)
        return port

    def pause_accepting(self, who: str) -> bool:
        """Leave newcomers in the kernel's queue until ``who`` resumes; False when no port is known that could."""
        ports = self.open_ports
        if ports and not self._holders:
            for each in ports:
                each.stopReading()
        if ports:
            self._holders.add(who)
        return bool(ports)

    def resume_accepting(self, who: str) -> None:
        """Accept again, unless another holds the ports."""
        if who in self._holders:
            self._holders.remove(who)
            if not self._holders:
                for each in self.open_ports:
                    each.startReading()

    @property
    def accepting(self) -> bool:
        """Whether nobody holds the ports."""
        return not self._holders

    @property
    def open_ports(self) -> list[Port]:
        """The ports that still listen, and that can stop for a while."""
        return [each for each in self.ports if getattr(each, "connected", False) and hasattr(each, "stopReading")]
