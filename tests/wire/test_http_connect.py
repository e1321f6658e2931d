"""What is promised of HTTP CONNECT: the exact request, every status, a bounded head."""

from __future__ import annotations

import pytest

from netguard.wire.http_connect import LONGEST_HEAD, HttpConnect, HttpRefused
from netguard.wire.tunnel import Granted, LoginRefused, NoProxy, Unsendable


@pytest.mark.parametrize(
    ("host", "name"),
    [("192.0.2.1", b"192.0.2.1:110"), ("2001:DB8::1", b"[2001:db8::1]:110"), ("mail.example", b"mail.example:110")],
)
def test_the_request(host: str, name: bytes) -> None:
    """The target twice, and nothing else."""
    assert HttpConnect(host, 110).opening == b"CONNECT " + name + b" HTTP/1.1\r\nHost: " + name + b"\r\n\r\n"


def test_a_login_is_basic() -> None:
    """RFC 7617's own example."""
    asked = HttpConnect("a", 1, (b"Aladdin", b"open sesame"))
    assert asked.opening.endswith(b"\r\nProxy-Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==\r\n\r\n")
    asked = HttpConnect("a", 1, (b"test", "123£".encode()))
    assert asked.opening.endswith(b" dGVzdDoxMjPCow==\r\n\r\n")


def test_a_user_has_no_colon() -> None:
    """Its rest would be taken for the secret; which may have one."""
    with pytest.raises(Unsendable, match="no colon"):
        HttpConnect("a", 1, (b"a:b", b"c"))
    assert b"YTpiOmM=" in HttpConnect("a", 1, (b"a", b"b:c")).opening


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 Connection established\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nProxy-agent: tinyproxy/1.11.1\r\n\r\n",
        b"HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 204\r\n\r\n",
        b"HTTP/1.1 299 \xff\n\n",
        b"HTTP/1.1 200 OK\nA: b\r\n\n",
    ],
)
def test_every_2xx_is_a_tunnel(head: bytes) -> None:
    """Whatever its headers say of a length; the line ends may be LF alone."""
    assert HttpConnect("a", 1).receive(head + b"\n+OK\r\n") == [Granted(None, b"\n+OK\r\n")]


@pytest.mark.parametrize("status", [101, 301, 400, 403, 404, 405, 500, 502, 503, 504, 599])
def test_every_other_status_is_told(status: int) -> None:
    """As its code; its own words and its page are not."""
    with pytest.raises(HttpRefused) as why:
        HttpConnect("a", 1).receive(b"HTTP/1.1 %d Sorry\r\n\r\n<html>Sorry" % status)
    assert why.value.code == status
    assert "Sorry" not in str(why.value)


@pytest.mark.parametrize("status", [b"407 Proxy Authentication Required", b"401 Unauthorized"])
def test_a_login_that_is_wanted_or_refused_is_its_own_error(status: bytes) -> None:
    """By the status of proxies, and by the one that tinyproxy has for a wrong login."""
    with pytest.raises(LoginRefused):
        HttpConnect("a", 1).receive(b"HTTP/1.1 " + status + b"\r\n\r\n")


@pytest.mark.parametrize(
    "head",
    [b"HTTP/1.1 20 OK", b"HTTP/1.1 2000 OK", b"HTTP/1.1 600 OK", b"HTTP/1.1  200 OK", b"HTTP/1.1", b"HTTP/1.x 200 OK"],
)
def test_a_head_begins_with_a_status_line(head: bytes) -> None:
    """Of HTTP/1."""
    with pytest.raises(NoProxy, match="no status line"):
        HttpConnect("a", 1).receive(head + b"\r\n\r\n")


@pytest.mark.parametrize("begun", [b"H2", b"HTTP/2 200", b"SSH-2.0", b"\r\n", b"<html>"])
def test_the_first_bytes_decide(begun: bytes) -> None:
    """Nobody waits for the head of what is none."""
    with pytest.raises(NoProxy, match="does not begin like one of HTTP/1"):
        HttpConnect("a", 1).receive(begun)


@pytest.mark.parametrize("begun", [b"H", b"HTTP/1.", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nA: b\r\n\r"])
def test_a_head_that_is_not_whole_is_waited_for(begun: bytes) -> None:
    """Up to its empty line."""
    assert HttpConnect("a", 1).receive(begun) == []


FIRST, LAST = b"HTTP/1.1 200 OK\r\nA: ", b"\r\n\r\n"


@pytest.mark.parametrize("extra", [0, 1])
@pytest.mark.parametrize("waits", [0, 3])
def test_a_head_is_bounded_with_all_that_only_says_to_wait(extra: int, waits: int) -> None:
    """16 KiB are read, and one byte more is not."""
    wait = b"HTTP/1.1 100 Continue\r\n\r\n" * waits
    head = wait + FIRST + b"x" * (LONGEST_HEAD - len(wait + FIRST + LAST) + extra) + LAST
    for pieces in ([head], [head[at : at + 100] for at in range(0, len(head), 100)]):
        asked = HttpConnect("a", 1)
        if extra:
            with pytest.raises(NoProxy, match="more than 16384 bytes"):
                [asked.receive(each) for each in pieces]
        else:
            assert [asked.receive(each) for each in pieces][-1] == [Granted()]


def test_an_endless_head_ends() -> None:
    """With or without lines in it."""
    asked = HttpConnect("a", 1)
    with pytest.raises(NoProxy, match="more than 16384 bytes"):
        asked.receive(FIRST + b"x" * 10_000_000)
    asked = HttpConnect("a", 1)
    with pytest.raises(NoProxy, match="more than 16384 bytes"):
        asked.receive(b"HTTP/1.1 100 Continue\r\n\r\n" * 100_000)
