"""Tests for netguard.commands.top_model: rates from two looks, and what each key means."""

from __future__ import annotations

from typing import Any

import pytest

from netguard.commands.top_model import KEYS, SORTS, Model, totals
from netguard.process.rows import SORTS as OFFERED


def status(**figures: Any) -> dict[str, Any]:
    """What a service answers."""
    return {"accepted": 0, "closed": 0, "refused": {}, "cut": {}, "bytes_in": 0, "bytes_out": 0, **figures}


def listed(*rows: tuple[int, int, int]) -> dict[str, Any]:
    """Connections: session, received, sent."""
    shown = [{"session": s, "received": i, "sent": o, "client.address": "192.0.2.7"} for s, i, o in rows]
    return {"connections": shown, "matching": len(rows), "total": len(rows)}


@pytest.fixture
def model() -> Any:
    """One that has seen three connections."""
    made: Any = Model()
    made.take(status(), listed((1, 0, 0), (2, 10, 0), (3, 0, 5)), 100.0)
    return made


def test_rates_are_what_has_grown_in_a_second(model: Any) -> None:
    """Of the service, those by guard together; and of each connection that was there before."""
    assert model.rates == {}
    now = status(accepted=4, refused={"ConnectionLimit": 3, "AccessRules": 1}, bytes_in=100)
    model.take(now, listed((2, 30, 8), (4, 7, 7)), 102.0)
    assert (model.rates["accepted"], model.rates["refused"], model.rates["bytes_in"]) == (2.0, 2.0, 50.0)
    assert model.flows == {2: (10.0, 4.0)}


def test_a_service_that_was_started_anew_has_no_rates_below_nothing(model: Any) -> None:
    """Its counters begin again."""
    model.take(status(accepted=9), listed(), 101.0)
    model.take(status(accepted=1), listed(), 102.0)
    assert model.rates["accepted"] == 0.0
    before = model.rates
    model.take(status(accepted=5), listed(), 102.0)
    assert model.rates is before


def test_totals_add_up_what_is_told_by_guard() -> None:
    """And miss nothing that is not there."""
    assert totals({"refused": {"a": 1, "b": 2}})["refused"] == 3
    assert totals({})["cut"] == 0


def test_the_figures_to_sort_by_are_those_of_the_service() -> None:
    """All of them."""
    assert set(SORTS) == set(OFFERED)


def test_sorting_goes_through_all_figures(model: Any) -> None:
    """And is asked of the service, as is searching."""
    seen = []
    for _ in SORTS:
        model.press("s")
        seen.append(model.sort)
    assert sorted(seen) == sorted(SORTS)
    assert model.question(16) == ("connections", "sort=age", "most=16")
    assert model.question(0)[2] == "most=1"


def test_searching_takes_letters_until_it_is_ended(model: Any) -> None:
    """Keys mean nothing else meanwhile; a search is bounded and has no blanks."""
    for key in ("/", "q", "2", " ", "ü", "\x00", "up", "backspace", "2", "enter"):
        model.press(key)
    assert (model.match, model.typing, model.over) == ("q2", False, False)
    assert model.question(5)[-1] == "match=q2"
    model.press("/")
    assert model.match == ""
    for _ in range(100):
        model.press("x")
    assert len(model.match) == 40
    model.press("escape")
    assert (model.match, model.typing) == ("", False)
    model.match = "x"
    model.press("escape")
    assert model.match == ""


def test_a_row_is_selected_and_stays_within_what_is_there(model: Any) -> None:
    """Up and down, by letters and by arrows."""
    for key in ("k", "up", "j", "down", "down", "down"):
        model.press(key)
    assert model.selected == 2
    model.take(status(), listed((1, 0, 0)), 101.0)
    assert model.selected == 0
    model.take(status(), listed(), 102.0)
    model.press("down")
    assert model.selected == 0


def test_cutting_asks_first(model: Any) -> None:
    """Any other key than y is no."""
    model.press("j")
    model.press("c")
    assert model.cutting == 2
    assert model.message == "cut session 2 of 192.0.2.7? press y"
    model.press("q")
    assert (model.cutting, model.message, model.over) == (None, "not cut", False)
    model.press("c")
    model.press("y")
    assert model.cutting == 2
    model.take(status(), listed(), 101.0)
    model.cutting = None
    model.press("c")
    assert model.cutting is None


def test_pausing_and_leaving(model: Any) -> None:
    """And keys that mean nothing."""
    model.press("p")
    assert model.paused
    model.press("p")
    assert not model.paused
    model.press("?")
    model.press("y")
    assert not model.over
    model.press("q")
    assert model.over
    assert all(word for _, word in KEYS.values())
