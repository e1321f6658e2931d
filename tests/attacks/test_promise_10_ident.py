"""Promise 10: whoever answers at a peer's ident port costs little, ends in time, delays nobody, and proves nothing."""

from __future__ import annotations

import ast
import json
import os
import socket
import tracemalloc
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint, serverFromString
from twisted.internet.testing import MemoryReactorClock, StringTransport

from netguard import events
from netguard.application import connection_of
from netguard.clients import ident
from netguard.clients.ident import IdentClient
from netguard.clients.places import Places
from netguard.errors import OptionError
from netguard.guards.access_rules import AccessRules
from netguard.guards.connection_limit import ConnectionLimit
from netguard.guards.ident import Ident
from netguard.verdict import NoName, Verdict
from netguard.wire.ident import Claim, IdentError, NoReply, UserId, WhyNot
from tests.gigabyte import pour
from tests.identserver import Answering, Behaviour, IdentServer, answering, names, says, silent, together

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.attacks.conftest import Site, Subject

    Serve = Callable[..., AbstractAsyncContextManager[Site]]
    Pause = Callable[[float], Awaitable[None]]

HOSTILE, HONEST = "127.0.0.9", "127.0.0.200"
"""Where the attacker's ident server is; and an address that has none."""
SHORT, LONG = 0.5, 60.0
"""Seconds for a query that gets no answer, and for one that gets one, however busy this machine is."""
MOST_SENT = 16 * 2**20
"""So much the kernel's buffers may take of an answer that nobody reads."""
MOST_KEPT = 2_000_000
"""So many octets of memory an attack may cost at its worst moment, the attacker's own in this process included."""

MALFORMED, TOO_LONG, MISMATCH, TIMEOUT, CLOSED, REFUSED, NOT_ASKED = (
    NoReply(getattr(WhyNot, each))
    for each in ("MALFORMED", "TOO_LONG", "PORT_MISMATCH", "TIMEOUT", "CLOSED", "REFUSED", "NOT_ASKED")
)
LINE = bytes(range(32, 104))


async def until(condition: Callable[[], object], pause: Pause) -> None:
    """Let the reactor turn until something holds."""
    for _ in range(int(LONG / 0.01)):
        if condition():
            return
        await pause(0.01)
    pytest.fail("it does not come about")


async def claim_of(subject: Subject, pause: Pause) -> Any:
    """What is claimed of a guarded connection, once that is known."""
    connection = connection_of(subject.transport)
    assert connection is not None
    await until(lambda: connection.peer.ident is not None, pause)
    return connection.peer.ident


async def is_rid(server: IdentServer, pause: Pause) -> None:
    """The server is soon rid of everybody who asked it."""
    await until(lambda: not server.live, pause)


def asked_at(site: Serve, server: IdentServer, *guards: Any) -> AbstractAsyncContextManager[Site]:
    """A guarded service that echoes, and has plenty of time for its queries."""
    return site(*guards, Ident("log", within=LONG, port=server.port), came=echo)


def echo(subject: Subject, data: bytes) -> None:
    """The application."""
    cast("Any", subject.transport).write(data)


async def is_served(here: Site, peer: socket.socket, pause: Pause) -> None:
    """An honest peer gets its answer, whatever becomes of the queries."""
    peer.send(b"hello")
    for _ in range(int(LONG / 0.005)):
        try:
            got = peer.recv(100)
        except BlockingIOError:
            await pause(0.005)
        else:
            assert got == b"hello"
            return
    pytest.fail("no answer")


# What comes from the port


def gigabyte(to: Answering, _: bytes) -> None:
    """One line of 1 GiB."""
    pour(to.transport, to.write)


def chargen(end: bytes) -> Behaviour:
    """A character generator (RFC 864), to which the fingered port was led; and one that never ends its line."""
    return lambda to, _: to.every(0, (LINE + end) * 100)


def drip(data: bytes) -> Behaviour:
    """One octet after another."""
    return lambda to, _: to.every(0.02, data)


def reset(said: bytes) -> Behaviour:
    """Something, and RST."""

    def behave(to: Answering, _: bytes) -> None:
        to.write(said)
        cast("Any", to.transport).abortConnection()

    return behave


def leave(said: bytes) -> Behaviour:
    """Something, and FIN."""

    def behave(to: Answering, _: bytes) -> None:
        to.write(said)
        cast("Any", to.transport).loseConnection()

    return behave


def backwards(to: Answering, ports: bytes) -> None:
    """An answer about the connection that asks."""
    remote, _, local = ports.partition(b",")
    to.write(local + b"," + remote + b":USERID:UNIX:root\r\n")


def lie_at_length(to: Answering, ports: bytes) -> None:
    """An answer, and 1 GiB behind it."""
    names(b"root")(to, ports)
    gigabyte(to, ports)


ATTACKS: dict[str, tuple[Behaviour, float, object]] = {
    "character generator": (chargen(b"\r\n"), LONG, MALFORMED),
    "endless line": (chargen(b""), LONG, TOO_LONG),
    "one gigabyte": (gigabyte, LONG, TOO_LONG),
    "silence": (silent, SHORT, TIMEOUT),
    "drip": (drip(b"6"), SHORT, TIMEOUT),
    "drip of NULs": (drip(b"\0"), SHORT, TIMEOUT),
    "NULs": (says(b"\0" * 100_000), LONG, TOO_LONG),
    "NULs in a line": (says(b"\0\0\0\r\n"), LONG, MALFORMED),
    "NUL in a name": (names(b"ro\0ot"), LONG, MALFORMED),
    "a name of 513 octets": (names(b"r" * 513), LONG, TOO_LONG),
    "reset": (reset(b""), LONG, CLOSED),
    "reset in the middle": (reset(b"1, 2 : USERID : UNI"), LONG, CLOSED),
    "end in the middle": (leave(b"1, 2 : USERID : UNI"), LONG, CLOSED),
    "end": (leave(b""), LONG, CLOSED),
    "another connection": (says(b"1,2:USERID:UNIX:root\r\n"), LONG, MISMATCH),
    "backwards": (backwards, LONG, MISMATCH),
    "another protocol": (says(b"HTTP/1.1 200 OK\r\n\r\n"), LONG, MALFORMED),
    "a lie": (names(b"root"), LONG, UserId("UNIX", "US-ASCII", b"root")),
    "a lie, and a gigabyte": (lie_at_length, LONG, UserId("UNIX", "US-ASCII", b"root")),
}


@pytest.mark.parametrize("attack", ATTACKS)
async def test_whatever_answers_costs_little_and_delays_nobody(
    site: Serve, pause: Pause, record_property: Any, attack: str
) -> None:
    """The peer and others are served at once; the query has an end, its connection too; and memory stays small."""
    behaviour, within, expected = ATTACKS[attack]
    async with answering(behaviour, HOSTILE) as server:
        async with site(Ident("log", within=within, port=server.port), came=echo) as here:
            tracemalloc.start()
            try:
                peer = here.connect(source=HOSTILE)
                await is_served(here, peer, pause)
                assert await claim_of(here.subjects[0], pause) == expected
                await is_served(here, here.connect(source=HONEST), pause)
                await is_rid(server, pause)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
        record_property("peak", peak)
        record_property("sent", max((each.sent for each in server.all), default=0))
    assert peak < MOST_KEPT
    assert all(each.sent < MOST_SENT for each in server.all)
    assert len(server.asked) <= 1  # whoever times out on a busy machine may have had no turn to ask
    assert ident.PLACES.peers == 0


@pytest.mark.parametrize("polite", [True, False])
async def test_nobody_waits_for_a_query(site: Serve, pause: Pause, polite: bool) -> None:
    """The peer itself is served while its own machine is silent; when it goes, the query ends with it."""
    async with answering(silent, HOSTILE) as server, asked_at(site, server) as here:
        peer = here.connect(source=HOSTILE)
        await is_served(here, peer, pause)
        connection = connection_of(here.subjects[0].transport)
        assert connection is not None
        await until(lambda: server.asked, pause)
        assert connection.peer.ident is None
        (peer.close if polite else connection.meter.transport.abortConnection)()
        await here.end()
        await is_rid(server, pause)
        assert connection.peer.ident is None
    assert ident.PLACES.peers == 0


# For a minute, by the clock


class _Wire(StringTransport):
    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


def minute(said: Callable[[int], bytes]) -> tuple[Any, _Wire, int, float]:
    """A query that may take a minute, and a server that says something in each tenth of a second of it."""
    reactor: Any = MemoryReactorClock()
    client = IdentClient(reactor, 113, LONG, places=Places(1, 1))
    here, there = IPv4Address("TCP", "198.51.100.7", 995), IPv4Address("TCP", "192.0.2.1", 54321)
    answers: list[Any] = []
    client.query((here, there)).addCallback(answers.append)
    wire = _Wire()
    protocol = reactor.tcpClients[0][2].buildProtocol(None)
    protocol.makeConnection(wire)
    heard, moment = 0, 0.0
    for tenth in range(600):
        assert (answers == []) is not wire.aborted
        if not wire.aborted:
            moment = reactor.seconds()
            data = said(tenth)
            heard += len(data)
            protocol.dataReceived(data)
        reactor.advance(0.1)
    assert not reactor.getDelayedCalls()
    assert client._queries == {}
    return answers[0], wire, heard, moment


@pytest.mark.parametrize("line", [LINE, LINE + b"\r\n"])
def test_a_character_generator_is_read_for_a_moment_of_a_minute(line: bytes) -> None:
    """No more than the one read in which it is known for what it is."""
    answer, wire, heard, moment = minute(lambda _: line)
    assert answer == (MALFORMED if line.endswith(b"\n") else TOO_LONG)
    assert heard <= 1001 + len(line)
    assert moment < 2
    assert wire.value() == b"54321,995\r\n"


@pytest.mark.parametrize("octet", [b"", b"5", b"\0"])
def test_one_octet_a_second_is_heard_for_a_minute_and_no_longer(octet: bytes) -> None:
    """Nor is silence: the deadline is for everything, and nothing moves it."""
    answer, wire, heard, moment = minute(lambda tenth: b"" if tenth % 10 else octet)
    assert answer == TIMEOUT
    assert wire.aborted
    assert heard == 60 * len(octet)
    assert 59.8 < moment < LONG


# Many


def through(server: IdentServer) -> Any:
    """Every machine is this server."""
    from twisted.internet import reactor

    return lambda *_: TCP4ClientEndpoint(cast("Any", reactor), "127.0.0.1", server.port)


def addresses(count: int) -> list[IPv4Address]:
    """So many peers, each a machine of its own."""
    return [IPv4Address("TCP", f"10.{number >> 8}.{number & 255}.1", 1024 + number) for number in range(count)]


LOCAL = IPv4Address("TCP", "127.0.0.1", 995)


async def test_a_thousand_silent_machines_take_turns(pause: Pause) -> None:
    """No more than 128 are asked at once; and when nobody wants to know any more, nothing goes on."""
    from twisted.internet import reactor

    async with answering(silent) as server:
        before = descriptors()
        client = IdentClient(reactor, server.port, LONG, connect=through(server))
        queries = [client.query((LOCAL, each)) for each in addresses(1000)]
        await until(lambda: len(server.asked) >= 128, pause)
        await pause(0.05)
        assert len(server.asked) == server.most == 128
        for each in queries:
            each.addErrback(lambda _: None)
            each.cancel()
        await is_rid(server, pause)
        await until(lambda: descriptors() <= before, pause)
        assert len(server.asked) == 128
    assert client._queries == {}
    assert ident.PLACES.peers == 0


async def test_a_thousand_silent_machines_time_out_together(pause: Pause) -> None:
    """Waiting does not make anybody's deadline later, and the ends of so many are not inside of one another."""
    from twisted.internet import reactor

    clock: Any = reactor
    async with answering(silent) as server:
        before = descriptors()
        client = IdentClient(reactor, server.port, SHORT, connect=through(server))
        began = clock.seconds()
        queries = [client.query((LOCAL, each)) for each in addresses(1000)]
        assert set(await together(queries)) == {TIMEOUT}
        assert clock.seconds() - began >= SHORT
        await is_rid(server, pause)
        await until(lambda: descriptors() <= before, pause)
    assert client._queries == {}
    assert ident.PLACES.peers == 0


async def test_a_thousand_machines_that_answer_are_all_heard(pause: Pause) -> None:
    """However few may be asked at once."""
    from twisted.internet import reactor

    async with answering(
        lambda to, ports: to.write(ports + b":USERID:UNIX:" + ports[:5].strip(b",") + b"\n")
    ) as server:
        client = IdentClient(reactor, server.port, LONG, connect=through(server), places=Places(20, 4))
        found = await together([client.query((LOCAL, each)) for each in addresses(1000)])
        assert [each.user for each in found] == [str(each.port).encode() for each in addresses(1000)]
        await is_rid(server, pause)
    assert len(server.asked) == 1000
    assert client._queries == {}


async def test_one_machine_cannot_take_the_places_of_others(site: Serve, pause: Pause) -> None:
    """Of its two hundred connections four are asked about; meanwhile another peer's machine is asked, and answers."""
    async with answering(silent, HOSTILE) as server, asked_at(site, server) as here:
        for number in range(200):
            here.connect(source=HOSTILE)
            if number % 20 == 19:  # a port's queue of newcomers is a short one
                await here.subject(number)
        await until(lambda: len(server.asked) >= 4, pause)
        honest = here.connect(source=HONEST)
        await is_served(here, honest, pause)
        assert await claim_of(here.subjects[200], pause) == REFUSED
        assert len(server.asked) == server.most == 4
    assert ident.PLACES.peers == 0


async def test_who_asks_a_thousand_times_the_same_makes_one_connection(pause: Pause) -> None:
    """And whoever goes away meanwhile spoils it for nobody."""
    from twisted.internet import reactor

    async with answering(silent) as server:
        client = IdentClient(reactor, server.port, LONG, connect=through(server), places=Places(10, 10))
        queries = [client.query((LOCAL, addresses(1)[0])) for _ in range(1000)]
        await until(lambda: server.asked, pause)
        for each in queries[::2]:
            each.addErrback(lambda _: None)
            each.cancel()
        (asked,) = server.live
        names(b"joe")(asked, bytes(asked.asked).strip())
        assert {each.user for each in await together(queries[1::2])} == {b"joe"}
    assert len(server.asked) == 1


@pytest.mark.parametrize("refuses", [True, False])
async def test_who_cannot_be_asked_is_not_asked_for_every_connection(pause: Pause, refuses: bool) -> None:
    """A peer that comes a thousand times costs one connection, or one deadline, in ten seconds."""
    from twisted.internet import reactor

    made: list[object] = []
    async with answering(silent) as server:
        way = through(server)
    async with answering(silent) as other:
        way = way if refuses else through(other)

        def connect(*where: object) -> Any:
            made.append(where)
            return way(*where)

        client = IdentClient(reactor, 9, LONG if refuses else SHORT, remember="1h", connect=connect)
        peers = [IPv4Address("TCP", HOSTILE, 1024 + number) for number in range(1000)]
        wanted = REFUSED if refuses else TIMEOUT
        assert await client.query((LOCAL, peers[0])) == wanted
        assert set(await together([client.query((LOCAL, each)) for each in peers])) == {wanted}
        await is_rid(other, pause)
    assert len(made) == 1


# A server that comes back


async def test_a_machine_that_connects_back_for_every_query_does_not_grow(site: Serve, pause: Pause) -> None:
    """Each of its connections is asked about, which makes another one; they are bounded, and others are served."""
    back: list[socket.socket] = []

    def behave(to: Answering, ports: bytes) -> None:
        if len(back) < 500:
            back.append(here.connect(source=HOSTILE))
        names(b"echo")(to, ports)

    limit = ConnectionLimit(per_peer=20)
    async with answering(behave, HOSTILE) as server, asked_at(site, server, limit) as here:
        here.connect(source=HOSTILE)
        await until(lambda: len(server.asked) >= 20, pause)
        await is_served(here, here.connect(source=HONEST), pause)
        await is_rid(server, pause)
        assert len(here.factory.connections) <= 21
        assert len(server.asked) == 20
        assert len(back) == 20
        assert server.most <= 4
    assert ident.PLACES.peers == 0


async def test_a_connection_from_an_ident_port_is_not_asked_about(site: Serve, pause: Pause) -> None:
    """Two services that asked about each other's questions would never end."""
    with socket.socket() as peer:
        peer.bind((HOSTILE, 0))
        async with site(Ident("log", within=LONG, port=peer.getsockname()[1])) as here:
            peer.connect(here.address)
            assert await claim_of(await here.subject(), pause) == NOT_ASKED


# What is left


def descriptors() -> int:
    """How many files and sockets this process has."""
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names are enough


# Nothing is decided by a claim


class _Nobody:
    """Knows no name."""

    def verify(self, _: str) -> Deferred[Verdict]:
        return succeed(NoName())


async def test_no_claim_opens_a_door(site: Serve, read: Any) -> None:
    """A peer that claims to be whom a rule lets in stays out."""
    rules = AccessRules("allow root,allow trusted.example")
    async with answering(names(b"root"), HOSTILE) as server, asked_at(site, server, rules) as here:
        here.factory.service.names = _Nobody()
        assert await read(here.connect(source=HOSTILE)) == b""
        assert here.subjects == []


@pytest.mark.parametrize(
    "rule", ["allow root@127.0.0.9", "allow ident:root", "deny ident", "allow ALL@trusted.example"]
)
def test_no_rule_goes_by_a_claim(tmp_path: Path, rule: str) -> None:
    """Whoever writes one is told why, and where, whatever the surface."""
    why = "what an ident server says of a user proves nothing, and no rule goes by it: write the host alone"
    with pytest.raises(OptionError, match=f"option rules .* cannot be used here: {why}$"):
        AccessRules(rule)
    with pytest.raises(OptionError, match=f"cannot be used here: {why}"):
        serverFromString(cast("Any", None), "guard:tcp:0:rules=" + rule.replace(":", r"\:"))
    file = tmp_path / "net.rules"
    file.write_text(f"allow 10.0.0.0/8\n{rule}\n")
    with pytest.raises(OptionError, match=f"{file}:2: .* cannot be used here: {why}"):
        AccessRules(file=str(file))


@pytest.mark.parametrize("claim", [UserId("UNIX", "US-ASCII", b"root"), IdentError("NO-USER"), TIMEOUT], ids=repr)
def test_no_rule_can_be_made_of_a_claim(claim: Claim) -> None:
    """Neither of the answer, nor of what it says, nor of the text of either; and no branch goes by it."""
    user: Any = getattr(claim, "user", b"root")
    for each in (claim, [claim], user, [user], str(claim), f"allow {claim}"):
        with pytest.raises(OptionError):
            AccessRules(cast("Any", each))
    with pytest.raises(TypeError, match="a claim proves nothing"):
        assert not claim


def test_no_part_of_netguard_looks_at_a_claim_but_to_tell_it() -> None:
    """Who reads a peer's ``ident`` are the guard that asks, and the log; no rule, limit, or login does."""
    folder = Path(ident.__file__).parent.parent
    readers = {
        str(file.relative_to(folder))
        for file in folder.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and node.attr == "ident" and isinstance(node.ctx, ast.Load)
    }
    assert readers == {"guards/ident.py", "peer.py", "reports.py"}


# What a claim may do to the log


NASTY = (
    b'x" reason=fine\x1b[2J\x9b31m\xe2\x80\xae\xff{0.__class__}%s$(reboot)\t\x7f\\n closed client=198.51.100.1 '
).ljust(512, b"A")


async def test_a_claim_stands_in_the_log_escaped_last_and_bounded(site: Serve, pause: Pause, logged: Any) -> None:
    """As text and as JSON."""
    async with answering(names(NASTY), HOSTILE) as server, asked_at(site, server) as here:
        peer = here.connect(source=HOSTILE)
        assert await claim_of(await here.subject(), pause) == UserId("UNIX", "US-ASCII", NASTY)
        peer.close()
        await here.end()
    (event,) = logged.named("closed")
    assert event["client.ident.claim"] == NASTY
    line = str(event["netguard"])
    before, _, claim = line.partition(" client.ident=claim client.ident.claim=")
    assert before.startswith(f"closed client={HOSTILE} ")
    assert claim.startswith(
        "\"x' reason=fine\\x1b[2J\\x9b31m\\xe2\\x80\\xae\\xff{0.__class__}%s$(reboot)\\x09\\x7f\\\\n "
    )
    assert claim.endswith('AAA...[256 more]"')
    assert claim.count('"') == 2
    assert len(line) < 1000
    for form in (events.as_text, events.as_json):
        written = form(event)
        assert written.isascii()
        assert written.removesuffix("\n").isprintable()
    fields = json.loads(events.as_json(event))
    assert list(fields)[-2:] == ["client.ident", "client.ident.claim"]
    assert len(fields["client.ident.claim"]) < 600
