"""What is promised of thresholds: text as an operator means it, and conditions that neither flutter nor stick."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netguard.errors import OptionError, UnknownOption
from netguard.load.signals import NAMES
from netguard.load.thresholds import HOLD, RECOVERY, UNITS, Alarm, Condition, Thresholds, readings, thresholds

ALL = "lag>250ms,load>8,rss>1GiB,fds>90%,pressure>20%,connections>900"


def test_every_signal_has_its_unit() -> None:
    """And a condition for each means what it says."""
    made = thresholds(ALL)
    assert made.conditions == (
        Condition("lag", 0.25),
        Condition("load", 8),
        Condition("rss", 2**30),
        Condition("fds%", 90),
        Condition("pressure", 20),
        Condition("connections", 900),
    )
    assert thresholds.text(made) == ALL
    assert tuple(UNITS) == NAMES


@pytest.mark.parametrize(
    ("written", "same"),
    [
        ("load>8,lag>250ms", "lag>250ms,load>8"),
        (" lag > 0.25 , load > 8.0 ", "lag>250ms,load>8"),
        (["lag>250ms", "load>8"], "lag>250ms,load>8"),
        (["lag>250ms,load>8", Condition("pressure", 20)], "lag>250ms,load>8,pressure>20%"),
        (Condition("lag", 1), "lag>1s"),
        (Thresholds((Condition("lag", 1),)), "lag>1s"),
        ("fds>900", "fds>900"),
        ("fds>90 %,fds>900", "fds>900,fds>90%"),
        ("pressure>20", "pressure>20%"),
        ("pressure>12.5%", "pressure>12.5%"),
        ("rss>1.5GiB", "rss>1536MiB"),
        ("load>0.5", "load>0.5"),
    ],
)
def test_what_means_the_same_is_equal(written: Any, same: str) -> None:
    """Whatever its order and its spelling; and what it says of itself is read back as itself."""
    made = thresholds(written)
    assert made == thresholds(same)
    assert hash(made) == hash(thresholds(same))
    assert thresholds.text(made) == str(made) == same


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ("lagg>250ms", "unknown signal 'lagg'; did you mean 'lag'?"),
        ("conections>3", "unknown signal 'conections'; did you mean 'connections'?"),
        ("fds%>3", "unknown signal 'fds%'; did you mean 'fds'?"),
        ("", "unknown signal ''"),
        ("lag>1s,,load>1", "unknown signal ''"),
        ("lag", "'lag' is not a signal and a figure, such as lag>250ms"),
        ("lag>", "'lag>' is not a signal"),
        ("lag=1s", "unknown signal 'lag=1s'; did you mean 'lag'?"),
        ("lag>0s", "signal lag: '0s' is not a duration"),
        ("lag>20%", "signal lag: '20%' is not a duration"),
        ("load>-1", "signal load: '-1' is not a number above 0"),
        ("load>1e3", "signal load: '1e3' is not a number above 0"),
        ("load>0", "signal load: '0' is not a number above 0"),
        ("rss>many", "signal rss: 'many' is not a number of bytes"),
        ("fds>1.5", "signal fds: '1.5' is not a whole number"),
        ("fds>100%", "signal fds: '100%' is not a percentage above 0 and below 100"),
        ("pressure>0%", "signal pressure: '0%' is not a percentage"),
        ("lag>1s,lag>2s", "lag has two thresholds: lag>1s and lag>2s"),
        ([], "at least one signal and its threshold"),
        (None, "'None' is not signals and thresholds such as lag>250ms"),
        (5, "'5' is not signals and thresholds"),
        ([5], "'[5]' is not signals and thresholds"),
    ],
)
def test_a_mistake_is_told_where_it_is(written: Any, says: str) -> None:
    """Which signal, which value, what was expected, and what may have been meant."""
    with pytest.raises(ValueError, match=r".+") as caught:
        thresholds(written)
    assert str(caught.value).startswith(says)


@pytest.mark.parametrize("limit", [0, -1, float("nan"), float("inf"), 100])
def test_a_condition_that_exists_is_valid(limit: float) -> None:
    """Also when it is made in Python."""
    with pytest.raises(OptionError, match="signal fds: "):
        Condition("fds%", limit)
    with pytest.raises(UnknownOption, match="did you mean 'fds'"):
        Condition("fdss", 1)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("lag"), st.integers(1, 10**7).map(lambda ms: ms / 1000)),
            st.tuples(st.sampled_from(["load", "pressure", "fds%"]), st.integers(1, 99_999).map(lambda n: n / 1000)),
            st.tuples(st.sampled_from(["rss", "fds", "connections"]), st.integers(1, 2**40)),
        ),
        min_size=1,
        unique_by=lambda pair: pair[0],
    )
)
def test_what_they_say_of_themselves_is_read_back_as_equal(pairs: list[tuple[str, float]]) -> None:
    """For all of them, in any order."""
    made = Thresholds(tuple(Condition(*pair) for pair in pairs))
    assert thresholds(str(made)) == made


def test_made_up_readings_have_the_same_units() -> None:
    """For explanations of what would be; there, a figure may be 0."""
    text = "lag=300ms, load=0, rss=2GiB,fds=95%,pressure=0%,connections=12"
    assert readings(text) == {"lag": 0.3, "load": 0, "rss": 2**31, "fds%": 95, "pressure": 0, "connections": 12}
    assert readings("fds=0%,lag=0s") == {"fds%": 0, "lag": 0}
    for wrong, says in [("lagg=1", "unknown signal"), ("lag>1", "unknown signal"), ("lag=x", "signal lag: 'x'")]:
        with pytest.raises(OptionError, match=says):
            readings(wrong)


@pytest.mark.parametrize(
    ("condition", "figure", "written"),
    [
        (Condition("lag", 0.25), 0.31234, "312ms"),
        (Condition("lag", 0.25), 1.5, "1.5s"),
        (Condition("lag", 0.25), 0.0, "0ms"),
        (Condition("load", 8), 8.25, "8.25"),
        (Condition("rss", 2**30), 5.0 * 2**20, "5MiB"),
        (Condition("fds%", 90), 95.12345, "95.123%"),
        (Condition("fds", 900), 901.0, "901"),
        (Condition("connections", 900), 0.0, "0"),
    ],
)
def test_a_figure_is_written_in_the_unit_of_its_signal(condition: Condition, figure: float, written: str) -> None:
    """No more exactly than anybody needs it."""
    assert condition.reading(figure) == written


def test_a_condition_holds_above_its_threshold_and_not_at_it() -> None:
    """Both sides."""
    alarm = Alarm(Condition("load", 8))
    assert [(alarm.look(0, figure), alarm.on) for figure in (8.0, 8.01)] == [(False, False), (True, True)]
    assert not alarm.look(0, 9.0)
    assert (alarm.on, alarm.observed) == (True, 9.0)


def test_it_ceases_once_the_figure_was_below_80_percent_for_long() -> None:
    """Not sooner; and then it can begin anew."""
    alarm = Alarm(Condition("load", 10))
    assert alarm.look(0, 11)
    assert not alarm.look(1, 7.99)
    assert not alarm.look(1 + HOLD - 0.01, 7.99)
    assert (alarm.on, alarm.observed) == (True, 11)
    assert alarm.look(1 + HOLD, 7.99)
    assert not alarm.on
    assert not alarm.look(20, 7.99)
    assert alarm.look(21, 10.01)


def test_between_the_two_nothing_changes() -> None:
    """Neither does it begin, nor does the hold go on."""
    alarm = Alarm(Condition("load", 10))
    assert not alarm.look(0, 10 * RECOVERY)
    assert not alarm.on
    alarm.look(1, 11)
    alarm.look(2, 7)
    alarm.look(2 + HOLD - 0.1, 8.0)
    assert not alarm.look(2 + HOLD, 7)
    assert not alarm.look(2 + 2 * HOLD - 0.1, 7)
    assert alarm.look(2 + 2 * HOLD, 7)


def test_a_figure_that_swings_about_the_threshold_does_not_make_it_flutter() -> None:
    """It begins once and holds."""
    alarm = Alarm(Condition("load", 10))
    changes = sum(alarm.look(tick / 4, 11.0 if tick % 8 == 0 else 5.0) for tick in range(400))
    assert (changes, alarm.on) == (1, True)


def test_a_figure_that_cannot_be_read_ends_it_at_once() -> None:
    """A limiter must not stick because its monitor has failed."""
    alarm = Alarm(Condition("pressure", 20))
    assert not alarm.look(0, None)
    assert alarm.look(1, 30)
    assert alarm.look(2, None)
    assert not alarm.on
    assert alarm.look(3, 30)
    assert alarm.on


def test_a_clock_that_is_set_back_does_not_make_it_stick() -> None:
    """The hold begins anew."""
    alarm = Alarm(Condition("load", 10))
    alarm.look(1000, 11)
    alarm.look(1001, 1)
    assert not alarm.look(3, 1)
    assert not alarm.look(3 + HOLD - 0.1, 1)
    assert alarm.look(3 + HOLD, 1)
