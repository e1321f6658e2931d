"""What is promised of the table of penalties: it is bounded, forgets in the right order, and doubles and halves."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netguard import penalty_table
from netguard.penalty_table import KINDS, OFFENDERS, SUSPECTS, TOKENS, PenaltyTable, Record
from netguard.penalty_terms import Terms
from netguard.units import Frequency

MINUTE, HOUR = 60.0, 3600.0
TERMS = Terms(Frequency(10, 10 * MINUTE), MINUTE, HOUR)
SECRET = bytes(range(32))


def table(**bounds: int) -> PenaltyTable:
    """A table with the terms of netguard-pop: ten in ten minutes, one minute to one hour."""
    return PenaltyTable(TERMS, SECRET, **bounds)


def misbehave(here: PenaltyTable, key: str, now: float = 0.0, count: int = 11, **about: Any) -> Record | None:
    """So many ordinary misdeeds at once; the record if a penalty began with the last of them."""
    record = None
    for _ in range(count):
        record = here.add(key, **{"kind": "failed-login", "weight": 1.0, "now": now, **about})
    return record


def only(here: PenaltyTable, now: float = 0.0) -> penalty_table.Row:
    """The one peer that is remembered."""
    (row,) = here.rows(now)
    return row


# Scores


def test_as_much_as_is_tolerated_passes_and_more_is_penalised() -> None:
    """Ten are tolerated, the eleventh is one too many; the peer is refused for a minute, to the second."""
    here = table()
    assert misbehave(here, "a", count=10) is None
    assert here.refused("a", 0.0) is None
    record = misbehave(here, "a", count=1)
    assert record is not None
    assert (record.peak, record.times, record.until) == (11.0, 0, MINUTE)
    assert here.began(record) == 0.0
    assert here.refused("a", 0.0) is record
    assert here.refused("a", MINUTE - 0.001) is record
    assert here.refused("a", MINUTE) is None
    assert here.refused("b", 0.0) is None


def test_a_score_drains_evenly() -> None:
    """One a minute for ever is tolerated; twice as often is not."""
    slow, fast = table(), table()
    assert all(slow.add("a", "failed-login", 1.0, MINUTE * each) is None for each in range(1000))
    penalised = [each for each in range(1000) if fast.add("a", "failed-login", 1.0, MINUTE / 2 * each)]
    assert 18 <= penalised[0] <= 22


def test_weights_add_up() -> None:
    """Small misdeeds make many; nothing and less than nothing is no misdeed, nor is what is no number."""
    here = table()
    assert [here.add("a", "malformed", 0.25, 0.0) for _ in range(40)] == [None] * 40
    assert all(here.add("a", "malformed", weight, 0.0) is None for weight in (0, -1, -1e9, float("nan")))
    assert only(here).score == 10.0
    assert here.add("a", "malformed", 0.25, 0.0) is not None


@pytest.mark.parametrize("weight", [11.0, 1e9, float("inf")])
def test_one_misdeed_can_be_enough_and_is_one_penalty(weight: float) -> None:
    """However bad it is said to be, no number grows out of bounds for it."""
    here = table()
    record = here.add("a", "attack", weight, 0.0)
    assert record is not None
    assert (record.peak, record.times) == (11.0, 0)


def test_peers_are_told_apart() -> None:
    """What one does is nobody else's."""
    here = table()
    for each in range(100):
        assert misbehave(here, f"peer {each}", count=10) is None
    assert misbehave(here, "peer 7", count=1) is not None
    assert list(here.offenders) == ["peer 7"]


# Penalties


def test_penalties_double_up_to_a_cap() -> None:
    """A minute, two, four, ... at most an hour, when the peer goes on as soon as it may."""
    here, now, lengths = table(), 0.0, []
    for _ in range(9):
        record = misbehave(here, "a", now)
        assert record is not None
        lengths.append(record.until - now)
        now = record.until
    assert lengths == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]


def test_a_misdeed_too_many_during_a_penalty_begins_the_next_one() -> None:
    """A peer that still has connections from before is not excused for what they go on to do."""
    here = table()
    misbehave(here, "a", 0.0)
    assert misbehave(here, "a", 10.0, count=10) is None
    assert only(here, 10.0).left == 50.0
    assert misbehave(here, "a", 10.0, count=1) is not None
    assert only(here, 10.0).left == 120.0


def test_each_hour_without_a_penalty_takes_a_doubling_back() -> None:
    """The next penalty after two good hours is as the one before the last; after all of them, as the first."""
    here, now = table(), 0.0
    for _ in range(4):  # 1, 2, 4 and 8 minutes
        record = misbehave(here, "a", now)
        assert record is not None
        now = record.until
    record = misbehave(here, "a", now + 2 * HOUR + 1)
    assert record is not None
    assert record.until - (now + 2 * HOUR + 1) == 4 * MINUTE  # instead of 16


def test_an_offender_is_remembered_exactly_as_long_as_that_makes_a_difference() -> None:
    """One hour for each penalty."""
    here = table()
    misbehave(here, "a", 0.0)
    record = misbehave(here, "a", MINUTE)
    assert record is not None
    forgotten = record.until + 2 * HOUR
    here.add("b", "x", 0.1, forgotten - 1)
    assert "a" in here.offenders
    here.add("b", "x", 0.1, forgotten)
    assert "a" not in here.offenders


def test_a_clock_that_is_set_back_makes_nobody_wait_for_it() -> None:
    """An hour back must not be an hour more; and who cannot be judged any more is forgotten."""
    here = table()
    misbehave(here, "a", 1e6)
    assert here.refused("a", 1e6 - HOUR) is None
    assert only(here, 1e6 - HOUR).left == 0.0
    here.add("b", "x", 1.0, 1e6 - HOUR)
    assert "a" not in here.offenders
    here.add("b", "x", 1.0, 1e6 - 2 * HOUR)
    assert only(here, 1e6 - 2 * HOUR).score <= 2.0


# What counts once


def test_the_same_token_of_the_same_peer_counts_once() -> None:
    """A mail program with an old password may go on for ever, from each place where it is."""
    here = table()
    assert misbehave(here, "a", count=1000, once=b"old password") is None
    assert only(here).score == 1.0
    assert misbehave(here, "b", count=1000, once=b"old password") is None
    assert {row.score for row in here.rows(0.0)} == {1.0}


def test_different_tokens_count_each() -> None:
    """A guesser is penalised as if there were no tokens."""
    here = table()
    answers = [here.add("a", "failed-login", 1.0, 0.0, b"guess %d" % each) for each in range(11)]
    assert [each is not None for each in answers] == [False] * 10 + [True]


def test_tokens_are_remembered_through_a_penalty() -> None:
    """What was counted for the first penalty is not counted for the next."""
    here = table()
    for each in range(11):
        here.add("a", "failed-login", 1.0, 0.0, b"old password %d" % each)
    for again in range(1, 60):
        for each in range(11):
            assert here.add("a", "failed-login", 1.0, again * MINUTE, b"old password %d" % each) is None


def test_so_many_tokens_are_remembered_and_no_more() -> None:
    """The one that was not heard of for longest counts again."""
    here = table()
    for each in range(TOKENS):
        here.add("a", "x", 0.01, 0.0, b"%d" % each)
    score = only(here).score
    here.add("a", "x", 0.01, 0.0, b"0")
    assert only(here).score == score
    here.add("a", "x", 0.01, 0.0, b"another")
    here.add("a", "x", 0.01, 0.0, b"0")
    assert only(here).score == pytest.approx(score + 0.01)
    here.add("a", "x", 0.01, 0.0, b"1")
    assert only(here).score == pytest.approx(score + 0.02)
    assert len(here._suspects["a"].tokens) == 8 * TOKENS


def test_no_token_is_kept_as_it_came() -> None:
    """Only a digest, by a key that nobody else has."""
    first, second = table(), PenaltyTable(TERMS, bytes(32))
    for here in (first, second):
        here.add("a", "failed-login", 1.0, 0.0, b"hunter2hunter2")
    kept = [here._suspects["a"].tokens for here in (first, second)]
    assert kept[0] != kept[1]
    assert all(b"hunter2" not in each for each in kept)


# Kinds


def test_the_last_kinds_of_misdeeds_are_remembered() -> None:
    """Each once, the latest last, a few of them, and no longer than words are."""
    here = table()
    for kind in ("a", "b", "a", "a", "c"):
        here.add("peer", kind, 0.1, 0.0)
    assert only(here).kinds == ("b", "a", "c")
    for kind in ("d", "e", "x" * 1000):
        here.add("peer", kind, 0.1, 0.0)
    assert only(here).kinds == ("c", "d", "e", "x" * 40)
    assert len(only(here).kinds) == KINDS


# Bounds


def test_one_small_misdeed_each_of_a_million_changes_nothing_for_offenders() -> None:
    """Suspects only displace suspects, those first whose last misdeed is longest ago."""
    here = table(suspects=100, offenders=10)
    for each in range(10):
        assert misbehave(here, f"offender {each}") is not None
    for each in range(10_000):
        here.add(f"passer-by {each}", "cut", 1.0, 0.001 * each)
        assert len(here) <= 110
    assert all(here.refused(f"offender {each}", 10.0) for each in range(10))
    assert {row.key for row in here.rows(10.0) if not row.left} == {f"passer-by {each}" for each in range(9900, 10_000)}
    assert here.forgotten == 9900
    assert here.displaced == 0


def test_who_goes_on_misbehaving_is_not_forgotten_as_a_suspect() -> None:
    """Each misdeed makes it the youngest again."""
    here = table(suspects=100)
    penalised = False
    for each in range(2000):
        here.add(f"passer-by {each}", "cut", 1.0, 0.0)
        if each % 50 == 0:
            penalised = penalised or here.add("guesser", "failed-login", 1.0, 0.0) is not None
    assert penalised


def test_suspects_that_have_drained_make_room_by_themselves() -> None:
    """A few with each who comes; nobody is forgotten too early for it, and nothing is said."""
    here = table(suspects=100)
    for each in range(10_000):
        here.add(f"peer {each}", "cut", 1.0, each * 0.65)
        assert len(here) <= 100
    assert here.forgotten == 0
    sizes = [len(here)]
    for each in range(3):
        here.add(f"newcomer {each}", "cut", 1.0, 1e6)
        sizes.append(len(here))
    assert sizes[0] - sizes[1] == 7


def test_the_longer_penalty_stays() -> None:
    """Offenders of a first penalty only displace others of a first penalty, the one first who is free first."""
    here = table(offenders=4)
    for times in range(3):
        misbehave(here, "hardened", MINUTE * times * 2)
    now = MINUTE * 5
    for each in range(100):
        misbehave(here, f"flood {each}", now + each * 0.01)
    assert here.refused("hardened", now + 1) is not None
    assert list(here.offenders) == ["hardened", "flood 97", "flood 98", "flood 99"]
    assert here.displaced == 97


def test_a_newcomer_displaces_nobody_with_a_longer_penalty() -> None:
    """It stays a suspect, and is penalised as soon as there is a place."""
    here = table(offenders=2)
    for now in (0.0, MINUTE):
        for each in ("a", "b"):
            misbehave(here, each, now)
    assert misbehave(here, "newcomer", MINUTE + 1) is None
    assert here.displaced > 0
    assert list(here.offenders) == ["a", "b"]
    assert misbehave(here, "newcomer", 3 * MINUTE, count=1) is not None
    assert list(here.offenders) == ["b", "newcomer"]


def test_who_is_free_again_gives_way_before_anybody_who_is_refused() -> None:
    """Its record would only have made its next penalty longer."""
    here = table(offenders=2)
    misbehave(here, "a", 0.0)
    misbehave(here, "a", MINUTE)  # until three minutes
    misbehave(here, "b", 3.5 * MINUTE)
    assert misbehave(here, "c", 3.6 * MINUTE) is not None
    assert list(here.offenders) == ["b", "c"]
    assert here.displaced == 0


def test_a_full_table_is_bounded_in_bytes() -> None:
    """With everybody's tokens remembered, too: less than 40 MiB for all of it, judged by a sixteenth."""
    suspects, offenders = SUSPECTS // 16, OFFENDERS // 16
    tracemalloc.start()
    here = table(suspects=suspects, offenders=offenders)
    for each in range(offenders + 10):
        for at in range(TOKENS):
            here.add((6, each), "failed-login", 1.0, each * 1e-4, b"%d %d" % (each, at))
    for each in range(offenders + 10, offenders + suspects + 20):
        for at in range(10):
            here.add((6, each), "failed-login", 1.0, 2.0, b"%d %d" % (each, at))
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(here) == offenders + suspects
    assert used < 40 * 2**20 / 16


# For the operator


def test_rows_tell_who_is_refused_first() -> None:
    """Who is refused for longest, then who is nearest to it; with what for, and for how long still."""
    here = table()
    misbehave(here, "first", 0.0)
    misbehave(here, "twice", 0.0)
    misbehave(here, "twice", 0.0)
    misbehave(here, "nearly", 0.0, count=9, kind="malformed")
    here.add("once", "cut", 1.0, 0.0)
    rows = here.rows(30.0)
    assert [(row.key, row.left, row.times, row.score, row.kinds) for row in rows] == [
        ("twice", 90.0, 2, 0.0, ("failed-login",)),
        ("first", 30.0, 1, 0.0, ("failed-login",)),
        ("nearly", 0.0, 0, 8.5, ("malformed",)),
        ("once", 0.0, 0, 0.5, ("cut",)),
    ]
    assert here.rows(30.0, most=2) == rows[:2]
    assert len(here) == 4


def test_a_peer_can_be_forgotten() -> None:
    """With its penalty, its score, its tokens and how often it was penalised; nobody else is touched."""
    here = table()
    misbehave(here, "a", 0.0)
    misbehave(here, "a", 0.0, count=5)
    misbehave(here, "b", 0.0, count=5)
    assert here.clear("a")
    assert here.refused("a", 0.0) is None
    assert here.clear("b")
    assert not here.clear("a")
    assert len(here) == 0
    record = misbehave(here, "a", 0.0)
    assert record is not None
    assert record.times == 0


def test_everybody_can_be_forgotten() -> None:
    """And the table then works as a new one does."""
    here = table(offenders=1)
    misbehave(here, "a", 0.0)
    misbehave(here, "b", 0.0, count=5)
    assert here.clear_all() == 2
    assert here.rows(0.0) == []
    assert misbehave(here, "b", 0.0) is not None
    assert list(here.offenders) == ["b"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abcdefgh"),
            st.sampled_from([0.2, 1.0, 4.0, 20.0]),
            st.sampled_from([-5000.0, 0.0, 1.0, 100.0, 4000.0]),
            st.sampled_from([None, b"1", b"2"]),
        ),
        max_size=200,
    )
)
def test_whatever_happens_the_table_keeps_its_order(story: list[tuple[str, float, float, bytes | None]]) -> None:
    """Nobody is in both regions or in two ranks, no bound is exceeded, and a penalty is as long as it should be."""
    here, now = table(suspects=3, offenders=2), 1e6
    for key, weight, later, once in story:
        now += later
        record = here.add(key, "x", weight, now, once)
        if record is not None:
            assert here.refused(key, now) is record
            assert record.until - now == pytest.approx(TERMS.length(record.times))
            assert 10 < record.peak <= 21
        assert len(here._suspects) <= 3
        assert len(here.offenders) <= 2
        assert not here._suspects.keys() & here.offenders.keys()
        ranked = [(key, times) for times, rank in enumerate(here._ranks) for key in rank]
        assert dict(ranked) == {key: record.times for key, record in here.offenders.items()}
        assert len(ranked) == len(here.offenders)
        assert all(each.times < 0 for each in here._suspects.values())
        assert all(0 <= row.score <= 21 for row in here.rows(now))


# Penalties of others


def test_a_penalty_of_somebody_else_holds_and_the_next_of_here_is_longer() -> None:
    """It has its place among those of here."""
    here = table()
    assert here.impose("a", "x", 30.0, 1, 0.0)
    record = here.refused("a", 29.9)
    assert record is not None
    assert (record.times, record.kinds, record.peak) == (1, ("x",), 11.0)
    assert here.refused("a", 30.0) is None
    again = misbehave(here, "a", 30.0)
    assert again is not None
    assert again.until - 30.0 == 4 * MINUTE


def test_a_penalty_that_ends_later_stays_as_it_is() -> None:
    """And one that ends sooner gives way; nobody becomes a first offender again by it."""
    here = table()
    misbehave(here, "a")
    assert not here.impose("a", "x", 50.0, 5, 0.0)
    assert here.impose("a", "x", 100.0, 1, 0.0)
    record = here.refused("a", 99.9)
    assert record is not None
    assert (record.times, record.kinds, record.peak) == (1, ("failed-login",), 11.0)
    assert here.impose("a", "x", 60.0, 0, 100.0)
    assert record.times == 1
    assert not here.impose("b", "x", 0.0, 0, 100.0)
    assert len(here) == 1


def test_penalties_of_others_have_the_same_bounds() -> None:
    """They displace none that is longer; a suspect becomes an offender."""
    here = table(offenders=2, suspects=2)
    misbehave(here, "b", count=3)
    assert here.impose("a", "x", HOUR, 9, 0.0)
    assert here.impose("b", "x", HOUR, 9, 0.0)
    assert not here.impose("c", "x", MINUTE, 0, 0.0)
    assert (len(here), here.displaced) == (2, 1)
    assert here.impose("c", "x", MINUTE, 0, HOUR)
    assert len(here) == 2
