"""The cache of verdicts: how long, how many."""

from __future__ import annotations

from twisted.internet.task import Clock

from netguard.clients.names_cache import Cache
from netguard.verdict import NoName, Verified

NAME = Verified("a.example")


def test_a_verdict_is_kept_for_its_time_and_not_longer() -> None:
    """To the second."""
    clock = Clock()
    cache = Cache(clock.seconds)
    cache.put("192.0.2.1", NAME, 60)
    clock.advance(59.999)
    assert cache.get("192.0.2.1") is NAME
    clock.advance(0.001)
    assert cache.get("192.0.2.1") is None
    assert len(cache) == 0


def test_what_may_not_be_kept_is_not() -> None:
    """And it takes the place of what was."""
    cache = Cache(Clock().seconds)
    cache.put("192.0.2.1", NAME, 60)
    cache.put("192.0.2.1", NoName(), 0)
    assert cache.get("192.0.2.1") is None
    assert cache.get("192.0.2.2") is None


def test_so_many_are_kept_and_no_more() -> None:
    """The one that was put in first goes; one that is put in again is new."""
    cache = Cache(Clock().seconds, most=3)
    for number in (1, 2, 3, 1, 4, 5):
        cache.put(f"192.0.2.{number}", NAME, 60)
        assert len(cache) <= 3
    assert [number for number in range(6) if cache.get(f"192.0.2.{number}")] == [1, 4, 5]


def test_everything_can_be_forgotten() -> None:
    """At once."""
    cache = Cache(Clock().seconds)
    cache.put("192.0.2.1", NAME, 60)
    cache.clear()
    assert cache.get("192.0.2.1") is None
