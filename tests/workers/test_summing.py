"""A house that speaks for its workers."""

from __future__ import annotations

from time import process_time
from typing import Any

from twisted.internet.task import Clock

from netguard.figures import Figures
from netguard.process.vitals import Vitals
from netguard.service import Service
from netguard.workers.snapshot import Sums, snapshot
from netguard.workers.summing import sum_up


class Crew:
    """Two workers."""

    population = 5
    guards = connections = ()

    def __init__(self, figures: Figures) -> None:
        self.sums = Sums(figures)


def test_it_says_what_they_are() -> None:
    """Memory, files, processor time, connections, and how many peers are remembered."""
    house = Service(Clock)
    remembered: Any = Service(Clock)
    house.penalties.append(object())
    crew: Any = Crew(house.figures)
    sum_up(house, crew)
    own = Vitals(remembered).read()
    told = {**snapshot(remembered), "rss": 1_000_000_000, "fds": 1000, "cpu": 50.0, "misbehaved": 3, "now": 5}
    crew.sums.hear(1, told)
    reading = Vitals(house).read()
    assert reading.connections == 5
    assert 1_000_000_000 < (reading.rss or 0) < 1_000_000_000 + 4 * (own.rss or 0)
    assert (reading.fds or 0) > 1000
    assert house.signals.read("connections") == house.population == 5
    assert house.cpu() >= 50.0 + process_time() - 1
    assert [len(each.table) for each in house.penalties] == [3]
    (ledger,) = house.penalties
    assert ([*ledger.rows(5)], ledger.clear("all")) == ([], 0)


def test_a_service_without_penalties_has_none() -> None:
    """There is no such figure then."""
    house = Service(Clock)
    crew: Any = Crew(house.figures)
    sum_up(house, crew)
    assert house.penalties == []
    assert house.crew is crew
