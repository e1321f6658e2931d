"""Promise 13: a proxy that pours, drips, is silent, lies or breaks off costs a bounded time and memory, on sockets."""

from __future__ import annotations

import gc
import itertools
import os
import random
import socket
import struct
import time
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from attrs import define, field
from twisted.internet import error
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, clientFromString, connectProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import Clock, deferLater
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from netguard.clients.socks import SOCKSEndpoint
from netguard.clients.tunnel import ProxyTimeout
from netguard.errors import TooMuchReceived
from netguard.proxy_url import Credentials
from netguard.wire.http_connect import LONGEST_HEAD
from netguard.wire.tunnel import NoProxy, ProxyClosed, ProxyError, Refused
from tests.proxyserver import Behaviour, Peer, nothing, peering

PATIENCE = 60.0
WITHIN = 0.4
VERSIONS = ["4", "4a", "5", "http"]

GRANTS = {
    "4": [b"\0\x5a\0\0\0\0\0\0"],
    "4a": [b"\0\x5a\0\0\0\0\0\0"],
    "5": [b"\5\0", b"\5\0\0\1\0\0\0\0\0\0"],
    "http": [b"HTTP/1.1 200 OK\r\n\r\n"],
}
"""What a proxy says that does its work, an answer to each of our words."""

ENDLESS = {
    "4": b"\0",
    "4a": b"\0",
    "5": b"\5\0\0\3\xff" + b"a" * 254,
    "http": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 65_000,
}
"""What begins like a reply, and never is whole."""

CHARGEN = b"".join(bytes(range(32 + at, 104 + at)) + b"\r\n" for at in range(23)) * 40


class Application(Protocol):
    """Remembers what it got, and why its connection ended."""

    def __init__(self) -> None:
        self.got = bytearray()
        self.ended: Deferred[BaseException] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        """Keep."""
        self.got += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Tell."""
        self.ended.callback(cast("BaseException", reason.value))


def now() -> Any:
    """The reactor."""
    from twisted.internet import reactor

    return reactor


def endpoint(version: str, port: int, within: float = PATIENCE) -> SOCKSEndpoint:
    """A way through the hostile proxy."""
    who = Credentials("joe", "hush") if version in {"5", "http"} else Credentials("joe")
    way = TCP4ClientEndpoint(now(), "127.0.0.1", port)
    return SOCKSEndpoint(way, "192.0.2.1", 110, version, who, within, reactor=now())


@define
class Attack:
    """What an attempt came to.

    Attributes:
        why: the failure.
        took: seconds.
        peak: bytes of Python's memory, at most.
        sent: bytes that the proxy wrote, the kernel's buffers included.
        lasted: seconds until the proxy's connection was over.
    """

    why: BaseException
    took: float
    peak: int
    sent: int
    lasted: float


async def attack(version: str, made: Behaviour, came: Behaviour = nothing, within: float = PATIENCE) -> Attack:
    """Ask a hostile proxy for a tunnel, which it does not make; its connection has to end, too."""
    async with peering(made, came) as (port, peers):
        gc.collect()
        tracemalloc.start()
        began = time.monotonic()
        try:
            with pytest.raises(ProxyError) as caught:
                await connectProtocol(endpoint(version, port, within), Application())
            took = time.monotonic() - began
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        for peer in peers:
            await peer.ended.addTimeout(PATIENCE, now())
        assert "hush" not in f"{caught.value} {caught.value!r}"
        return Attack(caught.value, took, peak, sum(each.sent for each in peers), time.monotonic() - began)


# How much?


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("unasked", [True, False])
async def test_a_character_generator_is_hung_up_on(version: str, unasked: bool) -> None:
    """At its first characters, whether it waits for ours or not: what it goes on to say is not read."""

    def pours(to: Peer, _: bytes) -> None:
        if to.loop is None:
            to.every(0, lambda: CHARGEN)

    found = await attack(version, *((pours, nothing) if unasked else (nothing, pours)))
    assert isinstance(found.why, NoProxy)
    assert found.peak < 2_000_000
    assert found.sent < 20_000_000


def gigabyte(first: bytes) -> Behaviour:
    """Say something, and then as much more as the other side takes, up to 1 GiB."""
    block = b"a" * 65536

    def pours(to: Peer, _: bytes) -> None:
        if to.sent == 0:
            to.write(first)
            to.pour(block)

    return pours


@pytest.mark.parametrize("version", VERSIONS)
async def test_a_reply_of_a_gigabyte_is_read_for_a_few_kibibytes(version: str) -> None:
    """Of a reply that begins well; the reader stops early, and resets."""
    found = await attack(version, nothing, gigabyte(GRANTS["5"][0] if version == "5" else ENDLESS[version]))
    assert isinstance(found.why, NoProxy | Refused)
    assert found.peak < 2_000_000
    assert found.sent < 20_000_000


async def test_a_gigabyte_of_heads_that_say_to_wait_is_not_waited_for() -> None:
    """HTTP's 1xx: each is small, all of them together are not."""

    def waits(to: Peer, _: bytes) -> None:
        to.pour(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)

    found = await attack("http", nothing, waits)
    assert f"more than {LONGEST_HEAD} bytes" in str(found.why)
    assert found.peak < 2_000_000


async def test_a_gigabyte_behind_the_reply_meets_the_applications_guards() -> None:
    """What follows the reply is the application's, and its guards count from the first byte on."""

    def grants(to: Peer, data: bytes) -> None:
        to.write(GRANTS["5"][0] if data == b"\5\1\0" else GRANTS["5"][1])
        if data != b"\5\1\0":
            to.pour(b"a" * 65536)

    async with peering(came=grants) as (port, peers):
        text = rf"guard:socks:192.0.2.1:110:proxy=tcp\:127.0.0.1\:{port}:max-in=100000"
        app = Application()
        await connectProtocol(clientFromString(now(), text), app)
        why = await app.ended.addTimeout(PATIENCE, now())
        assert isinstance(why, TooMuchReceived)
        assert len(app.got) <= 100_000
        await peers[0].ended.addTimeout(PATIENCE, now())
        assert peers[0].sent < 20_000_000


@pytest.mark.parametrize("version", VERSIONS)
async def test_nuls_are_an_answer_like_any_other(version: str) -> None:
    """To SOCKS 4 they are a refusal without a reason; to the others, no proxy's."""

    def nuls(to: Peer, _: bytes) -> None:
        to.pour(b"\0" * 65536)

    found = await attack(version, nothing, nuls)
    assert isinstance(found.why, Refused if version in {"4", "4a"} else NoProxy)
    assert found.peak < 2_000_000
    assert found.sent < 20_000_000


# How long?


@pytest.mark.parametrize("version", VERSIONS)
async def test_silence_ends_at_the_deadline(version: str) -> None:
    """With the connection, which a silent proxy would keep for ever."""
    found = await attack(version, nothing, within=WITHIN)
    assert isinstance(found.why, ProxyTimeout)
    assert found.why.stage == "negotiating"
    assert found.took >= WITHIN


class Wire(StringTransport):
    """A transport that remembers an abort."""

    aborted = False

    def abortConnection(self) -> None:
        """Remember."""
        self.aborted = True


@define
class Way:
    """A way that is there at once, on a clock."""

    clock: Any = field(factory=Clock)
    tunnel: Any = None
    wire: Wire = field(factory=Wire)

    def connect(self, factory: Any) -> Deferred[Any]:
        """As an endpoint."""
        self.tunnel = factory.buildProtocol(None)
        self.tunnel.makeConnection(self.wire)
        answer: Deferred[Any] = Deferred()
        answer.callback(self.tunnel)
        return answer


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("every", [1.0, 29.0])
def test_one_byte_a_second_ends_at_the_deadline(version: str, every: float) -> None:
    """A drip does not move it; of what begins like a reply, and is never whole within the time."""
    way, ended = Way(), []
    reply = itertools.chain(GRANTS[version][0] if version == "5" else b"", ENDLESS[version], itertools.cycle(b"a"))
    attempt = SOCKSEndpoint(cast("Any", way), "192.0.2.1", 110, version, reactor=way.clock)
    if version.startswith("4"):
        reply = itertools.chain(b"\0\x5a", itertools.repeat(0, 5), itertools.repeat(-1))
    attempt.connect(cast("Any", None)).addErrback(lambda why: ended.append((way.clock.seconds(), why.value)))
    while not ended and way.clock.seconds() < 120:
        way.clock.advance(every)
        byte = next(reply)
        if byte >= 0:
            way.tunnel.dataReceived(bytes([byte]))
    ((moment, why),) = ended
    assert isinstance(why, ProxyTimeout)
    assert 30 <= moment < 30 + every
    assert way.wire.aborted
    assert not way.clock.getDelayedCalls()


@pytest.mark.parametrize("version", VERSIONS)
def test_a_character_generator_for_a_minute(version: str) -> None:
    """The first line is the last that is heard; a minute later nothing of it is left."""
    way, ended = Way(), []
    attempt = SOCKSEndpoint(cast("Any", way), "192.0.2.1", 110, version, reactor=way.clock)
    attempt.connect(cast("Any", None)).addErrback(lambda why: ended.append((way.clock.seconds(), why.value)))
    for _ in range(600):
        way.clock.advance(0.1)
        way.tunnel.dataReceived(CHARGEN)
    ((moment, why),) = ended
    assert isinstance(why, NoProxy)
    assert moment == pytest.approx(0.1)
    assert way.wire.aborted
    assert len(way.tunnel.negotiation._buffer) <= len(CHARGEN)
    assert not way.clock.getDelayedCalls()


async def test_hundreds_at_once_leave_nothing_behind() -> None:
    """Neither a descriptor nor a timer, half of them for the deadline and half by being cancelled."""
    async with peering():  # the first port of a process has Twisted keep a descriptor in reserve
        pass
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - numbers
    timers = len(now().getDelayedCalls())
    async with peering() as (port, peers):
        ended: list[BaseException] = []
        attempts = [connectProtocol(endpoint("5", port, 2.0), Application()) for _ in range(200)]
        for each in attempts:
            each.addErrback(lambda why: ended.append(why.value))
        while len(peers) < 200 and not ended:  # where time was over before all had come, they all end all the same
            await deferLater(now(), 0.01)
        for each in attempts[::2]:
            each.cancel()
        await gatherResults(attempts).addTimeout(PATIENCE, now())
        await gatherResults([each.ended for each in peers]).addTimeout(PATIENCE, now())
    assert sorted({type(each) for each in ended}, key=str) == [ProxyTimeout, error.ConnectingCancelledError]
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - numbers
    assert len(now().getDelayedCalls()) == timers


# What?


RESET = struct.pack("ii", 1, 0)


@pytest.mark.parametrize(
    ("version", "said"),
    [
        (version, said)
        for version in VERSIONS
        for said in range(len(GRANTS[version][-1]))
        if said in {0, 1, 2, 7, 9, 16}
    ],
)
async def test_a_reset_in_the_middle_is_the_end(version: str, said: int) -> None:
    """Before the reply, and after each part of it."""
    words = iter([*GRANTS[version][:-1], GRANTS[version][-1][:said]])

    def breaks(to: Peer, _: bytes) -> None:
        word = next(words)
        to.write(word)
        if len(word) == said:
            to.wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            now().callLater(0.02, to.wire.abortConnection)

    found = await attack(version, nothing, breaks)
    assert isinstance(found.why, ProxyClosed)


OTHERS = {
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
    "pop3": b"+OK POP3 ready <1.2@mail.example>\r\n",
    "smtp": b"220 mail.example ESMTP\r\n",
    "http page": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    "http refusal": b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
    "tls alert": b"\x15\x03\x03\x00\x02\x02\x32",
    "socks 4": b"\0\x5a\0\0\0\0\0\0",
    "socks 5": b"\5\0",
    "socks 5, another login": b"\5\1",
    "socks 5, the login unasked": b"\5\2\1\0",
    "socks 5, all at once": b"\5\0\5\0\0\1\0\0\0\0\0\0",
    "socks 5, all at once with a login": b"\5\2\1\0\5\0\0\1\0\0\0\0\0\0",
    "telnet": b"\xff\xfd\x18\xff\xfd\x20",
    "redis": b"-ERR unknown command\r\n",
}
RIGHT = {("http", "http page"), ("4", "socks 4"), ("4a", "socks 4"), ("5", "socks 5")}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("kind", OTHERS)
async def test_an_answer_to_something_else_is_none(version: str, kind: str) -> None:
    """What other services say, replies of other kinds of proxies, and replies before their questions."""
    if (version, kind) in RIGHT:
        return
    found = await attack(version, nothing, lambda to, _: to.write(OTHERS[kind]))
    assert isinstance(found.why, NoProxy | Refused)
    assert isinstance(found.why, Refused) == (kind == "http refusal" and version == "http")


@pytest.mark.parametrize("version", VERSIONS)
async def test_random_answers_have_one_of_few_ends(version: str) -> None:
    """A proxy's errors, the application's connection, or the deadline; never another exception."""
    chance = random.Random(13)  # noqa: S311 - the same each time
    openings = [*GRANTS[version], ENDLESS[version][:16], b""]

    def babbles(to: Peer, _: bytes) -> None:
        to.write(chance.choice(openings) + chance.randbytes(chance.randrange(40)))

    async with peering(came=babbles) as (port, _):
        for _ in range(60):
            app = Application()
            try:
                await connectProtocol(endpoint(version, port, 0.05), app)
            except ProxyError:
                pass
            else:
                cast("Any", app.transport).abortConnection()
                await app.ended.addTimeout(PATIENCE, now())


@asynccontextmanager
async def listening_backlog() -> AsyncIterator[int]:
    """A port whose queue is full: connecting to it is never answered."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        fillers = [socket.socket() for _ in range(8)]
        for each in fillers:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        try:
            yield full.getsockname()[1]
        finally:
            for each in fillers:
                each.close()


async def test_a_proxy_that_never_answers_to_connecting() -> None:
    """The deadline is ours, not the endpoint's half a minute."""
    async with listening_backlog() as port:
        began = time.monotonic()
        with pytest.raises(ProxyTimeout) as caught:
            await connectProtocol(endpoint("5", port, WITHIN), Application())
    assert caught.value.stage in {"connecting", "negotiating"}
    assert time.monotonic() - began >= WITHIN
