"""One look-up: from an address to its names, and from each of them back to addresses (RFC 1912, section 2.1)."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TypeAlias

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, ensureDeferred

from netguard.clients.names_chain import KINDS, Step, step_of
from netguard.clients.names_files import Hosts
from netguard.clients.names_question import Network
from netguard.clients.names_server import Asked
from netguard.clients.names_text import Address, host_name, labels, reverse_name
from netguard.verdict import Failure, Mismatch, NoName, Timeout, Verdict, Verified
from netguard.wire.dns import AAAA, HOPS, NXDOMAIN, PTR, A, DnsRefused, Name, Reply, find_answer

MOST_NAMES = 8
"""So many names of an address are considered: the first in the alphabet, since servers give them in any order."""

BRIEF = 5.0
"""Seconds for which a look-up that found nothing out is not tried again (RFC 2308, section 7, allows five minutes)."""

LONGEST_LIFE = 86_400
"""Seconds for which a verdict is kept at most, whatever its zone says."""

LONGEST_NOTHING = 3 * 3600
"""The same for what is not there (RFC 2308, section 5)."""


@frozen
class _Found:
    """What a name has: values without doubles, none for nothing; and for how many seconds that may be kept."""

    values: tuple[bytes | Name, ...]
    life: float


_Outcome: TypeAlias = _Found | Failure | Timeout


@define(eq=False)
class LookUp:
    """A look-up.

    Args:
        network: whom to ask.
        hosts: what this machine's own file says; it is believed.
        hosts_path: where that stands.
        address: whose name is wanted.
        deadline: the moment at which it is over, by the reactor's clock.
        peer: on whose account the questions are asked.
        chain: is told what was asked and answered, in the order of the answers; or None.

    Attributes:
        life: seconds for which the verdict may be kept.
    """

    network: Network
    hosts: Hosts
    hosts_path: str
    address: Address
    deadline: float
    peer: Hashable
    chain: list[Step] | None = None
    life: float = field(default=0.0, init=False)
    _kind: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        """A name is looked up in the address's own family."""
        self._kind = A if self.address.version == 4 else AAAA  # noqa: PLR2004 - as one says it

    async def run(self) -> Verdict:
        """Look it up. It can be cancelled, and leaves nothing behind then."""
        known = self.hosts.names.get(self.address)
        if known is not None:
            self._note(str(self.address), "PTR", (known,))
            self.life = LONGEST_LIFE  # or until the file changes
            return Verified(known)
        found = await self._search(reverse_name(self.address), PTR)
        if not isinstance(found, _Found):
            self.life = BRIEF
            return found
        self.life = found.life
        if not found.values:
            return NoName()
        names = sorted({name for each in found.values if isinstance(each, tuple) and (name := host_name(each))})
        return await self._confirm(names[:MOST_NAMES])

    async def _confirm(self, names: list[str]) -> Verdict:
        """Look all names up at once; the first that has the address is the peer's."""
        asking = [ensureDeferred(self._addresses(each)) for each in names]
        outcomes: list[_Outcome] = []
        try:
            for name, each in zip(names, asking, strict=True):
                outcome = await each
                if isinstance(outcome, _Found) and self.address.packed in outcome.values:
                    self.life = min(self.life, outcome.life)
                    return Verified(name)
                outcomes.append(outcome)
        finally:
            _forget(asking)
        return self._refuted(names, outcomes)

    def _refuted(self, names: list[str], outcomes: list[_Outcome]) -> Verdict:
        """A mismatch is what is known to be one: where a name could not be looked up, nothing is known."""
        open_ones = [each for each in outcomes if not isinstance(each, _Found)]
        if open_ones:
            self.life = BRIEF
            return next((each for each in open_ones if isinstance(each, Timeout)), open_ones[0])
        self.life = min([self.life, *(each.life for each in outcomes if isinstance(each, _Found))])
        return Mismatch(tuple(names))

    async def _addresses(self, name: str) -> _Outcome:
        """The addresses of a name, packed."""
        pinned = [each for each in self.hosts.addresses.get(name, ()) if each.version == self.address.version]
        if pinned:
            self._note(name, KINDS[self._kind], tuple(map(str, pinned)))
            return _Found(tuple(each.packed for each in pinned), LONGEST_LIFE)
        return await self._search(labels(name) or (), self._kind)

    async def _search(self, name: Name, kind: int) -> _Outcome:
        """Ask, and ask again where an alias leads elsewhere, until it is known what is there."""
        lives: list[float] = []
        hops = 0
        while True:
            reply = await self._ask(name, kind)
            if not isinstance(reply, Reply):
                return reply
            try:
                answer = find_answer(reply, name, kind)
            except DnsRefused:
                return Failure()
            if answer.life is not None:
                lives.append(answer.life)
            hops += answer.aliases
            if answer.values:
                return _Found(answer.values, min([*lives, LONGEST_LIFE]))
            if reply.rcode == NXDOMAIN or not answer.aliases or reply.nothing_for is not None:
                said = BRIEF if reply.nothing_for is None else reply.nothing_for
                return _Found((), min([*lives, said, LONGEST_NOTHING]))
            if hops >= HOPS:
                return Failure()
            name = answer.name

    async def _ask(self, name: Name, kind: int) -> Reply | Failure | Timeout:
        clock = self.network.reactor
        began = clock.seconds()
        asked = await self.network.ask(name, kind, self.deadline, self.peer)
        if self.chain is not None:
            self.chain.append(step_of(name, kind, asked, clock.seconds() - began))
        return asked.outcome if isinstance(asked, Asked) else asked

    def _note(self, name: str, kind: str, answers: tuple[str, ...]) -> None:
        if self.chain is not None:
            self.chain.append(Step(name, kind, answers, "answered", self.hosts_path, "file"))


def _forget(asking: Iterable[Deferred[_Outcome]]) -> None:
    """Nobody waits for these any more."""
    for each in asking:
        each.addErrback(_nothing)
        each.cancel()


def _nothing(_: object) -> None:
    pass
