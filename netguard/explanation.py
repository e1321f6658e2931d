"""What the guards would do with a peer that does not exist: the live path's own code, on a clock that stands.

A guarded factory is made of the policy, with readings and look-ups that answer what the caller supposes; the
connections that are supposed to be there are let in first; then the guards are asked one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, cast

from attrs import define, evolve, field, frozen
from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from netguard.errors import Reason
from netguard.factory import GuardedFactory
from netguard.load.signals import Signals
from netguard.options import options_of
from netguard.peer import address_of
from netguard.reports import Reports
from netguard.service import Service
from netguard.wire.proxy_header import Inet
from netguard.wire.proxy_v1 import write
from netguard.wrapper import Wrapper

if TYPE_CHECKING:
    from netguard.connection import Connection
    from netguard.early import Early
    from netguard.guard import Guard
    from netguard.policy import Policy

Outcome = Literal["passes", "refuses", "would refuse", "waits", "limits"]

_AGE = 86_400.0
"""Seconds between the connections that are there already: nobody's rate is used up by them."""


@frozen
class Supposed:
    """A peer, and how things stand when it connects.

    Args:
        host: its address, as text.
        port: its port.
        claimed: the address that a PROXY header in front names; None when it sends no header.
        name: the verdict on its name; None leaves whoever asks for it waiting.
        connections: how many connections it has already.
        load: readings by signal; what is not named is at rest.
    """

    host: str
    port: int = 40_000
    claimed: tuple[str, int] | None = None
    name: Any = None
    connections: int = 0
    load: Mapping[str, float | None] = field(factory=dict)


@frozen
class Answer:
    """What one guard says.

    Args:
        guard: its name.
        outcome: what it does. One that ``limits`` lets everybody in, and watches.
        options: its options, as text by flag.
        reason: why it refuses, or would.
    """

    guard: str
    outcome: Outcome
    options: Mapping[str, str]
    reason: Reason | None = None

    @property
    def decider(self) -> str | None:
        """The option that decides, when it refuses."""
        return None if self.reason is None else self.reason.option

    def fact(self, name: str) -> str | None:
        """A figure of the refusal, as text.

        Args:
            name: ``limit`` or ``observed``.
        """
        value = getattr(self.reason, name, None)
        return None if value is None or self.reason is None else self.reason.unit.text(value)


@frozen
class Explanation:
    """What becomes of a peer.

    Args:
        answers: the guards', in the order in which they are asked; after a refusal nobody is asked any more.
        verdict: ``admitted``, ``refused`` or ``waits``, for a header or a verdict that was not supposed.
        reason: why it is refused.
    """

    answers: tuple[Answer, ...]
    verdict: Literal["admitted", "refused", "waits"]
    reason: Reason | None = None


class _Quiet(Reports):
    """Tells nothing, and knows what would have been refused last, and why."""

    _what: Reason | None = None

    def tell(self, connection: object, name: str, reason: BaseException | None = None, **about: object) -> None:
        """Nothing of this belongs into a log."""
        if name == "would_refuse":
            self._what = cast("Reason", reason)

    def taken(self) -> Reason | None:
        """Take out what would have been refused since this was asked last."""
        what, self._what = self._what, None
        return what

    def last(self, connection: object, reason: object) -> None:
        """Nor does this."""


class _House(GuardedFactory):
    """A guarded factory that keeps what it does to itself."""

    def __init__(self, policy: Policy, service: Service) -> None:
        observed = frozenset(type(each).__name__ for each in policy.guards if each.observe)
        wrapped, clock = Factory.forProtocol(Protocol), service.reactor
        super().__init__(wrapped, policy.guards, observed=observed, reactor=clock, service=service, verbose=False)
        self._reports = self.quiet = _Quiet(clock.seconds, service.figures)


@frozen
class _Names:
    """A resolver that has made up its mind; without a verdict, one that is waited for."""

    verdict: Any

    def settle(self, *_: object) -> None:
        """Nobody is asked, so it does not matter who would be."""

    def verify(self, _: object) -> Deferred[Any]:
        """Answer."""
        return Deferred() if self.verdict is None else succeed(self.verdict)


def house_of(policy: Policy, supposed: Supposed) -> _House:
    """A guarded factory in which things stand as supposed, with the connections that are there already.

    Args:
        policy: the guards.
        supposed: the peer.

    Raises:
        OptionError: a guard cannot do its work, say because a file of its own is not there.
    """
    clock: Any = Clock()
    service = Service(lambda: clock)
    service.signals = Signals.fixed({})  # those who are there already came when all was quiet
    service.names = _Names(supposed.name)
    service.ident = None  # what a supposed peer would claim decides nothing
    house = _House(policy, service)
    for _ in range(supposed.connections):
        connect(house, supposed)
        clock.rightNow += _AGE
    service.signals = Signals.fixed({"connections": float(supposed.connections), **supposed.load})
    return house


def connect(house: GuardedFactory, supposed: Supposed) -> Reason | Literal["open", "waits"]:
    """Let the supposed peer connect, as a port would, and send the header that it sends.

    Args:
        house: what it connects to.
        supposed: the peer.

    Returns:
        What became of it: a reason when it was refused, or cut for its header.
    """
    refused: list[Any] = []
    house.follower = lambda _, outcome: refused.append(outcome)
    wrapper: Any = house.admit(address_of(supposed.host, supposed.port))
    if wrapper is None:
        return cast("Reason", refused[0].value)
    wrapper.makeConnection(StringTransport())
    if supposed.claimed is not None and wrapper.connection.admitted:
        wrapper.dataReceived(_header(supposed))
    return wrapper.connection.reason or ("waits" if wrapper.connection.state == "opening" else "open")


def _header(supposed: Supposed) -> bytes:
    """The PROXY header of a peer, whose destination nobody asks for."""
    host, port = supposed.claimed or ("", 0)
    return write(Inet(host, port), Inet("::1" if ":" in host else "127.0.0.1", 0))


def explain(policy: Policy, supposed: Supposed) -> Explanation:
    """Ask every guard about a peer that does not exist.

    Args:
        policy: the guards.
        supposed: the peer, and how things stand.

    Raises:
        OptionError: a guard cannot do its work.
    """
    answers = _once_each(list(_Asking(house_of(policy, supposed), supposed).answers()))
    became = connect(house_of(policy, supposed), supposed)
    if not isinstance(became, Reason):
        return Explanation(tuple(answers), "admitted" if became == "open" else "waits")
    if answers and answers[-1].outcome != "refuses":  # it was let in, and cut for its first bytes
        answers = [
            evolve(each, outcome="refuses", reason=became) if each.guard == became.guard else each for each in answers
        ]
    return Explanation(tuple(answers), "refused", became)


def _once_each(answers: list[Answer]) -> list[Answer]:
    """A guard that is asked of the socket and of the peer has one answer, unless it has something to say to both."""
    last = {each.guard: place for place, each in enumerate(answers)}
    return [each for place, each in enumerate(answers) if each.outcome != "passes" or last[each.guard] == place]


@define
class _Asking:
    """Asks the guards of a house one by one."""

    house: _House
    supposed: Supposed

    def answers(self) -> Iterator[Answer]:
        """What the guards say, until one refuses or waits; those that ask nothing say what they watch."""
        house = self.house
        address = address_of(self.supposed.host, self.supposed.port)
        connection = Wrapper(house, address, 0).connection
        house.opening.begin(connection, house.opening.whole)
        house.quiet.taken()  # of those who are there already
        asking = {guard for guard, _ in house.opening.questions}
        for guard, opener in house.opening.questions:
            early = house.opening.ask(connection, iter([opener]), address)
            waits = early is not None and not self._hears(connection, early)
            would = house.quiet.taken()
            if not connection.admitted:
                yield self._answer(guard, "refuses", connection.reason)
                return
            if waits:
                yield self._answer(guard, "waits")
                return
            yield self._answer(guard, "passes" if would is None else "would refuse", would)
        for guard in house.guards:
            if guard not in asking:
                yield self._answer(guard, "limits")

    def _hears(self, connection: Connection, early: Early) -> bool:
        """Whether what a guard waits for comes."""
        if early.reader is None:
            decided = self.house.opening.wait_for(connection, early)
            return bool(decided.called)
        heard = self.house.opening.hear(connection, early, _header(self.supposed)) if self.supposed.claimed else None
        if heard is not None:
            connection.claim(heard)
        return heard is not None

    def _answer(self, guard: Guard, outcome: Outcome, reason: Reason | None = None) -> Answer:
        options = {one.flag: value for one, value in _values(guard)}
        return Answer(type(guard).__name__, outcome, options, reason)


def _values(guard: Guard) -> Iterator[tuple[Any, str]]:
    for one in options_of(type(guard)):
        value = getattr(guard, one.field)
        if value is not None:
            yield one, one.unit.text(value)
