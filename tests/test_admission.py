"""Tests for netguard.admission: guards that hear the first bytes, and those that ask twice."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from netguard.application import connection_of
from netguard.errors import Draining, OpeningFailed
from netguard.guard import Connection, Guard, Heard, House, Opener, Stages, frozen
from netguard.guards.lifetime import Lifetime
from netguard.policy import Policy
from netguard.testing import Application, MemoryTransport, connect

CLAIMED = IPv4Address("TCP", "203.0.113.9", 4711)
HEADER = b"HELLO\n"


class Greeting:
    """Reads a first line.

    Args:
        connection: who sends it.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.kept = b""

    def receive(self, data: bytes) -> Heard | None:
        """Hear some bytes."""
        self.kept += data
        line, end, rest = self.kept.partition(b"\n")
        if line == b"no":
            self.connection.refuse(Draining())
        if line == b"bad":
            raise ZeroDivisionError
        if line == b"direct":
            return Heard(rest)
        if line == b"unix":
            return Heard(rest, UNIXAddress(None))
        return Heard(rest, CLAIMED, CLAIMED, {"line": line}) if end else None


asked: list[tuple[str, str | None]] = []


@frozen
class Greeted(Guard):
    """Wants a greeting, and asks once more behind it."""

    def install(self, house: House) -> Stages:
        """Ask twice."""
        asked.clear()
        return Stages(self.listen, self.ask)

    def listen(self, connection: Connection) -> Greeting:
        """Hear the greeting."""
        asked.append(("socket", connection.host))
        return Greeting(connection)

    def ask(self, connection: Connection) -> None:
        """See the peer."""
        asked.append(("peer", connection.host))


@frozen
class Twice(Guard):
    """Has one more greeting to hear, then waits."""

    def install(self, house: House) -> Opener:
        """Ask."""
        waits.clear()
        return self.listen

    def listen(self, connection: Connection) -> Greeting:
        """Hear the second greeting."""
        return Greeting(connection)


@frozen
class Waits(Guard):
    """Takes its time."""

    def open(self, connection: Connection) -> Deferred[None]:
        """Wait."""
        waits.append(Deferred())
        return waits[-1]


waits: list[Deferred[None]] = []


def test_the_application_begins_behind_the_header() -> None:
    """It sees the peer behind the proxy, the bytes behind the header, and nothing of either before."""
    peer: Any = connect(Greeted(), Application)
    peer.feed(HEADER[:3])
    assert peer.connection.state == "opening"
    peer.feed(HEADER[3:] + b"data")
    assert [each[0] for each in peer.application.calls] == ["made", "data"]
    assert bytes(peer.application.received) == b"data"
    assert peer.application.transport.getPeer() == CLAIMED
    assert peer.application.transport.getHost() == CLAIMED
    assert peer.connection.received == 4
    assert asked == [("socket", "192.0.2.1"), ("peer", "203.0.113.9")]


def test_both_addresses_are_known_and_told(logged: Any) -> None:
    """The one that counts as the client, the socket's as the network's peer."""
    peer: Any = connect(Greeted(), Application)
    peer.feed(HEADER)
    assert (peer.connection.peer.seen.host, peer.connection.peer.effective) == ("192.0.2.1", CLAIMED)
    assert peer.connection.peer.claims == {"line": b"HELLO"}
    peer.vanish()
    last = logged.events[-1]
    assert (last["client.address"], last["client.port"]) == ("203.0.113.9", 4711)
    assert (last["network.peer.address"], last["network.peer.port"]) == ("192.0.2.1", 40000)


@pytest.mark.parametrize("line", [b"direct\n", b"unix\n"])
def test_a_claim_may_be_none_or_no_internet_address(line: bytes) -> None:
    """The socket's address counts, or none does."""
    peer: Any = connect(Greeted(), Application)
    peer.feed(line)
    assert asked[-1] == ("peer", "192.0.2.1" if line == b"direct\n" else None)
    assert (peer.connection.peer.claimed is None) is (line == b"direct\n")
    assert peer.connection.state == "open"


@pytest.mark.parametrize("line", [b"no", b"bad"])
def test_a_refusal_and_a_failure_of_the_reader_are_refusals(line: bytes, logged: Any) -> None:
    """Nobody gets in unexamined."""
    peer: Any = connect(Greeted(), Application)
    connection = peer.connection
    peer.feed(line)
    assert type(connection.reason) is (Draining if line == b"no" else OpeningFailed)
    assert peer.application is None
    assert len(logged.take_failures(ZeroDivisionError)) == (line == b"bad")


def test_readers_and_those_who_wait_may_follow_each_other() -> None:
    """What came too early for one of them is there when it is its turn."""
    peer: Any = connect(Policy(Twice(), Waits(), Greeted()), Application)
    peer.feed(b"first\nsecond\nrest")
    (waiting,) = waits
    waiting.callback(None)
    peer.advance()
    assert bytes(peer.application.received) == b"rest"


def test_a_peer_that_leaves_in_between_is_simply_gone(logged: Any) -> None:
    """One last event, and no application."""
    peer: Any = connect(Policy(Greeted(), Lifetime("1h")), Application)
    peer.feed(b"HEL")
    peer.vanish()
    assert [each["event"] for each in logged.events][-1] == "closed"
    assert peer.application is None
    assert not peer.factory.connections


def test_a_reader_that_never_has_enough_is_given_up() -> None:
    """After a minute, unless it says otherwise; hearing nothing was its last chance."""
    peer: Any = connect(Greeted(), Application)
    connection = peer.connection
    peer.feed(b"HEL")
    peer.advance(59.5)
    assert connection.state == "opening"
    peer.advance(1)
    assert type(connection.reason) is OpeningFailed
    assert peer.lost


class Hasty(Greeting):
    """Has heard enough after five seconds, whatever came."""

    within = 5.0

    def receive(self, data: bytes) -> Heard | None:
        """Hear some bytes, or that none came."""
        return super().receive(data) if data else Heard(self.kept)


@frozen
class Hurried(Guard):
    """Wants a greeting, but not for long."""

    def install(self, house: House) -> Stages:
        """Hear the greeting."""
        return Stages(Hasty)


def test_a_reader_may_have_its_own_time() -> None:
    """Then it hears that nothing came, and what it answers is what was heard."""
    peer: Any = connect(Policy(Hurried()), Application)
    peer.feed(b"HEL")
    peer.advance(4.75)
    assert peer.connection.state == "opening"
    peer.advance(0.5)
    assert bytes(peer.application.received) == b"HEL"


def test_the_time_of_a_reader_is_not_that_of_the_next_one() -> None:
    """The second has its own, counted from when it began, and the first one's end is none of its business."""
    peer: Any = connect(Policy(Hurried(), Twice()), Application)
    peer.feed(HEADER)
    peer.advance(6)
    assert peer.connection.state == "opening"
    peer.feed(HEADER + b"rest")
    assert bytes(peer.application.received) == b"rest"
    peer.advance(60)
    assert not peer.lost


def test_a_peer_that_will_send_no_more_has_nothing_a_reader_could_wait_for() -> None:
    """The connection is closed, not kept until its time is up."""
    peer: Any = connect(Greeted(), Application)
    peer.feed(b"HEL")
    peer.finish()
    peer.advance(0.25)
    assert peer.lost
    assert not peer.factory.connections


def test_tls_begins_when_the_guards_have_decided() -> None:
    """What came is TLS's; the application is started inside."""
    factory = Policy(Hurried()).wrap(Factory.forProtocol(Application), Clock(), tls=CertificateOptions())
    peer: Any = connect(factory, carrier=Encrypting)
    peer.feed(HEADER + b"rest")
    assert peer.transport.context is factory.tls
    assert bytes(peer.application.received) == b"(rest)"


def test_an_application_that_leaves_at_once_gets_nothing_more() -> None:
    """What has come for TLS is not delivered to a connection that is over."""
    factory = Policy(Hurried()).wrap(Factory.forProtocol(Leaving), Clock(), tls=CertificateOptions())
    peer: Any = connect(factory, carrier=Encrypting)
    peer.feed(HEADER + b"rest")
    assert [each[0] for each in peer.application.calls] == ["made", "lost"]


class Leaving(Application):
    """Ends its connection as soon as it has it."""

    def connectionMade(self) -> None:
        """End it."""
        super().connectionMade()
        connection: Any = connection_of(self.transport)
        connection.cut(Draining())


class Layer:
    """Something like TLS: it puts brackets around what comes.

    Args:
        inside: whom it tells.
    """

    def __init__(self, inside: Any) -> None:
        self.inside = inside

    def dataReceived(self, data: bytes) -> None:
        """Tell."""
        self.inside.dataReceived(b"(%b)" % data)

    def connectionLost(self, reason: Failure) -> None:
        """Tell."""
        self.inside.connectionLost(reason)


class Encrypting(MemoryTransport):
    """A transport that can begin something like TLS."""

    context: object = None

    def startTLS(self, contextFactory: object, normal: bool = True) -> None:  # noqa: FBT002 - ITLSTransport's
        """Begin."""
        self.context = contextFactory
        self.protocol = Layer(self.protocol)
