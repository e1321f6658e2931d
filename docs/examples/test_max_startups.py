"""Tests of the guard `MaxStartups`: several connections to one factory."""

from __future__ import annotations

from netguard import settle
from netguard.testing import check_transparent, connect

from max_startups import MaxStartups


def test_a_login_gives_the_place_to_the_next() -> None:
    """Only those without a login count."""
    first = connect(MaxStartups(1))
    assert connect(first.factory).refused
    settle(first.application.transport)
    assert not connect(first.factory).refused


def test_an_end_gives_the_place_to_the_next() -> None:
    """However the connection ends."""
    first = connect(MaxStartups(1))
    first.vanish()
    second = connect(first.factory)
    assert not second.refused


def test_a_generous_limit_changes_nothing() -> None:
    """Neither the application nor the peer can tell that the guard is there."""
    check_transparent(MaxStartups(1000))


# mypy: disable-error-code="import-not-found"
