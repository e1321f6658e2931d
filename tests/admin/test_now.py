"""What the page draws comes in one answer, which programs read as well."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet.task import Clock

from netguard.admin.about import About
from netguard.admin.asked import Asked
from netguard.admin.history import EVERY, TICK, History
from netguard.admin.now import Now
from netguard.admin.page import Page
from netguard.policy import Policy
from netguard.process.vitals import Vitals
from netguard.testing import connect
from tests.coroutines import at_once


class Site:
    """A service with one connection, and five samples of it."""

    def __init__(self) -> None:
        self.there = connect(Policy.from_options({"idle": "1h"}))
        self.there.feed(b"hello")
        clock: Clock = self.there.clock
        vitals = Vitals(self.there.factory.service)
        history = History(vitals, clock, lambda: 1_000_000 + clock.seconds())
        history.startService()
        clock.pump([TICK] * round((5 * EVERY + 1) / TICK))
        history.stopService()
        self.now = Now(Page(vitals, history, About(), "secret"))

    def ask(self, **query: str) -> Any:
        """What is answered."""
        answer = at_once(self.now.answer(Asked("GET", "/figures.json", query)))
        assert answer.kind == "application/json"
        return json.loads(answer.body)


def test_the_figures_and_the_samples_are_there() -> None:
    """With the connections, a page of them."""
    found = Site().ask()
    assert found.keys() == {"unready", "next", "samples", "figures", "connections"}
    assert found["unready"] == "starting: nothing listens yet"
    assert found["figures"]["totals"]["bytes_in"] == 5
    assert (found["next"], len(found["samples"])) == (5, 5)
    assert len(found["samples"][0]) == 8
    (row,) = found["connections"]["rows"]
    assert (row["received"], row["state"]) == (5, "open")


@pytest.mark.parametrize(
    ("since", "count"), [("0", 5), ("3", 2), ("5", 0), ("6", 5), ("", 5), ("-1", 5), ("x", 5), ("9" * 5000, 5)]
)
def test_samples_that_are_known_are_not_sent_again(since: str, count: int) -> None:
    """Whatever is said to be known."""
    assert len(Site().ask(since=since)["samples"]) == count


def test_the_page_gets_its_parts() -> None:
    """Those that change, as they stand on it."""
    found = Site().ask(live="", since="5")
    assert found.keys() == {"unready", "next", "samples", "live"}
    assert found["live"].keys() == {"state", "now", "guards", "connections"}
    assert "<table" in found["live"]["connections"]
