"""Tests for netguard.over."""

from __future__ import annotations

import pytest

from netguard.over import OVER


def test_every_verb_does_nothing() -> None:
    """Whatever it is given."""
    assert OVER.state == "ended"
    assert OVER.pause("who", "in") is None
    assert OVER.paused("in") is None
    assert OVER.cut(object()) is None
    assert OVER.house is None


def test_it_is_not_taken_for_more() -> None:
    """Copy and pickle probe for dunder names."""
    with pytest.raises(AttributeError):
        _ = OVER.__deepcopy__
