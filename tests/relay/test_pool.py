"""Which backend gets the next connection."""

from __future__ import annotations

from typing import Any

import pytest

from netguard.relay.pool import BALANCES, Backend, Pool


def pool(count: int = 3, balance: str = "round-robin") -> Pool:
    """A pool whose backends are named 0, 1, 2 and so on."""
    return Pool([Backend(str(number), None) for number in range(count)], balance)


def names(pool: Pool, count: int) -> str:
    """The names of the next backends, with a connection each."""
    found = []
    for _ in range(count):
        backend = pool.choose()
        assert backend is not None
        backend.live += 1
        found.append(backend.name)
    return "".join(found)


@pytest.mark.parametrize("balance", BALANCES)
def test_they_take_turns(balance: str) -> None:
    """As long as nothing speaks for one of them."""
    assert names(pool(balance=balance), 7) == "0120120"


def test_the_fewest_connections_win() -> None:
    """And among equals, turns go on."""
    some = pool(balance="least-connections")
    some.backends[0].live, some.backends[1].live, some.backends[2].live = 2, 1, 3
    assert names(some, 5) == "10120"


def test_round_robin_does_not_count() -> None:
    """It is for backends whose connections cost alike."""
    some = pool()
    some.backends[0].live = 100
    assert names(some, 3) == "012"


def test_who_is_down_or_was_tried_is_passed_over() -> None:
    """And nobody is chosen when nobody is left."""
    some = pool()
    some.backends[1].up = False
    assert names(some, 4) == "0202"
    assert some.choose([some.backends[0]]) is some.backends[2]
    assert some.choose([some.backends[0], some.backends[2]]) is None


def test_three_failures_take_it_down_and_two_successes_bring_it_up() -> None:
    """In a row: one of the other kind in between begins anew."""
    some = pool(1)
    one: Any = some.backends[0]
    assert [some.judge(one, well=well) for well in (False, False, True, False, False)] == [False] * 5
    assert one.up
    assert some.judge(one, well=False)
    assert not one.up
    assert [some.judge(one, well=well) for well in (True, False, True)] == [False] * 3
    assert some.judge(one, well=True)
    assert one.up


def test_how_many_is_for_the_operator_to_say() -> None:
    """One is the least."""
    some = Pool([Backend("0", None)], rise=1, fall=1)
    (one,) = some.backends
    assert [some.judge(one, well=well) for well in (False, True)] == [True, True]
