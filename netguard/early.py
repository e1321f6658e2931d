"""A connection for which a guard needs time: what it waits for, and what came meanwhile.

Reading is paused while guards decide, so hardly anything comes; but some transports deliver what they have read
already, and a half-close or the end of a handshake is no reading. It is kept, under a bound, for the application.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Iterator
from typing import TYPE_CHECKING, Any, cast

from netguard.errors import TooEarly

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress

    from netguard.stages import Opener
    from netguard.verbs import Reader

EARLY = 64 * 1024
"""So many bytes are kept while the guards decide: what one read may bring."""

HEARING = 60.0
"""So many seconds a reader of first bytes has, unless it says otherwise."""

WAITING = "opening"
"""The holder of the pause while the guards decide."""

DESCRIPTORS = 16
"""So many file descriptors and other signs are kept: more than any protocol sends before it has an answer."""


class Early:
    """What a connection waits for, and what came meanwhile.

    Args:
        address: the peer's address, for the application's factory.
        wait: what a guard's opener returned: an awaitable, or a reader of the first bytes.
        openers: the guards that have not been asked yet.

    Attributes:
        reader: who hears what comes; None where reading is paused and an awaitable waited for.
    """

    __slots__ = ("address", "kept", "openers", "reader", "size", "wait")

    def __init__(self, address: IAddress | None, wait: Awaitable[object] | Reader, openers: Iterator[Opener]) -> None:
        self.address = address
        self.reader = cast("Reader", wait) if hasattr(wait, "receive") else None
        self.wait: Awaitable[object] | None = None if self.reader is not None else cast("Awaitable[object]", wait)
        self.openers = openers
        self.kept: list[tuple[str, tuple[Any, ...]]] = []
        self.size = 0

    @property
    def within(self) -> float:
        """Seconds after which the reader must have heard enough."""
        return float(getattr(self.reader, "within", HEARING))

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

    def goes_on_as(self, later: Early) -> None:
        """Hand what was kept to the next wait of the same connection."""
        later.kept, later.size = self.kept, self.size
        self.kept = []

    def taken(self) -> bytes:
        """Take out the bytes that were kept; for a reader that was not there yet when they came."""
        data = b"".join(each[1][0] for each in self.kept if each[0] == "dataReceived")
        self.kept = [each for each in self.kept if each[0] != "dataReceived"]
        self.size -= len(data)
        return data

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
