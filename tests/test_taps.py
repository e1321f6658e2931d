"""Who is shown the chunks that come."""

from __future__ import annotations

from typing import Any

import pytest

from netguard.guards.lifetime import Lifetime
from netguard.plan import Memory
from netguard.taps import EVERY, Tap, Whole, one_less, one_more
from netguard.testing import Application, connect

LINES = Whole(b"\n", 4)


class Owner:
    """Whose methods live as long as the factory."""

    def one(self, connection: Any, data: bytes) -> None:
        """Look."""

    def two(self, connection: Any, data: bytes) -> None:
        """Look."""


def test_one_is_called_directly_and_spared_what_it_need_not_see() -> None:
    """Until others are there as well; and again when they are gone."""
    one = one_more(None, print, LINES)
    assert (one.show, one.ends, one.longest) == (print, b"\n", 4)
    both = one_more(one, zip, EVERY)
    assert (both.ends, both.longest) == EVERY
    left = one_less(both, zip)
    assert left is not None
    assert (left.show, left.ends, left.longest) == (print, b"\n", 4)
    assert one_less(left, print) is one_less(None, print) is None


def test_each_is_shown_the_chunk_in_order() -> None:
    """With the connection."""
    seen: list[Any] = []
    looks = (lambda *about: seen.append((1, *about)), LINES), (lambda *about: seen.append((2, *about)), EVERY)
    Tap(looks).show("c", b"x\n")
    assert seen == [(1, "c", b"x\n"), (2, "c", b"x\n")]


@pytest.mark.parametrize(
    ("chunk", "shown"),
    [(b"abc\n", False), (b"\n", False), (b"abcd\n", True), (b"abc", True), (b"a\nb", True)],
    ids=["whole", "empty", "too-long", "open", "ends-otherwise"],
)
def test_what_need_not_be_shown_is_delivered_all_the_same(chunk: bytes, shown: bool) -> None:
    """On both sides of the bound."""
    peer, seen = connect(Lifetime("1h"), Application), list[bytes]()
    assert peer.connection is not None
    peer.connection.tap(lambda _, data: seen.append(data), LINES)
    peer.feed(chunk)
    assert seen == ([chunk] if shown else [])
    assert peer.application.received == chunk


def test_what_lasts_is_shared_and_what_may_hold_a_connection_is_not_remembered() -> None:
    """Ten thousand connections with the same two taps have one object between them; so have they with one less."""
    memory, owner = Memory(), Owner()
    memory.own(owner)
    one = memory.with_look(None, owner.one, LINES)
    both = memory.with_look(one, owner.two, EVERY)
    assert memory.with_look(memory.with_look(None, owner.one, LINES), owner.two, EVERY) is both
    assert both.looks == ((owner.one, LINES), (owner.two, EVERY))
    assert memory.without_look(both, owner.one) is memory.without_look(both, owner.one)
    assert memory.without_look(one, owner.one) is memory.without_look(None, owner.two) is None
    remembered = len(memory._more), len(memory._less)
    private = memory.with_look(both, print, EVERY)
    assert memory.with_look(both, print, EVERY) is not private
    less = memory.without_look(private, owner.one)
    assert less is not None
    assert less.looks == ((owner.two, EVERY), (print, EVERY))
    assert memory.without_look(private, print) is not memory.without_look(private, print)
    assert (len(memory._more), len(memory._less)) == remembered


def test_what_cannot_be_hashed_may_look_as_well() -> None:
    """It is no method, and so is not shared."""

    class Strange(list[Any]):
        """Cannot be hashed."""

        def __call__(self, *_: object) -> None:
            """Look."""

    memory, strange = Memory(), Strange()
    tap = memory.with_look(None, strange, EVERY)
    assert tap.show is strange
    assert memory.without_look(tap, strange) is None
