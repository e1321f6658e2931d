"""Tests for netguard.stages: an opener in parts does what one piece would do."""

from __future__ import annotations

from typing import Any

import pytest

from netguard.errors import Penalised, Reason, TooManyConnections
from netguard.stages import LATER, Gate, Stages
from netguard.units import Frequency


class Knocking:
    """A connection, as a gate sees it.

    Args:
        observed: whether nobody is refused.
    """

    def __init__(self, *, observed: bool = False) -> None:
        self.observed = observed
        self.refused: list[Any] = []
        self.told: list[tuple[str, object]] = []

    def settled(self, do: object) -> None:
        """Remember."""
        self.told.append(("settled", do))

    def at_end(self, do: object) -> None:
        """Remember."""
        self.told.append(("at_end", do))

    def refuse(self, reason: object) -> bool:
        """Remember."""
        self.refused.append(reason)
        return not self.observed


REASON = TooManyConnections(1, 2)


def test_a_guard_may_ask_at_either_stage_or_at_none() -> None:
    """Both may be left out."""
    assert Stages() == Stages(None, None)


@pytest.mark.parametrize(
    ("answer", "observed", "called"),
    [(None, False, "enter"), (LATER, False, "ask"), (REASON, False, None), (REASON, True, "enter")],
    ids=["passes", "later", "refused", "observed"],
)
def test_a_gate_is_an_opener(answer: Any, observed: bool, called: str | None) -> None:
    """Who passes, or would not have but for an observer, is counted; the rest of the answer is the opener's."""
    connection, seen = Knocking(observed=observed), list[tuple[object, str]]()

    def why(who: object) -> Any:
        seen.append((who, "why"))
        return answer

    gate = Gate(why, lambda who: seen.append((who, "enter")), lambda who: seen.append((who, "ask")))
    gate(connection)
    assert seen == [(connection, each) for each in ("why", called) if each]
    assert [str(each) for each in connection.refused] == ([str(REASON)] if answer is REASON else [])


@pytest.mark.parametrize(
    ("answer", "observed", "enters"),
    [(None, False, True), (LATER, False, False), (REASON, False, False), (REASON, True, True)],
    ids=["passes", "later", "refused", "observed"],
)
def test_only_who_entered_settles_and_leaves(answer: Any, observed: bool, enters: bool) -> None:
    """Whatever is asked instead says for itself what it wants to be told."""
    connection = Knocking(observed=observed)
    Gate(lambda _: answer, enter=lambda _: None, ask=lambda _: None, settle=print, leave=repr)(connection)
    assert connection.told == ([("settled", print), ("at_end", repr)] if enters else [])


def test_a_gate_need_not_count() -> None:
    """Nor know what to do later."""
    assert Gate(lambda _: None)(Knocking()) is None
    assert Gate(lambda _: LATER)(Knocking()) is None


@pytest.mark.parametrize(
    "reason", [REASON, Penalised(Frequency(10, 600.0), Frequency(11, 600.0), 7.5)], ids=["plain", "penalised"]
)
def test_a_connection_has_a_reason_of_its_own(reason: Reason) -> None:
    """A coroutine to which it is thrown adds to its traceback, which a reason that is kept must not gather."""
    connection, gate = Knocking(), Gate(lambda _: reason)
    for _ in range(2):
        gate(connection)
    one, other = connection.refused
    assert len({id(each) for each in (one, other, reason)}) == 3
    assert (type(one), str(one), one.limit) == (type(reason), str(reason), reason.limit)
