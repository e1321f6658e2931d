"""Figures are written as people read them, and others' text cannot leave the place where it stands."""

from __future__ import annotations

import pytest

from netguard.admin.words import number, size, span, table, tag


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (999, "999"), (1000, "1\u202f000"), (1_234_567.9, "1\u202f234\u202f567")]
)
def test_numbers(value: float, text: str) -> None:
    """In groups of three."""
    assert number(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (10_240, "10 KiB"),
        (5 * 2**30, "5.0 GiB"),
        (2**62, "4096.0 PiB"),
    ],
)
def test_sizes(value: float, text: str) -> None:
    """In the largest unit that fits."""
    assert size(value).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0 ms"),
        (0.0124, "12 ms"),
        (1, "1 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (3600, "1 h"),
        (3661, "1 h 1 min"),
        (90_061, "1 d 1 h"),
        (86_401, "1 d 1 s"),
    ],
)
def test_spans(value: float, text: str) -> None:
    """In two units at most."""
    assert span(value).replace("\u00a0", " ") == text


def test_an_attribute_cannot_be_left() -> None:
    """What is not there is not there."""
    made = tag("a", "x", href='"><script>', _class=None, hidden=False, open=True, aria_label="it's & so")
    assert made == '<a href="&quot;&gt;&lt;script&gt;" open aria-label="it&#x27;s &amp; so">x</a>'


def test_a_table_says_what_its_cells_are() -> None:
    """To those who hear it."""
    made = table("A <caption>", {"one": "1", "two": "2"}, [["a", "b"]])
    assert "<caption>A &lt;caption&gt;</caption>" in made
    assert '<th scope="col" role="columnheader" class="one">1</th>' in made
    assert '<th scope="row" role="rowheader" class="one">a</th><td role="cell" class="two">b</td>' in made
    assert 'tabindex="0"' in made
