"""How many questions may be under way: in all, and to one peer. The others wait, each for as long as it likes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

from twisted.internet.defer import DeferredSemaphore


class Places:
    """Places for questions. Waiting for one can be cancelled, and each is given back once.

    What waits for a place of its own peer holds none of the others: one peer cannot take the places of all.

    Args:
        most: how many may be taken in all.
        most_of_one: how many of them by questions to one peer.
    """

    def __init__(self, most: int, most_of_one: int) -> None:
        self.most_of_one = most_of_one
        self._all = DeferredSemaphore(most)
        self._of: dict[Hashable, tuple[DeferredSemaphore, int]] = {}

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

    def _enter(self, peer: Hashable) -> DeferredSemaphore:
        own, count = self._of.get(peer) or (DeferredSemaphore(self.most_of_one), 0)
        self._of[peer] = own, count + 1
        return own

    def _leave(self, peer: Hashable) -> None:
        own, count = self._of.pop(peer)
        if count > 1:
            self._of[peer] = own, count - 1
