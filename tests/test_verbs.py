"""Tests for netguard.verbs: what passes between guards and connections is data."""

from __future__ import annotations

import pytest
from attrs.exceptions import FrozenInstanceError
from twisted.internet.address import IPv4Address

from netguard.verbs import VERBS, Heard, Misdeed


def test_what_was_heard_claims_nothing_unless_told() -> None:
    """And equals its like."""
    assert Heard() == Heard(b"", None, None, {})
    assert Heard(b"x", IPv4Address("TCP", "192.0.2.1", 1)) != Heard(b"x")


def test_a_misdeed_is_an_ordinary_one_that_counts_each_time() -> None:
    """Unless it says otherwise; and it does not change."""
    misdeed = Misdeed("malformed")
    assert (misdeed.weight, misdeed.once) == (1.0, None)
    with pytest.raises(FrozenInstanceError):
        misdeed.weight = 2.0  # type: ignore[misc]


def test_no_verb_is_named_twice() -> None:
    """The vocabulary is a set."""
    assert len(set(VERBS)) == len(VERBS)
