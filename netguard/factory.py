"""Factory in, factory out: admission, the live connections, their sweep and their end."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.internet.interfaces import IProtocolFactory, IProtocolNegotiationFactory
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import alsoProvides, implementer, providedBy

from netguard import events
from netguard.errors import Draining, Expelled, OpeningFailed, Reason
from netguard.meter import CLOSED, Tick, needing_thought
from netguard.wrapper import Wrapper

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress, IDelayedCall, IProtocol, IReactorTime

    from netguard.connection import Connection
    from netguard.guard import Guard, Opener

TICK = 0.25
"""Seconds between two sweeps: a deadline fires within one tick after its moment."""

OPENING = 60.0
"""Seconds that guards may take to decide, in all, whatever they were told."""

_log = Logger(namespace="netguard")
_numbers = count(1)


@implementer(IProtocolFactory)
class GuardedFactory:
    """A factory whose connections are guarded.

    Args:
        wrapped: the application's factory, for servers or for clients.
        guards: what each connection meets, in this order.
        observed: names of the guards that only observe.
        reactor: the clock, of ``IReactorTime``; None for the global reactor, once it is needed.
        tick: seconds between two sweeps.
        beside: another guarded factory of the same service: limits then count both together.
    """

    def __init__(
        self,
        wrapped: Any,
        guards: Sequence[Guard],
        *,
        observed: frozenset[str] = frozenset(),
        reactor: IReactorTime | None = None,
        tick: float = TICK,
        beside: GuardedFactory | None = None,
    ) -> None:
        self.wrapped = wrapped
        self.observed = observed
        self._reactor = reactor
        self._tick = Tick(tick)
        self._live: set[Wrapper] = set()
        self._opening: dict[Wrapper, tuple[Awaitable[object], Iterator[Opener]]] = {}
        self._sweeping: IDelayedCall | None = None
        self._waiting: list[Deferred[None]] = []
        self._sampler = events.Sampler(self._seconds)
        self._inside_a_wrapper = False
        self.closed = False
        self.guards = tuple(guards)
        self.openers: list[Opener] = [each.install(self) for each in guards] if beside is None else beside.openers
        alsoProvides(self, *providedBy(wrapped))

    @property
    def reactor(self) -> IReactorTime:
        """The clock that everything of this factory goes by."""
        if self._reactor is None:
            from twisted.internet import reactor

            self._reactor = cast("IReactorTime", reactor)
        return self._reactor

    def _seconds(self) -> float:
        return self.reactor.seconds()

    @property
    def connections(self) -> list[Connection]:
        """The connections that live now."""
        return [each.connection for each in self._live]

    # admission

    def buildProtocol(self, addr: IAddress | None) -> IProtocol | None:
        """Let the guards decide, then the application's factory; None is a refusal."""
        wrapper = Wrapper(self, self._tick, addr, next(_numbers))
        connection = wrapper.connection
        if self.closed:
            connection.refuse(Draining())
        self._wake()
        self._admit(wrapper, iter(self.openers))
        if connection.state == "opening" and wrapper not in self._opening:
            self._build(wrapper, addr)
        if wrapper.protocol is None and wrapper not in self._opening:
            self._rest()
            return _Refused() if self._inside_a_wrapper else None  # type: ignore[return-value]
        self._live.add(wrapper)
        return cast("IProtocol", wrapper)

    def _admit(self, wrapper: Wrapper, openers: Iterator[Opener]) -> None:
        connection = wrapper.connection
        for opener in openers:
            if connection.state != "opening":
                break
            try:
                wait = opener(connection)
            except Exception:  # noqa: BLE001 - a guard that fails lets nobody in unexamined
                self.failed(connection, "opening")
                connection.refuse(OpeningFailed())
            else:
                if wait is not None and connection.state == "opening":
                    self._opening[wrapper] = (wait, openers)
                    wrapper.received_mark = CLOSED
                    connection.after(OPENING, _give_up)
                    return
        if connection.state == "refused":
            self._refused(connection)

    def _build(self, wrapper: Wrapper, addr: IAddress | None) -> None:
        connection = wrapper.connection
        try:
            protocol = self.wrapped.buildProtocol(addr)
        except BaseException:
            connection.end()
            raise
        if protocol is None:
            connection.end()
        else:
            wrapper.adopt(protocol)
            self.report(connection, "accepted")

    # what the wrappers tell

    def connected(self, wrapper: Wrapper) -> None:
        """The transport is there: start the application, or wait for the guards."""
        waiting = self._opening.get(wrapper)
        if waiting is None:
            self._start(wrapper)
            return
        wrapper.connection.pause("opening")
        self._await(wrapper, *waiting)

    def _await(self, wrapper: Wrapper, wait: Awaitable[object], openers: Iterator[Opener]) -> None:
        def decided(result: object) -> None:
            if wrapper.connection.state != "opening":
                return
            if isinstance(result, Failure):
                _log.failure("a guard failed while a connection was opening", result)
                wrapper.connection.refuse(OpeningFailed())
            self._go_on(wrapper, openers)

        (wait if isinstance(wait, Deferred) else ensureDeferred(wait)).addBoth(decided)  # type: ignore[arg-type]

    def _go_on(self, wrapper: Wrapper, openers: Iterator[Opener]) -> None:
        self._opening.pop(wrapper, None)
        connection = wrapper.connection
        if connection.state == "refused":
            self._refused(connection)
            return
        self._admit(wrapper, openers)
        if wrapper in self._opening:
            self._await(wrapper, *self._opening[wrapper])
        elif connection.state == "opening":
            self._build_late(wrapper)

    def _build_late(self, wrapper: Wrapper) -> None:
        try:
            self._build(wrapper, wrapper.connection.address)
        except Exception:  # noqa: BLE001 - as a Port would: log it, and let the connection go
            self.failed(wrapper.connection, "buildProtocol")
        if wrapper.protocol is None:
            wrapper.close()
            return
        self._start(wrapper)
        wrapper.connection.resume("opening")

    def _start(self, wrapper: Wrapper) -> None:
        self.report(wrapper.connection, "opened")
        wrapper.start()

    def disconnected(self, wrapper: Wrapper, reason: Failure) -> None:
        """The transport is gone: tell it, and give everything back."""
        self._live.discard(wrapper)
        self._opening.pop(wrapper, None)
        connection = wrapper.connection
        if connection.state != "refused":
            name = "closed" if connection.reason is None else "cut"
            self.report(connection, name, connection.reason or reason.value)
        connection.end()
        connection.state = "ended"
        if not self._live:
            self._rest()
            waiting, self._waiting = self._waiting, []
            for each in waiting:
                each.callback(None)

    # events

    def report(self, connection: Connection, name: str, reason: BaseException | None = None) -> None:
        """Tell an event of a connection's life."""
        fields = {**events.describe(connection.address), "session": connection.number}
        if name in ("closed", "cut"):
            fields |= {
                "duration": round(connection.age, 3),
                "bytes_in": connection.received,
                "bytes_out": connection.sent,
            }
        if isinstance(reason, Reason):
            fields |= _decision(reason)
        if reason is not None:
            fields["reason"] = str(reason) or type(reason).__name__
        if name.startswith("would_"):
            self._sampler.emit(name, f"{name} {type(reason).__name__}", fields)
        else:
            events.emit(name, fields)

    def _refused(self, connection: Connection) -> None:
        reason = cast("Reason", connection.reason)
        fields = {**events.describe(connection.address), "session": connection.number, **_decision(reason)}
        self._sampler.emit("refused", type(reason).__name__, {**fields, "reason": str(reason)})
        connection.end()

    def tell(self, name: str, fields: Mapping[str, object]) -> None:
        """Tell an event of the service."""
        events.emit(name, fields)

    def failed(self, connection: Connection, doing: str) -> None:
        """Tell that code called for this connection raised; the exception is the current one."""
        _log.failure("netguard: {doing} failed in session {session}", doing=doing, session=connection.number)

    # the sweep

    def _wake(self) -> None:
        if self._sweeping is None:
            self._tick.stamp = self.reactor.seconds() + self._tick.interval
            self._sweeping = self.reactor.callLater(self._tick.interval, self._sweep)

    def _rest(self) -> None:
        """Leave no timer behind when there is nothing to sweep and nothing to tell."""
        if self._sweeping is not None and not self._live and not self._sampler.holding:
            self._sweeping.cancel()
            self._sweeping = None

    def _sweep(self) -> None:
        self._sweeping = None
        self.sweep()
        if self._live or self._sampler.holding:
            self._wake()

    def sweep(self) -> None:
        """Let every connection think that is due or active; called once a tick."""
        now = self.reactor.seconds()
        self._tick.stamp = now + self._tick.interval
        for meter in needing_thought(self._live, now):
            meter.connection.look(now)
        self._sampler.flush()

    # the end

    def close(self) -> None:
        """Admit nobody any more; those who are in stay."""
        self.closed = True

    def when_empty(self) -> Deferred[None]:
        """Fire once no connection lives."""
        if not self._live:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def abort_all(self, reason: Reason | None = None) -> None:
        """Cut every connection.

        Args:
            reason: what the applications are told; :class:`netguard.errors.Expelled` unless given.
        """
        for each in list(self._live):
            each.connection.cut(reason or Expelled())

    # what is the wrapped factory's own

    def doStart(self) -> None:
        """Start the wrapped factory."""
        # A factory inside another wrapper (TLS over listenSSL, PROXY) must not answer None: Twisted's
        # WrappingFactory wraps the None and fails later (twisted issue 5232). Who calls tells where we are.
        caller = sys._getframe(1).f_locals.get("self")  # noqa: SLF001 - there is no public way to know one's caller
        self._inside_a_wrapper = getattr(caller, "wrappedFactory", None) is self
        self.wrapped.doStart()

    def doStop(self) -> None:
        """Stop the wrapped factory; nothing of ours is left behind."""
        self._sampler.finish()
        self._rest()
        self.wrapped.doStop()

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


def _give_up(connection: Connection) -> None:
    connection.refuse(OpeningFailed())


class _Refused:
    """Stands for a connection that was refused where None cannot be answered: it closes what it is given."""

    def makeConnection(self, transport: Any) -> None:
        getattr(transport, "abortConnection", transport.loseConnection)()

    def dataReceived(self, data: bytes) -> None:
        """Nothing that comes matters."""

    def connectionLost(self, reason: Failure) -> None:
        """Nothing was there to end."""


def _decision(reason: Reason) -> dict[str, object]:
    about = {"guard": reason.guard, "option": reason.option}
    for name in ("limit", "observed"):
        value = getattr(reason, name)
        if value is not None:
            about[name] = reason.unit.text(value)
    return {key: value for key, value in about.items() if value}
