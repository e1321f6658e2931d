"""What is promised of the ident client: where it connects from, its one deadline, its bounds, and who is told what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from attrs import define
from twisted.internet import error
from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from netguard import units
from netguard.clients import ident
from netguard.clients.ident import REMEMBERED, IdentClient, auth_port
from netguard.clients.places import Places
from netguard.wire.ident import Claim, IdentError, IdentReply, NoReply, UserId, WhyNot
from tests.identserver import answering, names, silent, together

HERE = IPv4Address("TCP", "198.51.100.7", 995)
THERE = IPv4Address("TCP", "192.0.2.1", 54321)
JOE = UserId("UNIX", "US-ASCII", b"joe")


class Wire(StringTransport):
    """A transport that remembers being aborted."""

    aborted = False

    def abortConnection(self) -> None:
        """Remember."""
        self.aborted = True


@define(eq=False)
class World:
    """A client on a clock, and the machines that it asks."""

    reactor: Any
    client: IdentClient

    @property
    def attempts(self) -> list[Any]:
        """The connections that were tried: host, port, factory, time-out, local address."""
        return list(self.reactor.tcpClients)

    def ask(self, local: Any = HERE, remote: Any = THERE) -> Deferred[IdentReply]:
        """A query."""
        return self.client.query((local, remote))

    def met(self, number: int = -1) -> tuple[Any, Wire]:
        """The ident server accepts that attempt."""
        protocol = self.attempts[number][2].buildProtocol(None)
        wire = Wire()
        protocol.makeConnection(wire)
        return protocol, wire

    def fails(self, why: Exception, number: int = -1) -> None:
        """That attempt fails."""
        self.attempts[number][2].clientConnectionFailed(None, Failure(why))

    def idle(self) -> bool:
        """Whether no timer is left, and nobody is waited for."""
        return not self.reactor.getDelayedCalls() and not self.client._queries and not self.client._places.peers


_WORLDS: list[World] = []


def world(**options: Any) -> World:
    """A client, five seconds a query, one hundred at once and two of one peer, unless told otherwise."""
    reactor: Any = MemoryReactorClock()
    options = {"port": 113, "within": 5, "places": Places(100, 2), **options}
    _WORLDS.append(World(reactor, IdentClient(reactor, **options)))
    return _WORLDS[-1]


@pytest.fixture(autouse=True)
def _ending() -> Iterator[None]:
    """Let no query of a test's be left to the collector of garbage, which ends coroutines in no order."""
    yield
    while _WORLDS:
        here = _WORLDS.pop()
        here.reactor.advance(1000)
        assert here.idle()


def answer_of(query: Deferred[IdentReply]) -> Any:
    """The answer that is there already; None when there is none yet."""
    found: list[IdentReply] = []

    def keep(reply: IdentReply) -> IdentReply:
        found.append(reply)
        return reply

    query.addCallback(keep)
    return found[0] if found else None


def test_it_connects_from_where_the_peer_has_connected_to() -> None:
    """To the peer's ident port, from our address, and asks about the two ports."""
    here = world()
    query = here.ask()
    host, port, _, timeout, local = here.attempts[0]
    assert (host, port, timeout, local) == ("192.0.2.1", 113, None, ("198.51.100.7", 0))
    protocol, wire = here.met()
    assert wire.value() == b"54321,995\r\n"
    protocol.dataReceived(b"54321, 995 : USERID : UNIX :joe\r\n")
    assert answer_of(query) == JOE
    assert wire.aborted
    assert here.idle()


def test_a_transport_can_be_asked_about() -> None:
    """It knows its two addresses."""
    here = world()
    here.client.query(StringTransport(hostAddress=HERE, peerAddress=THERE))
    assert here.attempts[0][0] == THERE.host
    assert here.attempts[0][4] == (HERE.host, 0)


@pytest.mark.parametrize(
    ("local", "remote", "host", "bound"),
    [
        ("::ffff:198.51.100.7", "::ffff:192.0.2.1", "192.0.2.1", "198.51.100.7"),
        ("2001:db8::7", "2001:db8::1", "2001:db8::1", "2001:db8::7"),
        ("fe80::7%lo", "fe80::1%lo", "fe80::1%lo", "fe80::7%lo"),
    ],
)
def test_ipv6_is_asked_by_ipv6_and_a_mapped_address_by_ipv4(local: str, remote: str, host: str, bound: str) -> None:
    """Whatever the socket calls it."""
    here = world()
    here.ask(IPv6Address("TCP", local, 995), IPv6Address("TCP", remote, 54321))
    assert here.attempts[0][:2] == (host, 113)
    assert here.attempts[0][4] == (bound, 0)


@pytest.mark.parametrize(
    ("local", "remote"),
    [
        (IPv4Address("TCP", "198.51.100.7", 113), THERE),
        (HERE, IPv4Address("TCP", "192.0.2.1", 113)),
        (IPv4Address("TCP", "198.51.100.7", 1113), THERE),
        (HERE, IPv4Address("TCP", "192.0.2.1", 1113)),
        (HERE, IPv4Address("TCP", "192.0.2.1", 0)),
        (HERE, IPv4Address("UDP", "192.0.2.1", 53)),
        (UNIXAddress(b"/run/s"), UNIXAddress(b"")),
        (HERE, HostnameAddress(b"peer.example", 5)),
        (HERE, None),
        (None, THERE),
    ],
)
def test_nobody_is_asked_about_ident_itself_or_about_what_is_no_tcp(local: Any, remote: Any) -> None:
    """Two servers that asked about each other's questions would never end."""
    here = world(port=1113)
    assert answer_of(here.ask(local, remote)) == NoReply(WhyNot.NOT_ASKED)
    assert here.attempts == []
    assert here.idle()


@pytest.mark.parametrize(
    ("why", "reply"),
    [
        (error.ConnectionRefusedError(), WhyNot.REFUSED),
        (ConnectionRefusedError(), WhyNot.REFUSED),
        (error.NoRouteError(), WhyNot.UNREACHABLE),
        (error.ConnectBindError(), WhyNot.UNREACHABLE),
        (OSError(), WhyNot.UNREACHABLE),
        (error.TCPTimedOutError(), WhyNot.TIMEOUT),
        (TimeoutError(), WhyNot.TIMEOUT),
    ],
)
def test_what_cannot_be_asked_is_told_apart(why: Exception, reply: WhyNot) -> None:
    """Nothing listens, no way leads there, nobody answers; and it is an answer, not a failure."""
    here = world()
    query = here.ask()
    here.fails(why)
    assert answer_of(query) == NoReply(reply)
    assert here.idle()


@define
class Way:
    """A way to reach others that is somebody else's."""

    outcome: Any

    def connect(self, factory: Any) -> Any:
        """As an endpoint."""
        return self.outcome


def test_there_may_be_another_way_to_reach_peers() -> None:
    """It is told whom to reach, and from where."""
    told: list[object] = []

    def way(*where: object) -> Way:
        told.append(where)
        return Way(Deferred())

    here = world(connect=way)
    here.ask()
    assert told == [("192.0.2.1", 113, "198.51.100.7")]
    here.reactor.advance(5)
    assert here.idle()


def test_a_defect_is_told_in_the_log(logged: Any) -> None:
    """What no network does is no answer of the network's; the query has one all the same."""
    here = world(connect=lambda *_: Way(fail(ZeroDivisionError())))
    assert answer_of(here.ask()) == NoReply(WhyNot.UNREACHABLE)
    assert len(logged.take_failures(ZeroDivisionError)) == 1
    assert here.idle()


@pytest.mark.parametrize(
    ("said", "reply"),
    [
        (b"54321,995:ERROR:HIDDEN-USER\r\n", IdentError("HIDDEN-USER")),
        (b"54321,996:USERID:UNIX:joe\r\n", NoReply(WhyNot.PORT_MISMATCH)),
        (b"220 mail.example\r\n", NoReply(WhyNot.MALFORMED)),
        (b"x" * 5000, NoReply(WhyNot.TOO_LONG)),
    ],
)
def test_every_answer_is_told_and_ends_the_connection(said: bytes, reply: IdentReply) -> None:
    """At once, and what comes behind it is not looked at."""
    here = world()
    query = here.ask()
    protocol, wire = here.met()
    protocol.dataReceived(said)
    protocol.dataReceived(b"54321,995:USERID:UNIX:root\r\n")
    protocol.connectionLost(Failure(error.ConnectionAborted()))
    assert answer_of(query) == reply
    assert wire.aborted
    assert here.idle()


@pytest.mark.parametrize("said", [b"", b"54321,995:USERID:UNIX:joe"])
def test_a_closed_connection_is_no_answer(said: bytes) -> None:
    """With or without the beginning of one."""
    here = world()
    query = here.ask()
    protocol, _ = here.met()
    protocol.dataReceived(said)
    protocol.connectionLost(Failure(error.ConnectionDone()))
    assert answer_of(query) == NoReply(WhyNot.CLOSED)
    assert here.idle()


def test_a_connection_that_cannot_be_aborted_is_closed() -> None:
    """Some transports know no abort."""

    class Pipe:
        closed = False

        def write(self, data: bytes) -> None:
            """Take it."""

        def loseConnection(self) -> None:
            """Close."""
            self.closed = True

    here = world()
    query = here.ask()
    protocol, pipe = here.attempts[0][2].buildProtocol(None), Pipe()
    protocol.makeConnection(pipe)
    protocol.dataReceived(b"54321,995:USERID:UNIX:joe\n")
    assert answer_of(query) == JOE
    assert pipe.closed


# One deadline


def test_the_deadline_holds_for_connecting() -> None:
    """Just before it there is hope."""
    here = world(within="3s")
    query = here.ask()
    here.reactor.advance(2.99)
    assert answer_of(query) is None
    here.reactor.advance(0.01)
    assert answer_of(query) == NoReply(WhyNot.TIMEOUT)
    assert here.idle()
    assert here.reactor.connectors[0].stoppedConnecting


def test_the_deadline_holds_for_the_answer_and_drips_do_not_move_it() -> None:
    """One octet a second is no answer either; the connection is aborted."""
    here = world()
    query = here.ask()
    here.reactor.advance(2)
    protocol, wire = here.met()
    for octet in b"543":
        assert answer_of(query) is None
        protocol.dataReceived(bytes([octet]))
        here.reactor.advance(1)
    assert answer_of(query) == NoReply(WhyNot.TIMEOUT)
    assert wire.aborted
    assert here.idle()


def test_an_answer_just_in_time_counts() -> None:
    """A slow server that is honest is heard."""
    here = world()
    query = here.ask()
    protocol, _ = here.met()
    here.reactor.advance(4.99)
    protocol.dataReceived(b"54321,995:USERID:UNIX:joe\r\n")
    assert answer_of(query) == JOE
    assert here.idle()


# Not too many at once


def test_so_many_at_once_and_the_others_wait_their_turn() -> None:
    """Of one peer, and in all; the next is asked as soon as one is done."""
    here = world(places=Places(3, 2))
    ports = [IPv4Address("TCP", "192.0.2.1", port) for port in (1001, 1002, 1003)]
    others = [IPv4Address("TCP", host, 1000) for host in ("192.0.2.2", "192.0.2.3")]
    queries = [here.ask(remote=each) for each in [*ports, *others]]
    assert [each[0] for each in here.attempts] == ["192.0.2.1", "192.0.2.1", "192.0.2.2"]
    protocol, _ = here.met(0)
    protocol.dataReceived(b"1001,995:ERROR:NO-USER\r\n")
    assert [each[0] for each in here.attempts[3:]] == ["192.0.2.3"]
    protocol, _ = here.met(1)
    protocol.dataReceived(b"1002,995:ERROR:NO-USER\r\n")
    assert [each[0] for each in here.attempts[4:]] == ["192.0.2.1"]
    here.reactor.advance(5)
    assert [answer_of(each) for each in queries] == [IdentError("NO-USER")] * 2 + [NoReply(WhyNot.TIMEOUT)] * 3
    assert here.idle()


def test_an_ipv6_network_is_one_peer() -> None:
    """Of a /64 every address may be one machine's."""
    here = world(places=Places(100, 2))
    for host in ("2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::1"):
        here.ask(IPv6Address("TCP", "2001:db8::7", 995), IPv6Address("TCP", host, 1000))
    assert [each[0] for each in here.attempts] == ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"]


def test_waiting_counts_against_the_deadline() -> None:
    """Who has not been asked by then never is."""
    here = world(places=Places(1, 1))
    first, second = here.ask(), here.ask(remote=IPv4Address("TCP", "192.0.2.2", 1000))
    here.reactor.advance(4.9)
    assert len(here.attempts) == 1
    here.fails(error.ConnectionRefusedError())
    assert len(here.attempts) == 2
    assert answer_of(second) is None
    here.reactor.advance(0.1)
    assert answer_of(first) == NoReply(WhyNot.REFUSED)
    assert answer_of(second) == NoReply(WhyNot.TIMEOUT)
    assert here.idle()


def test_a_turn_that_comes_after_the_deadline_is_none() -> None:
    """The reactor was held up: it gives the place back, and has not said yet that the time of who waits is over."""
    here = world(within=50, places=Places(1, 1))
    first = here.ask()
    first.addErrback(lambda why: why.trap(CancelledError))
    here.reactor.callLater(49, first.cancel)
    here.reactor.advance(0.5)
    second = here.ask(remote=IPv4Address("TCP", "192.0.2.2", 1000))
    here.reactor.advance(100)
    assert answer_of(second) == NoReply(WhyNot.TIMEOUT)
    assert len(here.attempts) == 1
    assert here.client._known == {}
    assert here.idle()


def test_a_client_without_places_of_its_own_shares_those_of_the_process() -> None:
    """However many services there are."""
    reactor: Any = MemoryReactorClock()
    one, other = IdentClient(reactor, 113), IdentClient(reactor, 113)
    assert one._places is other._places is ident.PLACES


# Who asks the same


def test_who_asks_the_same_is_answered_by_one_query() -> None:
    """And who asks later, anew."""
    here = world()
    queries = [here.ask() for _ in range(3)]
    assert len(here.attempts) == 1
    protocol, _ = here.met()
    protocol.dataReceived(b"54321,995:USERID:UNIX:joe\r\n")
    assert [answer_of(each) for each in queries] == [JOE] * 3
    here.ask()
    assert len(here.attempts) == 2


def test_who_goes_away_does_not_spoil_it_for_the_others() -> None:
    """Until the last one goes: then the query ends, too."""
    here = world()
    queries = [here.ask() for _ in range(3)]
    protocol, wire = here.met()
    for each in queries[:2]:
        each.addErrback(lambda why: why.trap(CancelledError))
        each.cancel()
        assert not wire.aborted
    protocol.dataReceived(b"54321,995:USERID:UNIX:joe\r\n")
    assert answer_of(queries[2]) == JOE
    assert here.idle()


@pytest.mark.parametrize("met", [False, True])
def test_when_the_last_goes_away_nothing_is_left(met: bool) -> None:
    """Neither a timer, nor a connection or an attempt at one."""
    here = world()
    query = here.ask()
    wire = here.met()[1] if met else None
    query.addErrback(lambda why: why.trap(CancelledError))
    query.cancel()
    assert here.idle()
    assert wire.aborted if wire else here.reactor.connectors[0].stoppedConnecting


def test_who_hears_the_answer_may_end_the_interest_of_others_and_ask_again() -> None:
    """Everybody is told once, or has gone."""
    here = world()
    first, second = here.ask(), here.ask()

    def told(reply: IdentReply) -> None:
        second.cancel()
        here.ask()

    first.addCallback(told)
    second.addErrback(lambda why: why.trap(CancelledError))
    protocol, _ = here.met()
    protocol.dataReceived(b"54321,995:USERID:UNIX:joe\r\n")
    assert first.called
    assert second.called
    assert len(here.attempts) == 2


# Who cannot be asked


@pytest.mark.parametrize("why", [error.ConnectionRefusedError(), error.NoRouteError(), error.TCPTimedOutError()])
def test_who_cannot_be_asked_is_not_asked_again_for_a_moment(why: Exception) -> None:
    """About any connection of its; and then it is."""
    here = world(remember=10)
    here.ask()
    here.fails(why)
    other = IPv4Address("TCP", "192.0.2.1", 1000)
    here.reactor.advance(9.9)
    assert isinstance(answer_of(here.ask(remote=other)), NoReply)
    assert len(here.attempts) == 1
    here.reactor.advance(0.1)
    here.ask(remote=other)
    assert len(here.attempts) == 2


def test_who_does_not_answer_is_not_asked_again_for_a_moment() -> None:
    """But others are, and so is that one from another address of ours."""
    here = world()
    here.ask()
    here.met()
    here.reactor.advance(5)
    assert answer_of(here.ask()) == NoReply(WhyNot.TIMEOUT)
    here.ask(remote=IPv4Address("TCP", "192.0.2.2", 1000))
    here.ask(local=IPv4Address("TCP", "198.51.100.8", 995))
    assert len(here.attempts) == 3


def test_who_was_hardly_asked_is_not_known_for_slow() -> None:
    """It waited for others, most of its time."""
    here = world(places=Places(100, 1))
    here.ask()
    here.ask(remote=IPv4Address("TCP", "192.0.2.1", 1000))
    protocol, _ = here.met()
    here.reactor.advance(4)
    protocol.dataReceived(b"54321,995:ERROR:NO-USER\r\n")
    assert len(here.attempts) == 2
    here.reactor.advance(1)
    assert here.client._known == {}


@pytest.mark.parametrize("said", [b"54321,995:ERROR:NO-USER\r\n", b"nonsense\r\n", b"1,2:ERROR:NO-USER\r\n"])
def test_what_was_answered_is_not_remembered(said: bytes) -> None:
    """It was about one connection."""
    here = world()
    here.ask()
    here.met()[0].dataReceived(said)
    here.ask()
    assert len(here.attempts) == 2


def test_what_is_remembered_is_bounded() -> None:
    """The oldest goes first."""
    here = world(remember=1000)
    for number in range(REMEMBERED + 1):
        here.ask(remote=IPv4Address("TCP", f"10.0.{number // 250}.{number % 250}", 1000))
        here.fails(error.ConnectionRefusedError())
    assert len(here.client._known) == REMEMBERED
    here.ask(remote=IPv4Address("TCP", "10.0.0.0", 1000))
    here.ask(remote=IPv4Address("TCP", "10.0.0.2", 1000))
    assert len(here.attempts) == REMEMBERED + 2


# What it is made with


def test_the_port_is_a_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """By name; `auth` unless given, which is 113 also where the machine does not know it."""
    reactor: Any = MemoryReactorClock()
    assert IdentClient(reactor).port == 113
    assert IdentClient(reactor, "auth").port == 113
    assert IdentClient(reactor, "1113").port == 1113
    with pytest.raises(ValueError, match="not a port"):
        IdentClient(reactor, 65536)

    def unknown(name: str) -> int:
        raise ValueError(name)

    monkeypatch.setattr(units, "service_port", unknown)
    assert auth_port() == 113


def test_times_are_durations() -> None:
    """As an operator writes them."""
    reactor: Any = MemoryReactorClock()
    client = IdentClient(reactor, within="1500ms", remember="1m")
    assert (client.within, client.remember) == (1.5, 60.0)
    with pytest.raises(ValueError, match="not a duration"):
        IdentClient(reactor, within=0)


# Over real sockets


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_real_server_is_asked_from_the_right_address(host: str) -> None:
    """And sees the question that the RFC wants."""
    from twisted.internet import reactor

    kind = IPv6Address if ":" in host else IPv4Address
    local, remote = kind("TCP", "127.0.0.5" if host == "127.0.0.1" else host, 995), kind("TCP", host, 54321)
    async with answering(names(b"j\xf6e "), host) as server:
        client = IdentClient(reactor, server.port, places=Places(10, 10))
        assert await client.query((local, remote)) == UserId("UNIX", "US-ASCII", b"j\xf6e ")
        assert server.asked == [(local.host, b"54321,995\r\n")]


async def test_real_peers_that_do_not_answer_are_told_apart() -> None:
    """One that refuses, and one that is silent."""
    from twisted.internet import reactor

    local, remote = IPv4Address("TCP", "127.0.0.1", 995), IPv4Address("TCP", "127.0.0.1", 54321)
    async with answering(silent) as server:
        client = IdentClient(reactor, server.port, within=0.2)
        assert await client.query((local, remote)) == NoReply(WhyNot.TIMEOUT)
    client = IdentClient(reactor, server.port)
    assert await client.query((local, remote)) == NoReply(WhyNot.REFUSED)


async def test_a_thousand_queries_leave_nothing_behind(logged: Any) -> None:
    """No more than so many at once, each with its own answer, and no line in the log."""
    from twisted.internet import reactor

    local = IPv4Address("TCP", "127.0.0.1", 995)
    async with answering(lambda to, ports: to.write(ports + b":USERID:UNIX:u" + ports[:4] + b"\n")) as server:
        client = IdentClient(reactor, server.port, places=Places(10, 10))
        found = await together([client.query((local, IPv4Address("TCP", "127.0.0.1", n))) for n in range(1001, 2001)])
        assert [each.user for each in found] == [b"u%d" % n for n in range(1001, 2001)]
        assert [each for each in logged.events if isinstance(each.get("factory"), Factory)] == []
        assert server.most <= 20  # it hears a little later of an end than of a beginning
    assert client._queries == {}
    assert all(isinstance(each, Claim) for each in found)
