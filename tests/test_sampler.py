"""A flood of events is sampled, and its counts stay exact."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from netguard.sampler import Sampler

if TYPE_CHECKING:
    from twisted.logger import LogEvent


def _counted(caught: list[LogEvent]) -> list[tuple[str, int]]:
    return [(each["event"], each["count"]) for each in caught]


def _flooded(clock: Clock, sampler: Sampler, steps: list[tuple[str, float]]) -> None:
    for kind, wait in steps:
        sampler.emit("refused", kind, {"client.address": "192.0.2.1", "session": 1, "reason": kind})
        clock.advance(wait)
        sampler.flush()


def test_a_flood_is_sampled_with_exact_counts(logged: Any) -> None:
    """Ten of a kind in a second are told; the rest are counted, and the next line says for how many it stands."""
    clock = Clock()
    sampler = Sampler(clock.seconds)
    _flooded(clock, sampler, [("A", 0.001)] * 100)
    assert _counted(logged.events) == [("refused", 1)] * 10
    assert sampler.holding
    clock.advance(1)
    _flooded(clock, sampler, [("A", 0)])
    assert _counted(logged.events)[10:] == [("refused", 91)]
    assert not sampler.holding


def test_what_was_counted_is_told_when_the_flood_is_over(logged: Any) -> None:
    """At the first look after the second; the line stands for many, so it names none of them."""
    clock = Clock()
    sampler = Sampler(clock.seconds, most=2)
    _flooded(clock, sampler, [("A", 0)] * 5)
    clock.advance(0.999)
    sampler.flush()
    assert len(logged.events) == 2
    clock.advance(0.001)
    sampler.flush()
    last = logged.events[-1]
    assert (last["event"], last["count"], last["reason"]) == ("refused", 3, "A")
    assert not [key for key in last if key.startswith(("client.", "session"))]
    sampler.flush()
    assert len(logged.events) == 3


def test_kinds_are_sampled_apart_and_told_at_the_end(logged: Any) -> None:
    """One kind's flood hides no other kind; closing tells whatever is still held."""
    clock = Clock()
    sampler = Sampler(clock.seconds, most=1)
    _flooded(clock, sampler, [("A", 0), ("A", 0), ("B", 0), ("A", 0)])
    sampler.finish()
    assert [(each["reason"], each["count"]) for each in logged.events] == [("A", 1), ("B", 1), ("A", 2)]
    assert not sampler.holding


def test_a_clock_that_is_set_back_does_not_silence_the_log(logged: Any) -> None:
    """The reactor's clock is the machine's: it can be set."""
    clock = Clock()
    clock.advance(10_000)
    sampler = Sampler(clock.seconds, most=1)
    _flooded(clock, sampler, [("A", 0), ("A", 0)])
    clock.rightNow = 5.0
    sampler.flush()
    assert _counted(logged.events) == [("refused", 1), ("refused", 1)]
    _flooded(clock, sampler, [("A", 0)])
    assert len(logged.events) == 3


@given(
    st.lists(st.tuples(st.sampled_from("ABC"), st.floats(0, 2, allow_subnormal=False)), max_size=60),
    st.integers(1, 3),
)
def test_the_counts_always_add_up(steps: list[tuple[str, float]], most: int) -> None:
    """The sum of the counts over all lines is the number of refusals, of each kind, and no second has more lines."""
    clock = Clock()
    caught: list[LogEvent] = []
    globalLogPublisher.addObserver(caught.append)  # type: ignore[arg-type]
    try:
        sampler = Sampler(clock.seconds, most=most)
        _flooded(clock, sampler, steps)
        sampler.finish()
    finally:
        globalLogPublisher.removeObserver(caught.append)  # type: ignore[arg-type]
    for kind in "ABC":
        told = sum(each["count"] for each in caught if each["reason"] == kind)
        assert told == sum(1 for each, _ in steps if each == kind)
    assert not sampler.holding


def test_what_is_only_counted_is_not_put_into_words(logged: Any) -> None:
    """Fields that have to be made are made for what is told, and for the last of those that were counted."""
    clock, made = Clock(), list[int]()
    sampler = Sampler(clock.seconds, most=2)

    def fields(number: int) -> dict[str, object]:
        made.append(number)
        return {"session": number, "reason": "full"}

    for number in range(100):
        sampler.emit("refused", "A", partial(fields, number))
    assert made == [0, 1]
    clock.advance(1)
    sampler.flush()
    assert made == [0, 1, 99]
    assert [(each["count"], each["reason"]) for each in logged.events] == [(1, "full"), (1, "full"), (98, "full")]
