"""All the pages, as they are asked for."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from netguard.admin.access import Access
from netguard.admin.pages import pages
from netguard.service import Service
from netguard.testing import connect


@pytest.mark.parametrize(("path", "code"), [("/healthz", 200), ("/readyz", 503), ("/nothing", 404)])
def test_every_page_answers(path: str, code: int) -> None:
    """Each by its path; the service has not begun to listen."""
    clock = Clock()
    there = connect(pages(Service(lambda: clock), Access(), clock))
    there.feed(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    assert there.taken.startswith(f"HTTP/1.1 {code} ".encode())
