"""Only who has come in is counted out, whoever stops it on the way in or lets it wait there."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock

from netguard.errors import OpeningFailed
from netguard.factory import GuardedFactory
from netguard.guard import Gate, Guard, Stages, frozen
from netguard.guards.connection_limit import ConnectionLimit
from netguard.guards.load_shedding import LoadShedding
from netguard.peer import address_of
from netguard.testing import Application, MemoryTransport
from netguard.verbs import Heard

PEER = "192.0.2.1"
LIMITS: dict[str, Guard] = {
    "total": ConnectionLimit(total=2),
    "per-peer": ConnectionLimit(per_peer=2),
    "pending": LoadShedding(limit=2),
}
"""Every guard that counts who is there, with room for two."""


@frozen
class Stumbles(Guard):
    """Lets everybody pass, but does something else with the second one."""

    instead: Any = None
    first: bool = True

    def install(self, house: Any) -> Stages:
        """Look at sockets, or at peers: before everybody else, or behind."""
        doing = iter([_passes, self.instead])

        def enter(connection: Any) -> Any:
            return next(doing, _passes)(connection)

        gate = Gate(_passes, enter)
        return Stages(socket=gate) if self.first else Stages(peer=gate)


def _passes(_: object) -> None:
    pass


def _raises(_: object) -> None:
    raise ZeroDivisionError


def _refuses(connection: Any) -> None:
    connection.refuse(OpeningFailed())


def _waits(_: object) -> Deferred[None]:
    return Deferred()


def _come(factory: Any) -> Any:
    """Somebody comes, and is let in or not."""
    return factory.buildProtocol(address_of(PEER, 7))


@pytest.mark.parametrize("instead", [_raises, _refuses, _waits])
@pytest.mark.parametrize("behind", [False, True], ids=["before", "behind"])
@pytest.mark.parametrize("limit", LIMITS.values(), ids=LIMITS)
def test_nobody_leaves_who_has_not_entered(limit: Guard, behind: bool, instead: Any, logged: Any) -> None:
    """Whom a guard stops on the way in, no guard counts any longer; and none counts it out that had not counted it."""
    guards = [Stumbles(instead), limit] if behind else [limit, Stumbles(instead, first=False)]
    factory = GuardedFactory(Factory.forProtocol(Application), guards, reactor=Clock())
    assert _come(factory) is not None
    stopped = _come(factory)
    if instead is _waits:
        factory.abandoned(stopped)
    assert factory.population == 1
    assert _come(factory) is not None
    assert _come(factory) is None
    assert len(logged.take_failures(ZeroDivisionError)) == (instead is _raises)


@pytest.mark.parametrize("limit", LIMITS.values(), ids=LIMITS)
def test_who_waits_on_the_way_in_enters_afterwards(limit: Guard) -> None:
    """And leaves, or settles, once."""
    wait: Deferred[None] = Deferred()
    clock = Clock()
    factory = GuardedFactory(Factory.forProtocol(Application), [Stumbles(lambda _: wait), limit], reactor=clock)
    _come(factory)
    waits = _come(factory)
    waits.makeConnection(MemoryTransport(clock, waits, address_of(PEER, 7)))
    assert factory.meet(PEER, 7) is not None  # there is room as long as it has not entered
    wait.callback(None)
    assert waits.protocol is not None
    assert factory.meet(PEER, 7) is None
    waits.connection.settle()
    settled = isinstance(limit, LoadShedding)
    assert (factory.meet(PEER, 7) is not None) == settled
    factory.abandoned(waits)
    assert _come(factory) is not None
    assert _come(factory) is None


class Listens:
    """Hears one piece, which says nothing of who the peer is."""

    last = True

    def receive(self, data: bytes) -> Heard:
        """Hear it."""
        return Heard(data)


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("limit", LIMITS.values(), ids=LIMITS)
def test_who_is_heard_last_has_entered_everywhere_by_then(limit: Guard, waits: bool) -> None:
    """It takes its place while it says nothing, and gives it back; what it says later is the application's.

    Also where another guard needs time first.
    """
    wait: Deferred[None] = Deferred()

    @frozen
    class Waits(Guard):
        """Needs time for the second one."""

        def install(self, house: Any) -> Any:
            """Tell them apart."""
            answers = iter([None, wait if waits else None])
            return lambda _: next(answers, None)

    clock = Clock()
    guards = [Stumbles(lambda _: Listens()), limit, Waits()]
    factory = GuardedFactory(Factory.forProtocol(Application), guards, reactor=clock)
    there, silent = (_come(factory) for _ in range(2))
    assert factory.meet(PEER, 7) is None
    transport = MemoryTransport(clock, silent, address_of(PEER, 7))
    silent.makeConnection(transport)
    transport.deliver(b"hello")
    clock.advance(0)
    assert (silent.protocol is None) == waits
    wait.callback(None)
    clock.advance(0)
    assert silent.protocol.received == b"hello"
    assert factory.meet(PEER, 7) is None
    for each in (silent, there):
        factory.abandoned(each)
        assert factory.meet(PEER, 7) is not None
    assert [_come(factory) is None for _ in range(3)] == [False, False, True]
