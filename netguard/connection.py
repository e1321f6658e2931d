"""One guarded connection, with its verbs. :class:`netguard.guard.Connection` says what guards may use of it.

The tallies live in the meter, which alone is on the path of the bytes; a connection thinks only when a mark is crossed
or when the sweep finds it due.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import evolve
from twisted.internet.interfaces import ISSLTransport

from netguard import plan
from netguard.errors import OpeningFailed
from netguard.facts import Facts, Way
from netguard.intervals import NO_PAUSES, Handshake, Pauses
from netguard.taps import EVERY, Whole
from netguard.verbs import Misdeed

if TYPE_CHECKING:
    from netguard.errors import Reason
    from netguard.plan import Do, Hooks, Plan, Watch, When
    from netguard.taps import Look

UNCONNECTED = 60.0
"""Seconds after which a connection that still has no transport never will have one."""

PARTING = 5.0
"""Seconds that a refused peer has for taking the text that it is told."""


class Connection(Facts):
    """The facts of a connection, and what can be done with it."""

    __slots__ = ()

    def after(self, seconds: float, do: Do) -> None:
        """Call ``do`` this many seconds from now."""
        if self.meter.transport is None:
            self._watch(plan.age, seconds, do)
        else:
            self._watch(plan.later, (self.house.reactor.seconds(), seconds), do)

    def when_silent(self, seconds: float, do: Do) -> None:
        """Call ``do`` when the peer has been silent for this many seconds."""
        self._watch(plan.silence, seconds, do)

    def when_stalled(self, seconds: float, do: Do) -> None:
        """Call ``do`` when bytes have waited this many seconds for a peer that takes none."""
        self._watch(plan.stall, seconds, do)

    def when_received(self, count: int, do: Do) -> None:
        """Call ``do`` as soon as more than this many bytes have come, before they are delivered."""
        self._watch(plan.received, count, do)
        self.meter.received_mark = min(self.meter.received_mark, count)

    def when_sent(self, count: int, do: Do, *, held: bool = False) -> None:
        """Call ``do`` when this many bytes have been written and more are to follow, before they do.

        Bytes that a guard holds back do not count, or with ``held`` do: then ``do`` is called as soon as the
        application has written more than this many bytes, and they count as queued already.
        """
        self._watch(plan.written if held else plan.sent, count, do)
        self.meter.sent_mark = min(self.meter.sent_mark, count)

    def _watch(self, when: When, limit: Any, do: Do) -> None:
        if self.admitted:
            self._plan = self.house.memory.extend(self._plan, when, limit, do)
            self.meter.due = min(self.meter.due, when(self, limit))

    def tap(self, look: Look, unless: Whole = EVERY) -> None:
        """Call ``look`` with the connection and every chunk that comes, before it is delivered; but for some chunks."""
        self.meter.tap = self.house.memory.with_look(self.meter.tap, look, unless)

    def untap(self, look: Look) -> None:
        """Show no more chunks to ``look``; without anybody to show them to, they cost nothing again."""
        self.meter.tap = self.house.memory.without_look(self.meter.tap, look)

    def pause(self, who: str, way: Way = "in") -> None:
        """Stop one direction until ``who`` resumes it; a guard in observe mode only says that it would."""
        if who in self.house.observed:
            self.house.report(self, "would_pause", guard=who, way=way)
        elif (who, way) not in self._pauses.held and self.admitted:
            before = self.paused(way)
            self._pauses = evolve(self._pauses, held=self._pauses.held | {(who, way)})
            if not before:
                self._hold(way)

    def _hold(self, way: Way) -> None:
        if way == "in":
            self._pauses = evolve(self._pauses, deaf_since=self.house.reactor.seconds())
            self.meter.hold_reading()
        else:
            self.meter.hold_writing()

    def resume(self, who: str, way: Way = "in") -> None:
        """Take back ``who``'s pause; what others paused stays paused."""
        if (who, way) not in self._pauses.held:
            return
        self._pauses = evolve(self._pauses, held=self._pauses.held - {(who, way)})
        if self.paused(way) or not self.admitted:
            return
        if way == "out":
            self.rearm()
            self.meter.release_writing()
        else:
            self._listen_again()
            self.meter.release_reading()

    def _listen_again(self) -> None:
        now = self.house.reactor.seconds()
        meter, since = self.meter, self._pauses.deaf_since
        if meter.incoming is not None and since is not None:
            began, base = meter.incoming
            meter.incoming = (began + now - max(began, since), base)
        self._pauses = Pauses(self._pauses.held) if self._pauses.held else NO_PAUSES
        meter.active = now
        meter.due = now

    def paused(self, way: Way) -> bool:
        """Whether somebody holds one direction back."""
        held = self._pauses.held
        return bool(held) and any(each == way for _, each in held)

    def cut(self, reason: Reason) -> bool:
        """End the connection now, by an abort; the application's connectionLost gets the reason.

        Returns:
            Whether the connection is cut; not when its guard only observes, or it has ended before.
        """
        if self.state == "opening":
            return self.refuse(reason)
        if self.state != "open":
            return False
        if reason.guard in self.house.observed:
            self.house.report(self, "would_cut", reason)
            return False
        self.state = "cut"
        self.reason = reason
        self.meter.close()
        if reason.weight and not (self.parting and reason.guard == "HandshakeTimeout"):  # some never send close_notify
            self.misdeed("cut", reason.weight)
        return True

    def refuse(self, reason: Reason) -> bool:
        """Do not let the connection in; no application protocol is built.

        Returns:
            Whether the connection is refused; not when the guard only observes, or another has refused it before.
        """
        if self.state != "opening":
            return False
        if reason.guard in self.house.observed:
            self.house.report(self, "would_refuse", reason)
            return False
        self.state = "refused"
        self.reason = reason
        answer = self.house.answer
        if answer is None or self.meter.transport is None or self.house.tls is not None:  # who waits for TLS
            self.meter.close()
        else:
            self._part(answer)
        return True

    def turn_away(self, reason: Reason) -> None:
        """The application cannot serve the peer: end the connection in the style in which others are refused."""
        if self.state == "open":
            self.state, self.reason = "cut", reason
            if self.house.service.resets:
                self.meter.close()
            else:
                self._part(self.house.answer or b"")

    def _part(self, text: bytes) -> None:
        self.meter.part(text)
        self.meter.due = self.house.reactor.seconds() + PARTING

    def settled(self, do: Do) -> None:
        """Call ``do`` when the application says that the peer is past its login."""
        hooks = self._hooks
        self._hooks = plan.Hooks(self.house.memory.calls(hooks.settlers, do), hooks.ends)

    def at_end(self, do: Do) -> None:
        """Call ``do`` once, when the connection has ended, a later guard's refusal included."""
        hooks = self._hooks
        self._hooks = plan.Hooks(hooks.settlers, self.house.memory.calls(hooks.ends, do))

    def misdeed(self, kind: str, weight: float = 1.0, once: bytes | None = None) -> None:
        """Say that the peer did something that it should not have done."""
        self.house.service.misdeed(self, Misdeed(kind, weight, once))

    def settle(self) -> None:
        """The application says: this peer is past its login. Only the first time counts."""
        if self.settled_at is None and self.state == "open":
            self.settled_at = self.age
            self.house.report(self, "settled")
            for each in self._hooks.settlers.all:
                self._call(each, "settled")

    def take_over(self, watches: Plan, hooks: Hooks) -> None:
        """Begin with what every connection of the factory gets."""
        self._plan = watches
        self._hooks = hooks

    def unhook(self, settlers: list[Do | None], ends: list[Do | None]) -> None:
        """Do not call these later, each once less than it was to be."""
        self._hooks = self.house.memory.fewer(self._hooks, settlers, ends)

    def end(self) -> None:
        """The connection is over: give back every place, once, and let go of everything."""
        self.state = "ended"
        hooks, self._hooks = self._hooks, plan.NO_HOOKS
        self._plan = plan.EMPTY
        for each in hooks.ends.all:
            try:
                each(self)
            except Exception:  # noqa: BLE001 - as in _call, without which this is quicker
                self.house.failed(self, "at_end")

    def secure(self) -> None:
        """A TLS handshake begins, or has begun below us."""
        self.handshake = Handshake(self.house.reactor.seconds(), parting=self.parting)

    def handshaken(self) -> None:
        """It is over; one at the end goes on until the connection is."""
        if not self.parting:
            self.handshake = None

    def part(self) -> None:
        """The application has closed: over TLS, that ends only with the peer's consent, which is timed."""
        if ISSLTransport.providedBy(self.meter.transport):
            self.handshake = Handshake(self.house.reactor.seconds(), parting=True)

    def met(self, transport: object) -> None:
        """The transport is there."""
        if ISSLTransport.providedBy(transport):
            self.secure()

    def cross(self, way: Way) -> None:
        """More bytes than a mark: call whose mark it is, and set the marks anew."""
        if way == "in":
            self._cross(self._plan.received, self.meter.received)
        else:
            self._cross(self._plan.sent, self.meter.sent + 1)

    def cross_written(self) -> None:
        """The same, for bytes that the application has just written and that have not passed yet."""
        self._cross(self._plan.written, self.written)

    def _cross(self, marks: tuple[Watch, ...], passed: int) -> None:
        due = tuple([each for each in marks if each.limit < passed])
        if due:
            self._fire(due)
        self.rearm()

    @property
    def room(self) -> float:
        """Bytes that may be sent before the next mark."""
        return self._plan.sent_mark - self.meter.sent

    def rearm(self) -> None:
        """Set the meter's marks."""
        meter = self.meter
        if self.state == "open":
            meter.received_mark = self._plan.received_mark
            meter.sent_mark = self._plan.sent_mark
            if self.paused("out"):
                meter.hold_writing()

    def look(self, now: float) -> None:
        """Think: bring the exchanges up to date, do what is due, and say when to think again."""
        meter = self.meter
        if not self.admitted:
            if now >= meter.due:  # it was answered with a text, and has had its time to take it
                meter.close()
            return
        if meter.transport is None and now - self.opened >= UNCONNECTED:
            self.refuse(OpeningFailed())
            return
        meter.notice(now)
        due = self._plan.due(self, now)
        if due:
            self._fire(due)
        meter.due = self._plan.next(self)
        if meter.transport is None:
            meter.due = min(meter.due, self.opened + UNCONNECTED)

    def _fire(self, due: tuple[Watch, ...]) -> None:
        self._plan = self.house.memory.without(self._plan, due)
        for each in due:
            if self.admitted:
                self._call(each.do, "watch")

    def _call(self, do: Do, doing: str) -> None:
        try:
            do(self)
        except Exception:  # noqa: BLE001 - one guard's failure must not keep the others from working
            self.house.failed(self, doing)
