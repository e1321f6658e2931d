"""The least time from one login to the next, and how little is remembered for it."""

from __future__ import annotations

from twisted.internet.task import Clock

from netguard.pop3.login_delays import LoginDelays


def test_a_user_waits_from_the_last_login() -> None:
    """Until exactly then; others do not wait."""
    clock = Clock()
    delays = LoginDelays(clock)
    delays.note("alice", 60)
    assert (delays.too_soon("alice"), delays.too_soon("bob")) == (True, False)
    clock.advance(59.9)
    assert delays.too_soon("alice")
    clock.advance(0.1)
    assert not delays.too_soon("alice")


def test_who_need_not_wait_is_not_remembered() -> None:
    """Neither without a rule nor with one of no time."""
    delays = LoginDelays(Clock())
    delays.note("alice", None)
    delays.note("alice", 0)
    assert len(delays) == 0


def test_whose_time_is_over_is_forgotten() -> None:
    """So a hundred thousand users who come once do not stay."""
    clock = Clock()
    delays = LoginDelays(clock)
    for number in range(100_000):
        delays.note(f"user{number}", 1)
        clock.advance(0.001)
    assert len(delays) < 4 * 1024
