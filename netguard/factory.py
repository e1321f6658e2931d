"""Factory in, factory out: admission, the live connections and their sweep."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import count
from math import inf
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.error import NoProtocol
from twisted.internet.interfaces import IProtocolFactory, IProtocolNegotiationFactory
from twisted.python.failure import Failure
from zope.interface import alsoProvides, implementer, providedBy

from netguard.admission import Admission, Follower
from netguard.ending import Ending
from netguard.errors import Draining, Reason
from netguard.opening import Opening
from netguard.peer import Caller
from netguard.plan import Memory
from netguard.refusal import refusal
from netguard.reports import Reports
from netguard.service import Service
from netguard.sweep import Sweep
from netguard.wrapper import Wrapper

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress, IProtocol, IReactorTime

    from netguard.connection import Connection
    from netguard.guard import Guard

TICK = 0.25
"""Seconds between two sweeps: a deadline fires within one tick after its moment."""

_numbers = count(1)


def count_sessions(first: int, step: int) -> None:
    """Number connections so from now on, that several processes may have no number in common.

    Args:
        first: the next number.
        step: by how much each is larger than the last.
    """
    global _numbers  # noqa: PLW0603 - a process has one numbering, whatever factories it has
    _numbers = count(first, step)


def next_session() -> int:
    """A number that no connection has, and whose successors none has had."""
    return next(_numbers)


@implementer(IProtocolFactory)
class GuardedFactory(Admission, Ending):
    """A factory whose connections are guarded.

    Args:
        wrapped: the application's factory, for servers or for clients.
        guards: what each connection meets, in this order.
        observed: names of the guards that only observe.
        reactor: the clock, of ``IReactorTime``; None for the global reactor, once it is needed.
        tick: seconds between two sweeps.
        beside: another guarded factory of the same service: limits then count both together.
        service: what the guards are installed in; that of ``beside``, or a new one, unless given.
        verbose: whether the events of level debug are told, too.
    """

    service: Service

    def __init__(
        self,
        wrapped: Any,
        guards: Sequence[Guard],
        *,
        observed: frozenset[str] = frozenset(),
        reactor: IReactorTime | None = None,
        tick: float = TICK,
        beside: GuardedFactory | None = None,
        service: Service | None = None,
        verbose: bool = True,
    ) -> None:
        super().__init__()
        self.wrapped = wrapped
        self.observed = observed
        self._reactor = reactor
        self._live: dict[Wrapper, None] = {}
        self.follower: Follower | None = None
        self.guards = tuple(guards)
        self.memory = Memory()
        if service is None:
            service = Service(lambda: self.reactor) if beside is None else beside.service
        self.service = service
        self._reports = Reports(service.seconds, service.figures, verbose=verbose)
        self._sweep = Sweep(self, self._live, self._reports.sampler, tick)
        self.service.join(self)
        self.opening: Opening = Opening(self.guards, self, None if beside is None else beside.opening)
        alsoProvides(self, *providedBy(wrapped))

    @cached_property
    def reactor(self) -> IReactorTime:
        """The clock that everything of this factory goes by."""
        if self._reactor is None:
            from twisted.internet import reactor

            return cast("IReactorTime", reactor)
        return self._reactor

    @property
    def connections(self) -> list[Connection]:
        """The connections that live now."""
        return [each.connection for each in self._live]

    @property
    def population(self) -> int:
        """How many connections live."""
        return len(self._live)

    @property
    def answer(self) -> bytes | None:
        """What refused connections are told, framed as the application wants it; None for nothing."""
        text = self.service.text
        framed = getattr(self.wrapped, "refusal_text", _line)
        return None if text is None else bytes(framed(text))

    def let_think(self) -> None:
        """The limits are other ones now: let every connection think at the next sweep."""
        for each in self._live:
            if each.connection.admitted:
                each.due = -inf

    # admission

    def buildProtocol(self, addr: IAddress | None) -> IProtocol | None:
        """Let the guards decide, then the application's factory; None is a refusal."""
        host = getattr(addr, "host", None)
        if host is None or self.follower is not None:
            wrapper = self.admit(addr)
        else:
            caller = self.meet(host, getattr(addr, "port", 0))
            wrapper = None if caller is None else self.admit(addr, caller=caller)
        return cast("IProtocol | None", wrapper or refusal(self))

    def meet(self, host: str, port: int) -> Caller | None:
        """Decide about a peer as far as that can be done before anything is made for it; a refusal is told.

        Args:
            host: the peer's, as its socket has it.
            port: the peer's.

        Returns:
            The peer, for :meth:`admit`; None for one that is refused.
        """
        caller = Caller(host, port, self.reactor.seconds())
        answer = self.opening.judge(caller)
        if isinstance(answer, Reason):
            self._sweep.wake()
            self._reports.turned_away(host, port, next(_numbers), answer)
            return None
        caller.rest = answer
        return caller

    def admit(
        self, addr: IAddress | None, kind: type[Wrapper] = Wrapper, caller: Caller | None = None
    ) -> Wrapper | None:
        """Let the guards decide, then the application's factory.

        Args:
            addr: the peer's address.
            kind: what is to sit where the bytes pass.
            caller: the peer, where it has been met.

        Returns:
            What the transport gets for its protocol; None for a connection that is refused.
        """
        self._sweep.wake()
        wrapper = kind(self, addr, next(_numbers), caller)
        connection = wrapper.connection
        if self.closed:
            connection.refuse(Draining())
        early = None
        if connection.state == "opening":
            rest = self.opening.whole if caller is None else caller.rest
            self.opening.begin(connection, rest)
            early = self.opening.ask(connection, iter(rest.openers), addr)
        try:
            if early is None:
                self._build(wrapper, addr)
            else:
                wrapper.wait(early)
        finally:
            if connection.state != "opening":
                self._end(wrapper)
        if connection.state != "opening":
            return None
        self._live[wrapper] = None
        self.service.figures.came()
        if self.service.patience < 1:
            wrapper.due = -inf  # perhaps it became so only while this one was asked about
        return wrapper

    # what the wrappers tell

    def disconnected(self, wrapper: Wrapper, reason: Failure | None = None) -> None:
        """It is over: tell the last event, and give everything back.

        Args:
            wrapper: whose connection it is.
            reason: why the transport is gone; None when there was none.
        """
        if wrapper in self._live:
            del self._live[wrapper]
            self.service.figures.went()
        connection = wrapper.connection
        before = connection.state
        self._reports.last(connection, reason)
        connection.end()
        if self.follower is not None and before in ("opening", "refused"):
            why = connection.reason or (NoProtocol() if reason is None else reason)
            self.follower(wrapper, why if isinstance(why, Failure) else Failure(why))

    def abandoned(self, wrapper: Wrapper) -> None:
        """What asked for a protocol never connected it, say because its TLS failed before: give its place back."""
        if wrapper in self._live:
            self._end(wrapper)

    def _end(self, wrapper: Wrapper) -> None:
        self.disconnected(wrapper)
        wrapper.let_go()
        self.left()

    def left(self) -> None:
        """The last application may have heard of its end."""
        if not self._live:
            self._sweep.rest()
            self._emptied()

    # what is told

    @property
    def is_listening(self) -> bool:
        """Whether a port listens for it."""
        return self._sweep.ports > 0

    def sweep(self) -> None:
        """Let every connection think that is due or active; called once a tick."""
        self._sweep.now()

    def listens(self, port: Any) -> None:
        """A port accepts connections for this factory.

        Args:
            port: an ``IListeningPort``; one that can stop to accept for a while is asked to while the service is
                overloaded, if its operator wants that.
        """
        self.service.listens(port)

    def reload(self) -> bool:
        """Read again what guards have read from files.

        Returns:
            Whether all of it could be used; what could not stays as it was, and is told.
        """
        return self.service.reload()

    # what is the wrapped factory's own

    def doStart(self) -> None:
        """Start the wrapped factory."""
        self._sweep.opens()
        self.wrapped.doStart()

    def doStop(self) -> None:
        """Stop the wrapped factory, a closed one behind its last connection; nothing of ours is left behind."""
        self._reports.sampler.finish()
        self._sweep.closes()
        self._stop_application()

    def acceptableProtocols(self) -> list[bytes]:
        """The application's ALPN protocols; asked only when the wrapped factory offers some."""
        return list(cast("IProtocolNegotiationFactory", self.wrapped).acceptableProtocols())

    def __getattr__(self, name: str) -> Any:
        """Everything else, a client factory's callbacks included, is the wrapped factory's."""
        if name.startswith("__") or name == "wrapped":
            raise AttributeError(name)
        return getattr(self.wrapped, name)

    def __repr__(self) -> str:
        """Name both."""
        return f"<guarded {self.wrapped!r}>"


def _line(text: str) -> bytes:
    return text.encode() + b"\r\n"
