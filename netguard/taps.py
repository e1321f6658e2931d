"""Who is shown the chunks that come on a connection."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

Look = Callable[[Any, bytes], object]
"""What is shown a chunk, with the connection that it came on."""


class Whole(NamedTuple):
    """Chunks that need not be shown: most that come may be such, and being called for them is what a tap costs.

    Args:
        ends: what they end with.
        longest: how many bytes they have at most; negative where every chunk is to be shown.
    """

    ends: bytes = b""
    longest: int = -1


EVERY = Whole()


class Tap:
    """Those who are shown chunks; shared by the connections of a factory where that can be.

    Args:
        looks: they, in the order in which they are shown a chunk, each with what it need not be shown.

    Attributes:
        show: what is called with the connection and the chunk.
        ends, longest: the chunks for which it need not be called (:class:`Whole`); of several looks, there are none.
    """

    __slots__ = ("ends", "longest", "looks", "show")

    def __init__(self, looks: tuple[tuple[Look, Whole], ...]) -> None:
        self.looks = looks
        self.show: Look
        self.show, (self.ends, self.longest) = looks[0] if len(looks) == 1 else (partial(_show, looks), EVERY)


def _show(looks: tuple[tuple[Look, Whole], ...], connection: Any, data: bytes) -> None:
    for look, _ in looks:
        look(connection, data)


def one_more(tap: Tap | None, look: Look, unless: Whole) -> Tap:
    """The same, and one more who is shown chunks."""
    return Tap((*(() if tap is None else tap.looks), (look, unless)))


def one_less(tap: Tap | None, look: Look) -> Tap | None:
    """The same without one of them; None where nobody is left, so that it costs nothing."""
    left = () if tap is None else tuple(each for each in tap.looks if each[0] != look)
    return Tap(left) if left else None
