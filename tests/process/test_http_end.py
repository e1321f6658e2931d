"""HTTP connections end between two requests, and never within one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from twisted.internet.protocol import Protocol
from twisted.web.http import HTTPChannel
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from netguard.guards.idle_timeout import IdleTimeout
from netguard.process.drain import Drain
from netguard.process.http_end import HTTPEnd, http_end
from netguard.testing import MemoryTransport, NativeMemoryTransport, connect

if TYPE_CHECKING:
    from collections.abc import Iterator

GET = b"GET /%s HTTP/1.1\r\nHost: here\r\n\r\n"


class Pages(Resource):
    """One page that is there at once, and one that takes its time."""

    def __init__(self) -> None:
        super().__init__()
        self.slow: list[Any] = []

    def getChild(self, path: bytes, request: Any) -> Any:
        """All are here."""
        return self

    def render_GET(self, request: Any) -> Any:
        """Answer."""
        if request.path == b"/slow":
            self.slow.append(request)
            request.write(b"half")
            return NOT_DONE_YET
        return b"page"


@pytest.fixture(params=[MemoryTransport, NativeMemoryTransport])
def place(request: pytest.FixtureRequest) -> Iterator[tuple[Any, Pages]]:
    """A client of a web server, and its pages."""
    pages = Pages()
    site: Any = Site(pages)
    site.displayTracebacks = False
    peer = connect(IdleTimeout("1h"), site, carrier=request.param)
    peer.application._channel.callLater = peer.clock.callLater
    yield peer, pages
    if not peer.lost:
        peer.vanish()
    site.stopFactory()


def drained(peer: Any) -> Drain:
    """The service begins to drain."""
    drain = Drain(peer.factory.service, peer.factory.reactor, 30.0)
    drain.begin()
    peer.advance()
    return drain


@pytest.mark.parametrize("before", [b"", GET % b"page"])
def test_a_connection_between_two_requests_is_closed(place: tuple[Any, Pages], before: bytes) -> None:
    """Browsers keep them open in case they want more: nobody is cut for that, and nobody waited for."""
    peer, _ = place
    peer.feed(before)
    drain = drained(peer)
    peer.advance(2)
    assert peer.lost
    assert drain.outcome is not None
    assert (drain.outcome.connections, drain.outcome.cut) == (1, 0)
    assert peer.events[-1].name == "closed"


def test_an_answer_that_takes_its_time_arrives_whole(place: tuple[Any, Pages]) -> None:
    """However long it is silent; the connection is closed behind it."""
    peer, pages = place
    peer.feed(GET % b"slow")
    drain = drained(peer)
    peer.advance(20)
    assert not peer.lost
    pages.slow[0].write(b" and half")
    pages.slow[0].finish()
    peer.advance(1)
    assert peer.lost
    assert b" and half" in peer.taken
    assert drain.outcome is not None
    assert drain.outcome.cut == 0


def test_a_request_that_is_half_read_is_under_way(place: tuple[Any, Pages]) -> None:
    """It is answered when it is whole, and then is the end."""
    peer, _ = place
    peer.feed((GET % b"page")[:20])
    drained(peer)
    peer.advance(5)
    assert not peer.lost
    peer.feed((GET % b"page")[20:])
    peer.advance(2)
    assert b"page" in peer.taken
    assert peer.lost


def test_who_is_no_web_server_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """And where nobody serves the web, that is not loaded."""
    assert http_end(Protocol()) is None
    assert isinstance(http_end(HTTPChannel()), HTTPEnd)
    monkeypatch.delitem(sys.modules, "twisted.web.http")
    assert http_end(HTTPChannel()) is None


def test_with_http_2_what_counts_are_streams() -> None:
    """Its channel has those in the place of requests."""

    class Channel:
        """As twisted.web's."""

        streams: dict[int, object] = {1: object()}  # noqa: RUF012 - one is made
        closed = False

        def loseConnection(self) -> None:
            """Note."""
            self.closed = True

    channel = Channel()
    end = HTTPEnd(channel)
    end.drain()
    assert not end.depart()
    channel.streams.clear()
    assert end.depart()
    assert channel.closed
