"""Who is shown every chunk that comes on a connection: nobody, one, or several."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Look = Callable[[Any, bytes], object]
"""What is shown a chunk, with the connection that it came on."""


class Taps:
    """Several who see every chunk.

    Args:
        looks: they, in the order in which they see it.
    """

    __slots__ = ("looks",)

    def __init__(self, looks: tuple[Look, ...]) -> None:
        self.looks = looks

    def __call__(self, connection: Any, data: bytes) -> None:
        """Show it to all who were there when it came."""
        for look in self.looks:
            look(connection, data)


def looks_of(tap: Look | None) -> tuple[Look, ...]:
    """Who sees chunks, in order."""
    if tap is None:
        return ()
    return tap.looks if isinstance(tap, Taps) else (tap,)


def tap_of(looks: tuple[Look, ...]) -> Look | None:
    """One thing that shows chunks to all of these; None where there is nobody, so that it costs nothing."""
    return Taps(looks) if len(looks) > 1 else next(iter(looks), None)
