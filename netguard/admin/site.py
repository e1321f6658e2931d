"""HTTP for the admin pages, by ``twisted.web``: small requests, bounded, with the headers that every answer has."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from twisted.internet.defer import ensureDeferred
from twisted.logger import Logger
from twisted.web.http import HTTPFactory, Request

from netguard.admin.asked import Answer, Asked, line
from netguard.admin.channel import Channel
from netguard.factory import GuardedFactory
from netguard.policy import Policy
from netguard.process.tls import verified_certificate
from netguard.reports import Reports

if TYPE_CHECKING:
    from twisted.python.failure import Failure

    from netguard.admin.access import Access
    from netguard.facts import Facts

Page = Callable[[Asked], Answer | Awaitable[Answer]]

LARGEST = 4096
"""Bytes of what may be posted: a form of one button."""

POLICY: Mapping[str, object] = {
    "max-connections": 64,
    "max-per-peer": 32,
    "handshake": "10s",
    "first-byte": "10s",
    "idle": "75s",
    "lifetime": "1h",
    "min-rate-in": 100,
    "min-rate-out": 500,
    "write-stall": "15s",
    "max-in": "4MiB",
    "max-queue": "8MiB",
}
"""The guards of the pages' own: whoever asks for figures is a peer like any other."""

SECURITY = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",  # with no-referrer, a browser would not say of whose form a POST is
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""What every answer says: nothing from elsewhere, in nobody's frame, kept nowhere."""

_log = Logger(namespace="netguard")
_Request: Any = Request  # it is annotated in part
_Factory: Any = HTTPFactory


class AdminRequest(_Request):  # type: ignore[misc]
    """One request: judged, answered by a page, and sent."""

    channel: Any
    method: bytes
    path: bytes
    _gone = False

    def gotLength(self, length: int | None) -> None:
        """Keep what is posted in memory, since it is small; what is not ends the connection."""
        if length is None or length > LARGEST:
            self.channel.transport.write(b"HTTP/1.1 413 Content Too Large\r\nConnection: close\r\n\r\n")
            self.channel.loseConnection()
        self.content = BytesIO()

    def process(self) -> None:
        """Answer, as soon as the connection is free for it."""
        self.channel.when_free(self._reply)

    def _reply(self) -> None:
        """Answer, now or when the page is there."""
        asked = self._asked()
        ensureDeferred(self._answer(asked)).addErrback(_broken, asked).addCallback(self._send)

    def _asked(self) -> Asked:
        raw = self.requestHeaders.getAllRawHeaders()
        headers = {_text(name).lower(): ", ".join(map(_text, values)) for name, values in raw}
        form = _fields(self.content.getvalue()) if self.method == b"POST" else {}
        method = "GET" if self.method == b"HEAD" else _text(self.method)
        return Asked(method, _text(self.path), _fields(self.uri.partition(b"?")[2]), form, headers)

    async def _answer(self, asked: Asked) -> Answer:
        site = self.channel.factory
        if self.clientproto == b"HTTP/1.1" and "host" not in asked.headers:
            return line("HTTP/1.1 needs a Host header", 400)
        verified = verified_certificate(self.channel.transport) is not None
        refused: Answer | None = site.access.refuse(asked, verified=verified)
        if refused is not None:
            return refused
        methods: Mapping[str, Page] | None = site.pages.get(asked.path)
        if methods is None:
            return line("there is no such page", 404)
        if asked.method not in methods:
            allow = ", ".join([*methods, *(["HEAD"] if "GET" in methods else [])])
            return line(f"only {allow} here", 405, Allow=allow)
        answer = methods[asked.method](asked)
        return answer if isinstance(answer, Answer) else await answer

    def _send(self, answer: Answer) -> None:
        if self._gone:
            return
        self.setResponseCode(answer.code, HTTPStatus(answer.code).phrase.encode())  # Twisted does not know all
        given = {"Content-Type": answer.kind, "Content-Length": str(len(answer.body))}
        for name, value in {**SECURITY, **given, **answer.headers}.items():
            self.responseHeaders.setRawHeaders(name, [value] if isinstance(value, str) else list(value))
        if self.method != b"HEAD":
            self.write(answer.body)
        self.finish()

    def connectionLost(self, reason: Failure) -> None:
        """Nobody waits for the answer any more."""
        self._gone = True
        super().connectionLost(reason)


class AdminSite(_Factory):  # type: ignore[misc]
    """The factory of the pages. It logs no requests: what peers say they want stands in nobody's log.

    Args:
        pages: what answers, by path and method.
        access: who may ask.
        reactor: the clock.
    """

    noisy = False

    def __init__(self, pages: Mapping[str, Mapping[str, Page]], access: Access, reactor: Any) -> None:
        super().__init__(timeout=None, reactor=reactor)  # time is the guards'
        self.pages = pages
        self.access = access

    def buildProtocol(self, _address: Any) -> Any:
        """One connection; HTTP/1.1 whatever may be installed."""
        channel: Any = Channel(self.reactor)
        channel.requestFactory = AdminRequest
        channel.factory = self
        return channel

    def startFactory(self) -> None:
        """There is no log of requests to open."""

    def stopFactory(self) -> None:
        """Nor one to close."""

    def log(self, request: Any) -> None:
        """Log nothing."""


class Discreet(Reports):
    """Tells who was refused or cut, but not that one more scrape is over: that would be most of a quiet log."""

    def last(self, connection: Facts, reason: Failure | None) -> None:
        """Tell the last event of a connection that did not end by itself."""
        if connection.reason is not None:
            super().last(connection, reason)


class Guarded(GuardedFactory):
    """The pages under guards of their own, which count nobody but those who ask for pages.

    Args:
        site: the pages.
        reactor: the clock.
    """

    def __init__(self, site: AdminSite, reactor: Any) -> None:
        super().__init__(site, Policy.from_options(POLICY).guards, reactor=reactor, verbose=False)
        discreet = Discreet(self.service.seconds, self.service.figures, verbose=False)
        discreet.sampler = self._reports.sampler  # the sweep has it
        self._reports = discreet


def _broken(why: Failure, asked: Asked) -> Answer:
    """One page that is broken ends nothing else."""
    _log.failure("netguard: the admin page {path} failed", why, path=asked.path)
    return line("this page is broken; the log says why", 500)


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "backslashreplace")


def _fields(octets: bytes) -> dict[str, str]:
    try:
        return dict(parse_qsl(_text(octets), keep_blank_values=True, max_num_fields=16))
    except ValueError:
        return {}
