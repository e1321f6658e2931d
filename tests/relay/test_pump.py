"""Bytes from socket to socket: the same ones, counted exactly, whatever either side does in between."""

from __future__ import annotations

import errno
import os
import random
import select
import socket
import struct
import weakref
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import pytest
from twisted.internet.error import ConnectionDone
from twisted.internet.main import CONNECTION_LOST
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from netguard.guards.bandwidth import Bandwidth
from netguard.guards.byte_limit import ByteLimit
from netguard.guards.lifetime import Lifetime
from netguard.guards.write_stall import WriteStall
from netguard.outflow import queued
from netguard.policy import Policy
from netguard.relay import pipes
from netguard.relay.pipes import SIZE
from netguard.relay.pump import READ, Inward, Outward, pump
from tests.conftest import Logged
from tests.native.conftest import WITHIN, until
from tests.relay.conftest import STALL, Lay, Pair, Site, Street

SMALL = 16 * 1024
MIB = 1024 * 1024
MANY = 1_000


def rolls(seed: int) -> random.Random:
    """Always the same dice."""
    return random.Random(seed)  # noqa: S311 - nothing is a secret here


PATTERN = rolls(8).randbytes(7 * MIB)


async def turn() -> None:
    """One turn of the reactor."""
    from twisted.internet import reactor

    await deferLater(cast("Any", reactor), 0)


class End:
    """One end in a dialogue: sends its bytes, and takes what comes, in pieces of any size."""

    def __init__(self, sock: socket.socket, out: bytes, rng: random.Random) -> None:
        self.sock = sock
        self.left = memoryview(out)
        self.got = bytearray()
        self.over: bool | OSError = False
        self._rng = rng
        self._finished = False

    def act(self) -> None:
        """Do a little."""
        for _ in range(self._rng.choice((0, 1, 4, 16))):
            if not self.left:
                break
            with suppress(BlockingIOError):
                self.left = self.left[self.sock.send(self.left[: self._rng.choice((1, 999, 70_000, 400_000))]) :]
        if not self.left and not self._finished:
            self._finished = True
            self.sock.shutdown(socket.SHUT_WR)
        self.hear(self._rng.choice((0, 0, 1, 8)))

    def hear(self, times: int) -> None:
        """Take what comes."""
        for _ in range(times):
            try:
                data = self.sock.recv(self._rng.choice((1, 5_000, 300_000)))
            except BlockingIOError:
                return
            except OSError as why:
                self.over = why
                return
            self.got += data
            self.over = self.over or not data


@pytest.mark.parametrize("most", [pipes.MOST, 0], ids=["spliced", "copied"])
@pytest.mark.parametrize("seed", range(6))
async def test_all_bytes_arrive_both_ways_in_order(seed: int, most: int, lay: Lay) -> None:
    """Whatever the sizes of pieces, whoever is slow, each FIN behind its bytes; and the guards know how many."""
    rng = rolls(seed)
    street = lay()
    street.relay.pipes.most = most
    pair = await street.pair(rng.choice((None, SMALL)))
    meter = pair.meter
    up, down = (PATTERN[: rng.choice((0, 10, 200_000, len(PATTERN)))] for _ in range(2))
    client, backend = End(pair.client, up, rng), End(pair.backend, down, rng)
    while not (client.over and backend.over):
        client.act()
        backend.act()
        await turn()
    assert (client.over, backend.over) == (True, True)
    assert client.got == down
    assert backend.got == up
    assert (meter.received, meter.sent) == (len(up), len(down))
    await until(lambda: not street.port.factory.connections)


async def pour(sender: socket.socket, count: int) -> int:
    """Send as much as goes, up to so many bytes, until nothing moves any more; how much that was."""
    sent = quiet = 0
    while sent < count and quiet < 50:
        try:
            sent += sender.send(PATTERN[sent : min(count, sent + 300_000)])
            quiet = 0
        except BlockingIOError:
            quiet += 1
        await turn()
    return sent


async def filled(street: Street) -> tuple[Pair, int]:
    """A pair whose client takes nothing, with bytes in a pipe for it; and how many its backend has sent."""
    pair = await street.pair()
    for kernel, option in ((pair.front.transport.socket, socket.SO_SNDBUF), (pair.client, socket.SO_RCVBUF)):
        kernel.setsockopt(socket.SOL_SOCKET, option, SMALL)
    pair.back.transport.doRead = cast("Outward", pair.front.inflow).splice
    sent = await pour(pair.backend, len(PATTERN))
    await until(lambda: pair.pipe is not None)
    return pair, sent


async def test_what_is_much_is_not_copied(lay: Lay) -> None:
    """And what is little is; a pipe is borrowed while bytes are in it, and no longer."""
    street = lay()
    pair = await street.pair()
    transport = pair.back.transport
    pair.backend.send(b"little")
    assert await street.ground.read(pair.client, 6) == b"little"
    assert transport.doRead.__name__ == "read"
    used = False
    sent = got = 0
    while got < 4 * MIB:
        with suppress(BlockingIOError):
            sent += pair.backend.send(PATTERN[sent : min(4 * MIB, sent + 200_000)])
        await turn()
        used = used or transport.doRead.__name__ == "splice"
        with suppress(BlockingIOError):
            got += len(pair.client.recv(1 << 20))
    assert used
    assert street.relay.pipes.used == 0
    pair.backend.send(b"little")
    assert await street.ground.read(pair.client, 6) == b"little"
    assert transport.doRead.__name__ == "read"


async def test_what_waits_is_bounded_counted_and_holds_the_other_side(lay: Lay) -> None:
    """The backend is not read while bytes for the client are in the pipe, and they count as queued."""
    street = lay()
    pair, poured = await filled(street)
    waiting = pair.pipe.holds
    assert 0 < waiting <= SIZE
    assert queued(pair.front.transport) == waiting
    assert pair.front.transport.guarded_connection.queued == waiting
    sent = pair.meter.sent
    assert not pair.front.depart()
    for _ in range(20):
        await turn()
    assert pair.meter.sent == sent
    assert not pair.back.transport._reads
    assert await street.ground.read(pair.client, poured) == PATTERN[:poured]
    assert street.relay.pipes.used == 0


async def test_an_end_is_held_by_the_other_only_from_when_its_peer_is_slow(lay: Lay) -> None:
    """What is taken at once leaves nobody to be held; and nobody is any more, once all has been sent."""
    street = lay()
    pair = await street.pair()
    pair.client.send(b"hello")
    assert await street.ground.read(pair.backend, 5) == b"hello"
    assert (pair.back.transport.producer, pair.front.transport.producer) == (None, None)
    pair, poured = await filled(street)
    assert (pair.back.transport.producer, pair.front.transport.producer) == (None, pair.back)
    pair.backend.shutdown(socket.SHUT_WR)
    assert await street.ground.read(pair.client, len(PATTERN)) == PATTERN[:poured]
    await until(lambda: pair.back.finished)
    assert pair.front.transport.producer is None


async def test_a_fin_is_heard_of_whom_bytes_wait_for(lay: Lay) -> None:
    """The client says that it has sent all while it does not take what the backend has."""
    street = lay()
    pair, poured = await filled(street)
    pair.client.shutdown(socket.SHUT_WR)
    assert await street.ground.read(pair.backend, 1) == b""
    assert pair.pipe.holds
    assert await street.ground.read(pair.client, poured) == PATTERN[:poured]
    pair.backend.close()
    assert await street.ground.read(pair.client, 1) == b""
    await until(street.is_empty)


async def test_a_fin_comes_behind_what_is_in_the_pipe(lay: Lay) -> None:
    """Of the backend that has sent all; the client's direction goes on."""
    street = lay()
    pair = await street.pair()
    await pour(pair.backend, 2 * MIB)
    pair.backend.shutdown(socket.SHUT_WR)
    assert await street.ground.read(pair.client, len(PATTERN)) == PATTERN[: 2 * MIB]
    pair.client.send(b"thanks")
    assert await street.ground.read(pair.backend, 6) == b"thanks"
    pair.client.shutdown(socket.SHUT_WR)
    assert await street.ground.read(pair.backend, 1) == b""


def reset(sock: socket.socket) -> None:
    """Close with a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


async def test_what_is_in_the_pipe_of_a_backend_that_resets_arrives_before_the_reset(lay: Lay) -> None:
    """As what waits in a transport does."""
    street = lay()
    pair, _ = await filled(street)
    sent = pair.meter.sent
    back = pair.back.transport
    back.connectionLost(Failure(ConnectionError()))
    got = bytearray()
    end = End(pair.client, b"", rolls(1))
    while not end.over:
        end.hear(5)
        await turn()
    got = end.got
    assert got == PATTERN[:sent]
    assert isinstance(end.over, ConnectionResetError)


@pytest.mark.parametrize("how", ["reset", "cut", "closed here"])
async def test_a_pipe_whose_client_is_gone_is_closed(how: str, lay: Lay) -> None:
    """Whatever was in it is for nobody; and the backend hears of it."""
    street = lay()
    pair, _ = await filled(street)
    number = pair.pipe.into
    if how == "reset":
        reset(pair.client)
    elif how == "cut":
        pair.front.transport.abortConnection()
    else:
        pair.front.transport.connectionLost(Failure(ConnectionDone()))
    await until(lambda: not street.port.factory.connections)
    assert street.relay.pipes.used == 0
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)
    await until(lambda: street.relay.pool.backends[0].live == 0)


@pytest.mark.parametrize("way", ["received", "sent"])
async def test_exactly_the_limit_passes_while_bytes_are_spliced(way: str, lay: Lay) -> None:
    """In the middle of a full flow the guard cuts at the byte, and what was let pass has passed."""
    limit = 3 * MIB + 12_345
    street = lay(Policy(WriteStall(STALL), ByteLimit(**{way: limit})))
    pair = await street.pair()
    meter = pair.meter
    sender, taker = (pair.client, pair.backend) if way == "received" else (pair.backend, pair.client)
    sent, end = 0, End(taker, b"", rolls(2))
    last = 0
    while not end.over:
        with suppress(OSError):
            sent += sender.send(PATTERN[sent : sent + 300_000])
        end.hear(4)
        last = max(last, meter.sent, meter.received)
        await turn()
    assert end.got == PATTERN[: len(end.got)]
    assert len(end.got) <= limit
    assert last >= limit
    if way == "sent":
        assert meter.sent == limit


async def test_a_guard_that_slows_down_does_so_while_bytes_are_spliced(lay: Lay) -> None:
    """A second's worth passes at once, and then nothing until that is earned."""
    street = lay(Policy(WriteStall(STALL), Bandwidth(sent=2 * MIB)))
    pair = await street.pair()
    sent, end = 0, End(pair.client, b"", rolls(3))
    meter, connection = pair.meter, pair.front.transport.guarded_connection
    while len(end.got) < 3 * MIB:
        with suppress(BlockingIOError):
            sent += pair.backend.send(PATTERN[sent : sent + 300_000])
        end.hear(4)
        await turn()
        assert meter.sent <= 2 * MIB * (1 + connection.age)
    assert connection.age >= 0.5
    assert end.got == PATTERN[: len(end.got)]


async def test_a_guard_that_sees_every_chunk_sees_every_chunk(lay: Lay) -> None:
    """Nothing that comes is spliced then: an item may be exactly as long as it may be."""
    street = lay(Policy(WriteStall(STALL), ByteLimit(item=MIB)))
    pair = await street.pair()
    sent, got, item = 0, bytearray(), b"x" * MIB
    while len(got) < MIB:
        with suppress(BlockingIOError):
            sent += pair.client.send(item[sent : sent + 300_000])
        await turn()
        with suppress(BlockingIOError):
            got += pair.backend.recv(1 << 20)
    assert got == item
    assert not street.relay.pipes._idle
    pair.client.send(b"y")
    await until(street.is_empty)


@pytest.mark.parametrize("who", ["client", "backend"])
@pytest.mark.parametrize("how", [reset, socket.socket.close], ids=["reset", "closed"])
async def test_either_may_go_at_any_step(how: Any, who: str, lay: Lay) -> None:
    """Between any two turns of the reactor, in the middle of a full flow: the other hears of it, and all ends."""
    street = lay()
    for steps in range(0, 24, 3):
        pair = await street.pair(SMALL if steps % 2 else None)
        rng = rolls(steps)
        ends = {"client": End(pair.client, PATTERN, rng), "backend": End(pair.backend, PATTERN, rng)}
        for _ in range(steps):
            for each in ends.values():
                each.act()
            await turn()
        how(getattr(pair, who))
        other = ends["backend" if who == "client" else "client"]
        while not other.over:
            other.hear(8)
            await turn()
        assert other.got == PATTERN[: len(other.got)]
        other.sock.close()
        await until(street.is_empty)
        assert street.relay.pipes.used == 0


async def test_what_breaks_is_told_of_whose_it_is(lay: Lay, monkeypatch: pytest.MonkeyPatch) -> None:
    """The source's, at once; the sink's, by its own writing, so that what it has sent before is heard."""
    street = lay()
    pair = await street.pair()
    it, sink = cast("Inward", pair.front.outflow), pair.back.transport
    assert it.read() is None  # there is nothing
    assert it.splice() is None
    into, real = sink.socket.fileno(), pipes._splice

    def source_breaks(*_: object, **__: object) -> None:
        raise ConnectionResetError

    def sink_breaks(source: int, target: int, *about: Any, **more: Any) -> Any:
        if target == into:
            raise BrokenPipeError
        return real(source, target, *about, **more)

    with monkeypatch.context() as patched:
        patched.setattr(pipes, "_splice", source_breaks)
        assert it.splice() is CONNECTION_LOST
        patched.setattr(pipes, "_splice", sink_breaks)
        pair.client.send(b"for nobody")
        select.select([it.source.socket], [], [], WITHIN)
        assert it.splice() is None
        assert sink.piped == len(b"for nobody")
        assert sink.doWrite() is CONNECTION_LOST
        await until(street.is_empty)


async def test_where_a_sandbox_forbids_it_bytes_are_copied(lay: Lay, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first refusal on, and nobody notices."""

    def forbidden(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSYS, "not here")

    monkeypatch.setattr(pipes, "_splice", forbidden)
    street = lay()
    pair = await street.pair()
    sent, got = 0, bytearray()
    while len(got) < 2 * MIB:
        with suppress(BlockingIOError):
            sent += pair.backend.send(PATTERN[sent : min(2 * MIB, sent + 300_000)])
        await turn()
        with suppress(BlockingIOError):
            got += pair.client.recv(1 << 20)
    assert got == PATTERN[: 2 * MIB]
    assert street.relay.pipes.most == 0


async def test_who_finds_no_pipe_copies(lay: Lay) -> None:
    """All are in use: bytes go on, as before."""
    street = lay()
    street.relay.pipes.most = 1
    held, _ = await filled(street)
    pair = await street.pair()
    sent, got = 0, bytearray()
    while len(got) < 2 * MIB:
        with suppress(BlockingIOError):
            sent += pair.backend.send(PATTERN[sent : min(2 * MIB, sent + 300_000)])
        await turn()
        with suppress(BlockingIOError):
            got += pair.client.recv(1 << 20)
    assert got == PATTERN[: 2 * MIB]
    assert held.pipe is not None


@pytest.mark.usefixtures("no_collector")
async def test_nothing_is_left_of_a_thousand(lay: Lay, logged: Logged) -> None:
    """Neither descriptors nor objects that only the garbage collector would find."""
    street = lay(Policy(Lifetime("1h")))
    before = len(list(Path("/proc/self/fd").iterdir()))
    left: list[weakref.ref[Any]] = []
    for _ in range(MANY // 50):
        pairs = [await street.pair() for _ in range(50)]
        watcher = pairs[-1].front.transport.reactor
        assert watcher is street.port.reactor
        assert pairs[-1].back.transport.reactor is watcher
        while pairs:
            each = pairs.pop()
            ends = each.front, each.back
            left += (weakref.ref(one) for end in ends for one in (end, end.transport, end.transport.socket))
            each.client.send(b"x")
            each.client.close()
            each.backend.close()
        del each, ends
        await until(street.is_empty)
        del street.ground.clients[1:]
        street.fronts.clear()
    assert len(left) == 6 * MANY
    assert [each() for each in left if each() is not None] == []
    assert len(list(Path("/proc/self/fd").iterdir())) <= before


def test_other_transports_keep_their_own_way(alone: Site) -> None:
    """TLS, UNIX sockets, whatever a foreign endpoint makes."""
    client, _ = alone.pair()
    assert client.application.outflow is None
    assert client.application.inflow is None
    front = client.application
    assert pump(front, front.other, alone.relay.pipes) is None
    assert pump(front.other, front, alone.relay.pipes) is None


async def test_each_way_has_its_own(lay: Lay) -> None:
    """One counts what comes, the other what is sent."""
    pair = await lay().pair()
    assert type(pair.front.outflow) is Inward
    assert type(pair.front.inflow) is Outward
    assert READ <= SIZE
