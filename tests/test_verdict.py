"""Tests for netguard.verdict: five answers that are never equal."""

from __future__ import annotations

from itertools import combinations

from netguard.verdict import Failure, Mismatch, NoName, Timeout, Verified, word

ALL = (Verified("a.example"), NoName(), Mismatch(("b.example",)), Timeout(), Failure(2), Failure())


def test_no_two_verdicts_are_equal() -> None:
    """Whatever their fields say."""
    assert all(one != other for one, other in combinations(ALL, 2))
    assert len(set(ALL)) == len(ALL)


def test_verdicts_are_values() -> None:
    """Equal when they say the same."""
    assert Mismatch(["b.example"]) == Mismatch(("b.example",))
    assert Verified("a.example") == Verified("a.example")


def test_each_kind_has_its_word() -> None:
    """Five words, none of them twice."""
    assert [word(each) for each in ALL] == ["verified", "no-name", "mismatch", "timeout", "failure", "failure"]
