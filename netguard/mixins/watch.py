"""What the deadlines of a protocol hang on, for :mod:`netguard.mixins`: one DelayedCall and a few shadows.

The call is lazy: to postpone a deadline moves nothing on the reactor's heap. When the call comes too early,
it is armed again for what remains. A shadow is a function put before one method of one object, for a while.
"""

from __future__ import annotations

import socket
from math import inf
from typing import TYPE_CHECKING, Any

from attrs import define, field
from twisted.internet.abstract import FileDescriptor
from twisted.python.runtime import seconds as runtime_seconds

from netguard.mixins.deadlines import Deadlines
from netguard.outflow import base_of, progress, queued

if TYPE_CHECKING:
    from collections.abc import Callable

    from twisted.internet.interfaces import IDelayedCall

_LATE = 0.1
"""Seconds by which the call may be late. Later, we slept: what the peer did meanwhile is heard first."""


@define(eq=False)
class Watch(Deadlines):
    """The deadlines of one protocol, with their call.

    Attributes:
        call: the one DelayedCall, or None.
        armed: its moment.
        seconds: its clock.
        doubting: whether it came late, and was put off by one turn of the reactor.
        handed: bytes that the transport gave to our kernel, as far as we saw.
        aborted: whether we have aborted the connection.
        lost: whether the connection was lost.
        ended: the transport that it had.
    """

    call: IDelayedCall | None = None
    armed: float = inf
    seconds: Callable[[], float] = runtime_seconds
    doubting: bool = False
    handed: int = 0
    aborted: bool = False
    lost: bool = False
    ended: object = None
    _undo: dict[str, Callable[[], None]] = field(factory=dict)

    def arm(self, period: float, later: Callable[[float], IDelayedCall]) -> float:
        """Have the call come in `period` seconds at the latest; return that moment.

        Args:
            period: seconds from now.
            later: what schedules the call.
        """
        if self.call is None or not self.call.active():
            self.call = later(period)
            self.armed = self.call.getTime()
            self.seconds = getattr(self.call, "seconds", runtime_seconds)
            return self.armed
        moment = self.seconds() + period
        if moment < self.armed:
            self.call.reset(period)
            self.armed = moment
        return moment

    def think(self, transport: object, later: Callable[[float], IDelayedCall]) -> bool:
        """The call has come: learn what the peer did. Return whether to decide now, or else be called again.

        A process that slept finds its deadlines passed while bytes wait in the kernel: the reactor runs its
        calls first and reads then. So a call that is late gives it one turn to read and to write.
        """
        self.call = None
        now = self.seconds()
        if self.looking:
            self.look_at(transport)
            if self.read is not None and self.heard + self.read <= now and _unread(base_of(transport)):
                self.heard = now
        if not self.doubting and now - self.armed > _LATE and self.passed(now):
            self.doubting = True
            self.arm(0, later)
            return False
        self.doubting = False
        return True

    def look_at(self, transport: object) -> None:
        """Learn what the peer took."""
        base = base_of(transport)
        if not self.shadows("writeSomeData") and isinstance(base, FileDescriptor):
            self._count_handed(base)
        written = self.handed + queued(transport) if self.shadows("writeSomeData") else 0
        self.look(self.seconds(), *progress(transport, written))

    def stop_unless_needed(self) -> None:
        """Leave no call behind when no deadline is running."""
        if not self.running:
            if self.call is not None and self.call.active():
                self.call.cancel()
            self.call = None
            self.doubting = False

    def stop(self) -> None:
        """End all deadlines, and the call."""
        self.clear()
        self.stop_unless_needed()

    def end(self, transport: object) -> None:
        """The connection is lost: leave nothing, and time nothing more until there is another transport."""
        self.stop()
        self.reveal()
        self.lost, self.ended = True, transport
        self.taken = self.handed = 0
        self.outstanding = self.aborted = False

    def over(self, transport: object) -> bool:
        """Whether nothing is left to be timed. A protocol that got another transport begins anew."""
        if self.lost and transport is not None and transport is not self.ended:
            self.lost, self.ended = False, None
        return self.lost

    def shadow(self, owner: object, name: str, replacement: Callable[..., Any]) -> None:
        """Put a function before a method of one object, until `reveal`."""
        own = vars(owner)
        previous = own.get(name)

        def undo() -> None:
            if own.get(name) is replacement:  # else something came before it since, and stays
                del own[name]
                if previous is not None:
                    own[name] = previous

        own[name] = replacement
        self._undo[name] = undo

    def shadows(self, name: str) -> bool:
        """Whether that method is shadowed."""
        return name in self._undo

    def reveal(self, name: str | None = None) -> None:
        """Take one shadow away, or all."""
        for each in [*self._undo] if name is None else [name]:
            self._undo.pop(each, lambda: None)()

    def _count_handed(self, base: FileDescriptor) -> None:
        # Where no kernel tells what the peer took, a queue kept equally long would look as if nothing moved.
        hand = base.writeSomeData

        def counting(data: bytes) -> int | BaseException:
            result = hand(data)
            if isinstance(result, int) and result > 0:
                self.handed += result
            return result

        self.shadow(base, "writeSomeData", counting)


def _unread(base: object) -> bool:
    """Whether the peer sent something that we have not read: then the silence is ours."""
    sock = getattr(base, "socket", None)
    try:
        return isinstance(sock, socket.socket) and bool(sock.recv(1, socket.MSG_PEEK))
    except OSError:
        return False
