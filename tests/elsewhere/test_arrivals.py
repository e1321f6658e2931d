"""What is promised of arrivals that are counted over several machines."""

from __future__ import annotations

from attrs import define, field

from netguard.elsewhere.arrivals import ArrivalsTally
from netguard.packed import Packed, packed


@define
class Arrivals:
    """Who comes."""

    fresh: dict[Packed, int] | None = None
    elsewhere: list[tuple[Packed, int]] = field(factory=list)

    def came_elsewhere(self, key: Packed, times: int) -> None:
        """Remember."""
        self.elsewhere.append((key, times))


def test_nobody_is_remembered_before_somebody_asks_and_then_the_busiest_are_told() -> None:
    """The rest is forgotten: it counts here."""
    arrivals = Arrivals()
    tally = ArrivalsTally(arrivals)
    assert tally.news(9) == {}
    assert arrivals.fresh is not None
    arrivals.fresh |= {**{packed(f"192.0.2.{each}"): each for each in range(1, 9)}, None: 99}
    assert tally.news(2) == {"192.0.2.8": 8, "192.0.2.7": 7}
    assert tally.news(2) == {}


def test_what_others_say_is_used_up_here() -> None:
    """What is no address or no number is passed over. Nothing is kept of a machine."""
    arrivals = Arrivals()
    tally = ArrivalsTally(arrivals)
    tally.hear("aa", {"192.0.2.1": 3, "192.0.2.2": 0, "x": 1, "192.0.2.3": None})
    tally.learn("aa", {"192.0.2.1": 3})
    tally.forget("aa")
    tally.unheard()
    assert arrivals.elsewhere == [(packed("192.0.2.1"), 3)]
    assert (tally.known, tally.state(9)) == (0, {})
