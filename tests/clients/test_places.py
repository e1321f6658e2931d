"""What is promised of Places: no more at once than may be, fairly among peers, and nothing lost by who goes away."""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError, Deferred

from netguard.clients.places import Places


class Guest:
    """Somebody who takes a place, and leaves when told."""

    def __init__(self, places: Places, peer: str) -> None:
        self.there = False
        self.leave: Deferred[None] = Deferred()
        self.visit = Deferred.fromCoroutine(self.come(places, peer))

    async def come(self, places: Places, peer: str) -> None:
        """Wait, stay, go."""
        async with places.place(peer):
            self.there = True
            await self.leave
        self.there = False


def test_so_many_in_all_and_for_one_peer() -> None:
    """The last that may come does; the next waits, and comes when one goes."""
    places = Places(3, 2)
    guests = [Guest(places, peer) for peer in "aaabbb"]
    assert [each.there for each in guests] == [True, True, False, True, False, False]
    guests[0].leave.callback(None)
    assert [each.there for each in guests] == [False, True, False, True, True, False]
    guests[3].leave.callback(None)
    assert [each.there for each in guests] == [False, True, True, False, True, False]
    for each in guests[1:3] + guests[4:]:
        each.leave.callback(None)
    assert all(each.visit.called for each in guests)
    assert places.peers == 0


def test_who_waits_for_its_own_peer_holds_no_other_place() -> None:
    """A crowd for one peer does not keep the others out."""
    places = Places(2, 1)
    guests = [Guest(places, "a") for _ in range(100)]
    other = Guest(places, "b")
    assert other.there
    assert [each.there for each in guests] == [True] + 99 * [False]
    for each in [*guests, other]:
        each.leave.callback(None)
    assert places.peers == 0


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_who_goes_away_leaves_nothing_behind(gone: int) -> None:
    """Whether it has a place or waits for one."""
    places = Places(1, 1)
    guests = [Guest(places, peer) for peer in "aab"]
    guests[gone].visit.addErrback(lambda why: why.trap(CancelledError))
    guests[gone].visit.cancel()
    for each in guests:
        if each is not guests[gone]:
            assert not each.visit.called
            each.leave.callback(None)
    assert all(each.visit.called for each in guests)
    assert places.peers == 0
    last = Guest(places, "a")
    assert last.there
    last.leave.callback(None)


@pytest.mark.parametrize("peers", [1, 2, 1000])
def test_a_long_queue_that_nobody_needs_any_more_is_no_deep_one(peers: int) -> None:
    """Each gives its place back when it gets it; Python's stack has room for some sixty who do so inside of another."""
    places = Places(2, 1)
    first = [Guest(places, str(number)) for number in range(2)]
    queue = [Guest(places, str(number % peers)) for number in range(1000)]
    for each in queue:
        each.leave.callback(None)
    assert not any(each.visit.called for each in queue)
    for each in first:
        each.leave.callback(None)
    assert all(each.visit.called for each in queue)
    assert places.peers == 0


def test_the_queue_is_kept() -> None:
    """Whoever comes while places are handed on is behind those who wait."""
    places = Places(1, 9)
    came: list[str] = []

    async def come(name: str) -> None:
        async with places.place("peer"):
            came.append(name)
            if name == "first":
                await held
            if name == "second":
                Deferred.fromCoroutine(come("last"))

    held: Deferred[None] = Deferred()
    for each in ("first", "second", "third"):
        Deferred.fromCoroutine(come(each))
    held.callback(None)
    assert came == ["first", "second", "third", "last"]
