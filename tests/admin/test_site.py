"""What any HTTP client may send gets a small, bounded, closed answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from netguard.admin.access import Access
from netguard.admin.asked import Answer, Asked, line
from netguard.admin.site import LARGEST, AdminSite, Guarded, Page
from netguard.errors import Idle, NoFirstByte, ReceivingTooSlow
from netguard.testing import connect

if TYPE_CHECKING:
    from netguard.testing.dialogue import Dialogue
    from tests.conftest import Logged

HOST = b"Host: localhost\r\n"


def visitor() -> Dialogue:
    """A connection to a site that echoes what was asked, and has one page that is broken."""

    def echo(asked: Asked) -> Answer:
        return line(repr((asked.method, asked.path, dict(asked.query), dict(asked.form))), X_Own="yes")

    def broken(asked: Asked) -> Answer:
        raise RuntimeError(asked.path)

    clock = Clock()
    pages = {"/echo": {"GET": echo, "POST": echo}, "/broken": {"GET": broken}, "/post": {"POST": echo}}
    return connect(Guarded(AdminSite(pages, Access(), clock), clock))


def ask(request: bytes, *, split: int | None = None) -> tuple[int, dict[str, str], str]:
    """Status, headers and body of the answer to a whole request."""
    there = visitor()
    there.feed(request, split=split)
    head, _, body = there.taken.decode().partition("\r\n\r\n")
    status, *lines = head.split("\r\n")
    return int(status.split()[1]), dict(each.split(": ", 1) for each in lines), body


@pytest.mark.parametrize("split", [None, 1])
def test_a_page_answers_what_was_asked(split: int | None) -> None:
    """Query and form are taken apart; of two values of one name the last counts."""
    form = b"a=1&a=2&b=%3Cb%3E"
    code, headers, body = ask(
        b"POST /echo?q=%22&q=r&empty HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(form) + form,
        split=split,
    )
    assert code == 200
    assert body == "('POST', '/echo', {'q': 'r', 'empty': ''}, {'a': '2', 'b': '<b>'})\n"
    assert headers["X-Own"] == "yes"


def test_every_answer_is_closed_and_says_no_more_than_it_must() -> None:
    """No banner; nothing from elsewhere, in no frame, kept nowhere; refusals and failures included."""
    for request in (b"GET /echo", b"GET /none", b"DELETE /echo", b"HEAD /echo"):
        _, headers, _ = ask(request + b" HTTP/1.1\r\n" + HOST + b"\r\n")
        assert "Server" not in headers
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; ")
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Cache-Control"] == "no-store"


def test_a_head_is_a_get_without_its_body() -> None:
    """With the length that the body would have."""
    code, headers, body = ask(b"HEAD /echo HTTP/1.1\r\n" + HOST + b"\r\n")
    assert (code, body) == (200, "")
    assert int(headers["Content-Length"]) == len("('GET', '/echo', {}, {})\n")


@pytest.mark.parametrize(
    ("request_line", "code", "allow"),
    [
        (b"GET /none", 404, None),
        (b"GET /echo/", 404, None),
        (b"GET /../echo", 404, None),
        (b"GET *", 404, None),
        (b"OPTIONS *", 404, None),
        (b"GET http://localhost/echo", 404, None),
        (b"DELETE /echo", 405, "GET, POST, HEAD"),
        (b"GET /post", 405, "POST"),
        (b"HEAD /post", 405, "POST"),
        (b"TRACE /echo", 405, "GET, POST, HEAD"),
    ],
)
def test_what_there_is_not_is_said(request_line: bytes, code: int, allow: str | None) -> None:
    """By its number, and for a method with those that there are."""
    found, headers, _ = ask(request_line + b" HTTP/1.1\r\n" + HOST + b"\r\n")
    assert (found, headers.get("Allow")) == (code, allow)


def test_a_name_that_is_not_ours_gets_nothing() -> None:
    """Whatever is asked for; HTTP/1.1 has to name somebody, and only one."""
    assert ask(b"GET /echo HTTP/1.1\r\nHost: evil.example\r\n\r\n")[0] == 421
    assert ask(b"GET /none HTTP/1.1\r\nHost: evil.example\r\n\r\n")[0] == 421
    assert ask(b"GET /echo HTTP/1.1\r\n" + HOST + HOST + b"\r\n")[0] == 421
    assert ask(b"GET /echo HTTP/1.1\r\n\r\n")[0] == 400
    assert ask(b"GET /echo HTTP/1.0\r\n\r\n")[0] == 200


def test_a_status_has_its_name() -> None:
    """Whoever looks at it with telnet reads what it means."""
    there = visitor()
    there.feed(b"GET /echo HTTP/1.1\r\nHost: evil.example\r\n\r\n")
    assert there.taken.startswith(b"HTTP/1.1 421 Misdirected Request\r\n")


def test_a_page_that_is_broken_ends_nothing_else(logged: Logged) -> None:
    """The log has the traceback, the client has not."""
    there = visitor()
    there.feed(b"GET /broken HTTP/1.1\r\n" + HOST + b"\r\n")
    assert b" 500 " in there.taken
    assert b"Traceback" not in there.taken
    there.feed(b"GET /echo HTTP/1.1\r\n" + HOST + b"\r\n")
    assert b" 200 " in there.taken
    assert [str(each.value) for each in logged.take_failures(RuntimeError)] == ["/broken"]


class Slow:
    """A site whose page comes when it is told to."""

    def __init__(self) -> None:
        self.page: Deferred[Answer] = Deferred()
        clock = Clock()
        pages: dict[str, dict[str, Page]] = {"/slow": {"GET": self.answer}, "/quick": {"GET": lambda _: line("quick")}}
        self.there = connect(Guarded(AdminSite(pages, Access(), clock), clock))
        self.there.feed(b"".join(b"GET /%s HTTP/1.1\r\n" % each + HOST + b"\r\n" for each in (b"slow", b"quick")))
        assert self.there.taken == b""

    async def answer(self, _asked: Asked) -> Answer:
        """Wait."""
        return await self.page


def test_a_page_may_come_later() -> None:
    """Those that were asked for behind it wait."""
    slow = Slow()
    slow.page.callback(line("slow"))
    slow.there.advance(1)
    assert slow.there.taken.index(b"slow") < slow.there.taken.index(b"quick")


def test_a_page_that_nobody_waits_for_any_more_is_not_sent() -> None:
    """Nor is what was asked for behind it."""
    slow = Slow()
    slow.there.vanish()
    slow.page.callback(line("slow"))
    slow.there.advance(1)
    assert slow.there.taken == b""


def test_pages_are_answered_one_after_the_other() -> None:
    """As many as are asked for at once, in order."""
    there = visitor()
    there.feed(b"".join(b"GET /echo?n=%d HTTP/1.1\r\n" % n + HOST + b"\r\n" for n in range(20)))
    there.advance(1)
    assert [f"'n': '{n}'".encode() in there.taken for n in range(20)] == [True] * 20


@pytest.mark.parametrize("length", [LARGEST, LARGEST + 1])
def test_what_is_posted_is_small(length: int) -> None:
    """What is larger is not read."""
    there = visitor()
    there.feed(b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % length)
    fits = length <= LARGEST
    assert there.lost is not fits
    if fits:
        there.feed(b"a=" + b"x" * (length - 2))
    assert there.taken.startswith(b"HTTP/1.1 200 " if fits else b"HTTP/1.1 413 ")


def test_who_sends_more_than_he_said_is_not_believed() -> None:
    """Whatever follows a refusal is not kept."""
    there = visitor()
    there.takes(0)  # so that the connection stays while it ends
    there.feed(b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 100000\r\n\r\n")
    for _ in range(50):
        there.feed(b"x" * 1000)
    assert there.application.requests[0].content.tell() <= LARGEST


def test_what_has_no_length_is_not_read() -> None:
    """Nor is what is sent all the same."""
    there = visitor()
    there.feed(b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n2000\r\n" + b"x" * 0x2000)
    assert there.taken.startswith(b"HTTP/1.1 413 ")
    assert there.lost


def test_too_many_fields_are_none() -> None:
    """A form of ours has few."""
    form = b"&".join(b"a%d=1" % n for n in range(17))
    request = b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(form) + form
    assert ask(request)[2] == "('POST', '/echo', {}, {})\n"


@pytest.mark.parametrize(
    "garbage",
    [
        b"\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"GET / HTTP/9.9\r\n\r\n",
        b"G\x00T / HTTP/1.1\r\n\r\n",
        b"x" * 70_000 + b"\r\n",
    ],
)
def test_garbage_is_no_traceback(garbage: bytes, logged: Logged) -> None:
    """It is refused, or waits for its end until a guard ends it."""
    there = visitor()
    there.feed(garbage)
    there.advance(80)
    assert there.lost
    assert not logged.unexpected()


def test_the_guards_are_there() -> None:
    """Who says nothing, says it too slowly or has nothing more to say is cut."""
    silent, slow, done = visitor(), visitor(), visitor()
    silent.advance(11)
    done.feed(b"GET /echo HTTP/1.1\r\n" + HOST + b"\r\n")
    for _ in range(30):
        if not slow.lost:
            slow.feed(b"G")
        slow.advance(1)
    done.advance(74)
    assert not done.lost
    done.advance(2)
    reasons = [type(each.connection.reason) for each in (silent, slow, done) if each.connection is not None]
    assert reasons == [NoFirstByte, ReceivingTooSlow, Idle]


def test_nobody_has_all_the_places() -> None:
    """One address fills its half; those who watch the service from elsewhere are let in."""
    first = visitor()
    more = [connect(first.factory) for _ in range(33)]
    assert [each.refused for each in more] == [False] * 31 + [True] * 2
    assert not connect(first.factory, address=IPv4Address("TCP", "192.0.2.77", 1)).refused


def test_the_log_is_not_full_of_scrapes() -> None:
    """It has who was cut, and why; not who came and went."""
    there, silent = visitor(), visitor()
    there.feed(b"GET /echo HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
    silent.advance(11)
    assert there.lost
    assert [each.name for each in there.events] == []
    assert [each.name for each in silent.events] == ["cut"]
