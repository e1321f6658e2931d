"""Who is shown every chunk."""

from __future__ import annotations

from typing import Any

from netguard.plan import Memory
from netguard.taps import Taps, looks_of, tap_of


class Owner:
    """Whose methods live as long as the factory."""

    def one(self, connection: Any, data: bytes) -> None:
        """Look."""

    def two(self, connection: Any, data: bytes) -> None:
        """Look."""


def test_nobody_costs_nothing_and_one_is_called_directly() -> None:
    """Only of several something is made."""
    assert tap_of(()) is None
    assert tap_of((print,)) is print
    several = tap_of((print, zip))
    assert isinstance(several, Taps)
    assert [looks_of(each) for each in (None, print, several)] == [(), (print,), (print, zip)]


def test_each_is_shown_the_chunk_in_order() -> None:
    """With the connection."""
    seen: list[Any] = []
    Taps((lambda *about: seen.append((1, *about)), lambda *about: seen.append((2, *about))))("c", b"x")
    assert seen == [(1, "c", b"x"), (2, "c", b"x")]


def test_what_lasts_is_shared_and_what_may_hold_a_connection_is_not_remembered() -> None:
    """Ten thousand connections with the same two taps have one object between them; so have they with one less."""
    memory, owner = Memory(), Owner()
    memory.own(owner)
    both = memory.with_look(memory.with_look(None, owner.one), owner.two)
    assert memory.with_look(memory.with_look(None, owner.one), owner.two) is both
    assert looks_of(both) == (owner.one, owner.two)
    assert memory.without_look(both, owner.one) == owner.two
    assert memory.without_look(both, owner.one) is memory.without_look(both, owner.one)
    assert memory.without_look(owner.two, owner.two) is memory.without_look(None, owner.two) is None
    remembered = len(memory._more), len(memory._less)
    private = memory.with_look(both, print)
    assert memory.with_look(both, print) is not private
    assert looks_of(memory.without_look(private, owner.one)) == (owner.two, print)
    assert memory.without_look(private, print) is not both
    assert looks_of(memory.without_look(private, print)) == (owner.one, owner.two)
    assert (len(memory._more), len(memory._less)) == remembered
