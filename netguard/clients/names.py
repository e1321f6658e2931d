"""The verified resolver: from an address to a name that has this address, or to the reason why there is none.

The rules of this file:

* A name counts only if it resolves back: whoever has the reverse zone of an address can write any name into it.
* A look-up never fails; it has a verdict (:mod:`netguard.verdict`), and what is not known is told apart from what is
  known to be wrong.
* One deadline is for everything: waiting for its turn, every server, every repetition, TCP.
* Who asks for the same address is answered by one look-up. Who loses interest does not spoil it for the others; when
  nobody is left nothing goes on.
* No thread, no timer and no socket longer than a look-up lasts.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any, TypeAlias

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.python.failure import Failure

from netguard import units
from netguard.clients.names_cache import MOST, Cache
from netguard.clients.names_chain import Step
from netguard.clients.names_files import HOSTS, SERVERS, Hosts, Watched, parse_hosts, parse_servers
from netguard.clients.names_lookup import LookUp
from netguard.clients.names_question import PLACES, Network
from netguard.clients.names_server import Connect
from netguard.clients.names_text import Address, address
from netguard.clients.places import Places
from netguard.packed import pack, peer_key
from netguard.verdict import NoName, Verdict

WITHIN = 3.0
"""Seconds for one look-up."""

_PREFIX = units.Prefix()

Servers: TypeAlias = tuple[tuple[str, int], ...]


@frozen
class Explanation:
    """A look-up in its steps.

    Args:
        verdict: what it came to.
        chain: what was asked and answered, in the order of the answers.
        seconds: how long it took.
    """

    verdict: Verdict
    chain: tuple[Step, ...]
    seconds: float


@define(eq=False)
class _UnderWay:
    """A look-up under way, and who waits for it."""

    waiting: list[Deferred[Verdict]] = field(factory=list)
    work: Deferred[Any] = field(factory=Deferred)


class VerifiedResolver:
    """Finds out the verified names of addresses.

    Args:
        reactor: reads, connects and tells the time.
        servers: the name servers, in the order in which to ask them: pairs of an IP address and a port. They have to do
            the whole search for us (recursion). Unless given, those of resolv.conf(5), which is read again when it
            changes.
        within: seconds for a look-up, all of it.
        hosts: the file whose names are believed before any server is asked, and for which no other addresses are.
        resolv_conf: the file that names the servers.
        remember: how many verdicts are kept, each for as long as its records allow, or, where nothing was found out,
            for five seconds.
        places: what bounds the questions that are under way; unless given, it is one for the whole process.
        connect: makes a client endpoint from a server's host and port, such as one through a proxy. When it is given,
            all questions are asked over TCP.

    Raises:
        ValueError: the time is none, or there are no servers in ``servers``.
    """

    def __init__(
        self,
        reactor: Any,
        servers: Iterable[tuple[str, int]] | None = None,
        within: float | str = WITHIN,
        *,
        hosts: str = HOSTS,
        resolv_conf: str = SERVERS,
        remember: int = MOST,
        places: Places = PLACES,
        connect: Connect | None = None,
    ) -> None:
        self.within: float = units.duration(within)
        self._reactor = reactor
        self._hosts_path = hosts
        self._hosts = Watched(hosts, parse_hosts, reactor.seconds)
        self._believed: Hosts = self._hosts.content
        self._cache = Cache(reactor.seconds, remember)
        self._under_way: dict[Address, _UnderWay] = {}
        self._network = Network(reactor, self._servers(servers, resolv_conf), connect, places)

    def _servers(self, servers: Iterable[tuple[str, int]] | None, path: str) -> Callable[[], Servers]:
        if servers is None:
            return Watched(path, parse_servers, self._reactor.seconds).current
        given = tuple((str(host), units.port(port)) for host, port in servers)
        if not given or any(address(host) is None for host, _ in given):
            raise ValueError("name servers are pairs of an IP address and a port, at least one")
        return lambda: given

    def verify(self, host: str) -> Deferred[Verdict]:
        """Find out the verified name of an address.

        Args:
            host: an address in text form, as sockets give it; a zone (``%eth0``) does not count, and an IPv4-mapped
                IPv6 address is its IPv4 address. Any other text has no name.

        Returns:
            The verdict. It never fails, unless it is cancelled.
        """
        hosts = self._hosts.current()
        if hosts is not self._believed:
            self._believed = hosts
            self._cache.clear()
        kept = self._cache.get(host)
        if kept is not None:
            return succeed(kept)
        where = address(host)
        if where is None:
            return succeed(NoName())
        kept = self._cache.get(str(where))
        return self._join(where) if kept is None else succeed(kept)

    def explain(self, host: str) -> Deferred[Explanation]:
        """Look an address up from the beginning, whatever is remembered, and say how it went.

        Args:
            host: an address in text form.

        Raises:
            ValueError: it is none.
        """
        where = address(host)
        if where is None:
            message = f"{host[:60]!r} is not an IP address"
            raise ValueError(message)
        return ensureDeferred(self._explain(where))

    def close(self) -> None:
        """Give up the look-ups that are under way; who waits for them is cancelled."""
        for each in list(self._under_way.values()):
            each.work.cancel()

    @property
    def under_way(self) -> int:
        """How many addresses are being looked up."""
        return len(self._under_way)

    async def _explain(self, where: Address) -> Explanation:
        chain: list[Step] = []
        began = self._reactor.seconds()
        verdict = await self._look_up(where, chain).run()
        return Explanation(verdict, tuple(chain), round(self._reactor.seconds() - began, 6))

    def _look_up(self, where: Address, chain: list[Step] | None = None) -> LookUp:
        deadline = self._reactor.seconds() + self.within
        account: Hashable = peer_key(pack(str(where)), _PREFIX)
        return LookUp(self._network, self._hosts.current(), self._hosts_path, where, deadline, account, chain)

    def _join(self, where: Address) -> Deferred[Verdict]:
        waiter: Deferred[Verdict] = Deferred(lambda who: self._leave(where, who))
        under_way = self._under_way.get(where)
        if under_way is not None:
            under_way.waiting.append(waiter)
            return waiter
        under_way = self._under_way[where] = _UnderWay([waiter])
        look_up = self._look_up(where)
        under_way.work = ensureDeferred(look_up.run())
        under_way.work.addBoth(self._done, where, under_way, look_up)
        return waiter

    def _done(self, result: Verdict | Failure, where: Address, under_way: _UnderWay, look_up: LookUp) -> None:
        """Tell everybody who still waits."""
        if self._under_way.get(where) is under_way:
            del self._under_way[where]
        waiting, under_way.waiting = under_way.waiting, []
        if isinstance(result, Failure):
            for each in waiting:
                each.errback(result)
            return
        self._cache.put(str(where), result, look_up.life)
        for each in waiting:
            each.callback(result)

    def _leave(self, where: Address, waiter: Deferred[Verdict]) -> None:
        """One has lost interest; the last one takes the look-up along."""
        under_way = self._under_way[where]
        under_way.waiting.remove(waiter)
        if not under_way.waiting:
            del self._under_way[where]
            under_way.work.cancel()
