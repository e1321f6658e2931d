"""Ident (RFC 1413): ask a peer's machine whose connection it is, without being hurt by what answers.

The rules of this file:

* The answer is a :class:`~netguard.wire.ident.Claim`, also when there is none; a query never fails.
* A query is one connection, from the address that the peer has connected to: the peer's machine knows the connection
  by its two addresses. One line is read of it, then it is aborted. Everything together has one deadline.
* So many queries are under way at once, in the process and to one peer; the others wait within their deadline.
* Who asks the same is answered by one query. Who loses interest does not spoil it for the others.
* A peer that cannot be asked is not asked again for a moment.
* A connection to an ident port, or from one, is never asked about: two servers that did would ask each other for ever.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias, cast

from attrs import define, field, frozen
from twisted.internet import error
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint
from twisted.internet.interfaces import IAddress, IStreamClientEndpoint, ITransport
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from netguard import units
from netguard.clients.places import Places
from netguard.packed import pack, peer_key
from netguard.peer import unmapped
from netguard.wire.ident import PORT, IdentReply, NoReply, ReplyReader, WhyNot, query

WITHIN = 5.0
"""Seconds for a query. RFC 1413 would wait for 30: nobody does who has a peer waiting."""

PLACES = Places(128, 4)
"""Queries that are under way in this process at once: in all, and to one peer (an IPv4 address, an IPv6 /64)."""

REMEMBERED = 1000
"""So many peers that cannot be asked are remembered."""

_PREFIX = units.Prefix()
_TCP = IPv4Address | IPv6Address
_log = Logger(namespace="netguard")

About: TypeAlias = ITransport | tuple[IAddress, IAddress]
Connect: TypeAlias = Callable[[str, int, str], IStreamClientEndpoint]


def auth_port() -> int:
    """The port of the service ``auth``; 113 where the machine does not know it."""
    try:
        return units.service_port("auth")
    except ValueError:
        return PORT


@frozen
class _Pair:
    """The two ends of a connection: our host and port, and the peer's."""

    local: str
    local_port: int
    remote: str
    remote_port: int


class _Question(Protocol):
    """One connection to an ident server.

    Args:
        pair: the connection that is asked about.
    """

    def __init__(self, pair: _Pair) -> None:
        self._line = query(pair.remote_port, pair.local_port)
        self._reader = ReplyReader(pair.remote_port, pair.local_port)
        self.answer: Deferred[IdentReply] = Deferred(lambda _: self._abort())

    def connectionMade(self) -> None:
        """Ask."""
        cast("ITransport", self.transport).write(self._line)

    def dataReceived(self, data: bytes) -> None:
        """Read the answer, and nothing behind it."""
        if not self.answer.called:
            reply = self._reader.receive(data)
            if reply is not None:
                self._abort()
                self.answer.callback(reply)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """There will be no answer."""
        if not self.answer.called:
            self.answer.callback(NoReply(WhyNot.CLOSED))

    def _abort(self) -> None:
        transport = cast("ITransport", self.transport)
        getattr(transport, "abortConnection", transport.loseConnection)()


class _Quiet(Factory):
    """A factory whose start and stop nobody needs to read about; there is one for each question."""

    noisy = False


@define(eq=False)
class _Query:
    """One query that is under way, and who waits for it.

    Attributes:
        waiting: everybody who is to be told.
        work: the query itself.
        deadline: its timer.
        late: whether that has passed.
        asked: when the peer began to be asked; None while the query waits for its turn.
    """

    waiting: list[Deferred[IdentReply]]
    work: Deferred[IdentReply] = field(factory=Deferred)
    deadline: Any = None
    late: bool = False
    asked: float | None = None


class IdentClient:
    """Asks ident servers. The answers are claims: nothing can be decided by them.

    Args:
        reactor: connects, and tells the time.
        port: where ident servers listen: a number, or a service by name. Unless given, that of the service ``auth``.
        within: seconds for one query, waiting for its turn included.
        remember: seconds for which a peer that refuses, cannot be reached or does not answer is not asked again.
        places: what bounds the queries that are under way; unless given, it is one for the whole process.
        connect: makes the client endpoint from the peer's host, the port, and the local host to connect from. For
            machines that reach others in a way of their own only; through a proxy it makes no sense, since an ident
            server answers about connections of the address that asks.

    Raises:
        ValueError: the port or a time is none.
    """

    def __init__(
        self,
        reactor: Any,
        port: int | str | None = None,
        within: float | str = WITHIN,
        *,
        remember: float | str = 10.0,
        places: Places = PLACES,
        connect: Connect | None = None,
    ) -> None:
        self._reactor = reactor
        self.port: int = auth_port() if port is None else units.port(port)
        self.within: float = units.duration(within)
        self.remember: float = units.duration(remember)
        self._places = places
        self._connect = connect or self._endpoint
        self._queries: dict[_Pair, _Query] = {}
        self._known: OrderedDict[tuple[str, str], tuple[float, NoReply]] = OrderedDict()

    def query(self, about: About) -> Deferred[IdentReply]:
        """Ask whose connection it is.

        Args:
            about: a transport that is connected, guarded or not; or its two addresses, the local one first.

        Returns:
            The claim, or why there is none; it never fails but for being cancelled. Cancelling it ends the query
            when nobody else waits for it.
        """
        local, remote = about if isinstance(about, tuple) else (about.getHost(), about.getPeer())
        pair = self._pair(local, remote)
        if pair is None:
            return succeed(NoReply(WhyNot.NOT_ASKED))
        known = self._known.get((pair.local, pair.remote))
        if known is not None and known[0] > self._reactor.seconds():
            return succeed(known[1])
        waiter: Deferred[IdentReply] = Deferred(lambda gone: self._leave(pair, gone))
        if pair in self._queries:
            self._queries[pair].waiting.append(waiter)
        else:
            self._begin(pair, _Query([waiter]))
        return waiter

    def _pair(self, local: Any, remote: Any) -> _Pair | None:
        """The two ends; None when there is nobody to ask."""
        if not (isinstance(local, _TCP) and isinstance(remote, _TCP)) or {local.type, remote.type} != {"TCP"}:
            return None
        if {local.port, remote.port} & {0, PORT, self.port}:
            return None
        return _Pair(unmapped(local.host), local.port, unmapped(remote.host), remote.port)

    def _endpoint(self, host: str, port: int, local: str) -> IStreamClientEndpoint:
        kind: Any = TCP6ClientEndpoint if ":" in host else TCP4ClientEndpoint
        endpoint: IStreamClientEndpoint = kind(self._reactor, host, port, timeout=None, bindAddress=(local, 0))
        return endpoint  # without a time-out of its own: the deadline is the query's

    def _begin(self, pair: _Pair, asking: _Query) -> None:
        self._queries[pair] = asking
        asking.deadline = self._reactor.callLater(self.within, self._expire, asking)
        asking.work = Deferred.fromCoroutine(self._ask(pair, asking))
        asking.work.addBoth(self._end, pair, asking)

    async def _ask(self, pair: _Pair, asking: _Query) -> IdentReply:
        async with self._places.place(peer_key(pack(pair.remote), _PREFIX)):
            now = self._reactor.seconds()
            if now >= asking.deadline.getTime():  # its turn came, and the reactor was late to say that time is over
                return NoReply(WhyNot.TIMEOUT)
            asking.asked = now
            endpoint = self._connect(pair.remote, self.port, pair.local)
            question: Any = await endpoint.connect(_Quiet.forProtocol(partial(_Question, pair)))
            reply: IdentReply = await question.answer
            return reply

    def _expire(self, asking: _Query) -> None:
        asking.late = True
        asking.work.cancel()

    def _leave(self, pair: _Pair, waiter: Deferred[IdentReply]) -> None:
        """Somebody has lost interest; when all have, the query ends."""
        asking = self._queries.get(pair)
        if asking is not None and waiter in asking.waiting:
            asking.waiting.remove(waiter)
            if not asking.waiting:
                asking.work.cancel()

    def _end(self, result: IdentReply | Failure, pair: _Pair, asking: _Query) -> None:
        """The query is over: leave nothing behind, and tell everybody who still waits."""
        if asking.deadline.active():
            asking.deadline.cancel()
        del self._queries[pair]
        if not asking.waiting:
            return
        reply = NoReply(_why_not(result, late=asking.late)) if isinstance(result, Failure) else result
        self._remember(pair, reply, asking)
        for each in asking.waiting:
            if not each.called:  # who was told before may have ended the interest of others
                each.callback(reply)

    def _remember(self, pair: _Pair, reply: IdentReply, asking: _Query) -> None:
        """Keep in mind for a moment that a peer cannot be asked."""
        if not isinstance(reply, NoReply) or reply.why not in _WORTH_REMEMBERING:
            return
        now = self._reactor.seconds()
        if asking.asked is None or (asking.late and now - asking.asked < self.within / 2):
            return  # it had hardly been asked, so it is not known for slow
        self._known[pair.local, pair.remote] = (now + self.remember, reply)
        self._known.move_to_end((pair.local, pair.remote))
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)


_WORTH_REMEMBERING = {WhyNot.REFUSED, WhyNot.UNREACHABLE, WhyNot.TIMEOUT}


def _why_not(failure: Failure, *, late: bool) -> WhyNot:
    if late or failure.check(error.TimeoutError, error.TCPTimedOutError, TimeoutError):
        return WhyNot.TIMEOUT
    if failure.check(error.ConnectionRefusedError, ConnectionRefusedError):
        return WhyNot.REFUSED
    if not failure.check(error.ConnectError, error.ConnectionClosed, error.NoProtocol, OSError):
        _log.failure("an ident query failed", failure)
    return WhyNot.UNREACHABLE
