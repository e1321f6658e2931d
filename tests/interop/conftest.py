"""What the tests with real mail programs get: a netguard-pop with mail of every sort."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from netguard.plugins.pop_demo import samples
from netguard.pop3.maildir import CHUNK
from tests.popserver import Server, Site, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

HUGE = 20 * 1024 * 1024


def mail() -> dict[str, bytes]:
    """Messages that servers get wrong: the samples of the demonstration, chunk edges, and 20 MiB of 8-bit junk."""
    # No NUL and no CR, which some clients change; the binary sample has both. Every 256th line begins with a dot.
    junk = random.Random(7).randbytes(HUGE)  # noqa: S311 - the same each time
    junk = junk.replace(b"\0", b"\1").replace(b"\r", b".")
    return {
        **dict(samples()),
        "dot-behind-an-edge": _up_to_an_edge(b"\n") + b".\n..two\n",
        "dot-before-an-edge": _up_to_an_edge(b"\n.") + b"\n.end\n",
        "crlf-over-an-edge": _up_to_an_edge(b"\r") + b"\n.\r\nend\r\n",
        "huge": b"Subject: twenty megabytes\n\n" + junk,
    }


def _up_to_an_edge(tail: bytes) -> bytes:
    """The beginning of a message, exactly as long as what is read from a file at once."""
    head = b"Subject: edge\n\n"
    lines, rest = divmod(CHUNK - len(head) - len(tail), 64)
    return head + (b"x" * 63 + b"\n") * lines + b"y" * rest + tail


@pytest.fixture(scope="session")
def messages() -> dict[str, bytes]:
    """The mail, by name."""
    return mail()


@pytest.fixture
def site(tmp_path_factory: pytest.TempPathFactory, messages: dict[str, bytes]) -> Site:
    """An operator's files with this mail, new for each test."""
    return Site.make(tmp_path_factory.mktemp("site"), messages)


@pytest.fixture
def server(site: Site) -> Iterator[Server]:
    """A server with a plain port and one for TLS; its log must be clean at the end."""
    with serving(*site.both_ports, cwd=site.folder) as running:
        yield running
