"""What is promised of ByteLimit: just as many bytes as the limit pass, and not one more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock

from netguard.errors import ItemTooLong, QueueTooLong, TooMuchReceived, TooMuchSent
from netguard.guards.byte_limit import ByteLimit
from netguard.guards.proxy_protocol import ProxyProtocol
from netguard.policy import Policy
from netguard.testing import Application, connect

if TYPE_CHECKING:
    from tests.guards.conftest import Service


@pytest.mark.parametrize("chunks", [[100], [99, 1], [1] * 100])
def test_exactly_max_in_may_come(service: type[Service], chunks: list[int]) -> None:
    """In any chunks; the byte after it ends the connection, and is not delivered."""
    house = service(ByteLimit(received=100))
    peer = house.connect()
    for size in chunks:
        peer.sends(b"x" * size)
    house.wait(100)
    assert peer.reason is None
    peer.sends(b"y")
    house.wait(0)
    why = peer.why(TooMuchReceived)
    assert (why.limit, why.observed) == (100, 101)
    assert peer.app.got == b"x" * 100
    assert peer.wire.aborted


def test_an_endless_stream_ends(service: type[Service]) -> None:
    """After the chunk that crosses the limit, which is not delivered, nothing is."""
    house = service(ByteLimit(received=1_000_000))
    peer = house.connect()
    for _ in range(30):
        peer.sends(b"x" * 65536)
    house.wait(0)
    assert peer.why(TooMuchReceived).observed == 16 * 65536
    assert len(peer.app.got) == 15 * 65536


@pytest.mark.parametrize("writes", [[100], [99, 1], [1] * 100])
def test_exactly_max_out_may_be_written(service: type[Service], writes: list[int]) -> None:
    """In any writes, and it all reaches the peer."""
    house = service(ByteLimit(sent=100))
    peer = house.connect()
    for size in writes:
        peer.is_sent(b"x" * size)
    house.wait(100)
    assert peer.reason is None
    peer.takes()
    assert peer.wire.taken == b"x" * 100


@pytest.mark.parametrize("write", [b"y", b"y" * 1000, bytearray(b"y"), memoryview(b"y")])
def test_the_byte_after_max_out_is_not_sent(service: type[Service], write: bytes) -> None:
    """The write that crosses the limit is split exactly at it."""
    house = service(ByteLimit(sent=100))
    peer = house.connect()
    peer.is_sent(b"x" * 99)
    peer.is_sent(b"z" + bytes(write))
    peer.is_sent(b"more")
    assert peer.wire.dataBuffer == b"x" * 99 + b"z"
    house.wait(0)
    why = peer.why(TooMuchSent)
    assert (why.limit, why.observed) == (100, 101)


def test_written_sequences_are_counted_too(service: type[Service]) -> None:
    """A list of pieces is as one write."""
    house = service(ByteLimit(sent=5))
    peer = house.connect()
    assert peer.app.transport is not None
    peer.app.transport.writeSequence([b"ab", b"cd", b"ef"])
    assert peer.wire.dataBuffer == b"abcde"
    house.wait(0)
    assert peer.why(TooMuchSent)


@pytest.mark.parametrize("delimiter", [b"\n", b"\r\n", b"\n\n"])
@pytest.mark.parametrize("step", [1, 3, 1000])
def test_an_item_of_exactly_max_item_may_come(service: type[Service], delimiter: bytes, step: int) -> None:
    """Any number of them, in any chunks; the delimiter does not count."""
    house = service(ByteLimit(item=100, delimiter=delimiter))
    peer = house.connect()
    stream = (b"x" * 100 + delimiter) * 20
    for at in range(0, len(stream), step):
        peer.sends(stream[at : at + step])
    house.wait(0)
    assert peer.reason is None
    assert peer.app.got == stream


@pytest.mark.parametrize("delimiter", [b"\n", b"\r\n", b"\n\n"])
@pytest.mark.parametrize("step", [1, 3, 1000])
def test_an_item_of_one_byte_more_may_not(service: type[Service], delimiter: bytes, step: int) -> None:
    """Whether it is whole in one chunk, among good ones, or spread over many."""
    house = service(ByteLimit(item=100, delimiter=delimiter))
    peer = house.connect()
    stream = b"ok" + delimiter + b"x" * 101 + delimiter + b"ok" + delimiter
    for at in range(0, len(stream), step):
        peer.sends(stream[at : at + step])
    house.wait(0)
    why = peer.why(ItemTooLong)
    assert why.limit == 100
    assert 101 <= why.observed <= 101 + step
    assert len(peer.app.got) <= 102 + len(delimiter)


def test_an_endless_line_ends(service: type[Service]) -> None:
    """It need never bring its delimiter; the default delimiter is a line feed."""
    house = service(ByteLimit(item=16_384))
    peer = house.connect()
    for _ in range(20_000):
        if peer.reason is None:
            peer.sends(b"x")
            house.wait(0)
    assert peer.why(ItemTooLong).observed == 16_385
    assert len(peer.app.got) == 16_384


def test_exactly_max_queue_may_wait(service: type[Service]) -> None:
    """And what the peer has taken waits no more."""
    house = service(ByteLimit(queue=1000))
    peer = house.connect()
    peer.is_sent(b"x" * 1000)
    for _ in range(100):
        peer.takes(7)
        peer.is_sent(b"y" * 7)
    assert peer.reason is None
    peer.is_sent(b"z")
    assert len(peer.wire.dataBuffer) == 1000
    house.wait(0)
    why = peer.why(QueueTooLong)
    assert (why.limit, why.observed) == (1000, 1001)


def test_a_peer_that_takes_everything_may_have_any_amount(service: type[Service]) -> None:
    """The queue is measured, not the total."""
    house = service(ByteLimit(queue=1000))
    peer = house.connect()
    for _ in range(1000):
        peer.is_sent(b"x" * 900)
        peer.takes()
    assert peer.reason is None
    assert len(peer.wire.taken) == 900_000


def test_a_non_reader_costs_no_more_than_max_queue(service: type[Service]) -> None:
    """Twenty megabytes in one write, or in many."""
    for size in (20_000_000, 1000):
        house = service(ByteLimit(queue="1MiB"))
        peer = house.connect()
        for _ in range(20_000_000 // size):
            peer.is_sent(b"x" * size)
        assert len(peer.wire.dataBuffer) <= 2**20
        house.wait(0)
        assert peer.why(QueueTooLong)


def test_all_bounds_hold_together(service: type[Service]) -> None:
    """The first that is crossed decides."""
    house = service(ByteLimit(received=1000, sent=100, item=10, queue=50))
    peer = house.connect()
    peer.sends(b"0123456789\n" * 9)
    peer.is_sent(b"x" * 50)
    peer.takes()
    peer.is_sent(b"x" * 50)
    peer.takes()
    assert peer.reason is None
    peer.is_sent(b"x")
    house.wait(0)
    assert peer.why(TooMuchSent)


@pytest.mark.parametrize(
    ("field", "option"), [("received", "max-in"), ("sent", "max-out"), ("item", "max-item"), ("queue", "max-queue")]
)
def test_observing_says_once_what_it_would_have_done(
    service: type[Service], logged: Any, field: str, option: str
) -> None:
    """And does nothing: everything passes."""
    house = service(ByteLimit(observe=True, **{field: 100}))
    peer = house.connect()
    for _ in range(50):
        peer.sends(b"x" * 60)
        peer.is_sent(b"y" * 60)
        house.wait(0.3)
    assert peer.reason is None
    assert len(peer.app.got) == 3000
    assert len(peer.wire.dataBuffer) == 3000
    (event,) = logged.named("would_cut")
    assert (event["guard"], event["option"], event["limit"]) == ("ByteLimit", option, "100B")


def test_whole_items_cost_no_call_and_keep_nothing() -> None:
    """Nor where another guard looked at them, too; what is kept of an open item is one connection's own."""
    guards = ProxyProtocol("10.0.0.0/8"), ByteLimit(item=9)
    factory: Any = Policy(*guards).wrap(Factory.forProtocol(Application), Clock())
    first, second = connect(factory), connect(factory)
    for peer in (first, second):
        peer.feed(b"a line\n")
    taps = [each.meter.tap for each in factory.connections]
    assert taps[0] is taps[1]
    assert (taps[0].ends, taps[0].longest) == (b"\n", 10)
    second.feed(b"and a longer one")
    assert first.connection is not None
    assert first.connection.meter.tap is taps[0]
    assert isinstance(second.application.reason, ItemTooLong)
