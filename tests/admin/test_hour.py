"""The last hour can be read as a table."""

from __future__ import annotations

import re
import time

from netguard.admin.history import Sample
from netguard.admin.hour import ROW, hour


def test_a_row_is_five_minutes_the_latest_first() -> None:
    """Numbers are added up; of connections and of the lag the most counts."""
    now = 1_000_000.0
    samples = [
        Sample(round(now) - age, age, age / 100, 1, 1024, 2048, {"A": 2, "B": 1}, {"C": 1}) for age in (ROW + 5, 10, 5)
    ]
    text = re.sub(r"<[^>]+>", "|", hour(samples, now)).replace("\u00a0", " ")
    rows = [[cell for cell in row.split("|") if cell] for row in re.findall(r"\|\d\d:\d\d\|.*?(?=\|\|\|\d\d:|$)", text)]
    clock = [time.strftime("%H:%M", time.localtime(now - age)) for age in (0, ROW)]
    assert rows == [
        [clock[0], "10", "2", "6", "2", "100 ms", "2.0 KiB, 4.0 KiB"],
        [clock[1], "305", "1", "3", "1", "3 s", "1.0 KiB, 2.0 KiB"],
    ]


def test_an_hour_that_has_just_begun_says_so() -> None:
    """Without a table."""
    assert "Nothing yet." in hour([], 0.0)
    assert "<table" not in hour([], 0.0)
