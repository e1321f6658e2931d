"""Tests for netguard.commands.top_view: one screen, whole and readable, whatever its size and without colour."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("rich", reason="the extra `top` is not installed")

from rich.console import Console

from netguard.commands.top_model import Model
from netguard.commands.top_view import COLUMNS, FOOT, HEAD, rows_of, screen


def row(session: int, **figures: Any) -> dict[str, Any]:
    """A connection as a service describes it."""
    waits = [
        {"guard": "IdleTimeout", "for": "silence", "left": 298.0},
        {"guard": "LoginTimeout", "for": "age", "left": 48.0},
        {"guard": "ByteLimit", "for": "sent", "left": 5},
        {"guard": "WriteStall", "for": "stall", "left": None},
    ]
    about = {"session": session, "client.address": "192.0.2.7", "state": "open", "settled": False, "waits": waits}
    return {**about, "age": 12.0, "received": 10, "sent": 20_000, "queued": 0, "silent": 2.0, "stalled": 0.0, **figures}


def model(*rows: dict[str, Any], **figures: Any) -> Model:
    """A model that has seen these."""
    about = {"pid": 4711, "uptime": 11_100.0, "connections": 12, "peak": 40, "heartbeat": "1m", "rss": 43_000_000}
    about |= {"lag_median": 0.001, "lag_worst": 0.021, "fds": 27.0, "sheds": 0, "draining": False}
    about |= {"refused": {"AccessRules": 1, "ConnectionLimit": 5}, "cut": {"IdleTimeout": 2}, **figures}
    made = Model()
    made.take(about, {"connections": list(rows), "matching": len(rows), "total": 12}, 1.0)
    return made


def drawn(shown: Model, width: int = 80, height: int = 24) -> list[str]:
    """The lines of the screen, without colour."""
    console = Console(width=width, height=height, no_color=True, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(screen(shown, width, height))
    return capture.get().splitlines()


def test_a_screen_of_80_by_24_says_what_matters() -> None:
    """The figures, who refuses and cuts, the connections, the keys; not a line more, not a character wider."""
    lines = drawn(model(row(1), row(2, received=1_500_000)))
    assert len(lines) == 24
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("netguard top   pid 4711   up 3h05m   heartbeat 1m")
    assert lines[1].startswith("connections 12 (peak 40)")
    assert lines[2].startswith("lag 1ms, worst 21ms   memory 43.0M   files 27   sheds 0")
    assert lines[3] == "refused 0.0/s   ConnectionLimit 5, AccessRules 1"
    assert lines[4] == "cut     0.0/s   IdleTimeout 2"
    assert lines[5].split() == ["session", "client", "age*", "in/s", "out/s", "in", "out", "queued", "silent"]
    assert lines[6].split() == [">", "1", "192.0.2.7", "12.0s", "-", "-", "10", "20.0k", "0", "2.0s"]
    assert lines[7].split()[5] == "1.5M"
    assert lines[23].startswith("q quit  s sort  / search  p pause  j down  k up  c cut   sorted by age")


@pytest.mark.parametrize(("width", "height"), [(20, 8), (40, 10), (80, 24), (120, 50), (300, 100), (1, 1)])
def test_it_fits_every_size(width: int, height: int) -> None:
    """The table shows what there is room for."""
    lines = drawn(model(*[row(each) for each in range(60)]), width, height)
    assert max(map(len, lines)) <= width
    assert len(lines) == HEAD + FOOT + rows_of(height)
    assert len(lines) == max(height, HEAD + FOOT + 1)


def test_a_wide_screen_says_more() -> None:
    """Who is settled, who stalls, and which deadline comes first."""
    (line,) = (each for each in drawn(model(row(1, settled=True, stalled=3.0)), 160) if "192.0.2.7" in each)
    assert "3.0s settled LoginTimeout 48.0s" in line
    (line,) = (each for each in drawn(model(row(1, waits=[])), 160) if "192.0.2.7" in each)
    assert line.split()[-3:] == ["-", "open", "-"]


def test_the_selected_row_is_always_in_sight() -> None:
    """And marked by more than its style."""
    shown = model(*[row(each) for each in range(100, 160)])
    for _ in range(59):
        shown.press("down")
    marked = [each for each in drawn(shown) if each.startswith(">")]
    assert [each.split()[1] for each in marked] == ["159"]


def test_what_is_too_long_loses_its_middle() -> None:
    """Both ends of an address tell it from others."""
    address = "2001:db8:1234:5678:9abc:def0:1234:5678"
    (line,) = (each for each in drawn(model(row(1, **{"client.address": address}))) if "2001" in each)
    assert line.split()[2] == "2001:db8~1234:5678"


def test_rates_show_once_there_are_two_looks() -> None:
    """Of the service and of each connection."""
    shown = model(row(1))
    about = {**shown.status, "bytes_in": 2000, "refused": {"ConnectionLimit": 11}}
    shown.take(about, {"connections": [row(1, received=2010)], "matching": 1, "total": 1}, 2.0)
    lines = drawn(shown)
    assert "in 2.0k/s" in lines[1]
    assert lines[3].startswith("refused 5.0/s")
    assert lines[6].split()[4] == "2.0k"


@pytest.mark.parametrize(
    ("change", "where", "said"),
    [
        ({"paused": True}, 0, "PAUSED"),
        ({"typing": True, "match": "192"}, -1, "search: 192_   (enter keeps it, escape ends it)"),
        ({"match": "192"}, -2, "1 of 12 match 192"),
        ({"match": "192", "message": "not cut"}, -2, "not cut"),
        ({"sort": "queued"}, 5, "queued*"),
    ],
)
def test_how_things_stand_is_said_in_words(change: dict[str, Any], where: int, said: str) -> None:
    """Wherever one looks for it."""
    shown = model(row(1))
    for name, value in change.items():
        setattr(shown, name, value)
    assert said in drawn(shown)[where]


def test_a_service_that_drains_says_so() -> None:
    """Whatever else it does; and a figure that cannot be read is a dash."""
    lines = drawn(model(draining=True, rss=None, fds=None, lag_worst=0.3))
    assert "DRAINING" in lines[0]
    assert "memory -" in lines[2]


def test_columns_have_names_that_fit() -> None:
    """With the mark of the one that is sorted by."""
    assert all(len(each.title) + bool(each.sort) <= each.width for each in COLUMNS)
