"""Whoever attacks the pages of `--admin` finds a service like any other, and harms nobody but himself."""

from __future__ import annotations

import http.client
import random
import socket
import struct
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import pytest

from tests.popserver import PATIENCE, Peer, Server, Site, serving

LINGER_RESET = struct.pack("ii", 1, 0)
ADMIN_CONNECTIONS = 64


@pytest.fixture
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, int, int]]:
    """A server, the port of its pages, and its own."""
    site = Site.make(tmp_path_factory.mktemp("site"))
    words = ["--listen", "tcp:0:interface=127.0.0.1", "--admin", "tcp:0"]
    with serving(*site.options, *words, cwd=site.folder) as server:
        admin, port = server.ports(2)
        yield server, admin, port


def status(port: int, path: str = "/healthz", **headers: str) -> int:
    """Of a page."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def raw(port: int, source: str = "127.0.0.1") -> socket.socket:
    """A connection."""
    return socket.create_connection(("127.0.0.1", port), PATIENCE, source_address=(source, 0))


def assert_well(admin: int, port: int) -> None:
    """Both are served."""
    assert status(admin) == 200
    with Peer(port) as peer:
        assert peer.greeting.startswith(b"+OK")


def test_garbage_of_any_kind_is_refused(served: tuple[Server, int, int]) -> None:
    """Random bytes, TLS, half a request, a reset in the middle of one: none leaves a traceback."""
    _, admin, port = served
    dice = random.Random(7)  # noqa: S311 - so that a failure comes again
    whole = b"GET /figures.json?sort=-sent HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for turn in range(60):
        with raw(admin) as peer, suppress(ConnectionError):
            kind = turn % 4
            if kind == 0:
                peer.sendall(dice.randbytes(2000) + b"\r\n\r\n")
                peer.shutdown(socket.SHUT_WR)
                while peer.recv(4096):
                    pass
            elif kind == 1:
                peer.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + dice.randbytes(100))
            elif kind == 2:
                peer.sendall(whole[: dice.randrange(len(whole))])
            else:
                peer.sendall(whole)
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
    assert_well(admin, port)


def test_who_holds_every_connection_of_the_pages_holds_none_of_the_service(served: tuple[Server, int, int]) -> None:
    """They have limits of their own, and for one address half of them; when they go, the pages answer again."""
    server, admin, port = served
    with ExitStack() as stack:
        for source, option in (("127.0.0.1", "max-per-peer"), ("127.0.0.2", "max-connections")):
            for _ in range(ADMIN_CONNECTIONS // 2):
                stack.enter_context(raw(admin, source))
            late = stack.enter_context(raw(admin, source))
            with suppress(ConnectionResetError):
                assert late.recv(100) == b""
            server.wait_for("refused", option=option)
        with Peer(port) as peer:
            assert peer.greeting.startswith(b"+OK")
    end = 0
    while status_or_none(admin) != 200:
        end += 1
        assert end < 1000
    assert_well(admin, port)


def status_or_none(port: int) -> int | None:
    """Of a page, if it is answered."""
    try:
        return status(port)
    except (ConnectionError, http.client.HTTPException):
        return None


def test_nothing_large_is_taken_or_kept(served: tuple[Server, int, int]) -> None:
    """A body without an end, a line without one, and thousands of headers."""
    _, admin, port = served
    for head in (
        b"POST /cut HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\n",
        b"POST /cut HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nfffffff\r\n",
        b"GET /",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 3000,
    ):
        with raw(admin) as peer:
            sent = 0
            with suppress(ConnectionError):
                peer.sendall(head)
                while sent < 64 * 2**20:
                    sent += peer.send(b"x" * 65_536)
            assert sent < 64 * 2**20
    assert_well(admin, port)


def test_a_page_that_was_rebound_gets_nothing(served: tuple[Server, int, int]) -> None:
    """Whatever it asks for, by whichever name it was made to believe in."""
    _, admin, _ = served
    for name in (
        "attacker.example",
        f"attacker.example:{admin}",
        "localhost.attacker.example",
        "127.0.0.1.nip.example",
    ):
        for path in ("/", "/figures.json", "/metrics", "/page.js", "/nothing"):
            assert status(admin, path, Host=name) == 421
