"""Tests of the guard `SlowStart`, as an author writes them."""

from __future__ import annotations

import pytest
from netguard.testing import check_transparent, connect

from slow_start import SlowStart, StartedTooSlowly


def test_one_byte_too_few_is_cut_with_the_reason() -> None:
    """Just outside of the limit."""
    peer = connect(SlowStart("5s", "64"))
    peer.feed(bytes(63))
    peer.advance(5.25)
    assert isinstance(peer.application.reason, StartedTooSlowly)
    assert peer.events[-1].fields["option"] == "start-within"


@pytest.mark.parametrize("split", [None, 1, [3, 60]])
def test_enough_is_left_alone(split: int | list[int] | None) -> None:
    """Just inside of it, in whatever pieces the bytes come."""
    peer = connect(SlowStart("5s", "64"))
    peer.feed(bytes(64), split=split)
    peer.advance(3600)
    assert not peer.lost


def test_observing_only_reports() -> None:
    """`observe` is obeyed without a line of code for it."""
    peer = connect(SlowStart("5s", observe=True))
    peer.advance(3600)
    assert not peer.lost
    assert [each.name for each in peer.events].count("would_cut") == 1


def test_a_generous_limit_changes_nothing() -> None:
    """Neither the application nor the peer can tell that the guard is there."""
    check_transparent(SlowStart("1h"))


# mypy: disable-error-code="import-not-found"
