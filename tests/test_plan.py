"""Tests for netguard.plan."""

from __future__ import annotations

from math import inf
from types import SimpleNamespace
from typing import Any

import pytest

from netguard import plan
from netguard.plan import EMPTY, NOTHING, Memory


class Owner:
    """Lives as long as the factory."""

    def do(self, connection: object) -> None:
        """Something."""

    def other(self, connection: object) -> None:
        """Something else."""


def connection(*, listening: bool = True, outgoing: Any = None, patience: float = 1.0) -> Any:
    """The facts that moments are made of."""
    meter = SimpleNamespace(active=50.0, outgoing=outgoing)
    return SimpleNamespace(opened=10.0, listening=listening, meter=meter, patience=patience)


def test_moments_are_what_they_say() -> None:
    """Counted from the beginning, from the last activity, from what the peer last took; marks have none."""
    taking = SimpleNamespace(took=60.0)
    assert plan.age(connection(), 5) == 15
    assert plan.later(connection(), (5, 2)) == 7
    assert plan.silence(connection(), 5) == 55
    assert plan.silence(connection(listening=False), 5) == inf
    assert plan.silence(connection(listening=False, outgoing=taking), 5) == 55
    assert plan.stall(connection(), 5) == inf
    assert plan.stall(connection(outgoing=taking), 5) == 65
    assert {mark(connection(), 5) for mark in (plan.received, plan.sent, plan.written)} == {inf}


def test_patience_shortens_what_lasts() -> None:
    """A limit that is a tenth of itself is over after a tenth of the time."""
    taking = SimpleNamespace(took=60.0)
    assert plan.age(connection(patience=0.1), 50) == 15
    assert plan.silence(connection(patience=0.1), 50) == 55
    assert plan.stall(connection(outgoing=taking, patience=0.1), 50) == 65
    assert plan.later(connection(patience=0.1), (7, 50)) == 12


@pytest.fixture
def owner() -> Owner:
    """Somebody's guard."""
    return Owner()


@pytest.fixture
def memory(owner: Owner) -> Memory:
    """The memory of a factory with that guard."""
    made = Memory()
    made.own(owner)
    return made


def test_equal_plans_are_one_object(memory: Memory, owner: Owner) -> None:
    """Whoever sets the same watches in the same order has the same plan."""
    plans = []
    for _ in range(2):
        one = memory.extend(EMPTY, plan.age, 5, owner.do)
        plans.append(memory.extend(one, plan.received, 7, owner.other))
    assert plans[0] is plans[1]
    assert memory.without(plans[0], plans[0].watches[:1]) is memory.without(plans[1], plans[1].watches[:1])
    assert memory.without(plans[0], plans[0].watches).watches == ()


def test_what_may_hold_a_connection_is_not_remembered(memory: Memory, owner: Owner) -> None:
    """A closure, a partial, a method of a state object: each is its connection's own."""
    for do in (lambda _: None, Owner().do, print):
        one, two = (memory.extend(EMPTY, plan.age, 5, do) for _ in range(2))
        assert one is not two
        assert one.private
        assert not memory.lasting(do)
        assert memory.without(one, one.watches) is not one
        one_call, another = (memory.calls(memory.nothing, do) for _ in range(2))
        assert one_call is not another
        assert memory.calls(one_call, owner.do) is not memory.calls(one_call, owner.do)


def test_what_cannot_be_hashed_is_called_like_the_rest(memory: Memory, owner: Owner) -> None:
    """A guard of somebody else's may give any callable, before or after an owner's method."""

    class Unhashable:
        __hash__ = None  # type: ignore[assignment]

        def __call__(self, _: object) -> None:
            """What is called."""

    do = Unhashable()
    before, behind = memory.calls(memory.nothing, owner.do), memory.calls(NOTHING, do)
    assert memory.calls(before, do).all == (owner.do, do)
    assert memory.calls(behind, owner.do).all == (do, owner.do)


def test_a_private_watch_makes_a_plan_private_until_it_is_gone(memory: Memory, owner: Owner) -> None:
    """What is left afterwards is shared again."""
    shared = memory.extend(EMPTY, plan.age, 5, owner.do)
    mixed = memory.extend(shared, plan.age, 6, lambda _: None)
    assert mixed.private
    assert memory.without(mixed, mixed.watches[1:]) is shared
    more = memory.extend(mixed, plan.age, 7, lambda _: None)
    assert memory.without(more, more.watches[2:]).private


def test_a_plan_knows_its_lowest_marks(memory: Memory, owner: Owner) -> None:
    """For each kind; what is written counts with what is sent."""
    assert (EMPTY.received_mark, EMPTY.sent_mark) == (inf, inf)
    made = EMPTY
    for kind, limit in ((plan.received, 9), (plan.received, 3), (plan.sent, 8), (plan.written, 4), (plan.age, 1)):
        made = memory.extend(made, kind, limit, owner.do)
    assert (made.received_mark, made.sent_mark) == (3, 4)
    assert [each.limit for each in made.received] == [3, 9]


def test_a_plan_knows_what_is_due_and_what_comes_next(memory: Memory, owner: Owner) -> None:
    """In the order in which the watches were set."""
    made = memory.extend(memory.extend(EMPTY, plan.age, 5, owner.do), plan.silence, 5, owner.other)
    assert made.due(connection(), 14.9) == ()
    assert made.due(connection(), 15) == made.watches[:1]
    assert made.due(connection(), 55) == made.watches
    assert (made.next(connection()), EMPTY.next(connection())) == (15, inf)


def test_calls_of_owners_are_shared(memory: Memory, owner: Owner) -> None:
    """As plans are."""
    one, two = (memory.calls(memory.calls(memory.nothing, owner.do), owner.other) for _ in range(2))
    assert one is two
    assert one.all == (owner.do, owner.other)


def test_what_is_shared_of_calls_is_bounded(memory: Memory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then a connection has its own."""
    monkeypatch.setattr(plan, "_MOST", 2)
    owners = [Owner() for _ in range(3)]
    for each in owners:
        memory.own(each)
    found = [[memory.calls(memory.nothing, each.do) for each in owners] for _ in range(2)]
    assert [one is two for one, two in zip(*found, strict=True)] == [True, True, False]


def test_the_memory_is_bounded(memory: Memory, owner: Owner, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many different moments start it afresh; plans in use go on."""
    monkeypatch.setattr(plan, "_MOST", 10)
    root = memory.extend(EMPTY, plan.age, 1, owner.do)
    for limit in range(100):
        grown = memory.extend(root, plan.later, (limit, 1), owner.other)
        assert memory.without(grown, grown.watches[1:]).watches == root.watches
        other = memory.extend(EMPTY, plan.later, (-limit - 1, 1), owner.other)
        assert memory.without(root, other.watches).watches == root.watches
    assert len(memory._known) <= 10
    assert len(root.less) <= 10
