"""How many questions may be under way: in all, and to one peer. The others wait, each for as long as it likes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

from attrs import define, field
from twisted.internet.defer import Deferred


@define(eq=False)
class _Seats:
    """Some seats, and a queue for them.

    Twisted's semaphore hands a seat on inside of the call that gives it back. Where everybody's time is over at once,
    each of them gives its seat back when it gets it, and a queue of a hundred is deeper than Python's stack. Here the
    one who gives back first hands on for all.
    """

    free: int
    _waiting: OrderedDict[Deferred[None], None] = field(factory=OrderedDict, init=False)
    _handing_on: bool = field(default=False, init=False)

    async def __aenter__(self) -> None:
        """Wait for a seat; in the order of coming."""
        if self.free and not self._waiting:
            self.free -= 1
            return
        turn: Deferred[None] = Deferred(self._waiting.pop)
        self._waiting[turn] = None
        await turn

    async def __aexit__(self, *_: object) -> None:
        """Give it back."""
        self.free += 1
        if self._handing_on:
            return
        self._handing_on = True
        while self.free and self._waiting:
            self.free -= 1
            self._waiting.popitem(last=False)[0].callback(None)
        self._handing_on = False


class Places:
    """Places for questions. Waiting for one can be cancelled, and each is given back once.

    What waits for a place of its own peer holds none of the others: one peer cannot take the places of all.

    Args:
        most: how many may be taken in all.
        most_of_one: how many of them by questions to one peer.
    """

    def __init__(self, most: int, most_of_one: int) -> None:
        self.most_of_one = most_of_one
        self._all = _Seats(most)
        self._of: dict[Hashable, tuple[_Seats, int]] = {}

    @property
    def peers(self) -> int:
        """To how many peers there are questions, waiting ones included."""
        return len(self._of)

    @asynccontextmanager
    async def place(self, peer: Hashable) -> AsyncIterator[None]:
        """Wait for a place, and have it until the end of the block.

        Args:
            peer: whom the question is for.
        """
        own = self._enter(peer)
        try:
            async with own, self._all:
                yield
        finally:
            self._leave(peer)

    def _enter(self, peer: Hashable) -> _Seats:
        own, count = self._of.get(peer) or (_Seats(self.most_of_one), 0)
        self._of[peer] = own, count + 1
        return own

    def _leave(self, peer: Hashable) -> None:
        own, count = self._of.pop(peer)
        if count > 1:
            self._of[peer] = own, count - 1
