"""Tests for netguard.testing.transparency."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netguard.policy import Policy, flags
from netguard.testing import SCRIPTS, check_transparent, differences
from netguard.testing.transparency import MANY, Script

GENEROUS = {
    "duration": "24h",
    "size": "1GiB",
    "rate": "1GiB",
    "count": "1000000",
    "frequency": "1000000/s",
    "prefix": "32,64",
    "bytes": "\n",
}
SLOWEST = {"min-rate-in": "1", "min-rate-out": "1"}
EVERYTHING = Policy.from_options(
    {flag: SLOWEST.get(flag, GENEROUS.get(ones[0].unit.name)) for flag, ones in flags().items()}
)

data = st.sampled_from([b"", b"x", b"one\r\ntwo", bytes(range(256)), MANY])
acts = st.one_of(
    st.tuples(st.just("write"), data),
    st.tuples(st.just("writes"), st.lists(data, max_size=3)),
    st.sampled_from([(each,) for each in ("pause", "resume", "half-close", "close", "abort", "unregister", "tls")]),
    st.tuples(st.sampled_from(["push", "pull"]), st.integers(1, 3), data),
)
reactions = st.tuples(
    st.just("on"),
    st.sampled_from(["made", "data", "lost", "read lost", "write lost"]),
    st.one_of(acts, st.just(("raise",))),
).map(lambda step: (step[0], step[1], *step[2]))
events = st.one_of(
    st.tuples(st.just("feed"), data),
    st.tuples(st.just("feed"), st.just(b"one\r\ntwo"), st.integers(1, 4)),
    st.sampled_from([("finish",), ("vanish",), ("advance", 1.0), ("takes", None), ("takes", 0), ("takes", 5)]),
)
scripts = st.lists(st.one_of(acts, events, reactions), max_size=12)


@settings(max_examples=300, deadline=None)
@given(script=scripts)
def test_every_guard_of_the_catalogue_is_transparent(script: Script) -> None:
    """Whatever is sent, written, paused, half-closed, closed or raised: with generous limits nobody can tell."""
    assert differences(EVERYTHING, script) == []


@pytest.mark.parametrize("script", SCRIPTS, ids=str)
def test_the_scripts_find_no_difference_in_the_catalogue(script: Script) -> None:
    """The scripts that come with the kit hold for the guards that come with it."""
    check_transparent(EVERYTHING, [script])
