"""What is promised of penalties that other machines are told: what is left of them, who is exempt, who is pardoned."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from netguard.elsewhere.penalties import PenaltiesTally
from netguard.networks import Networks
from netguard.packed import Packed, packed
from netguard.penalty_table import PenaltyTable, Record
from netguard.penalty_terms import Terms
from netguard.units import Frequency

ONE, TWO = "192.0.2.1", "192.0.2.2"


class Keeper:
    """One machine's table."""

    def __init__(self, start: float = 0.0, *, observe: bool = False, exempt: str = "") -> None:
        self.limit: Any = SimpleNamespace(observe=observe, exempt=Networks(exempt) if exempt else None)
        self.table = PenaltyTable(Terms(Frequency(3, 60.0), 60.0, 3600.0), bytes(32))
        self.fresh: dict[Packed, Record | None] | None = None
        self.moment = start
        self.tally = PenaltiesTally(self)

    def now(self) -> float:
        """By its own clock."""
        return self.moment

    def penalise(self, peer: str) -> None:
        """It misbehaves here."""
        for _ in range(4):
            record = self.table.add(packed(peer), "failed-login", 1.0, self.moment)
        assert record is not None
        if self.fresh is not None:
            self.fresh[packed(peer)] = record

    def refuses(self, peer: str) -> float:
        """For how long."""
        record = self.table.refused(packed(peer), self.moment)
        return 0.0 if record is None else record.until - self.moment


def test_a_penalty_is_told_with_what_is_left_of_it() -> None:
    """Clocks are others on other machines."""
    here, there = Keeper(1000.0), Keeper(5.0)
    assert here.tally.news(9) == {}
    here.penalise(ONE)
    here.moment += 10
    news = here.tally.news(9)
    assert news == {ONE: (50.0, 0, "failed-login")}
    assert here.tally.news(9) == {}
    there.tally.hear("aa", {ONE: [50.0, 0, "failed-login"]})
    assert there.refuses(ONE) == 50.0
    assert there.tally.known == 1
    assert there.tally.state(9) == {ONE: (50.0, 0, "failed-login")}
    (row,) = there.table.rows(there.moment)
    assert (row.kinds, row.times) == (("failed-login",), 1)


def test_what_does_not_go_at_once_goes_later() -> None:
    """Nothing is lost."""
    here = Keeper()
    here.tally.news(9)
    for number in range(10):
        here.penalise(f"192.0.2.{number}")
    told = [here.tally.news(4) for _ in range(4)]
    assert [len(each) for each in told] == [4, 4, 2, 0]
    assert len(here.tally.state(4)) == 4
    here.tally.unheard()
    here.tally.forget("aa")
    assert len(here.tally.state(99)) == 10


def test_who_was_pardoned_is_pardoned_everywhere_but_nobody_is_by_a_state() -> None:
    """The last word counts."""
    here, there = Keeper(), Keeper()
    here.tally.news(9)
    here.penalise(ONE)
    here.table.clear(packed(ONE))
    assert here.fresh is not None
    here.fresh[packed(ONE)] = None
    assert here.tally.news(9) == {ONE: None}
    there.penalise(ONE)
    there.tally.learn("aa", {ONE: None})
    assert there.refuses(ONE)
    there.tally.hear("aa", {ONE: None, TWO: None})
    assert not there.refuses(ONE)


def test_who_is_exempt_here_is_so_whatever_others_say() -> None:
    """And nobody is pardoned of it, either."""
    here = Keeper(exempt="192.0.2.0/31")
    here.tally.learn("aa", {ONE: [50.0, 0, "x"], TWO: [50.0, 0, "x"]})
    assert (here.refuses(ONE), here.refuses(TWO)) == (0.0, 50.0)


def test_who_only_observes_tells_nobody() -> None:
    """Others would really refuse. It hears what they say."""
    here = Keeper(observe=True)
    here.penalise(ONE)
    assert here.tally.state(9) == {}
    here.tally.hear("aa", {TWO: [50.0, 0, "x"]})
    assert here.refuses(TWO)


@pytest.mark.parametrize(
    "value",
    [
        0, "50", [], [50.0], [50.0, 0], [50.0, 0, 1], [50.0, 0, "x", 1], [50.0, "0", "x"], [50.0, True, "x"],
        [True, 0, "x"], ["50", 0, "x"], [None, 0, "x"], [0, 0, "x"], [-1.0, 0, "x"], [1e300, 0, "x"],
        [10**400, 0, "x"], [float("nan"), 0, "x"], [50.0, 0, "\n"], {"0": 1},
    ],
)  # fmt: skip
def test_what_is_no_penalty_is_passed_over(value: Any) -> None:
    """And what stands beside it is not."""
    here = Keeper()
    here.tally.hear("aa", {ONE: value, "x": [50.0, 0, "x"], TWO: [50, -3, ""]})
    assert (here.refuses(ONE), here.refuses(TWO)) == (0.0, 50.0)


def test_no_penalty_is_longer_than_one_of_here() -> None:
    """Whatever others say; neither how long, nor the how many-th."""
    here = Keeper()
    here.tally.hear("aa", {ONE: [1e8, 0, "x"], TWO: [1e8, 10**30, "x"]})
    assert (here.refuses(ONE), here.refuses(TWO)) == (60.0, 3600.0)
