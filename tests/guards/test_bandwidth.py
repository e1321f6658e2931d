"""What is promised of Bandwidth: the average holds, everything arrives in order, and nobody is cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from netguard.errors import QueueTooLong
from netguard.guards.bandwidth import Bandwidth
from netguard.guards.byte_limit import ByteLimit
from netguard.guards.idle_timeout import IdleTimeout
from netguard.guards.minimum_rate import MinimumRate
from netguard.guards.write_stall import WriteStall

if TYPE_CHECKING:
    from tests.guards.conftest import Peer, Service

TICK = 0.25


def _pattern(size: int) -> bytes:
    return bytes(i * 7919 >> 3 & 255 for i in range(size))


def _floods(house: Service, peer: Peer, seconds: float, chunk: int) -> int:
    """The peer sends whenever we read, for some seconds; say how much that was."""
    before = len(peer.app.got)
    end = house.now + seconds
    while house.now < end:
        for _ in range(1000):
            if peer.is_paused():
                break
            peer.sends(b"x" * chunk)
        house.wait(0.01, 0.01)
    return len(peer.app.got) - before


@pytest.mark.parametrize(("rate", "chunk"), [(1000, 1), (1000, 100), (1000, 65536), (1_000_000, 65536), (3, 1)])
def test_what_comes_keeps_the_rate_on_average(service: type[Service], rate: int, chunk: int) -> None:
    """A second's worth at once, and then the rate, over a long run, within one tick's worth and one chunk."""
    house = service(Bandwidth(received=rate))
    peer = house.connect()
    seconds = 30 if rate > 1000 else 600
    came = _floods(house, peer, seconds, chunk)
    assert rate * (seconds - TICK - 0.1) - 1 <= came <= rate * (seconds + 1 + TICK) + chunk
    assert peer.reason is None


def test_whoever_stays_below_the_rate_is_hardly_ever_paused(service: type[Service]) -> None:
    """At nine tenths of it, smoothly, after the first second's worth."""
    house = service(Bandwidth(received=1000))
    peer = house.connect()
    paused = 0
    for _ in range(3000):
        peer.sends(b"x" * 90)
        paused += peer.is_paused()
        house.wait(0.1)
    assert paused <= 10


def test_after_a_rest_no_more_than_two_seconds_worth_may_pass_at_once(service: type[Service]) -> None:
    """Credit is not saved up."""
    house = service(Bandwidth(received=1000))
    peer = house.connect()
    _floods(house, peer, 5, 10)
    house.wait(1000)
    assert _floods(house, peer, 0.02, 10) <= 2020


@pytest.mark.parametrize(("rate", "write"), [(1000, 1), (1000, 999), (1000, 50_000), (1_000_000, 100_000)])
def test_what_is_sent_keeps_the_rate_on_average(service: type[Service], rate: int, write: int) -> None:
    """However it is written; data are complete and in order."""
    house = service(Bandwidth(sent=rate))
    peer = house.connect()
    data = _pattern(min(50 * rate, 500_000))
    for at in range(0, len(data), write):
        peer.is_sent(data[at : at + write])
    seconds = len(data) / rate - 1
    while len(peer.wire.taken) < len(data):
        peer.takes()
        assert len(peer.wire.taken) <= rate * (house.now + 1) + 1
        assert house.now <= seconds + 2 * TICK
        house.wait(0.05)
    assert peer.wire.taken == data
    assert house.now >= seconds - 2 * TICK
    assert peer.reason is None


def test_a_polite_close_after_a_large_write_delivers_everything(service: type[Service]) -> None:
    """The close waits for what is held back, and nothing is accepted after it."""
    house = service(Bandwidth(sent=1000))
    peer = house.connect()
    data = _pattern(20_000)
    peer.is_sent(data)
    transport: Any = peer.app.transport
    transport.loseConnection()
    assert transport.disconnecting
    for _ in range(1000):
        if peer.reason is not None:
            break
        peer.takes()
        house.wait(0.05)
    assert peer.wire.taken == data
    assert not peer.wire.aborted
    assert 18.5 <= house.now <= 20


class Producer:
    """A producer that writes whenever it may."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.paused = self.stopped = False
        self.written = 0

    def pauseProducing(self) -> None:
        """Stop."""
        self.paused = True

    def resumeProducing(self) -> None:
        """Go on; a pull producer writes one piece."""
        self.paused = False
        self.write()

    def stopProducing(self) -> None:
        """Stop for ever."""
        self.stopped = True

    def write(self) -> None:
        """One piece."""
        self.peer.is_sent(b"x" * 1000)
        self.written += 1000


def test_a_push_producer_is_paused_and_resumed(service: type[Service]) -> None:
    """As a full transport would do it: what is held back stays small, and the rate is kept."""
    house = service(Bandwidth(sent=10_000))
    peer = house.connect()
    producer = Producer(peer)
    transport: Any = peer.app.transport
    transport.registerProducer(producer, True)
    most = 0
    while house.now < 120:
        for _ in range(1000):
            if producer.paused:
                break
            producer.write()
        most = max(most, producer.written - len(peer.wire.taken))
        peer.takes()
        house.wait(0.05)
    assert most <= 64 * 1024 + 12_000
    assert 10_000 * 118 <= len(peer.wire.taken) <= 10_000 * 122
    transport.unregisterProducer()
    transport.loseConnection()
    house.wait(10)
    peer.takes()
    house.wait(10)
    assert len(peer.wire.taken) == producer.written


def test_the_guards_pause_neither_overrides_nor_undoes_the_applications(service: type[Service]) -> None:
    """Reading goes on only when nobody holds it back."""
    house = service(Bandwidth(received=100))
    peer = house.connect()
    transport: Any = peer.app.transport
    peer.sends(b"x" * 200)
    assert peer.is_paused()
    transport.resumeProducing()  # the application had not paused it: the guard has
    assert peer.is_paused()
    transport.pauseProducing()
    house.wait(10)  # the guard has let go
    assert peer.is_paused()
    transport.resumeProducing()
    assert not peer.is_paused()
    transport.pauseProducing()
    assert peer.is_paused()
    transport.resumeProducing()
    peer.sends(b"x" * 300)
    assert peer.is_paused()
    house.wait(10)
    assert not peer.is_paused()


def test_a_slowed_peer_is_neither_idle_nor_too_slow(service: type[Service]) -> None:
    """What we do not read it cannot be blamed for; what we hold back it cannot take."""
    house = service(
        Bandwidth(received=100, sent=100), IdleTimeout(20), MinimumRate(received=90, sent=90), WriteStall(20)
    )
    peer = house.connect()
    peer.is_sent(b"y" * 30_000)
    for _ in range(250 * 20):
        if not peer.is_paused():
            peer.sends(b"x" * 1000)
        peer.takes()
        house.wait(0.05)
    assert peer.reason is None


def test_what_is_held_back_counts_as_queued(service: type[Service]) -> None:
    """A rate is no way around max-queue: memory stays bounded."""
    house = service(Bandwidth(sent=1000), ByteLimit(queue=100_000))
    peer = house.connect()
    for _ in range(200):
        peer.is_sent(b"x" * 1000)
    house.wait(0)
    assert peer.why(QueueTooLong)


@pytest.mark.parametrize("way", ["received", "sent"])
def test_observing_says_once_what_it_would_have_done(service: type[Service], logged: Any, way: str) -> None:
    """And slows nothing down."""
    house = service(Bandwidth(observe=True, **{way: 100}))
    peer = house.connect()
    for _ in range(100):
        peer.sends(b"x" * 1000)
        peer.is_sent(b"y" * 1000)
        assert not peer.is_paused()
        house.wait(0.3)
    assert len(peer.app.got) == len(peer.wire.dataBuffer) == 100_000
    (event,) = logged.named("would_pause")
    assert event["guard"] == "Bandwidth"


def test_a_clock_that_runs_while_we_work_does_not_make_it_byte_by_byte(service: type[Service]) -> None:
    """Each look at a real clock finds that a little has been earned; that must not be spent in crumbs."""
    house = service(Bandwidth(sent=65_536))
    real = house.clock.seconds

    def runs() -> float:
        house.clock.rightNow += 30e-6
        return real()

    peer = house.connect()
    writes: list[int] = []
    write = peer.wire.write
    peer.wire.write = lambda data: (writes.append(len(data)), write(data))[1]  # type: ignore[method-assign,func-returns-value]
    house.clock.seconds = runs  # type: ignore[method-assign]
    peer.is_sent(b"x" * 300_000)
    assert len(writes) <= 3
    house.clock.seconds = real  # type: ignore[method-assign]
    while len(peer.wire.taken) < 300_000 and house.now < 10:
        peer.takes()
        house.wait(0.05)
    assert len(peer.wire.taken) == 300_000
    assert len(writes) <= 3 + 20 * house.now
