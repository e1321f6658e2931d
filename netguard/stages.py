"""When a guard is asked about a newcomer, and how it answers without a connection being made for that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from copy import copy
from enum import Enum
from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from netguard.errors import Reason
    from netguard.verbs import Reader

Opener = Callable[[Any], "Awaitable[object] | Reader | None"]
"""What is called with a new connection: None lets it pass, anything else it has to wait for."""


class Later(Enum):
    """The third answer of a :class:`Gate`."""

    LATER = "it depends on more than the address"


LATER = Later.LATER


@attrs.frozen
class Gate:
    """An opener in parts, whose decision needs no connection: whom it refuses, nothing is made for.

    That is what refusing a flood costs least. Who only observes is asked as any opener is.

    Args:
        why: why a :class:`netguard.verbs.Newcomer` is not let in, or None, or :data:`LATER`. It counts nothing, and may
            give the same reason again and again.
        enter: is called with the connection of one that passes, for whoever has to count it. If it raises, refuses, or
            has it wait, the gates behind it are not entered, or later; and only who has entered them leaves them.
        ask: is called with the connection when the answer was :data:`LATER`.
        settle: is called with the connection of one that entered, when the application says that it is past its login.
        leave: is called with the connection of one that entered, once, when it has ended, be it that ``enter`` raised.
            Said here, these cost less than if ``enter`` said them to each connection.
    """

    why: Callable[[Any], Reason | Later | None]
    enter: Opener | None = None
    ask: Opener | None = None
    settle: Callable[[Any], object] | None = None
    leave: Callable[[Any], object] | None = None

    def __call__(self, connection: Any) -> Awaitable[object] | Reader | None:
        """Do all of it."""
        answer = self.why(connection)
        then = self.enter
        if answer is LATER:
            then = self.ask
        elif answer is not None and connection.refuse(copy(answer)):  # its own: who raises it adds to its traceback
            return None
        if then is not None and then is self.enter:
            if self.settle is not None:
                connection.settled(self.settle)
            if self.leave is not None:
                connection.at_end(self.leave)
        return None if then is None else then(connection)


@attrs.frozen
class Stages:
    """The openers of a guard that asks twice.

    Args:
        socket: asked of the socket, before a PROXY header has been read.
        peer: asked when it is known who is behind the socket.
    """

    socket: Opener | None = None
    peer: Opener | None = None
