"""Tests for netguard.writing: what a guard holds back, on connections that live."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.protocols.basic import FileSender

from netguard.backlog import HIGH_WATER
from netguard.errors import Expelled
from netguard.guards.bandwidth import Bandwidth
from netguard.guards.lifetime import Lifetime
from netguard.testing import Application, Dialogue
from netguard.testing import connect as connect_by
from netguard.testing.transparency import CARRIERS


class Producer:
    """Writes a chunk whenever it may, so many times.

    Args:
        transport: where to.
        data: a chunk.
        times: how many.
    """

    def __init__(self, transport: Any, data: bytes, times: int) -> None:
        self.transport, self.data, self.times = transport, data, times
        self.paused = self.stopped = False
        self.most = 0

    def resumeProducing(self) -> None:
        """Write until paused, or once; then go."""
        self.paused = False
        while self.times and not self.paused:
            self.times -= 1
            self.transport.write(self.data)
            if not self.streaming:
                break
        if not self.times:
            self.transport.unregisterProducer()

    streaming = True

    def pauseProducing(self) -> None:
        """Pause."""
        self.paused = True

    def stopProducing(self) -> None:
        """Stop."""
        self.stopped = True


class PullProducer(Producer):
    """Writes one chunk each time it is asked."""

    streaming = False


@pytest.fixture(params=CARRIERS, ids=["wrapper", "native"])
def connect(request: pytest.FixtureRequest) -> Any:
    """Connects a peer, by a transport of either kind."""
    return partial(connect_by, carrier=request.param)


@pytest.fixture
def held(connect: Any) -> Any:
    """Makes a connection whose way out a guard holds."""

    def make(application: Any = Application) -> Any:
        peer = connect(Lifetime("1h"), application)
        peer.connection.pause("a guard", "out")
        return peer

    return make


def release(peer: Dialogue) -> None:
    """The guard lets go."""
    assert peer.connection is not None
    peer.connection.resume("a guard", "out")
    peer.advance()


def test_what_is_held_back_waits_in_order(held: Any) -> None:
    """It is queued, it is written, and it is not sent."""
    peer = held()
    assert peer.connection is not None
    transport = peer.application.transport
    transport.write(b"1")
    transport.writeSequence([b"2", b"3"])
    transport.write(b"")
    peer.advance(1)
    assert (peer.taken, peer.connection.sent, peer.connection.written, peer.connection.queued) == (b"", 0, 3, 3)
    release(peer)
    assert (peer.taken, peer.connection.sent, peer.connection.written, peer.connection.queued) == (b"123", 3, 3, 0)


def test_a_buffer_that_changes_later_is_kept_as_it_was(held: Any) -> None:
    """What no transport would take is refused as transports do it."""
    peer = held()
    data = bytearray(b"abc")
    peer.application.transport.write(data)
    data[:] = b"xyz"
    with pytest.raises(TypeError):
        peer.application.transport.write("text")
    release(peer)
    assert peer.taken == b"abc"


@pytest.mark.parametrize("name", ["loseConnection", "stopProducing", "stopConsuming"])
def test_closing_waits_for_what_is_held_back(held: Any, name: str) -> None:
    """Nothing is read meanwhile, and the application sees that it is closing."""
    peer = held()
    transport = peer.application.transport
    transport.write(b"last")
    getattr(transport, name)()
    assert transport.disconnecting
    peer.feed(b"late")
    peer.advance(10)
    assert not peer.lost
    release(peer)
    assert peer.taken == b"last"
    assert peer.lost
    assert peer.application.received == b""


def test_closing_does_not_wait_when_nothing_is_held_back(held: Any) -> None:
    """Although the way is held."""
    peer = held()
    peer.application.transport.loseConnection()
    peer.advance()
    assert peer.lost


def test_a_half_close_waits_and_reading_goes_on(held: Any) -> None:
    """Our direction only."""
    peer = held()
    assert peer.transport is not None
    peer.application.transport.write(b"last")
    peer.application.transport.loseWriteConnection()
    peer.feed(b"more")
    assert peer.application.received == b"more"
    assert not peer.transport.finished
    release(peer)
    assert peer.transport.finished
    assert peer.taken == b"last"


def test_start_tls_does_not_let_clear_text_be_overtaken(held: Any) -> None:
    """What is held back goes out before the switch."""
    peer = held()
    assert peer.transport is not None
    peer.application.transport.write(b"go ahead")
    peer.application.transport.startTLS(None)
    peer.application.transport.write(b"secret")
    peer.advance()
    assert peer.taken == b"go ahead"
    release(peer)
    assert peer.taken == b"go aheadsecret"


def test_what_is_written_while_something_passes_comes_after_it(held: Any) -> None:
    """A producer that is paused by the transport, and writes in answer."""
    peer = held()
    transport = peer.application.transport

    class Talks(Producer):
        """Says that it is paused."""

        def pauseProducing(self) -> None:
            """Say so."""
            if self.times:
                self.times -= 1
                transport.write(b"paused")

    transport.write(b"x" * 70_000)
    transport.write(b"end")
    transport.registerProducer(Talks(transport, b"", 1), True)
    release(peer)
    assert peer.taken == b"x" * 70_000 + b"endpaused"


def test_a_guard_may_hold_again_in_the_middle(held: Any) -> None:
    """At its own mark; what is left stays in order."""
    peer = held()
    assert peer.connection is not None
    connection = peer.connection
    for piece in (b"ab", b"cd", b"ef"):
        peer.application.transport.write(piece)
    connection.when_sent(3, lambda c: c.pause("another", "out"))
    release(peer)
    assert peer.taken == b"abc"
    peer.application.transport.write(b"gh")
    connection.resume("another", "out")
    peer.advance()
    assert peer.taken == b"abcdefgh"


def test_a_mark_that_is_set_anew_where_we_are_waits_for_the_next_byte(connect: Any) -> None:
    """A guard that does so is called for every byte, and does not hang the reactor."""
    peer = connect(Lifetime("1h"), Application)
    assert peer.connection is not None
    called: list[int] = []

    def again(connection: Any) -> None:
        called.append(connection.sent)
        connection.when_sent(connection.sent, again)

    peer.connection.when_sent(0, again)
    peer.application.transport.write(b"abc")
    peer.advance()
    assert peer.taken == b"abc"
    assert called == [0, 1, 2]


def test_a_cut_drops_what_is_held_back(held: Any) -> None:
    """And what is written afterwards."""
    peer = held()
    assert peer.connection is not None
    peer.application.transport.write(b"never")
    peer.connection.cut(Expelled())
    peer.application.transport.write(b"never")
    release(peer)
    assert peer.lost
    assert peer.taken == b""


def test_a_guard_may_cut_in_the_middle_of_a_write(connect: Any) -> None:
    """What came before its mark is written; the application gets the reason."""
    peer = connect(Lifetime("1h"), Application)
    assert peer.connection is not None
    peer.connection.when_sent(2, lambda c: c.cut(Expelled()))
    peer.application.transport.write(b"abcd")
    peer.application.transport.write(b"e")
    peer.advance()
    assert type(peer.application.reason) is Expelled
    assert peer.connection.sent == 2


def test_a_mark_on_what_is_written_counts_what_is_held_back(held: Any) -> None:
    """More than so many bytes: it is called at once, and the bytes are queued already."""
    peer = held()
    assert peer.connection is not None
    seen: list[tuple[int, int]] = []
    peer.connection.when_sent(3, lambda c: seen.append((c.written, c.queued)), held=True)
    peer.application.transport.write(b"abc")
    assert seen == []
    peer.application.transport.write(b"d")
    assert seen == [(4, 4)]


def test_a_push_producer_stops_while_much_is_held_back(held: Any) -> None:
    """It is told so at each write beyond the mark, and goes on when all has passed."""
    peer = held()
    assert peer.connection is not None
    transport = peer.application.transport
    producer = Producer(transport, b"x" * 10_000, 20)
    transport.registerProducer(producer, True)
    producer.resumeProducing()
    assert producer.paused
    assert HIGH_WATER < peer.connection.queued <= HIGH_WATER + 10_000
    release(peer)
    assert peer.taken == b"x" * 200_000


def test_a_producer_that_has_to_be_asked_does_not_fill_the_memory(connect: Any) -> None:
    """However slowly what it writes may pass; and it gets everything through."""
    peer = connect(Bandwidth(sent=10_000), Application)
    assert peer.connection is not None
    transport = peer.application.transport
    producer = PullProducer(transport, b"x" * 8000, 10)
    transport.registerProducer(producer, False)
    most = 0
    for _ in range(80):
        peer.advance(0.25)
        most = max(most, peer.connection.queued)
    assert most <= 8000
    assert peer.taken == b"x" * 80_000


def test_a_file_is_sent_slowly_and_whole(connect: Any) -> None:
    """By Twisted's own FileSender, and the connection closed behind it."""
    import io

    peer = connect(Bandwidth(sent=50_000), Application)
    transport = peer.application.transport
    content = bytes(range(256)) * 1000
    FileSender().beginFileTransfer(io.BytesIO(content), transport).addCallback(lambda _: transport.loseConnection())
    peer.advance(30)
    assert peer.taken == content
    assert peer.lost


@pytest.mark.parametrize("kind", [Producer, PullProducer])
def test_a_producer_that_is_held_is_told_of_the_end(held: Any, kind: Any) -> None:
    """As the transport would tell it."""
    peer = held()
    transport = peer.application.transport
    producer = kind(transport, b"x" * 100_000, 2)
    transport.registerProducer(producer, producer.streaming)
    if producer.streaming:
        producer.resumeProducing()
    assert producer.times == 1
    peer.vanish()
    assert producer.stopped


def test_a_producer_that_is_set_aside_is_still_registered(held: Any) -> None:
    """A second one raises, closing waits for it, and it can be taken away."""
    peer = held()
    transport = peer.application.transport
    producer = PullProducer(transport, b"part", 3)
    transport.registerProducer(producer, False)
    assert producer.times == 2
    with pytest.raises(RuntimeError, match="never unregistered"):
        transport.registerProducer(PullProducer(transport, b"", 1), False)
    transport.loseConnection()
    assert transport.disconnecting
    release(peer)
    assert peer.taken == b"part" * 3
    assert peer.lost


def test_a_producer_that_is_set_aside_may_be_taken_away(held: Any) -> None:
    """What it wrote is sent, and closing waits for that alone."""
    peer = held()
    transport = peer.application.transport
    transport.registerProducer(PullProducer(transport, b"part", 3), False)
    transport.loseConnection()
    transport.unregisterProducer()
    peer.advance()
    assert not peer.lost
    release(peer)
    assert (peer.taken, peer.lost) == (b"part", True)


def test_a_hold_without_a_byte_sets_a_producer_aside_and_gives_it_back(connect: Any) -> None:
    """Closing waits for it then, too, and no longer when it is taken away."""
    for take_away in (False, True):
        peer = connect(Lifetime("1h"), Application)
        assert peer.connection is not None
        assert peer.transport is not None
        transport = peer.application.transport
        peer.takes(0)
        producer = PullProducer(transport, b"part", 2)
        transport.registerProducer(producer, False)
        peer.connection.pause("a guard", "out")
        assert peer.transport.producer is None
        transport.loseConnection()
        assert transport.disconnecting
        if take_away:
            transport.unregisterProducer()
        else:
            release(peer)
        peer.takes(None)
        peer.advance()
        assert peer.taken == (b"part" if take_away else b"partpart")
        assert peer.lost


@settings(max_examples=100, deadline=None)
@given(
    writes=st.lists(st.binary(max_size=3000), max_size=8),
    rate=st.integers(100, 5000),
    room=st.sampled_from([None, 0, 500]),
    close=st.booleans(),
    carrier=st.sampled_from(CARRIERS),
)
def test_a_slow_way_out_loses_and_reorders_nothing(
    writes: list[bytes], rate: int, room: int | None, close: bool, carrier: Any
) -> None:
    """Whatever is written, however slowly it may pass and is taken: the peer has it all, in order, in the end."""
    peer = connect_by(Bandwidth(sent=rate), Application, carrier=carrier)
    peer.takes(room)
    for each in writes:
        peer.application.transport.write(each)
        peer.advance(0.25)
    if close:
        peer.application.transport.loseConnection()
    peer.takes(None)
    whole = b"".join(writes)
    peer.advance(len(whole) / rate + 3)
    assert peer.taken == whole
    assert peer.lost is close


def test_a_producer_that_the_transport_refuses_is_not_kept(connect: Any) -> None:
    """The first one stays."""
    peer = connect(Lifetime("1h"), Application)
    transport = peer.application.transport
    first = Producer(transport, b"", 0)
    transport.registerProducer(first, True)
    with pytest.raises(RuntimeError):
        transport.registerProducer(Producer(transport, b"", 0), True)
    assert peer.transport is not None
    wrapper: Any = peer.connection.meter
    assert wrapper.supply.producer is first
    transport.unregisterProducer()
    assert wrapper.supply is None
