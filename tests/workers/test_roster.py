"""The places of all workers."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.threads import deferToThread

from netguard.process.commands import ControlError
from netguard.units import Prefix
from netguard.workers.roster import Roster
from netguard.workers.steering import worker_of


class Place:
    """Somebody who answers."""

    def __init__(self, answer: Any, *, serves: bool = True) -> None:
        self.answer = answer
        self.serves = serves
        self.heard = 0

    def ask(self, command: str, _within: float = 0) -> Deferred[Any]:
        """Answer."""
        good: Deferred[Any] = succeed({command: self.answer})
        return fail(self.answer) if isinstance(self.answer, Exception) else good

    def tell_figures(self, _within: float) -> Deferred[None]:
        """Tell."""
        self.heard += 1
        return succeed(None)


def roster(*places: Place) -> Any:
    """With these."""
    made: Any = Roster(reactor, len(places), Prefix())
    made.places.extend(places)
    return made


async def test_all_who_serve_are_asked() -> None:
    """The others are not."""
    made = roster(Place(1), Place(2, serves=False), Place(ControlError("no")))
    first, second = await made.ask_all("status")
    assert first == (True, {"status": 1})
    assert not second[0]
    assert await made.gather("status") == ([{"status": 1}], ["no"])
    await made.collect()
    assert [each.heard for each in made.places] == [1, 0, 1]


def test_somebody_is_found_or_it_is_said_who_is_not_there() -> None:
    """By a peer's address, or by number; or anybody."""
    made = roster(Place(1, serves=False), Place(2))
    mine = {worker_of(f"127.0.0.{n}", 2, Prefix()): f"127.0.0.{n}" for n in range(1, 9)}
    assert made.place_of(mine[1]) is made.serving(1) is made.places[1]
    with pytest.raises(ControlError, match="worker 1 does not serve at the moment"):
        made.place_of(mine[0])
    with pytest.raises(ControlError, match="worker 3 does not serve"):
        made.serving(2)


async def test_a_connection_is_cut_by_whoever_has_it() -> None:
    """Its number says who that is."""
    made = roster(Place(1, serves=False), Place(2))
    assert made.owner(1_000_004) == 1
    assert await made.expel(1_000_004) == {"cut 1000004": 2}
    with pytest.raises(ControlError, match="worker 1 does not serve"):
        made.expel(3)


async def test_a_reload_waits_for_all() -> None:
    """In a thread; what several say about one file is said once."""
    await deferToThread(roster(Place(1), Place(2)).reload)
    told = roster(Place(ControlError("a: bad")), Place(ControlError("a: bad")), Place(ControlError("b: bad")))
    with pytest.raises(ControlError) as why:
        await deferToThread(told.reload)
    assert str(why.value) == "a: bad; b: bad"
