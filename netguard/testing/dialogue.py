"""One guarded connection, and the peer at its other end, in the hands of a test."""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from typing import Any, cast

from attrs import define, field
from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IAddress, IProtocolFactory
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from twisted.python.failure import Failure
from zope.interface import provider

from netguard.connection import Connection
from netguard.events import Event
from netguard.factory import TICK, GuardedFactory
from netguard.guard import Guard
from netguard.policy import Policy
from netguard.testing.applications import Echo
from netguard.testing.memory import MemoryTransport
from netguard.testing.native import NativeMemoryTransport
from netguard.wrapper import Wrapper

PEER = IPv4Address("TCP", "192.0.2.1", 40000)
HOST = IPv4Address("TCP", "192.0.2.2", 8110)


@define(eq=False, weakref_slot=True)
class Dialogue:
    """One guarded connection, with the peer at its other end.

    Attributes:
        clock: its time.
        factory: the guarded factory; pass it to :func:`connect` again for a second connection.
        connection: the connection as guards see it; None when it was refused before there was a transport.
        transport: the transport that the guards see; None when it was refused before there was one.
        application: the application's protocol; None as long as, or since, none was started.
        events: what was told of this connection, in order.
    """

    clock: Clock
    factory: GuardedFactory
    connection: Connection | None = None
    transport: MemoryTransport | NativeMemoryTransport | None = None
    application: Any = None
    events: list[Event] = field(factory=list)
    _number: object = None

    @property
    def taken(self) -> bytes:
        """What the peer has taken."""
        return bytes(self._there().taken)

    @property
    def refused(self) -> bool:
        """Whether the connection was refused."""
        return bool(self.events) and self.events[-1].name == "refused"

    @property
    def lost(self) -> bool:
        """Whether the connection is over."""
        return self.transport is None or bool(self.transport.disconnected)

    def _there(self) -> MemoryTransport | NativeMemoryTransport:
        if self.transport is None:
            message = f"the connection was refused: {self.events[-1] if self.events else 'without an event'}"
            raise AssertionError(message)
        return self.transport

    def feed(self, data: bytes, *, split: int | Iterable[int] | None = None) -> None:
        """The peer sends, and the application gets it at once, unless somebody holds the reading back.

        Args:
            data: the bytes.
            split: cut them into pieces of this size, or behind these offsets; each piece is read by itself.
        """
        for piece in _pieces(data, split):
            self._there().deliver(piece)
            self.clock.advance(0)

    def advance(self, seconds: float = 0.0) -> None:
        """Let time pass, in ticks as it passes in a reactor."""
        left = seconds
        while left > 0:
            step = min(left, TICK)
            self.clock.advance(step)
            left -= step
        self.clock.advance(0)

    def takes(self, count: int | None) -> None:
        """The peer takes so many bytes more and then none; None for as many as come."""
        self._there().takes(count)
        self.clock.advance(0)

    def finish(self) -> None:
        """The peer closes its direction (FIN)."""
        self._there().finish()
        self.clock.advance(0)

    def vanish(self) -> None:
        """The peer resets the connection (RST)."""
        self._there().vanish()
        self.clock.advance(0)

    def told(self, event: LogEvent) -> None:
        """Keep what is told of this connection (an observer of ``twisted.logger``)."""
        ours = event.get("netguard")
        if isinstance(ours, Event) and "session" in ours.fields:
            if self._number is None:
                self._number = ours.fields["session"]
            if ours.fields["session"] == self._number:
                self.events.append(ours)


_heard: weakref.WeakSet[Dialogue] = weakref.WeakSet()
_dialogues: weakref.WeakValueDictionary[int, Dialogue] = weakref.WeakValueDictionary()


def _follow(wrapper: Wrapper, outcome: Any) -> None:
    dialogue = _dialogues.get(wrapper.connection.number)
    if dialogue is not None and not isinstance(outcome, Failure):
        dialogue.application = outcome


def connect(
    guards: Guard | Policy | GuardedFactory,
    application: Any = Echo,
    *,
    address: IAddress | None = PEER,
    clock: Clock | None = None,
    tick: float = TICK,
    carrier: Any = MemoryTransport,
) -> Dialogue:
    """Connect a peer to a guarded application.

    Args:
        guards: a guard or a policy; or the ``factory`` of an earlier dialogue, for a second connection to it.
        application: the class of the application's protocol, or its factory; it echoes unless given.
        address: from where the peer connects; None for a transport without addresses.
        clock: the time; a new one unless given.
        tick: seconds between two sweeps.
        carrier: the class of the transport: ``MemoryTransport``, or ``NativeMemoryTransport``, which counts by itself.

    Returns:
        The dialogue: what the peer does next is up to you. Look at its ``refused`` when that may have happened.
    """
    if isinstance(guards, GuardedFactory):
        factory = guards
    else:
        policy = guards if isinstance(guards, Policy) else Policy(guards)
        inner = application if IProtocolFactory.providedBy(application) else Factory.forProtocol(application)
        factory = policy.wrap(inner, clock or Clock(), tick=tick)
    dialogue = Dialogue(cast("Clock", factory.reactor), factory)
    _observe(dialogue)
    factory.follower = _follow
    wrapper: Any = carrier.admit(factory, address)
    if wrapper is None:
        return dialogue
    dialogue.connection, dialogue._number = wrapper.connection, wrapper.connection.number  # noqa: SLF001 - made here
    _dialogues[wrapper.connection.number] = dialogue
    dialogue.transport = carrier(dialogue.clock, wrapper, address, HOST)
    wrapper.makeConnection(dialogue.transport)
    dialogue.clock.advance(0)
    return dialogue


def _observe(dialogue: Dialogue) -> None:
    """Let a dialogue hear what is told, for as long as a test holds it."""
    globalLogPublisher.addObserver(_tell)  # once: a publisher knows which it has
    _heard.add(dialogue)


@provider(ILogObserver)
def _tell(event: LogEvent) -> None:
    """Tell all dialogues that are held.

    One observer for all of them, which stays: to remove one from a publisher when the garbage collector finds its
    dialogue, in the middle of a publication, would hide that event from the observer behind it.
    """
    for dialogue in list(_heard):
        dialogue.told(event)


def _pieces(data: bytes, split: int | Iterable[int] | None) -> Iterator[bytes]:
    if split is None:
        split = ()
    if isinstance(split, int):
        split = range(split, len(data), split)
    at = 0
    for end in [*sorted(split), len(data)]:
        if end > at:
            yield data[at:end]
            at = end
