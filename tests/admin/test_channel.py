"""However many requests come at once, those who are served beside the pages have their turn in between."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.task import Clock

from netguard.admin.access import Access
from netguard.admin.asked import Answer, Asked
from netguard.admin.site import AdminSite, Guarded
from netguard.testing import connect

if TYPE_CHECKING:
    from netguard.testing.dialogue import Dialogue

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
LARGE = 10_000


class Visit:
    """A connection to a site of one large page, and what happened in which order."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self._clock = Clock()
        site = AdminSite({"/": {"GET": self._page}}, Access(), self._clock)
        self.there: Dialogue = connect(Guarded(site, self._clock))

    def _page(self, _: Asked) -> Answer:
        self.seen.append("page")
        self._clock.callLater(0, self.seen.append, "others")
        return Answer(b"x" * LARGE)


def test_others_have_their_turn_between_two_answers() -> None:
    """Though all the requests came in one segment."""
    visit = Visit()
    visit.there.feed(REQUEST * 30)
    assert visit.seen == ["page", "others"] * 30
    assert visit.there.taken.count(b" 200 ") == 30


def test_nothing_is_answered_while_answers_wait_to_be_read() -> None:
    """So a client that asks and does not read costs a buffer and one answer; who reads again gets the rest."""
    visit = Visit()
    visit.there.takes(0)
    visit.there.feed(REQUEST * 30)
    made = visit.seen.count("page")
    assert LARGE * made <= 2**16 + 2 * LARGE
    visit.there.advance(5)
    assert visit.seen.count("page") == made
    visit.there.takes(None)
    visit.there.advance(1)
    assert visit.there.taken.count(b" 200 ") == visit.seen.count("page") == 30


def test_who_has_gone_is_not_answered() -> None:
    """Neither at once nor while his answers wait."""
    visit = Visit()
    visit.there.takes(0)
    visit.there.feed(REQUEST * 30)
    made = visit.seen.count("page")
    visit.there.vanish()
    visit.there.advance(5)
    assert visit.seen.count("page") == made
    at_once = Visit()
    assert at_once.there.transport is not None
    at_once.there.transport.deliver(REQUEST)
    at_once.there.vanish()
    at_once.there.advance(5)
    assert at_once.seen == []
