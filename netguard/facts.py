"""What is known of one guarded connection: the facts that guards, operators and logs read.

Nothing here changes anything; the verbs are in :mod:`netguard.connection`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Protocol

from netguard.intervals import NO_PAUSES, Handshake, Pauses
from netguard.peer import Addressed, Caller, Known, Peer, address_of, named
from netguard.plan import EMPTY, NO_HOOKS

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress, IReactorTime

    from netguard.errors import Reason
    from netguard.meter import Meter
    from netguard.plan import Hooks, Memory, Plan, Watch
    from netguard.verbs import Heard

Way = Literal["in", "out"]
State = Literal["opening", "open", "refused", "cut", "ended"]


class House(Protocol):
    """What a connection needs of the factory it belongs to."""

    observed: frozenset[str]
    memory: Memory
    service: Any
    tls: Any

    @property
    def answer(self) -> bytes | None:
        """What refused connections are told."""

    @property
    def reactor(self) -> IReactorTime:
        """The clock."""

    def report(self, connection: Any, name: str, reason: Reason | None = None, **about: object) -> None:
        """Tell an event of this connection's life."""

    def failed(self, connection: Any, doing: str) -> None:
        """Tell that code called for this connection raised; the exception is the current one."""


class Facts(Addressed):
    """The facts of one connection.

    Args:
        house: the factory it belongs to.
        meter: where its bytes pass.
        address: the address its socket has at the other end; None for transports without one.
        number: unique within the process; the ``session`` of its events.
        caller: the peer, where it was met before.
    """

    __slots__ = (
        "_hooks",
        "_kind",
        "_pauses",
        "_plan",
        "handshake",
        "house",
        "known",
        "meter",
        "number",
        "opened",
        "reason",
        "settled_at",
        "state",
    )

    house: House
    known: Known | None
    _kind: IAddress | None
    reason: Reason | None
    settled_at: float | None
    handshake: Handshake | None
    _pauses: Pauses
    _plan: Plan
    _hooks: Hooks
    state: State

    def __init__(
        self, house: House, meter: Meter, address: IAddress | None, number: int, caller: Caller | None = None
    ) -> None:
        self.house = house
        self.meter = meter
        self.number = number
        if caller is None:
            self.opened = house.reactor.seconds()
            self._stand_at(address)
        else:
            self.opened = caller.now
            self.be_as(caller)
            self._kind = None
        self._plan = EMPTY
        self._hooks = NO_HOOKS
        self._pauses = NO_PAUSES
        self.known = self.reason = self.settled_at = self.handshake = None
        self.state = "opening"

    def _stand_at(self, address: IAddress | None) -> None:
        host = getattr(address, "host", None)
        self._kind = address if host is None else None
        self.be(named(address) if host is None else host, getattr(address, "port", 0))

    @property
    def received(self) -> int:
        """Bytes that came from the peer."""
        return self.meter.received

    @property
    def sent(self) -> int:
        """Bytes that the application wrote, those that are held back excepted."""
        return self.meter.sent

    @property
    def written(self) -> int:
        """Bytes that the application wrote."""
        return self.meter.sent + self.meter.held_back()

    @property
    def queued(self) -> int:
        """Bytes written that have not left this process."""
        return self.meter.queued

    @property
    def watches(self) -> tuple[Watch, ...]:
        """The marks and deadlines that guards have set on it and that have not come."""
        return self._plan.watches

    @property
    def pauses(self) -> frozenset[tuple[str, str]]:
        """Who holds which direction back."""
        return self._pauses.held

    @property
    def now(self) -> float:
        """The present moment."""
        return self.house.reactor.seconds()

    @property
    def age(self) -> float:
        """Seconds since the connection was made."""
        return self.house.reactor.seconds() - self.opened

    @property
    def listening(self) -> bool:
        """Whether nobody has paused the reading."""
        return self._pauses.deaf_since is None

    @property
    def silent(self) -> float:
        """Seconds since a byte came, or the peer took one of ours; 0 while nobody was listening to it."""
        meter = self.meter
        if meter.received != meter.noticed or (not self.listening and meter.outgoing is None):
            return 0.0
        return self.house.reactor.seconds() - meter.active

    @property
    def stalled(self) -> float:
        """Seconds for which bytes have been waiting for the peer and it has taken none; 0 when none wait."""
        outgoing = self.meter.outgoing
        return 0.0 if outgoing is None else self.house.reactor.seconds() - outgoing.took

    @property
    def handshaking(self) -> float | None:
        """Seconds for which the TLS handshake, or the guards' own opening, has been going on; else None.

        Parting is a handshake, too: TLS closes only when the peer has said that it closes. It begins when the peer has
        taken everything that was written before.
        """
        if self.state == "opening":
            return self.age
        now, handshake = self.house.reactor.seconds(), self.handshake
        if handshake is None:
            return None
        if handshake.parting:
            if self.meter.outgoing is not None:
                handshake.since = now
        elif self._handshake_done():
            self.handshake = None
            return None
        return now - handshake.since

    @property
    def parting(self) -> bool:
        """Whether the application has closed, and TLS waits for the peer's consent."""
        return self.handshake is not None and self.handshake.parting

    def _handshake_done(self) -> bool:
        # OpenSSL has the peer's Finished message exactly when the handshake is over; other TLS must have let data in.
        handle = getattr(self.meter.transport, "getHandle", lambda: None)()
        finished = getattr(handle, "get_peer_finished", None)
        return self.meter.received > 0 if finished is None else finished() is not None

    @property
    def address(self) -> IAddress | None:
        """The address that counts for this peer."""
        return self.peer.effective

    @property
    def local(self) -> IAddress | None:
        """The address of ours that the peer's socket is connected to; None while there is no transport."""
        return getattr(self.meter.transport, "getHost", lambda: None)()

    @property
    def address_kind(self) -> str:
        """A word for a peer that has no host."""
        return "unix" if self._kind is not None else "-"

    @property
    def awaits_tls(self) -> bool:
        """Whether TLS begins once the guards have let the connection in: until then, the peer speaks first."""
        return self.state == "opening" and self.house.tls is not None

    @property
    def admitted(self) -> bool:
        """Whether no guard has refused the connection so far."""
        return self.state in {"opening", "open"}

    @property
    def peer(self) -> Peer:
        """What is known of the peer, each fact with its provenance."""
        return Peer(self._here()) if self.known is None else self.known.peer(self._here())

    def _here(self) -> IAddress | None:
        return address_of(self.host, self.port) if self._kind is None and self.host is not None else self._kind

    @property
    def patience(self) -> float:
        """By how much the time limits of this connection are multiplied."""
        return 1.0 if self.settled_at is not None else float(self.house.service.patience)

    def learn(self, **facts: object) -> None:
        """Write down what is known of the peer beyond its socket's address."""
        if self.known is None:
            self.known = Known()
        if "claimed" in facts and self.known.claimed is None:
            self.known.seen = self._here()
        for name, fact in facts.items():
            setattr(self.known, name, fact)

    def note(self, about: Mapping[str, object]) -> None:
        """Have these fields stand in every event from here on."""
        self.learn()
        if self.known is not None:
            self.known.notes = {**self.known.notes, **about}

    def claim(self, heard: Heard) -> None:
        """Let a claimed address count for the peer from here on."""
        self.learn(claimed=heard.claimed, destination=heard.destination, claims=heard.claims)
        address = heard.claimed
        if address is not None:
            self._stand_at(address)

    def exchange(self, way: Way) -> tuple[float, int] | None:
        """Seconds and bytes of the exchange in flight, or None; see :class:`netguard.guard.Connection`."""
        now = self.house.reactor.seconds()
        meter = self.meter
        if way == "out":
            outgoing = meter.outgoing
            if outgoing is None:
                return None
            if not self.parting and self.handshaking is not None:
                outgoing.since = now  # nothing can be taken before, and the handshake has its own limit
            return now - outgoing.since, outgoing.figure - outgoing.base
        if meter.incoming is None or meter.answered > meter.incoming[1] or not self.listening:
            return None
        since, base = meter.incoming
        return now - since, meter.received - base
