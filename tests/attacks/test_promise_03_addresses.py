"""Promise 3: a source address proves nothing, and a claimed one counts only when those say it who may."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING, Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address

from netguard.application import connection_of
from netguard.errors import ProxyHeaderUnexpected
from netguard.events import Event
from netguard.guards.connection_limit import ConnectionLimit
from netguard.guards.handshake_timeout import HandshakeTimeout
from netguard.guards.proxy_protocol import ProxyProtocol
from netguard.testing import Application, connect
from netguard.wire import proxy_v1, proxy_v2
from netguard.wire.proxy_header import Inet
from netguard.wire.proxy_tlv import Claims, Ssl

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from tests.attacks.conftest import Site, Subject
    from tests.conftest import Logged

    Serve = Callable[..., AbstractAsyncContextManager[Site]]
    Pause = Callable[[float], Awaitable[None]]
    Read = Callable[[socket.socket], Awaitable[bytes]]

BOUND = 10
VICTIM, SERVICE = Inet("203.0.113.9", 4711), Inet("198.51.100.1", 110)
FORGED = {
    "v1": proxy_v1.write(VICTIM, SERVICE),
    "v1 unknown": proxy_v1.write(),
    "v2": proxy_v2.write(VICTIM, SERVICE, checksum=True),
    "v2 local": proxy_v2.write(local=True),
}
LISTED = ProxyProtocol("127.0.0.1,unix")
NOT_LISTED = ProxyProtocol("192.0.2.0/24")


async def _empty(here: Site) -> None:
    """Wait until no connection is left."""
    from twisted.internet import reactor

    await here.factory.when_empty().addTimeout(BOUND, cast("Any", reactor))


async def _send(peer: socket.socket, data: bytes, pause: Pause, size: int) -> None:
    """Send piece by piece, as long as the other side takes it."""
    for start in range(0, len(data), size):
        with suppress(ConnectionError):
            peer.send(data[start : start + size])
        await pause(0.002)


def _host(subject: Subject) -> str | None:
    connection: Any = connection_of(subject.transport)
    host: str | None = connection.host
    return host


@pytest.mark.parametrize("size", [1000, 1])
@pytest.mark.parametrize("where", ["tcp", "unix"])
@pytest.mark.parametrize("header", FORGED)
async def test_a_forged_header_is_never_believed(site: Serve, pause: Pause, header: str, where: str, size: int) -> None:
    """Whoever is not listed is cut for one, in whatever pieces it comes; the application never hears of the victim."""
    hosts: list[Any] = []
    async with site(NOT_LISTED, made=lambda subject: hosts.append(_host(subject)), where=where) as here:
        await _send(here.connect(), FORGED[header] + b"data", pause, size)
        _, reason = await here.end()
        assert type(reason) is ProxyHeaderUnexpected
        assert VICTIM.host not in hosts
        assert b"data" not in here.subjects[0].got


async def test_a_header_behind_a_header_is_data(site: Serve, pause: Pause) -> None:
    """What a client puts in front of its own data cannot speak for the proxy."""
    async with site(LISTED) as here:
        second = proxy_v1.write(Inet("127.0.0.1", 1), SERVICE)
        here.connect().send(FORGED["v2"] + second)
        subject = await here.subject()
        while len(subject.got) < len(second):
            await pause(0.01)
        assert (_host(subject), bytes(subject.got)) == (VICTIM.host, second)


@pytest.mark.parametrize("begun", [b"", b"PROXY TCP4 203.0.113.9 ", proxy_v2.SIGNATURE])
async def test_a_header_that_never_ends_has_its_time(site: Serve, read: Read, begun: bytes) -> None:
    """Silence before or inside it ends at the handshake's limit, and no application was made for it."""
    async with site(LISTED, HandshakeTimeout("300ms")) as here:
        peer = here.connect()
        peer.send(begun)
        assert await read(peer) == b""
        assert not here.subjects
        await _empty(here)


async def test_a_header_that_trickles_has_no_more(site: Serve, pause: Pause) -> None:
    """A byte now and then does not buy time."""
    async with site(LISTED, HandshakeTimeout("300ms")) as here:
        await _send(here.connect(), FORGED["v2"][:-1], lambda _: pause(0.05), 1)
        await _empty(here)
        assert not here.subjects


@pytest.mark.parametrize(
    "flood",
    [
        proxy_v2.SIGNATURE + b"\x21\x11\xff\xff",
        proxy_v2.SIGNATURE + b"\x20\x00\xff\xff",
        b"PROXY UNKNOWN " + b"x" * 93,
        b"PROXY TCP6 " + b":" * 46,
        b"PROXY TCP4 1.1.1.1 1.1.1.1 1 2 " + b"3" * 70,
    ],
)
async def test_a_header_of_great_length_is_refused_before_it_has_come(site: Serve, read: Read, flood: bytes) -> None:
    """65,551 octets are not waited for; neither is a line end behind the 107th."""
    async with site(LISTED, HandshakeTimeout("1h")) as here:
        peer = here.connect()
        peer.send(flood)
        assert await read(peer) == b""
        await _empty(here)


@pytest.mark.parametrize("seed", range(10))
async def test_junk_in_the_place_of_a_header_has_one_answer(site: Serve, pause: Pause, read: Read, seed: int) -> None:
    """The connection ends, nothing is sent back, and nothing raises; every header is broken in one place."""
    random = Random(seed)  # noqa: S311 - the same each time
    async with site(LISTED, HandshakeTimeout("500ms")) as here:
        for header in FORGED.values():
            broken = bytearray(header)
            broken[random.randrange(min(len(header), 13))] ^= random.randrange(1, 256)
            peer = here.connect()
            peer.send(bytes(broken) + random.randbytes(200))
            assert await read(peer) == b""
        await _empty(here)
        assert all(_host_before(subject) != VICTIM.host for subject in here.subjects)


def _host_before(subject: Subject) -> str | None:
    return None if subject.transport is None or connection_of(subject.transport) is None else _host(subject)


async def test_those_who_say_nothing_take_no_more_places_than_there_are(site: Serve, pause: Pause) -> None:
    """Sockets whose header is awaited count in the total, so that a flood of them is bounded."""
    async with site(LISTED, ConnectionLimit(total=5), HandshakeTimeout("300ms")) as here:
        peers = [here.connect() for _ in range(30)]
        await pause(0.2)
        assert len(here.factory.connections) == 5
        await _empty(here)
        assert not here.subjects
        assert len(peers) == 30


async def test_claims_do_not_buy_places(site: Serve, pause: Pause) -> None:
    """A proxy that claims another client each time is still bounded by the total; one client by its own limit."""
    async with site(LISTED, ConnectionLimit(total=8, per_peer=2)) as here:
        for number in range(4):
            here.connect().send(proxy_v1.write(VICTIM, SERVICE))
            here.connect().send(proxy_v1.write(Inet(f"192.0.2.{number}", 1), SERVICE))
            await pause(0.05)
        hosts = [_host_before(each) for each in here.subjects]
        assert hosts.count(VICTIM.host) == 2
        assert len(hosts) == 6
        for number in range(4):
            here.connect().send(proxy_v1.write(Inet(f"192.0.2.{number}", 2), SERVICE))
        await pause(0.2)
        assert len(here.factory.connections) == 8


HOSTILE = "\r\n2026-01-01 opened client=203.0.113.66\x1b[2J\u202e"


async def test_nothing_that_is_claimed_forges_the_log(site: Serve, pause: Pause, logged: Logged) -> None:
    """Names, paths and certificates that hold control characters stand in no line of it as they are."""
    said = Claims(HOSTILE, HOSTILE.encode(), HOSTILE.encode(), None, Ssl(7, 0, "TLSv1.3", HOSTILE))
    async with site(LISTED) as here:
        for header in (
            proxy_v2.write(VICTIM, SERVICE, claims=said),
            proxy_v2.write(HOSTILE.encode(), HOSTILE.encode()),
            b"PROXY UNKNOWN " + HOSTILE.encode("unicode_escape").replace(b"\\r\\n", b"\r") + b"\r\n",
            b"PROXY TCP4 " + HOSTILE.encode()[2:],
        ):
            peer = here.connect()
            peer.send(header)
            await pause(0.05)
            peer.close()
        await _empty(here)
    lines = [str(each["netguard"]) for each in logged.events if isinstance(each.get("netguard"), Event)]
    assert lines
    assert not any("2026-01-01" in line or not line.isprintable() for line in lines)


@given(
    head=st.sampled_from([*FORGED.values(), b"", FORGED["v1"][:-3], FORGED["v2"][:13], b"PROXY nobody\r\n"]),
    data=st.binary(max_size=40),
    listed=st.booleans(),
    split=st.sampled_from([None, 1, 7]),
)
def test_whatever_comes_has_one_end_and_no_source_gains_by_it(
    head: bytes,
    data: bytes,
    listed: bool,
    split: int | None,
) -> None:
    """The header of a listed source is never delivered; any other source is what its socket says, or is cut."""
    address = IPv4Address("TCP", "127.0.0.1" if listed else "192.0.2.1", 5)
    peer: Any = connect(LISTED, Application, address=address)
    peer.feed(head + data, split=split)
    application, whole = peer.application, head in FORGED.values()
    if listed and whole:
        assert bytes(application.received) == data
    elif listed:
        assert application is None or head + data != bytes(application.received)
    elif peer.lost:
        assert type(application.reason) is ProxyHeaderUnexpected
    else:
        assert not whole
        assert bytes(application.received) == head + data
        assert peer.connection.peer.claimed is None
    peer.vanish()
    last = [each.name for each in peer.events if each.name in ("refused", "cut", "closed")]
    assert last == [peer.events[-1].name]
