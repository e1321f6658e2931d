"""TLS on a native transport: the ways of the bytes, and the ends."""

from __future__ import annotations

import ssl
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from OpenSSL import SSL
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHandshakeListener
from zope.interface import implementer

from netguard.native.tls import TOGETHER
from netguard.process.tls import server_tls
from netguard.testing import Application
from netguard.testing.applications import Echo
from tests.native.tlspair import Pair, client_context
from tests.pemfiles import issued

# Twisted hands pyOpenSSL's own objects to pyOpenSSL.
pytestmark = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
Make = Callable[..., Pair]


@pytest.fixture
def pair() -> Iterator[Make]:
    """Makes connections whose handshake is over; all are closed in the end."""
    made: list[Pair] = []

    def make(*args: Any, **about: Any) -> Pair:
        made.append(Pair.ready(*args, **about))
        return made[-1]

    yield make
    for each in made:
        each.end()


@pytest.fixture
def open_pairs(pair: Make) -> dict[str, Pair]:
    """One connection of each version."""
    return {version.name: pair(Echo(), tls=client_context(version)) for version in VERSIONS}


@implementer(IHandshakeListener)
class Listener(Application):
    """Hears of the handshake's end."""

    def handshakeCompleted(self) -> None:
        """It is over."""
        self._called("handshake")


# what comes, and what goes


@pytest.mark.parametrize("version", VERSIONS)
def test_bytes_pass_both_ways(version: ssl.TLSVersion, pair: Make) -> None:
    """In both versions, from the first byte of the handshake."""
    it = pair(Echo(), tls=client_context(version))
    it.write(b"hello")
    assert it.heard() == b"hello"
    assert it.peer.version() == version.name.replace("v1_", "v1.")


@given(st.data(), st.binary(min_size=1, max_size=50_000), st.lists(st.integers(1, 20_000), max_size=20))
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_however_it_is_cut(open_pairs: dict[str, Pair], data: Any, whole: bytes, sizes: list[int]) -> None:
    """Records come whole, or in any pieces, with others; what they hold is the same."""
    it = open_pairs[data.draw(st.sampled_from(sorted(open_pairs)))]
    it.application.received.clear()
    it.write(whole, sizes)
    assert bytes(it.application.received) == whole
    assert it.heard() == whole


@pytest.mark.parametrize("version", VERSIONS)
def test_a_handshake_byte_by_byte(version: ssl.TLSVersion) -> None:
    """And the first bytes of the application behind it."""
    it = Pair.of(Echo(), tls=client_context(version))
    for _ in range(3):
        try:
            it.peer.do_handshake()
        except ssl.SSLWantReadError:
            it.pass_on([1] * 3_000)
    it.write(b"hello", [1] * 100)
    assert it.heard() == b"hello"
    it.end()


def test_what_one_read_brings_is_delivered_in_one_piece(pair: Make) -> None:
    """However many records it is."""
    it = pair()
    it.write(bytes(100_000))
    assert [call[0] for call in it.application.calls] == ["made", "data"]
    assert len(it.application.received) == 100_000


def test_what_is_written_in_one_turn_is_one_record(pair: Make) -> None:
    """And it is sent by the end of the read that it answers."""
    it = pair()
    before = len(it.records())

    def answer() -> None:
        for word in (b"one ", b"two ", b"three"):
            it.application.transport.write(word)
        it.application.transport.writeSequence([b" and", b" four"])

    it.application.reactions["data"] = answer
    it.write(b"x")
    assert it.heard() == b"one two three and four"
    assert len(it.records()) == before + 1


def test_what_is_written_between_turns_waits_for_the_next(pair: Make) -> None:
    """Once, however often something is written; and it waits where the sweep can see it."""
    it = pair()
    before = len(it.records())
    it.application.transport.write(b"later")
    it.application.transport.write(bytearray(b", and more"))
    assert it.heard() == b""
    assert it.transport.meter.queued == len(b"later, and more")
    it.turn()
    assert it.heard() == b"later, and more"
    assert len(it.records()) == before + 1
    assert it.transport.meter.queued == 0


def test_much_does_not_wait(pair: Make) -> None:
    """More than what goes together is encrypted at once, in full records."""
    it = pair()
    before = len(it.records())
    it.application.transport.write(bytes(TOGETHER + 1))
    assert not it.reactor.getDelayedCalls()[1:]  # the sweep's is the only one
    it.turn()
    assert it.heard() == bytes(TOGETHER + 1)
    assert len(it.records()) == before + 4


def test_a_greeting_waits_for_the_handshake() -> None:
    """It was written when nobody could read it yet, and its producer was told to stop."""
    it = Pair.of()
    calls: list[str] = []

    class Producer:
        """Remembers."""

        def __getattr__(self, name: str) -> Any:
            return lambda: calls.append(name)

    it.application.transport.registerProducer(Producer(), True)
    it.application.transport.write(b"welcome")
    it.turn()
    assert calls == ["pauseProducing"]
    assert it.transport.meter.queued == len(b"welcome")
    it.shake_hands()
    assert it.heard() == b"welcome"
    assert calls == ["pauseProducing", "resumeProducing"]
    it.application.transport.unregisterProducer()
    it.end()


def test_nothing_is_no_record(pair: Make) -> None:
    """Applications write b"" to no effect."""
    it = pair()
    before = len(it.records())
    it.application.transport.write(b"")
    it.turn()
    it.application.reactions["data"] = lambda: it.application.transport.write(b"")
    it.write(b"x")
    assert len(it.records()) == before
    assert it.application.reason is None


def test_text_is_refused() -> None:
    """As by every transport."""
    it = Pair.ready()
    text: Any = "text"
    with pytest.raises(TypeError):
        it.application.transport.write(text)
    it.end()


# producers


class Pushes:
    """Writes as long as it may."""

    def __init__(self, transport: Any, most: int) -> None:
        self.transport = transport
        self.left = most
        self.paused = False
        self.pauses = 0

    def resumeProducing(self) -> None:
        """Write."""
        self.paused = False
        while self.left and not self.paused:
            self.left -= 1
            self.transport.write(b"x" * 10_000)
        if not self.left:
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def pauseProducing(self) -> None:
        """Stop."""
        self.paused = True
        self.pauses += 1

    def stopProducing(self) -> None:
        """It is over."""
        self.left = 0


@pytest.mark.parametrize("inside", [True, False], ids=["in a read", "in between"])
def test_a_producer_that_pushes_is_held(inside: bool, pair: Make) -> None:
    """By what the kernel does not take; one that never stops by itself, even within one turn."""
    it = pair()
    producer = Pushes(it.application.transport, 1_000)

    def produce() -> None:
        it.application.transport.registerProducer(producer, True)
        producer.resumeProducing()

    if inside:
        it.application.reactions["data"] = produce
        it.write(b"x")
    else:
        produce()
    assert producer.left
    assert it.transport.meter.queued < 1_000_000
    heard = it.heard()
    while producer.left or it.transport.meter.queued:
        it.turn()
        heard += it.heard()
    assert heard == b"x" * 10_000_000
    assert producer.pauses > 10


def test_what_a_producer_wrote_last_is_not_lost(pair: Make) -> None:
    """The application closes first, and the producer ends by a few small bytes: they come before the end."""
    it = pair()
    producer = Pushes(it.application.transport, 0)
    it.application.transport.registerProducer(producer, True)
    it.application.transport.loseConnection()
    it.application.transport.write(b"last words")
    it.application.transport.unregisterProducer()
    it.turn()
    assert it.heard() == b"last words"
    assert it.peer.read(1) == b""  # close_notify: without it there would be more to wait for


# the ends


def test_our_end_is_told_and_waits_for_the_peer_s(pair: Make) -> None:
    """What was written, then close_notify; then the connection, in order."""
    it = pair()
    it.application.transport.write(b"bye")
    it.application.transport.loseConnection()
    it.turn()
    assert it.heard() == b"bye"
    assert it.peer.read(1) == b""  # close_notify: without it there would be more to wait for
    assert "lost" not in [call[0] for call in it.application.calls]
    it.bids_farewell()
    assert it.application.calls[-1] == ("lost", ConnectionDone)
    assert it.closed


def test_the_peer_s_end_is_answered(pair: Make) -> None:
    """Behind what the application still says to what came with it."""
    it = pair()
    it.application.reactions["data"] = lambda: it.application.transport.write(b"answer")
    it.peer.write(b"question")
    it.bids_farewell()
    assert bytes(it.application.received) == b"question"
    assert it.heard() == b"answer"
    with pytest.raises(ssl.SSLZeroReturnError):
        it.peer.read(1)
    assert type(it.application.reason) is ConnectionDone
    assert it.closed


def test_a_connection_that_is_cut_short_was_not_closed(pair: Make) -> None:
    """Nobody said that this is the end: somebody on the way may have made it (RFC 8446, section 6.1)."""
    it = pair()
    it.write(b"half of i")
    it.finish()
    assert bytes(it.application.received) == b"half of i"
    assert type(it.application.reason) is ConnectionLost


def test_what_is_no_tls_ends_it() -> None:
    """Before the handshake: the reason is OpenSSL's, and the peer gets an alert."""
    it = Pair.of()
    it.send(b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00")
    assert type(it.application.reason) is SSL.Error
    assert it.records(21)
    assert it.closed
    it.end()


def test_what_was_forged_ends_it(pair: Make) -> None:
    """Inside TLS; what came before it is the application's."""
    it = pair()
    it.peer.write(b"genuine")
    it.send(it._outgoing.read() + b"\x17\x03\x03\x00\x20" + bytes(32))
    assert bytes(it.application.received) == b"genuine"
    assert type(it.application.reason) is SSL.Error


def test_a_write_that_fails_ends_it(pair: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever OpenSSL has against it."""
    it = pair()

    def send(_: object) -> int:
        raise SSL.Error([("", "", "broken")])

    monkeypatch.setattr(it.transport.getHandle(), "send", send, raising=False)
    it.application.transport.write(b"x")
    it.turn()
    assert type(it.application.reason) is SSL.Error


def test_who_closes_before_the_handshake_aborts() -> None:
    """There is no TLS to close."""
    it = Pair.of()
    it.application.transport.loseConnection()
    it.reactor.advance(0)
    assert it.application.reason is not None
    it.take()
    assert it.closed
    it.end()


def test_nothing_is_delivered_behind_an_abort() -> None:
    """Not even what came with the end of the handshake."""
    it = Pair.of(Listener())

    def abort() -> None:
        it.application.transport.abortConnection()

    it.application.reactions["handshake"] = abort
    for _ in range(2):
        try:
            it.peer.do_handshake()
        except ssl.SSLWantReadError:
            it.pass_on()
    it.write(b"too late")
    it.reactor.advance(0)
    assert [call[0] for call in it.application.calls] == ["made", "handshake", "lost"]
    assert type(it.application.reason) in (ConnectionAborted, ConnectionLost)
    it.end()


def test_what_waits_is_given_up_when_the_peer_is_gone(pair: Make) -> None:
    """No call is left behind."""
    it = pair()
    it.application.transport.write(b"too late")
    it.finish()
    assert it.application.reason is not None
    it.turn()
    assert it.heard() == b""


@pytest.mark.parametrize("end", [Pair.bids_farewell, Pair.finish])
@pytest.mark.usefixtures("no_collector")
def test_it_leaves_no_garbage(end: Callable[[Pair], None]) -> None:
    """Nothing waits for the collector to find it, whether or not the peer has closed TLS before it is gone."""
    it = Pair.ready(Echo())
    it.write(b"hello")
    layer, handle = weakref.ref(it.transport.upper), weakref.ref(it.transport.getHandle())
    end(it)
    assert it.application.reason is not None
    assert layer() is None
    assert handle() is None
    it.end()


# what TLS has of its own


def test_renegotiation_is_refused(tmp_path: Path) -> None:
    """Of TLS 1.2: it would cost much, and attacks were built on it (RFC 9325, section 3.5)."""
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    peer = SSL.Connection(context, None)
    peer.set_connect_state()
    it = Pair.of(Echo(), context=server_tls(issued(tmp_path / "pem", trustme.CA(), "localhost")))

    def pass_on(step: Callable[[], object]) -> None:
        with suppress(SSL.WantReadError):
            step()
        with suppress(SSL.WantReadError):
            it.send(peer.bio_read(100_000))
        if it.wire:
            peer.bio_write(bytes(it.wire))
            it.wire.clear()

    for _ in range(3):
        pass_on(peer.do_handshake)
    assert peer.renegotiate()
    pass_on(peer.do_handshake)
    with pytest.raises(SSL.Error, match="no renegotiation"):
        pass_on(peer.do_handshake)
    assert it.transport.getHandle().total_renegotiations() == 0
    it.end()
