"""What is promised of the decisions: which deadline has passed, and when to look again."""

from __future__ import annotations

import pytest
from twisted.internet.error import ConnectionAborted

from netguard.errors import Idle, WriteStalled
from netguard.mixins.deadlines import (
    LOOKS,
    Deadlines,
    PhaseTimedOut,
    ReadTimedOut,
    TimedOut,
    WriteTimedOut,
)


def test_nothing_running_never_strikes() -> None:
    """Without a deadline there is nothing to wait for and nothing to strike."""
    deadlines = Deadlines()
    assert deadlines.next(0.0) is None
    assert not deadlines.passed(1e9)
    assert deadlines.strike(1e9) is None
    assert not deadlines.looking
    assert not deadlines.running


@pytest.mark.parametrize(
    ("deadlines", "kind", "shown"),
    [
        (Deadlines(idle=10.0, idle_period=10.0), TimedOut, "option setTimeout"),
        (Deadlines(read=10.0), ReadTimedOut, "option setReadTimeout"),
        (Deadlines(write=10.0), WriteTimedOut, "option setWriteTimeout"),
        (Deadlines(phases={"login": (10.0, 10.0)}), PhaseTimedOut, "phase 'login'"),
    ],
)
def test_each_strikes_once_at_its_moment(deadlines: Deadlines, kind: type[Exception], shown: str) -> None:
    """A deadline strikes at its moment, not before, and only once, with a reason that says all of it."""
    assert deadlines.strike(9.999) is None
    assert not deadlines.passed(9.999)
    assert deadlines.passed(10.0)
    reason = deadlines.strike(10.5)
    assert isinstance(reason, kind)
    assert isinstance(reason, ConnectionAborted)
    assert (reason.limit, reason.observed) == (10.0, 10.5)
    assert "observed 10.5s, limit 10s" in str(reason)
    assert shown in str(reason)
    assert deadlines.strike(10.5) is None


def test_reasons_are_kinds_of_those_the_guards_give() -> None:
    """An application that knows the guards' reasons for silence and for a stall knows these."""
    assert issubclass(TimedOut, Idle)
    assert issubclass(ReadTimedOut, Idle)
    assert issubclass(WriteTimedOut, WriteStalled)


def test_the_earliest_strikes_first() -> None:
    """Of several deadlines that have passed, the earliest comes first, and each gets its turn."""
    deadlines = Deadlines(idle=3.0, idle_period=3.0, phases={"a": (2.0, 2.0), "b": (9.0, 9.0)}, read=5.0)
    struck = [type(deadlines.strike(6.0)) for _ in range(4)]
    assert struck == [PhaseTimedOut, TimedOut, ReadTimedOut, type(None)]
    assert list(deadlines.phases) == ["b"]


def test_of_two_at_one_moment_the_write_deadline_strikes() -> None:
    """A peer that neither speaks nor reads is ended for not reading: that end cannot be talked out of."""
    deadlines = Deadlines(read=4.0, write=4.0)
    assert isinstance(deadlines.strike(4.0), WriteTimedOut)


def test_a_rounding_error_does_not_postpone() -> None:
    """A moment that sums of floats miss by a hair counts as reached."""
    assert Deadlines(idle=0.3, idle_period=0.3).passed(0.1 + 0.1 + 0.1 - 1e-9)


def test_looks_come_eight_times_in_the_shorter_period() -> None:
    """While what the peer takes matters, the next look is an eighth of the shorter period away, or the deadline."""
    deadlines = Deadlines(read=80.0, write=16.0)
    assert deadlines.looking
    assert deadlines.next(0.0) == 16.0 / LOOKS
    assert deadlines.next(15.0) == 16.0
    assert Deadlines(idle=7.0).next(0.0) == 7.0


def test_with_nothing_outstanding_the_write_clock_stands() -> None:
    """A peer for which nothing waits cannot be late in taking it."""
    deadlines = Deadlines(write=10.0)
    for now in range(100):
        deadlines.look(float(now), 0, outstanding=False)
        assert deadlines.strike(float(now)) is None


def test_the_write_clock_starts_when_something_is_seen_to_wait() -> None:
    """What was written since the last look has been waiting for no longer than that."""
    deadlines = Deadlines(write=10.0)
    deadlines.look(1.0, 0, outstanding=False)
    deadlines.look(2.0, 0, outstanding=True)
    deadlines.look(11.9, 0, outstanding=True)
    assert deadlines.strike(11.9) is None
    assert isinstance(deadlines.strike(12.0), WriteTimedOut)


def test_a_byte_taken_starts_the_write_clock_anew() -> None:
    """One byte in each period is enough for the write deadline; none is not."""
    deadlines = Deadlines(write=10.0)
    deadlines.look(0.0, 0, outstanding=True)
    deadlines.look(9.0, 1, outstanding=True)
    assert deadlines.strike(18.9) is None
    deadlines.look(18.9, 1, outstanding=True)
    assert isinstance(deadlines.strike(19.0), WriteTimedOut)


def test_taking_an_answer_counts_as_speaking_until_it_is_taken() -> None:
    """The read clock stands while the peer takes an answer, and runs from the look that finds it taken."""
    deadlines = Deadlines(read=10.0)
    deadlines.look(5.0, 0, outstanding=True)
    deadlines.look(9.0, 1, outstanding=True)
    deadlines.look(13.0, 2, outstanding=False)
    assert deadlines.heard == 13.0
    deadlines.look(14.0, 3, outstanding=False)
    assert deadlines.heard == 13.0


def test_not_taking_an_answer_is_silence() -> None:
    """A peer that neither speaks nor takes what waits for it is cut by the read deadline alone."""
    deadlines = Deadlines(read=10.0)
    for now in range(10):
        deadlines.look(float(now), 0, outstanding=True)
    assert isinstance(deadlines.strike(10.0), ReadTimedOut)


def test_clear_ends_all() -> None:
    """After clear nothing is running."""
    deadlines = Deadlines(idle=1.0, read=1.0, write=1.0, phases={"a": (1.0, 1.0)})
    assert deadlines.running
    deadlines.clear()
    assert not deadlines.running
