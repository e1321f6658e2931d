"""Promise 7: a time limit on every write. A peer that does not take what we queued is cut, over real sockets."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from netguard.errors import Idle, QueueTooLong, SendingTooSlow, WriteStalled
from netguard.guards.byte_limit import ByteLimit
from netguard.guards.idle_timeout import IdleTimeout
from netguard.guards.minimum_rate import MinimumRate
from netguard.guards.write_stall import WriteStall

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager

    from tests.attacks.conftest import Site

    Serve = Callable[..., AbstractAsyncContextManager[Site]]

pytestmark = pytest.mark.filterwarnings("ignore:.*(pyOpenSSL|cryptography):DeprecationWarning")

QUEUED = 20_000_000
LATE = 2.0
"""Seconds that a busy machine may be late; nothing may ever be early."""


def _floods(subject: Any) -> None:
    """The application queues 20 MB."""
    subject.transport.write(b"x" * QUEUED)


def _floods_and_closes(subject: Any) -> None:
    """And is polite."""
    subject.transport.write(b"x" * QUEUED)
    subject.transport.loseConnection()


@pytest.mark.parametrize("where", ["tcp", "unix", "ssl"])
@pytest.mark.parametrize("made", [_floods, _floods_and_closes])
async def test_a_non_reader_with_twenty_megabytes_queued_is_cut(site: Serve, where: str, made: Any) -> None:
    """By abort: a polite close would wait for it for ever. To TLS it does not even say hello."""
    async with site(WriteStall(0.5), made=made, where=where) as here:
        here.connect()
        took, why = await here.end()
        assert type(why) is WriteStalled
        assert 0.5 <= took <= 0.5 + LATE
        assert here.factory.connections == []


async def test_the_non_reader_is_reset(site: Serve, read: Any) -> None:
    """What was queued is thrown away: the peer gets what its kernel had, and then a reset, not an end."""
    async with site(WriteStall(0.5), made=_floods) as here:
        peer = here.connect()
        _, why = await here.end()
        assert type(why) is WriteStalled
        assert len(await read(peer)) < QUEUED


@pytest.mark.parametrize("guard", [MinimumRate(sent=10**6, grace=0.5), IdleTimeout(0.5)])
async def test_a_non_reader_is_too_slow_and_idle_as_well(site: Serve, guard: Any) -> None:
    """Any of these limits is enough by itself."""
    async with site(guard, made=_floods) as here:
        here.connect()
        took, why = await here.end()
        assert type(why) in {SendingTooSlow, Idle}
        assert 0.5 <= took <= 0.5 + 20 * 0.1 + LATE  # what its kernel took at first earns it some time


async def test_a_reader_of_a_trickle_is_too_slow(site: Serve, pause: Any) -> None:
    """One small gulp now and then keeps it from being stalled, but not from being too slow."""
    async with site(MinimumRate(sent=10**9, grace=0.5), WriteStall(20), made=_floods) as here:
        peer = here.connect(buffer=4096)
        subject = await here.subject()
        while not subject.ended.called:
            with suppress(BlockingIOError, ConnectionError):
                peer.recv(1000)
            await pause(0.02)
        took, why = await here.end()
        assert type(why) is SendingTooSlow
        assert 0.5 <= took <= 0.5 + LATE


async def test_a_slow_reader_gets_everything(site: Serve, pause: Any) -> None:
    """Socket buffers hide megabytes: one who takes steadily, for several times the limit, is not mistaken."""
    total = 12_000_000

    def writes(subject: Any) -> None:
        subject.transport.write(b"x" * total)
        subject.transport.loseConnection()

    guards = (WriteStall(1), IdleTimeout(1), MinimumRate(sent=100_000, grace=1))
    async with site(*guards, made=writes) as here:
        peer = here.connect(buffer=65536)
        subject = await here.subject()
        got = 0
        while got < total:
            await pause(0.01)
            with suppress(BlockingIOError):
                piece = peer.recv(25_000)
                assert piece
                got += len(piece)
        took, why = await here.end()
        assert not isinstance(why, (WriteStalled, Idle, SendingTooSlow))
        assert took > 2
        assert subject.ended.called


async def test_a_queue_that_is_too_long_is_cut_at_once(site: Serve) -> None:
    """Before any time limit, and whatever the kernel would have taken."""
    async with site(ByteLimit(queue="1MiB"), WriteStall(20), made=_floods) as here:
        here.connect()
        took, why = await here.end()
        assert type(why) is QueueTooLong
        assert took < LATE


async def test_a_peer_that_vanished_is_cut(site: Serve, pause: Any) -> None:
    """Half-closed by its kernel, alive by its name: shutdown of its reading, and no reset for us to see."""
    async with site(WriteStall(0.5), made=_floods) as here:
        peer = here.connect(buffer=4096)
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
        peer.shutdown(socket.SHUT_WR)
        took, why = await here.end()
        assert took <= 0.5 + LATE
        assert here.factory.connections == []
        assert why is not None
