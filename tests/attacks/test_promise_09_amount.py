"""Promise 9: no assumption about amount. Items, connections, queues and answers are bounded, whatever the peer does."""

from __future__ import annotations

import tracemalloc
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString
from twisted.internet.protocol import Factory, Protocol

from netguard.errors import ItemTooLong, LifetimeOver, QueueTooLong, TooMuchReceived, TooMuchSent
from netguard.guards.bandwidth import Bandwidth
from netguard.guards.byte_limit import ByteLimit
from netguard.guards.lifetime import Lifetime

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from twisted.python.failure import Failure

    from tests.attacks.conftest import Site

    Serve = Callable[..., AbstractAsyncContextManager[Site]]

MOST = 65536
"""So much one read of the reactor may bring."""


async def test_an_endless_line_ends(site: Serve, trickle: Any) -> None:
    """As fast as the loopback carries it, and it need never bring its delimiter."""
    async with site(ByteLimit(item=16_384)) as here:
        peer = here.connect()
        subject = await here.subject()
        await trickle(peer, b"x" * 5000, 0, subject.ended)
        _, why = await here.end()
        assert type(why) is ItemTooLong
        assert why.limit == 16_384
        assert len(subject.got) <= 16_384


async def test_an_endless_line_byte_by_byte_ends(site: Serve, trickle: Any) -> None:
    """Also in the smallest pieces."""
    async with site(ByteLimit(item=100)) as here:
        peer = here.connect()
        subject = await here.subject()
        await trickle(peer, b"x", 0, subject.ended)
        _, why = await here.end()
        assert type(why) is ItemTooLong
        assert len(subject.got) <= 100


async def test_an_endless_stream_ends(site: Serve, trickle: Any) -> None:
    """Of the best lines."""
    async with site(ByteLimit(received=1_000_000, item=100)) as here:
        peer = here.connect()
        subject = await here.subject()
        await trickle(peer, (b"x" * 99 + b"\n") * 500, 0, subject.ended)
        _, why = await here.end()
        assert type(why) is TooMuchReceived
        assert 1_000_000 - MOST <= len(subject.got) <= 1_000_000


async def test_an_answer_without_end_ends(site: Serve, read: Any) -> None:
    """Exactly at the byte: the peer gets just as many as may be sent."""

    def chargen(subject: Any) -> None:
        while subject.transport.guarded_connection.state == "open" and len(sent) < 1000:
            sent.append(b"x" * 999)
            subject.transport.write(sent[-1])

    sent: list[bytes] = []
    async with site(ByteLimit(sent=100_000), made=chargen) as here:
        peer = here.connect()
        _, why = await here.end()
        assert type(why) is TooMuchSent
        assert len(await read(peer)) <= 100_000
        assert len(sent) == 101


@pytest.mark.parametrize("way", ["plain", "throttled"])
async def test_a_queue_without_end_ends(site: Serve, pause: Any, way: str) -> None:
    """Pipelined requests whose answers nobody reads: memory stays bounded, throttled or not."""

    def amplify(subject: Any, data: bytes) -> None:
        subject.transport.write(b"y" * 100 * len(data))

    guards = [ByteLimit(queue="1MiB"), *([Bandwidth(sent="64KiB")] if way == "throttled" else [])]
    tracemalloc.start()
    try:
        async with site(*guards, came=amplify) as here:
            peer = here.connect(buffer=4096)
            subject = await here.subject()
            while not subject.ended.called:
                with suppress(BlockingIOError, ConnectionError):
                    peer.send(b"x" * 1000)
                await pause(0)
            _, why = await here.end()
            assert type(why) is QueueTooLong
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 * 2**20


class Asks(Protocol):
    """A client of ours that asks somebody for a short answer."""

    def __init__(self) -> None:
        self.got = 0
        self.ended: Deferred[BaseException | None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        """Count."""
        self.got += len(data)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """Tell."""
        self.ended.callback(reason.value)


async def test_a_chargen_behind_a_port_that_we_ask_costs_a_bounded_number_of_bytes(site: Serve) -> None:
    """Guards work around clients as well."""
    from twisted.internet import reactor

    def chargen(subject: Any) -> None:
        subject.transport.write(b"x" * 20_000_000)

    async with site(made=chargen) as here:
        asks = Asks()
        factory: Any = ByteLimit(received=10_000, item=1000).wrap(Factory.forProtocol(lambda: asks))
        endpoint = clientFromString(reactor, f"tcp:127.0.0.1:{here.address[1]}")
        await endpoint.connect(factory)
        why = await asks.ended.addTimeout(10, reactor)
        assert type(why) in {TooMuchReceived, ItemTooLong}
        assert asks.got <= 10_000
        await here.end()


async def test_what_is_read_is_held_to_the_bandwidth(site: Serve, trickle: Any) -> None:
    """However fast it is sent; nobody is cut for it, and nothing is lost."""
    async with site(Bandwidth(received=200_000), Lifetime(1.5)) as here:
        peer = here.connect()
        subject = await here.subject()
        await trickle(peer, b"x" * 50_000, 0, subject.ended)
        took, why = await here.end()
        assert type(why) is LifetimeOver
        assert 200_000 * 0.5 <= len(subject.got) <= 200_000 * (took + 1.1) + MOST


async def test_what_is_sent_is_held_to_the_bandwidth_and_arrives_whole(site: Serve, read: Any) -> None:
    """A large write and a polite close: everything arrives, in order, at the rate."""
    data = bytes(range(256)) * 1600

    def writes(subject: Any) -> None:
        subject.transport.write(data)
        subject.transport.loseConnection()

    async with site(Bandwidth(sent=200_000), made=writes) as here:
        peer = here.connect()
        assert await read(peer) == data
        took, _ = await here.end()
        assert took >= len(data) / 200_000 - 1 - 0.1
