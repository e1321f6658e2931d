"""Tests for netguard.commands.shown: answers for people."""

from __future__ import annotations

from typing import Any

import pytest

from netguard.commands.shown import amount, cell, lines, span


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (999, "999"),
        (999.4, "999"),
        (999.6, "1.0k"),
        (1000, "1.0k"),
        (48_211, "48.2k"),
        (99_940, "99.9k"),
        (99_960, "100k"),
        (999_600, "1.0M"),
        (1_500_000_000, "1.5G"),
        (3e15, "3000T"),
    ],
)
def test_bytes_are_short(value: float, text: str) -> None:
    """Three digits say enough."""
    assert amount(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0ms"),
        (0.25, "250ms"),
        (1, "1.0s"),
        (59.9, "59.9s"),
        (60, "1m00s"),
        (750, "12m30s"),
        (3599, "59m59s"),
        (11_100, "3h05m"),
        (1_483_200, "17d04h"),
    ],
)
def test_seconds_are_short(value: float, text: str) -> None:
    """As a person would say them."""
    assert span(value) == text


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("age", 750.0, "12m30s"),
        ("rss", 61_018_112, "61.0M"),
        ("fds", 20.0, "20"),
        ("score", 1.5, "1.5"),
        ("settled", True, "yes"),
        ("settled", False, "no"),
        ("server", None, "-"),
        ("paused", [], "-"),
        ("kinds", ["a", "b"], "a, b"),
        ("waits", [{"guard": "IdleTimeout", "for": "silence", "left": 5.5}], "IdleTimeout silence 5.5s"),
        ("waits", [{"guard": "ByteLimit", "for": "sent", "left": 5500}], "ByteLimit sent 5.5k"),
        ("waits", [{"guard": "WriteStall", "for": "stall", "left": None}], "WriteStall stall -"),
    ],
)
def test_a_value_is_shown_by_what_it_is(key: str, value: Any, text: str) -> None:
    """The name of a figure says its unit."""
    assert cell(key, value) == text


def test_an_answer_is_lines_and_tables() -> None:
    """Mappings are spelled out; rows have a head, and what one has not got is a dash."""
    answer = {
        "ok": True,
        "uptime": 3.0,
        "refused": {"ConnectionLimit": 1},
        "cut": {},
        "connections": [{"session": 1, "client.address": "192.0.2.1"}, {"session": 22, "age": 5.0}],
    }
    assert list(lines(answer)) == [
        "uptime                   3.0s",
        "refused.ConnectionLimit  1",
        "session  client     age",
        "1        192.0.2.1  -",
        "22       -          5.0s",
    ]


def test_an_empty_table_says_so() -> None:
    """Instead of nothing."""
    assert list(lines({"ok": True, "penalties": []})) == ["no penalties"]
    assert list(lines({"ok": True})) == []
