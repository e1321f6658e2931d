"""Promise 4: only a name that resolves back counts; against servers that lie, flood, drip or are silent, on sockets."""

from __future__ import annotations

import gc
import os
import socket
import struct
import time
import tracemalloc
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import pytest
from attrs import define, field
from twisted.internet.defer import CancelledError, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol
from twisted.internet.task import LoopingCall
from twisted.names import dns

from netguard.clients.names import VerifiedResolver
from netguard.errors import NameNotVerified
from netguard.guards.verified_name import VerifiedName
from netguard.verdict import Failure, Mismatch, NoName, Timeout, Verdict, Verified
from tests.gigabyte import pour
from tests.nameserver import Hand, Question, a, cname, connected, ptr, result

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from tests.attacks.conftest import Site

    Serve = Callable[..., AbstractAsyncContextManager[Site]]
    Pause = Callable[[float], Awaitable[None]]

WITHIN = 0.6
LATE = 30.0
"""Seconds that a busy machine may be late; nothing may ever be early. On the point is what clocks of tests are."""
LONG = 60.0
"""Seconds for a look-up that has an answer, however busy the machine is."""

HERE = "192.0.2.1"
REVERSE = b"1.2.0.192.in-addr.arpa"


@define(eq=False)
class Liar(DatagramProtocol):
    """A name server whose answers a test makes up.

    Attributes:
        udp: called with each question over UDP, and with what sends an answer.
        tcp: called with each connection's protocol and the question that came over it.
        questions: those over UDP.
        streams: the connections over TCP.
    """

    udp: Any
    tcp: Any = None
    address: tuple[str, int] = ("", 0)
    questions: list[Question] = field(factory=list)
    streams: list[Any] = field(factory=list)

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """Lie."""
        question = Question(datagram, addr)
        self.questions.append(question)
        transport = cast("Any", self.transport)
        self.udp(question, lambda data: transport.write(data, addr))

    def buildProtocol(self, _: object) -> Protocol:
        """One more connection."""
        self.streams.append(_Stream(self))
        return cast("Protocol", self.streams[-1])


class _Stream(Protocol):
    """A connection over TCP to the liar.

    Attributes:
        over: whether the other side has ended it.
        sent: octets that were written to it.
    """

    def __init__(self, liar: Liar) -> None:
        self.liar = liar
        self.got = b""
        self.over = False
        self.sent = 0
        self.calls: list[LoopingCall] = []

    def dataReceived(self, data: bytes) -> None:
        """Lie, once the question is there."""
        self.got += data
        if len(self.got) > 2 and len(self.got) == 2 + int.from_bytes(self.got[:2], "big"):
            self.liar.tcp(self, Question(self.got[2:]))

    def say(self, data: bytes) -> None:
        """Write."""
        self.sent += len(data)
        cast("Any", self.transport).write(data)

    def again(self, data: Callable[[], bytes], every: float) -> None:
        """Write again and again."""
        self.calls.append(LoopingCall(lambda: self.say(data())))
        self.calls[-1].start(every)

    def connectionLost(self, reason: object = None) -> None:
        """The other side has had enough."""
        self.over = True
        for each in self.calls:
            if each.running:
                each.stop()


def at_one_port() -> tuple[socket.socket, socket.socket]:
    """A socket for datagrams and one that listens, at one port; which may be free for one of them only."""
    while True:
        datagrams = socket.socket(type=socket.SOCK_DGRAM)
        datagrams.bind(("127.0.0.1", 0))
        try:
            stream = socket.create_server(datagrams.getsockname())
        except OSError:
            datagrams.close()
            continue
        for each in (datagrams, stream):
            each.setblocking(False)
        return datagrams, stream


@asynccontextmanager
async def lying(udp: Any, tcp: Any = None) -> AsyncIterator[Liar]:
    """A lying name server, over UDP and TCP at one port."""
    from twisted.internet import reactor as installed

    reactor = cast("Any", installed)
    liar = Liar(udp, tcp)
    factory = Factory()
    factory.buildProtocol = liar.buildProtocol  # type: ignore[method-assign,assignment]
    one, other = at_one_port()
    with one, other:
        liar.address = one.getsockname()
        datagrams = reactor.adoptDatagramPort(one.fileno(), socket.AF_INET, liar, 65536)
        stream = reactor.adoptStreamPort(other.fileno(), socket.AF_INET, factory)
    try:
        yield liar
    finally:
        await datagrams.stopListening()
        await stream.stopListening()
        for each in liar.streams:
            if not each.over:
                each.transport.abortConnection()


def asking(liar: Liar, within: float = WITHIN) -> VerifiedResolver:
    """A resolver that asks it."""
    from twisted.internet import reactor

    return VerifiedResolver(reactor, [liar.address], within, hosts="/dev/null")


async def verdict_of(liar: Liar, within: float = WITHIN) -> tuple[Any, float]:
    """What a look-up comes to, and how long it took."""
    began = time.monotonic()
    verdict = await asking(liar, within).verify(HERE)
    return verdict, time.monotonic() - began


def silent(*_: object) -> None:
    """Say nothing."""


def truncated(question: Question, say: Any) -> None:
    """Come by TCP."""
    say(question.answer(trunc=1))


def framed(data: bytes) -> bytes:
    """A message as it stands in TCP."""
    return len(data).to_bytes(2, "big") + data


# whose answer is it?


def _wrong_id(question: Question, say: Any) -> None:
    for guess in (1, 2):
        say(question.answer((REVERSE, ptr(b"trusted.example")), id=question.message.id ^ guess))


def _wrong_question(question: Question, say: Any) -> None:
    say(Question(question.data.replace(b"\x011", b"\x019", 1)).answer((REVERSE, ptr(b"trusted.example"))))


def _reflected(question: Question, say: Any) -> None:
    say(question.data)


def _no_response_bit(question: Question, say: Any) -> None:
    say(question.answer((REVERSE, ptr(b"trusted.example")), answer=0))


@pytest.mark.parametrize("lie", [_wrong_id, _wrong_question, _reflected, _no_response_bit])
async def test_an_answer_to_something_else_is_silence(lie: Any) -> None:
    """The number, the question and the kind of message are compared; the right answer may still come."""
    async with lying(lie) as liar:
        verdict, took = await verdict_of(liar)
    assert verdict == Timeout()
    assert WITHIN <= took <= WITHIN + LATE


async def test_records_of_others_are_nobodys() -> None:
    """An address of another owner, and a name of another address, prove nothing."""

    def lie(question: Question, say: Any) -> None:
        if question.kind == dns.PTR:
            say(question.answer((b"9.2.0.192.in-addr.arpa", ptr(b"other.example")), (REVERSE, ptr(b"liar.example"))))
        else:
            say(question.answer((b"trusted.example", a(HERE)), (b"liar.example", a("198.51.100.1"))))

    async with lying(lie) as liar:
        assert (await verdict_of(liar))[0] == Mismatch(("liar.example",))


async def test_another_port_of_the_same_machine_is_not_heard(pause: Pause) -> None:
    """Whoever guesses the port and the number, too, would have to be the server itself."""

    def lie(question: Question, say: Any) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("127.0.0.1", 0))
            other.sendto(question.answer((REVERSE, ptr(b"trusted.example"))), question.source)

    async with lying(lie) as liar:
        assert (await verdict_of(liar))[0] == Timeout()


async def test_a_flood_of_guesses_is_left_for_tcp() -> None:
    """Where the honest answer comes, the forged ones before it notwithstanding."""

    def lie(question: Question, say: Any) -> None:
        for guess in range(1, 2000):
            say(question.answer((REVERSE, ptr(b"trusted.example")), id=question.message.id ^ guess))

    def honest(stream: Any, question: Question) -> None:
        stream.say(framed(question.answer(rCode=3)))

    async with lying(lie, honest) as liar:
        verdict, took = await verdict_of(liar, LONG)
        assert verdict == NoName()
        assert took < LONG
        assert len(liar.streams) == 1


# how much of it?


def _thousands(question: Question) -> bytes:
    """4,000 names of one address, compressed: near the most that a message can hold."""
    head = struct.pack("!6H", question.message.id, 0x8580, 1, 4000, 0, 0) + question.data[12:]
    record = b"\xc0\x0c" + struct.pack("!HHIH", dns.PTR, 1, 300, 4)
    records = b"".join(record + b"\x01" + bytes([97 + number % 26]) + b"\xc0\x10" for number in range(4000))
    return head + records[: 65_535 - len(head)]


async def test_thousands_of_names_are_a_few() -> None:
    """Eight of them are looked up; the rest costs nothing."""

    def lie(question: Question, say: Any) -> None:
        if question.kind == dns.PTR:
            truncated(question, say)
        else:
            say(question.answer(rCode=3))

    async with lying(lie, lambda stream, question: stream.say(framed(_thousands(question)))) as liar:
        verdict, took = await verdict_of(liar, LONG)
        assert isinstance(verdict, Mismatch)
        assert len(verdict.names) == 8
        assert sum(each.kind == dns.A for each in liar.questions) == 8
        assert took < LONG


def _bomb(question: Question) -> bytes:
    """A name of 40,000 octets, and a thousand records that point to it."""
    head = struct.pack("!6H", question.message.id, 0x8580, 1, 1001, 0, 0) + question.data[12:]
    long = b"\x01a" * 20_000 + b"\0"
    first = b"\xc0\x0c" + struct.pack("!HHIH", dns.PTR, 1, 300, len(long)) + long
    pointer = struct.pack("!H", 0xC000 | (len(head) + 12))
    return head + first + (b"\xc0\x0c" + struct.pack("!HHIH", dns.PTR, 1, 300, 2) + pointer) * 1000


async def test_a_reply_that_is_a_bomb_does_not_stop_the_process() -> None:
    """Twisted's own reader is busy with it for half a minute."""
    async with lying(truncated, lambda stream, question: stream.say(framed(_bomb(question)))) as liar:
        began = time.process_time()
        verdict, _ = await verdict_of(liar, LONG)
        assert verdict == Failure(None)
        assert time.process_time() - began < 8.0


async def test_a_huge_datagram_is_not_read() -> None:
    """60,000 octets, where we never asked for more than 512."""

    def lie(question: Question, say: Any) -> None:
        say(question.answer(*((REVERSE, ptr(b"n%d.example" % number)) for number in range(2000))))

    async with lying(lie) as liar:
        assert (await verdict_of(liar))[0] == Timeout()


async def test_a_character_generator_behind_tcp_costs_a_bounded_number_of_octets(pause: Pause) -> None:
    """It says a length and goes on for ever; no more than one message is kept, and the connection is reset."""
    line = bytes(range(32, 127)) * 100

    def chargen(stream: Any, question: Question) -> None:
        stream.again(lambda: line, 0.0)

    async with lying(truncated, chargen) as liar:
        gc.collect()
        tracemalloc.start()
        try:
            verdict, took = await verdict_of(liar, LONG)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert verdict == Failure(None)
        assert took < LONG
        assert peak < 4_000_000
        for _ in range(6000):
            if liar.streams[0].over:
                break
            await pause(0.01)
        assert liar.streams[0].over
        assert liar.streams[0].sent < 10_000_000


async def test_a_gigabyte_over_tcp_is_not_read(pause: Pause) -> None:
    """The connection is reset as soon as one message is there, and the server is rid of us."""

    def gigabyte(stream: Any, _: Question) -> None:
        pour(stream.transport, stream.say, b"\xff")

    async with lying(truncated, gigabyte) as liar:
        gc.collect()
        tracemalloc.start()
        try:
            verdict, took = await verdict_of(liar, LONG)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert verdict == Failure(None)
        assert took < LONG
        assert peak < 4_000_000
        for _ in range(6000):
            if liar.streams[0].over:
                break
            await pause(0.01)
        assert liar.streams[0].over
        assert liar.streams[0].sent < 16 * 2**20


# how long?


@pytest.mark.parametrize(
    ("said", "every", "verdict", "most"),
    [
        (b"", 1, Timeout(), 0),
        (b"\xff", 10, Timeout(), 60),
        (b"\0", 10, Failure(None), 2),
        (bytes(range(32, 104)) + b"\r\n", 1, Failure(None), 9000),
    ],
    ids=["silence", "one octet a second", "one NUL a second", "character generator"],
)
def test_a_minute_of_the_clock_is_a_minute_at_most(said: bytes, every: int, verdict: Verdict, most: int) -> None:
    """Whatever comes in each tenth of a second; one message is read, one deadline holds, and nothing is left."""
    reactor = Hand()
    asked = VerifiedResolver(
        reactor,
        [("192.0.2.53", 53)],
        60,
        hosts="/dev/null",
        connect=lambda host, port: TCP4ClientEndpoint(reactor, host, port),
    )
    looking, heard = asked.verify(HERE), 0
    protocol, wire = connected(reactor.streams()[0])
    for tenth in range(600):
        assert looking.called is wire.aborted
        if not wire.aborted and tenth % every == 0:
            heard += len(said)
            protocol.dataReceived(said)
        reactor.advance(0.1)
    assert result(looking) == verdict
    assert wire.aborted
    assert heard <= most
    assert reactor.idle
    assert asked.under_way == 0


async def test_silence_is_a_timeout_at_the_deadline() -> None:
    """Whatever is sent to it again, it is the same question."""
    async with lying(silent) as liar:
        verdict, took = await verdict_of(liar)
        assert verdict == Timeout()
        assert WITHIN <= took <= WITHIN + LATE
        assert 1 <= len(liar.questions) <= 3
        assert len({each.data for each in liar.questions}) == 1


@pytest.mark.parametrize("drip", [b"\0", b"\xff", b"x"])
async def test_a_drip_over_tcp_ends_at_the_deadline(drip: bytes) -> None:
    """Twisted's own resolver waits eleven seconds and more, whatever it was told."""

    def dripping(stream: Any, question: Question) -> None:
        data = iter(b"\xff\xff" + drip * 10_000)
        stream.again(lambda: bytes([next(data)]), 0.02)

    async with lying(truncated, dripping) as liar:
        verdict, took = await verdict_of(liar)
        assert verdict == Timeout()
        assert WITHIN <= took <= WITHIN + LATE


async def test_silence_over_tcp_ends_at_the_deadline() -> None:
    """It takes the connection and the question, and says nothing."""
    async with lying(truncated, silent) as liar:
        verdict, took = await verdict_of(liar)
        assert verdict == Timeout()
        assert WITHIN <= took <= WITHIN + LATE


async def test_truncated_for_ever_ends_at_once() -> None:
    """Twisted's own resolver comes back tens of thousands of times."""
    async with lying(truncated, lambda stream, question: stream.say(framed(question.answer(trunc=1)))) as liar:
        verdict, took = await verdict_of(liar, LONG)
        assert verdict == Failure(None)
        assert took < LONG
        assert len(liar.streams) == 1


@pytest.mark.parametrize("data", [b"\0\0", b"\0\x05hello", b"SSH-2.0-OpenSSH_9\r\n", b"\xff" * 70_000, b"\0" * 70_000])
async def test_garbage_over_tcp_is_no_answer(data: bytes) -> None:
    """One message is read, and it answers nothing."""

    def garbage(stream: Any, question: Question) -> None:
        stream.say(data)
        stream.transport.loseConnection()

    async with lying(truncated, garbage) as liar:
        assert (await verdict_of(liar, LONG))[0] == Failure(None)


async def test_a_reset_in_the_middle_is_no_answer() -> None:
    """Half an answer, and RST."""

    def half(stream: Any, question: Question) -> None:
        stream.say(framed(question.answer((REVERSE, ptr(b"a.example"))))[:-5])
        stream.transport.abortConnection()

    async with lying(truncated, half) as liar:
        assert (await verdict_of(liar, LONG))[0] == Failure(None)


@pytest.mark.parametrize("size", [0, 1, 11, 12, 40, 512, 4096])
async def test_garbage_over_udp_is_silence(size: int) -> None:
    """With TC set in it or not: it does not answer the question."""

    def garbage(question: Question, say: Any) -> None:
        say(os.urandom(size))
        say(question.data[:2] + b"\x83\x80" + os.urandom(max(0, size - 4)))

    async with lying(garbage) as liar:
        verdict, took = await verdict_of(liar)
        assert verdict == Timeout()
        assert WITHIN <= took <= WITHIN + LATE


async def test_aliases_without_end_end() -> None:
    """Each leads to a new name; so many are followed, and no more."""

    def lie(question: Question, say: Any) -> None:
        say(question.answer((question.name, cname(b"n%d.example" % len(liar.questions), 0))))

    async with lying(lie) as liar:
        verdict, _ = await verdict_of(liar, LONG)
        assert verdict == Failure(None)
        assert len(liar.questions) == 8


async def test_slow_names_do_not_take_the_time_of_all() -> None:
    """One address whose names are never answered has sixteen places; others are looked up meanwhile."""

    def lie(question: Question, say: Any) -> None:
        if question.kind == dns.PTR and question.name.startswith(b"1."):
            say(question.answer(*((question.name, ptr(b"slow%d.example" % number)) for number in range(8))))
        elif question.kind == dns.PTR:
            say(question.answer(rCode=3, nothing_for=60))

    async with lying(lie) as liar:
        asked = asking(liar, LONG)
        slow = asked.verify(HERE)
        others = [asked.verify(f"192.0.2.{number}") for number in range(2, 252)]
        assert set(await gatherResults(others)) == {NoName()}
        assert not slow.called
        slow.addErrback(lambda why: why.trap(CancelledError))
        slow.cancel()


# what stands in it?


HOSTILE = [
    b"a\r\nrefused client=203.0.113.1.example",
    b"esc\x1b[2J\x07.example",
    b"nul\0.example",
    b"\xe2\x80\xae.example",
    b"%s{0.__class__}.example",
    b"192.0.2.1",
    b"-rf.example",
    b"$(reboot).example",
]


async def test_control_octets_are_never_used_and_never_logged(site: Serve, logged: Any) -> None:
    """A peer with such names is refused for having none; no line of the log has one of these octets."""

    def lie(question: Question, say: Any) -> None:
        say(question.answer(*((question.name, ptr(each)) for each in HOSTILE)))

    async with lying(lie) as liar, site(VerifiedName("require", within=LONG, dns=liar.address)) as here:
        peer = here.connect(source="127.0.0.9")
        assert await _ended(peer) == b""
        assert here.subjects == []
        assert len(liar.questions) == 1
    (event,) = logged.named("refused")
    assert (event["observed"], event["client.address"]) == ("mismatch", "127.0.0.9")
    for each in logged.events:
        text = str(each.get("netguard", ""))
        assert text.isprintable()
        assert "example" not in text


# the guard, over real sockets


async def _ended(peer: socket.socket) -> bytes:
    """What a peer gets until the end of its connection, a reset included."""
    from twisted.internet import reactor
    from twisted.internet.task import deferLater

    got = b""
    for _ in range(6000):
        try:
            piece = peer.recv(65536)
        except BlockingIOError:
            await deferLater(cast("Any", reactor), 0.01)
        except ConnectionError:
            return got
        else:
            if not piece:
                return got
            got += piece
    pytest.fail("the connection did not end")


async def test_a_peer_whose_name_server_is_silent_is_refused_in_time(site: Serve, logged: Any) -> None:
    """And the application never hears of it."""
    async with lying(silent) as liar:
        async with site(VerifiedName("require", within=WITHIN, dns=liar.address)) as here:
            began = time.monotonic()
            peer = here.connect(source="127.0.0.9")
            await _ended(peer)
            assert WITHIN <= time.monotonic() - began <= WITHIN + LATE
            assert here.subjects == []
        assert logged.named("refused")[0]["option"] == NameNotVerified.option


async def test_a_peer_whose_name_server_is_silent_is_served_where_names_are_only_logged(site: Serve) -> None:
    """At once; and when it goes, so does the look-up."""
    async with lying(silent) as liar, site(VerifiedName("log", within=30, dns=liar.address)) as here:
        peer = here.connect(source="127.0.0.9")
        subject = await here.subject()
        peer.close()
        await here.end()
        assert subject.got == b""
        assert here.factory.service.names._resolver.under_way == 0


async def test_an_honest_peer_is_let_in(site: Serve, logged: Any) -> None:
    """Its name stands in the log, behind its address."""

    def honest(question: Question, say: Any) -> None:
        record = ptr(b"peer.example") if question.kind == dns.PTR else a("127.0.0.9")
        say(question.answer((question.name, record)))

    async with lying(honest) as liar, site(VerifiedName("require", within=LONG, dns=liar.address)) as here:
        peer = here.connect(source="127.0.0.9")
        await here.subject()
        peer.close()
        await here.end()
    (event,) = logged.named("closed")
    assert (event["client.name"], event["client.address"]) == ("peer.example", "127.0.0.9")


# what is left?


def _descriptors() -> int:
    """How many files and sockets this process has."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names are enough


async def test_nothing_is_left_behind(pause: Pause) -> None:
    """After three hundred look-ups that were answered, truncated, silent or given up: no socket, no timer."""
    from twisted.internet import reactor as installed

    reactor = cast("Any", installed)

    def lie(question: Question, say: Any) -> None:
        number = int(question.name.split(b".")[0]) if question.kind == dns.PTR else 0
        if number % 3 == 0:
            say(question.answer((question.name, ptr(b"n.example"))) if question.kind == dns.PTR else b"")
        elif number % 3 == 1:
            truncated(question, say)

    async with lying(lie, silent) as liar:
        await pause(0.05)
        before, timers = _descriptors(), len(reactor.getDelayedCalls())
        asked = asking(liar)
        waiting = [asked.verify(f"192.0.{net}.{number}") for net in (2, 3) for number in range(1, 151)]
        for each in waiting[::5]:
            each.addErrback(lambda why: why.trap(CancelledError))
            each.cancel()
        verdicts = await gatherResults(waiting)
        assert asked.under_way == 0
        assert Timeout() in verdicts
        for stream in liar.streams:
            if not stream.over:
                stream.transport.abortConnection()
        for _ in range(6000):
            if _descriptors() <= before and len(reactor.getDelayedCalls()) <= timers:
                break
            await pause(0.01)
        assert _descriptors() <= before
        assert len(reactor.getDelayedCalls()) <= timers
    assert Verified("n.example") not in verdicts
