"""Twisted's TimeoutMixin, with deadlines for reading, writing and phases, and with an end that is an end.

The rules of this file:

* one DelayedCall a protocol, for all its deadlines. An event only stamps a moment; a call that comes too
  early is armed again for what remains. So nothing moves on the reactor's heap per event, and a deadline
  still strikes at its moment;
* a deadline ends a connection by an abort: ``loseConnection`` waits for a peer that may never read;
* nothing outlives ``connectionLost``. From the first deadline on, ``connectionLost`` of that one *instance*
  is shadowed: no base class has to call ``super()``, and a protocol without deadlines pays nothing.
  ``dataReceived`` is shadowed in the same way while there is a read deadline. Should something replace the
  shadow, the call finds its transport gone, and stops there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from netguard.mixins.deadlines import LOOKS, WriteTimedOut
from netguard.mixins.watch import Watch
from netguard.units import duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall

    from netguard.errors import Reason


class TimeoutMixin:
    """Deadlines for a protocol; a drop-in for :class:`twisted.protocols.policies.TimeoutMixin`.

    Twisted's names mean what they mean there. Two things differ. ``timeoutConnection`` aborts, for a peer
    that does not read is just the one for which ``loseConnection`` waits; override it to be politer, and set
    a write timeout beside it. And no call is left after ``connectionLost``, whether or not the protocol
    cancels it.

    Periods are seconds. The clock is the one of ``callLater``: a ``clock`` or ``reactor`` attribute that
    provides IReactorTime, else the global reactor.

    Attributes:
        timeOut: the idle period, or None. As in Twisted, it runs once ``setTimeout`` was called.
        timeoutReason: the deadline that passed last: TimedOut, ReadTimedOut, WriteTimedOut or
            PhaseTimedOut (:mod:`netguard.mixins.deadlines`). ``timeoutConnection`` finds it here; after an abort
            ``connectionLost`` gets it as its reason.
    """

    timeOut: float | None = None
    timeoutReason: Reason | None = None
    __watch: Watch | None = None

    def callLater(self, period: float, func: Callable[[], Any]) -> IDelayedCall:
        """Schedule a call; override it to bring a clock of your own.

        Args:
            period: seconds from now.
            func: what to call.
        """
        for name in ("clock", "reactor"):
            clock = getattr(self, name, None)
            if IReactorTime.providedBy(clock):
                return IReactorTime(clock).callLater(period, func)
        from twisted.internet import reactor

        return IReactorTime(reactor).callLater(period, func)

    def setTimeout(self, period: float | None) -> float | None:
        """Change the idle period and begin it anew.

        Args:
            period: seconds, or None to have no such deadline.

        Returns:
            The period before.
        """
        previous, self.timeOut = self.timeOut, period
        watch = self.__state()
        if period is None:
            watch.idle = None
            watch.stop_unless_needed()
        else:
            watch.idle_period = period
            watch.idle = self.__arm(period)
        return previous

    def resetTimeout(self) -> None:
        """Begin the idle period anew, if one is running. Call it when something meaningful came."""
        watch = self.__watch
        period = self.timeOut
        if watch is None or watch.idle is None or period is None:
            return
        watch.idle = moment = watch.seconds() + period
        if moment < watch.armed:  # timeOut became shorter by assignment
            self.__arm(period)

    def setReadTimeout(self, seconds: float | str | None) -> None:
        """Cut a peer from which nothing comes.

        What counts is that ``dataReceived`` is called, or that bytes wait unread in the kernel (the silence
        is then ours). The time in which the peer takes an answer does not count against it.

        Args:
            seconds: the longest silence, as a number or as text (``"30s"``); None ends the deadline.

        Raises:
            ValueError: that is no duration.
            TypeError: there is no ``dataReceived`` in which something could come.
        """
        period = None if seconds is None else duration(seconds)
        watch = self.__state()
        if period is None:
            watch.read = None
            watch.reveal("dataReceived")
            watch.stop_unless_needed()
            return
        deliver = getattr(self, "dataReceived", None)
        if deliver is None:
            raise TypeError(f"setReadTimeout watches dataReceived, and {type(self).__name__} has none")
        if self.__arm(period / LOOKS) is not None:
            self.__listen(watch, deliver)
            watch.read = period
            watch.look_at(self.__transport())
            watch.heard = watch.seconds()

    def setWriteTimeout(self, seconds: float | str | None) -> None:
        """Abort the connection to a peer that does not take what was written to it.

        This does not ask ``timeoutConnection``: politeness cannot reach a peer that does not read.

        To take is to acknowledge (TCP on Linux), or else to let our kernel accept bytes from the queue. It is
        looked at eight times in a period: the cut comes when the whole period has passed, and at most an
        eighth later. It holds through ``loseConnection``. On a transport that shows neither, nothing is ever
        outstanding.

        Args:
            seconds: how long it may take nothing, as a number or as text; None ends the deadline.

        Raises:
            ValueError: that is no duration.
        """
        period = None if seconds is None else duration(seconds)
        watch = self.__state()
        if period is None:
            watch.write = None
            watch.stop_unless_needed()
            return
        if self.__arm(period / LOOKS) is not None:
            watch.write = period
            watch.look_at(self.__transport())
            watch.moved = watch.seconds()

    def startPhase(self, name: str, seconds: float | str) -> None:
        """Begin a phase that must end in time, whatever happens. A running one of that name begins anew.

        Args:
            name: the phase, for ``endPhase`` and for the reason; several may run at once.
            seconds: its length, as a number or as text.

        Raises:
            ValueError: that is no duration.
        """
        period = duration(seconds)
        moment = self.__arm(period)
        if moment is not None:
            self.__state().phases[name] = moment, period

    def endPhase(self, name: str) -> bool:
        """End a phase. To end one that is not running is harmless: it may just have run out.

        Args:
            name: the phase.

        Returns:
            Whether it was running.
        """
        watch = self.__state()
        running = watch.phases.pop(name, None) is not None
        watch.stop_unless_needed()
        return running

    def timeoutConnection(self) -> None:
        """End the connection, by abort where the transport can.

        Called when the idle period, the read period or a phase has run out.
        """
        self.__abort()

    def __abort(self) -> None:
        transport = self.__transport()
        abort = getattr(transport, "abortConnection", None)
        if abort is not None:
            self.__state().stop()
            self.__state().aborted = True
            abort()
        elif transport is not None:
            transport.loseConnection()

    def __transport(self) -> Any:
        return getattr(self, "transport", None)  # a mixin has none of its own, and must not hide another's

    def __state(self) -> Watch:
        if self.__watch is None:
            self.__watch = Watch()
        return self.__watch

    def __arm(self, period: float) -> float | None:
        watch = self.__state()
        if watch.over(self.__transport()):
            return None
        moment = watch.arm(period, self.__later)
        if not watch.shadows("connectionLost"):
            self.__await_end(watch)
        return moment

    def __later(self, period: float) -> IDelayedCall:
        return self.callLater(period, self.__think)

    def __think(self) -> None:
        watch = self.__state()
        transport = self.__transport()
        if getattr(transport, "disconnected", 0) == 1:  # connectionLost did not pass through us
            watch.stop()
        elif watch.think(transport, self.__later):
            now = watch.seconds()
            reason = watch.strike(now)
            following = watch.next(now)
            if following is not None:
                watch.arm(max(0.0, following - now), self.__later)
            if reason is not None:
                self.timeoutReason = reason
                self.__abort() if isinstance(reason, WriteTimedOut) else self.timeoutConnection()

    def __await_end(self, watch: Watch) -> None:
        deliver = getattr(self, "connectionLost", None)
        if deliver is None:
            return

        def lost(reason: Any = connectionDone, *own: Any, **named: Any) -> Any:
            if own or named:  # not IProtocol's call but the protocol's own: HTTP/2 makes one while it still waits
                return deliver(reason, *own, **named)
            # TLS says ConnectionLost after an abort; a timeoutConnection of its own may have aborted, too.
            aborted = watch.aborted or getattr(reason, "type", None) is ConnectionAborted
            watch.end(self.__transport())
            if aborted and self.timeoutReason is not None:
                reason = Failure(self.timeoutReason)
            return deliver(reason)

        watch.shadow(self, "connectionLost", lost)

    def __listen(self, watch: Watch, deliver: Callable[[bytes], Any]) -> None:
        if watch.shadows("dataReceived"):
            return

        def hear(data: bytes) -> Any:
            watch.heard = watch.seconds()
            return deliver(data)

        watch.shadow(self, "dataReceived", hear)
