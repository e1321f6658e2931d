"""What is promised of what one machine knows of the others; the rest is in test_exchange.py."""

from __future__ import annotations

from netguard.fleet.entries import Entry
from netguard.fleet.ledger import AT_ONCE, Answer
from netguard.fleet.others import Others
from tests.fakeledger import Recorder

ME = "me"


def known(*names: str) -> tuple[Others, Recorder]:
    """Others of which these are known, and nothing else."""
    tally = Recorder()
    others = Others(lambda: {"max-per-peer": tally}, 10.0)
    others.hear(Answer([*names, ME]), 0.0, ME)
    return others, tally


def news(number: int, count: int = 1) -> bytes:
    """News."""
    return Entry(number, {"max-per-peer": {"192.0.2.1": count}}).encoded()


def state(number: int, after: str) -> bytes:
    """A state."""
    return Entry(number, {"max-per-peer": {"192.0.2.1": 9}}, after).encoded()


def test_all_are_learned_in_turn() -> None:
    """A few at a time; one that has no state does not keep the others waiting."""
    others, _ = known("aa", "bb", "cc", "dd", "ee")
    asked = [others.learn() for _ in range(5)]
    assert {len(each) for each in asked} == {AT_ONCE}
    assert {name for each in asked[:3] for name in each} == {"aa", "bb", "cc", "dd", "ee"}
    assert others.follow == {}


def test_news_are_followed_from_where_the_state_was() -> None:
    """In order."""
    others, tally = known("aa")
    others.hear(Answer([], None, {}, {"aa": state(4, "7-0")}), 1.0, ME)
    assert others.follow == {"aa": "7-0"}
    assert others.learn() == []
    others.hear(Answer([], None, {"aa": [("8-0", news(5)), ("9-0", news(6, 2))]}), 2.0, ME)
    assert others.follow == {"aa": "9-0"}
    assert tally.others == {"aa": {"192.0.2.1": 2}}


def test_what_is_missing_or_comes_twice_is_learned_anew() -> None:
    """What comes behind it is not heard before."""
    for number in (4, 6, 1):
        others, tally = known("aa")
        others.hear(Answer([], None, {}, {"aa": state(4, "7-0")}), 1.0, ME)
        others.hear(Answer([], None, {"aa": [("8-0", news(number)), ("9-0", news(number + 1))]}), 2.0, ME)
        assert others.learn() == ["aa"]
        assert tally.others == {"aa": {"192.0.2.1": 9}}
        assert others.unread == 0


def test_whoever_is_silent_is_given_up_by_our_clock() -> None:
    """Once; and it may come back."""
    others, tally = known("aa", "bb")
    others.hear(Answer([], None, {}, {"aa": state(4, "7-0")}), 5.0, ME)
    others.expire(9.9)
    assert (sorted(others.machines), others.gone()) == (["aa", "bb"], [])
    others.expire(10.0)
    assert (sorted(others.machines), others.gone(), others.gone()) == (["aa"], ["bb"], [])
    others.expire(15.0)
    assert (others.machines, others.gone(), tally.others) == ({}, ["aa"], {})
    others.hear(Answer(["aa"]), 16.0, ME)
    assert others.learn() == ["aa"]


def test_who_leaves_is_forgotten_at_once() -> None:
    """Nothing behind it is heard."""
    others, tally = known("aa")
    others.hear(Answer([], None, {}, {"aa": state(4, "7-0")}), 1.0, ME)
    last = Entry(5, leaving=True).encoded()
    others.hear(Answer([], None, {"aa": [("8-0", last), ("9-0", news(6))]}), 2.0, ME)
    assert (others.machines, others.gone(), tally.others) == ({}, [], {})
