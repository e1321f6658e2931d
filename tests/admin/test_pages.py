"""All the pages, as they are asked for."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from twisted.internet.task import Clock

from netguard.admin.about import About
from netguard.admin.access import Access
from netguard.admin.pages import NO_METRICS, Pages
from netguard.service import Service
from netguard.testing import connect

if TYPE_CHECKING:
    from netguard.testing.dialogue import Dialogue


def fetched(request: str, *, may_cut: bool = False) -> Dialogue:
    """Who asked for a page of a service that has not begun to listen."""
    clock = Clock()
    pages = Pages(Service(lambda: clock), About(may_cut=may_cut), Access(), clock)
    there = connect(pages.factory)
    there.feed(f"{request} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return there


@pytest.mark.parametrize(
    ("path", "code", "kind"),
    [
        ("/", 200, "text/html"),
        ("/figures.json", 200, "application/json"),
        ("/healthz", 200, "text/plain"),
        ("/readyz", 503, "text/plain"),
        ("/metrics", 200, "text/plain"),
        ("/page.css", 200, "text/css"),
        ("/page.js", 200, "text/javascript"),
        ("/icon.svg", 200, "image/svg+xml"),
        ("/nothing", 404, "text/plain"),
    ],
)
def test_every_page_answers(path: str, code: int, kind: str) -> None:
    """Each by its path, as what it is."""
    taken = fetched(f"GET {path}").taken.decode()
    assert taken.startswith(f"HTTP/1.1 {code} ")
    assert f"\r\nContent-Type: {kind}" in taken
    assert int(taken.partition("Content-Length: ")[2].partition("\r")[0]) > 0


@pytest.mark.parametrize(("method", "may_cut", "code"), [("GET", True, 405), ("POST", True, 403), ("POST", False, 404)])
def test_nothing_is_changed_by_a_get(method: str, code: int, *, may_cut: bool) -> None:
    """And nothing at all where that was not allowed."""
    assert fetched(f"{method} /cut", may_cut=may_cut).taken.startswith(f"HTTP/1.1 {code} ".encode())


def test_without_the_client_there_are_no_metrics_and_the_answer_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything else is there."""
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    monkeypatch.delitem(sys.modules, "netguard.admin.metrics", raising=False)
    taken = fetched("GET /metrics").taken.decode()
    assert taken.startswith("HTTP/1.1 501 ")
    assert taken.endswith(f"{NO_METRICS}\n")
    assert fetched("GET /healthz").taken.startswith(b"HTTP/1.1 200 ")


def test_the_history_runs_with_the_pages() -> None:
    """From their start to their end."""
    clock = Clock()
    pages = Pages(Service(lambda: clock), About(), Access(), clock)
    pages.startService()
    assert len(clock.getDelayedCalls()) == 1
    pages.stopService()
    assert clock.getDelayedCalls() == []
