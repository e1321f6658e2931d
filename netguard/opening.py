"""How a connection is opened: what every one gets alike is worked out once, when the factory is made.

Most of netguard's guards only set marks and deadlines, the same on every connection. Such a guard is opened once, on a
recorder; each connection then takes over the recorded plan as it is. A guard that wants to know something about the
connection, that refuses, or that waits, cannot be recorded: it is opened with each connection. So are the guards of
other authors, since nobody knows what else their ``open`` does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Iterator
from functools import reduce
from inspect import iscoroutinefunction
from itertools import chain
from math import inf
from typing import TYPE_CHECKING, Any, Protocol

import attrs
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from netguard import plan
from netguard.connection import UNCONNECTED
from netguard.early import Early
from netguard.entrances import Entrances
from netguard.errors import OpeningFailed, Reason
from netguard.guard import LATER, Gate, Opener, Stages
from netguard.plan import Hooks
from netguard.recorder import NotAlikeError, Recorder

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress

    from netguard.connection import Connection
    from netguard.guard import Guard, Heard, Newcomer, Reader
    from netguard.plan import Memory, Plan
    from netguard.taps import Tap

_OURS = "netguard.guards."

OPENING = 60.0
"""Seconds that guards may take to decide, in all, whatever they were told."""


class House(Protocol):
    """What opening needs of the factory."""

    memory: Memory
    service: Any

    @property
    def reactor(self) -> IReactorTime:
        """The clock."""

    def failed(self, connection: Any, doing: str) -> None:
        """Tell that code called for this connection raised; the exception is the current one."""


@attrs.frozen
class Rest:
    """What is left to do with a connection when its peer has passed some gates.

    Args:
        openers: whom to ask, or to let count it, in this order.
        hooks: what is called later.
    """

    openers: list[Opener]
    hooks: Hooks


class Opening:
    """What happens to a new connection, before its application is built.

    Args:
        guards: in the order in which a connection meets them.
        house: the factory they are installed in.
        beside: the opening of another factory of the same service: what its equal guards count, they count together.

    Attributes:
        questions: what has to be called with each connection, in order, each with the guard that asks.
        whole: what is to be done with a connection about which nobody has been asked.
        installed: the guards, each with what it answered.
        gates: the first of the openers, as far as they can decide without a connection.
    """

    def __init__(self, guards: Iterable[Guard], house: House, beside: Opening | None = None) -> None:
        self._house = house
        self.installed: list[tuple[Guard, Opener | Stages]] = []
        self._of_sockets: list[tuple[Guard, Opener]] = []
        self._of_peers: list[tuple[Guard, Opener]] = []
        self._plan: Plan = plan.EMPTY
        self._ends = self._settlers = house.memory.nothing
        self._tap: Tap | None = None
        for guard in guards:
            self._install(guard, [] if beside is None else beside.installed)
        self.questions = [*self._of_sockets, *self._of_peers]
        self._entrances = Entrances(self.questions)
        self.gates = self._entrances.gates
        rests = [self._behind(passed) for passed in range(len(self.gates) + 1)]
        self.whole, self._rest = rests[0], rests[-1]
        self._gates = [(gate.why, rest) for gate, rest in zip(self.gates, rests, strict=False)]
        moments = [each.limit for each in self._plan.watches if each.when in (plan.age, plan.silence)]
        self._soonest = min(moments, default=inf)

    def _install(self, guard: Guard, beside: Iterable[tuple[Guard, Opener | Stages]]) -> None:
        known = (answer for installed, answer in beside if installed == guard)
        answer = next(known, None) or guard.install(self._house.service)
        self.installed.append((guard, answer))
        stages = answer if isinstance(answer, Stages) else Stages(peer=answer)
        self._house.memory.own(guard)
        for opener, asked in ((stages.socket, self._of_sockets), (stages.peer, self._of_peers)):
            if opener is not None:
                self._own(opener, guard)
                if not (_recordable(opener, guard) and self._record(opener)):
                    asked.append((guard, opener))

    def _own(self, opener: Opener, guard: Guard) -> None:
        """What watches and calls of connections are shared for: the guard, and what it has installed."""
        parts = attrs.astuple(opener, recurse=False) if isinstance(opener, Gate) else (opener,)
        for each in parts:
            self._house.memory.own(getattr(each, "__self__", guard))

    def _behind(self, passed: int) -> Rest:
        """What is left to do when so many gates have been passed."""
        calls, openers = self._house.memory.calls, [opener for _, opener in self.questions[passed:]]
        gates = [gate for gate in self.gates[:passed] if gate.enter is not None]
        hooks = Hooks(
            reduce(calls, [gate.settle for gate in gates if gate.settle is not None], self._settlers),
            reduce(calls, [gate.leave for gate in gates if gate.leave is not None], self._ends),
        )
        return Rest([*(gate.enter for gate in gates if gate.enter is not None), *openers], hooks)

    def _record(self, opener: Opener) -> bool:
        """Open a guard once for all connections, if that can be done."""
        memory = self._house.memory
        recorder = Recorder(memory)
        try:
            opener(recorder)
        except NotAlikeError:
            return False
        for each in recorder.plan.watches:
            self._plan = memory.extend(self._plan, each.when, each.limit, each.do)
        for do in recorder.ends:
            self._ends = memory.calls(self._ends, do)
        for do in recorder.settlers:
            self._settlers = memory.calls(self._settlers, do)
        for look, unless in recorder.looks:
            self._tap = memory.with_look(self._tap, look, unless)
        return True

    def begin(self, connection: Connection, rest: Rest) -> None:
        """Give a new connection what all connections get, and those that have passed the same gates.

        Args:
            connection: a connection that nobody has refused.
            rest: what is left to do with it: next, :meth:`ask` its openers.
        """
        connection.take_over(self._plan, rest.hooks)
        meter = connection.meter
        meter.tap = self._tap
        meter.received_mark = self._plan.received_mark
        meter.sent_mark = self._plan.sent_mark
        meter.due = connection.opened + min(self._soonest * self._house.service.patience, UNCONNECTED)

    def judge(self, newcomer: Newcomer) -> Reason | Rest:
        """Decide about a newcomer as far as that can be done before there is a connection.

        Args:
            newcomer: whom it is about.

        Returns:
            Why it is refused, or what is left to do with its connection.
        """
        rest = self._rest
        try:
            for why, rest in self._gates:
                answer = why(newcomer)
                if answer is not None:
                    return rest if answer is LATER else answer
        except Exception:  # noqa: BLE001 - it will fail again with the connection, for which that can be told
            return rest
        return self._rest

    def ask(self, connection: Connection, openers: Iterator[Opener], address: IAddress | None) -> Early | None:
        """Ask guards in turn, until one refuses or needs time.

        Args:
            connection: whom it is about.
            openers: the guards to ask.
            address: the peer's address.

        Returns:
            What to wait for, when one needs time.
        """
        for opener in openers:
            if connection.state != "opening":
                self._entrances.put_off(connection, [opener, *openers])
                break
            try:
                wait = opener(connection)
            except Exception:  # noqa: BLE001 - a guard that fails lets nobody in unexamined
                self._fail(connection)
            else:
                if wait is not None and connection.state == "opening":
                    return self._wait(connection, wait, openers, address)
        return None

    def _wait(
        self, connection: Connection, wait: Awaitable[object] | Reader, openers: Iterator[Opener], address: Any
    ) -> Early | None:
        """What to wait for when a guard needs time; what changes nothing for the others is heard behind them."""
        if not getattr(wait, "last", False):
            return Early(address, wait, self._entrances.put_off(connection, [*openers]))
        early = self.ask(connection, openers, address)
        if early is not None:
            early.openers = chain(early.openers, [lambda _: wait])
        elif connection.state == "opening":
            early = Early(address, wait, openers)
        return early

    def hear(self, connection: Connection, early: Early, data: bytes) -> Heard | None:
        """Let a reader hear what came; a reader that fails is a refusal.

        Args:
            connection: whom it is about.
            early: who hears.
            data: what came.

        Returns:
            What was heard, once that is enough and the connection was not refused for it.
        """
        reader = early.reader
        if reader is None or connection.state != "opening":
            return None
        try:
            heard = reader.receive(data)
        except Exception:  # noqa: BLE001 - as in ask
            self._fail(connection)
            return None
        return heard if connection.admitted else None

    def wait_for(self, connection: Connection, early: Early) -> Deferred[object]:
        """Wait until a guard has decided; what it raises is a refusal, and so is taking too long.

        Args:
            connection: whom it is about, its transport there.
            early: what to wait for.
        """
        connection.after(OPENING - connection.age, _give_up)

        def failed(why: Failure) -> None:
            if connection.state == "opening":
                try:
                    why.raiseException()
                except BaseException:  # noqa: BLE001 - a cancelled wait and a bug alike: nothing gets in unexamined
                    self._fail(connection)

        return ensureDeferred(_whole(early.awaited())).addErrback(failed)

    def _fail(self, connection: Connection) -> None:
        self._house.failed(connection, "opening")
        connection.refuse(OpeningFailed())


def _give_up(connection: Connection) -> None:
    connection.refuse(OpeningFailed())


async def _whole(wait: Awaitable[object]) -> object:
    return await wait


def _recordable(opener: Opener, guard: Guard) -> bool:
    """Whether the guard is one of ours and frozen data all through, and takes no time to decide."""
    ours = type(guard).__module__.startswith(_OURS) and getattr(opener, "__self__", None) is guard
    return ours and not iscoroutinefunction(opener)
