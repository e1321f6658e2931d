"""What is promised of connections that are counted over several machines: each is told once, and given back."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from attrs import define, field

from netguard.elsewhere.peers import Counts, PeersTally
from netguard.packed import Packed, packed

ONE, TWO = "192.0.2.1", "192.0.2.2"


def key(text: str) -> bytes:
    """A peer."""
    found = packed(text)
    assert found is not None
    return found


@define
class Crowd:
    """Who is here."""

    peers: dict[Packed, int] = field(factory=dict)
    elsewhere: dict[Packed, int] = field(factory=dict)


@pytest.fixture
def crowd() -> Crowd:
    """Nobody."""
    return Crowd()


def test_changes_are_told_once(crowd: Crowd) -> None:
    """Who came, who became more or fewer, and who has gone."""
    tally = PeersTally(crowd)
    assert tally.news(9) == {}
    crowd.peers = {key(ONE): 1, key(TWO): 2, None: 3, "name": 4}
    assert tally.news(9) == {ONE: 1, TWO: 2}
    assert tally.news(9) == {}
    crowd.peers = {key(ONE): 5}
    assert tally.news(9) == {ONE: 5, TWO: 0}
    assert tally.news(9) == {}
    assert tally.state(9) == {ONE: 5}


def test_what_does_not_go_at_once_goes_later_the_largest_changes_first(crowd: Crowd) -> None:
    """Nothing is lost, and who comes often is not hidden by who comes once."""
    tally = PeersTally(crowd)
    crowd.peers = {**{bytes((192, 0, 2, each)): 1 for each in range(100)}, key("198.51.100.1"): 7}
    said: dict[str, int] = {}
    first = tally.news(30)
    assert first["198.51.100.1"] == 7
    said |= first
    for _ in range(3):
        said |= tally.news(30)
    assert len(said) == 101
    assert tally.news(30) == {}
    crowd.peers = {key("198.51.100.1"): 7}
    gone: dict[str, int] = {}
    for _ in range(4):
        gone |= tally.news(30)
    assert gone == {f"192.0.2.{each}": 0 for each in range(100)}
    assert tally.news(30) == {}
    assert tally.state(1) == {"198.51.100.1": 7}


def test_what_may_not_have_been_heard_is_told_again(crowd: Crowd) -> None:
    """All of it."""
    tally = PeersTally(crowd)
    crowd.peers = {key(ONE): 1}
    assert tally.news(9) == tally.state(9) == {ONE: 1}
    tally.unheard()
    assert tally.news(9) == {ONE: 1}


def test_the_sum_of_others_is_what_a_crowd_goes_by(crowd: Crowd) -> None:
    """A machine's number replaces its last; a state replaces all of it; one that is gone has nobody."""
    tally = PeersTally(crowd)
    tally.hear("aa", {ONE: 3, TWO: 1})
    tally.hear("bb", {ONE: 4})
    assert crowd.elsewhere == {key(ONE): 7, key(TWO): 1}
    assert tally.known == 2
    tally.hear("aa", {ONE: 1, TWO: 0})
    assert crowd.elsewhere == {key(ONE): 5}
    tally.learn("bb", {TWO: 9})
    assert crowd.elsewhere == {key(ONE): 1, key(TWO): 9}
    tally.forget("bb")
    tally.forget("cc")
    assert crowd.elsewhere == {key(ONE): 1}
    tally.hear("aa", {ONE: "many", "nobody": 3, TWO: -1})
    assert crowd.elsewhere == {key(ONE): 1}


def test_counts_are_bounded() -> None:
    """Newcomers beyond the bound are not counted; who is known is, and places are given back."""
    counts = Counts(most=3)
    for number in range(10):
        counts.put("aa", bytes((number,) * 4), 1)
    assert len(counts.all) == 3
    counts.put("bb", bytes(4), 5)
    assert counts.all[bytes(4)] == 1
    counts.put("aa", bytes(4), 6)
    assert counts.all[bytes(4)] == 6
    counts.put("aa", bytes((1,) * 4), 0)
    counts.put("bb", bytes(4), 5)
    assert counts.all == {bytes(4): 11, bytes((2,) * 4): 1}
    counts.forget("aa")
    assert counts.all == {bytes(4): 5}
    counts.forget("bb")
    assert counts.all == {}


def test_sums_stay_right() -> None:
    """Whatever is said in whatever order."""
    chance = random.Random(3)  # noqa: S311 - the same each time
    counts = Counts()
    said: dict[str, Counter[bytes]] = {name: Counter() for name in ("aa", "bb", "cc")}
    for _ in range(2_000):
        name, peer = chance.choice("abc") * 2, bytes((chance.randrange(6),) * 4)
        if chance.random() < 0.02:
            counts.forget(name)
            said[name].clear()
        else:
            said[name][peer] = chance.randrange(4)
            counts.put(name, peer, said[name][peer])
    assert counts.all == {peer: count for peer, count in sum(said.values(), Counter()).items() if count}
