"""How many connections all workers have."""

from __future__ import annotations

import os

from twisted.internet.task import Clock

from netguard.service import Service
from netguard.workers.population import share_population
from netguard.workers.totals import Table, memory


def test_each_knows_all() -> None:
    """At once; whoever has the figures has those that are shared."""
    descriptor = memory(2)
    table = Table(descriptor, 2)
    os.close(descriptor)
    houses = [Service(Clock), Service(Clock)]
    kept = [each.figures for each in houses]
    for at, house in enumerate(houses):
        column = table.column(0, at)
        assert column is not None
        share_population(house, column, 2)
    for _ in range(3):
        kept[0].came()
    kept[0].went()
    assert houses[0].figures is kept[0]
    assert (kept[0].now, kept[0].peak) == (2, 3)
    assert [each.signals.read("connections") for each in houses] == [0.0, 2.0]  # of its own, none has a factory here
    assert houses[0].sharers == 2
