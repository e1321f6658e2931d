"""A connection for which a guard needs time: what it waits for, and what came meanwhile.

Reading is paused while guards decide, so hardly anything comes; but some transports deliver what they have read
already, and a half-close or the end of a handshake is no reading. It is kept, under a bound, for the application.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any, cast

from netguard.errors import TooEarly

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress

EARLY = 64 * 1024
"""So many bytes are kept while the guards decide: what one read may bring."""

WAITING = "opening"
"""The holder of the pause while the guards decide."""

DESCRIPTORS = 16
"""So many file descriptors and other signs are kept: more than any protocol sends before it has an answer."""

Opener = Callable[[Any], "Awaitable[object] | None"]


class Early:
    """What a connection waits for, and what came meanwhile.

    Args:
        address: the peer's address, for the application's factory.
        wait: what a guard's opener returned.
        openers: the guards that have not been asked yet.
    """

    __slots__ = ("address", "kept", "openers", "size", "wait")

    def __init__(self, address: IAddress | None, wait: Awaitable[object], openers: Iterator[Opener]) -> None:
        self.address = address
        self.wait: Awaitable[object] | None = wait
        self.openers = openers
        self.kept: list[tuple[str, tuple[Any, ...]]] = []
        self.size = 0

    def awaited(self) -> Awaitable[object]:
        """What the guard returned, to be awaited by whoever asks."""
        wait, self.wait = self.wait, None
        return cast("Awaitable[object]", wait)

    def keep(self, connection: Any, name: str, *arguments: Any) -> None:
        """Keep one call of the transport's for the application, or refuse the connection when it is too much."""
        self.kept.append((name, arguments))
        self.size += len(arguments[0]) if name == "dataReceived" else EARLY // DESCRIPTORS
        if self.size > EARLY:
            self.forget()
            connection.refuse(TooEarly(EARLY, self.size))

    def replay(self, wrapper: Any) -> None:
        """Let the application have it, in its order, as long as the connection lives."""
        try:
            while self.kept and wrapper.connection.state == "open":
                name, arguments = self.kept.pop(0)
                getattr(wrapper, name)(*arguments)
        finally:
            self.forget()

    def forget(self) -> None:
        """Nobody will have it: close the file descriptors, and a coroutine that was never begun."""
        kept, self.kept = self.kept, []
        for name, arguments in kept:
            if name == "fileDescriptorReceived":
                os.close(*arguments)
        if self.wait is not None:
            getattr(self.wait, "close", _nothing)()


def _nothing() -> None:
    pass
