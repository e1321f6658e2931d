"""What is promised of the Ident guard: it asks beside the connections, delays none, and leaves nothing behind."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from netguard.clients.ident_service import Idents as RealIdents
from netguard.errors import OptionError
from netguard.explanation import Supposed, explain
from netguard.factory import GuardedFactory
from netguard.guards.ident import Ident
from netguard.guards.proxy_protocol import ProxyProtocol
from netguard.guards.verified_name import VerifiedName
from netguard.policy import Policy
from netguard.service import Service as House
from netguard.verdict import Verified
from netguard.wire.ident import IdentError, IdentReply, NoReply, UserId, WhyNot

if TYPE_CHECKING:
    from tests.guards.conftest import Service

JOE = UserId("UNIX", "US-ASCII", b"joe")
HERE = IPv4Address("TCP", "198.51.100.7", 995)
THERE = IPv4Address("TCP", "192.0.2.1", 50_000)


@define
class Idents:
    """Answers when a test says so."""

    asked: list[Any] = field(factory=list)
    settled: list[tuple[int, float]] = field(factory=list)
    waiting: list[Deferred[IdentReply]] = field(factory=list)
    cancelled: list[Any] = field(factory=list)
    known: IdentReply | None = None

    def settle(self, port: int, within: float) -> None:
        """Remember."""
        self.settled.append((port, within))

    def query(self, local: Any, remote: Any) -> Deferred[IdentReply]:
        """Remember."""
        self.asked.append((local, remote))
        if self.known is not None:
            return succeed(self.known)
        self.waiting.append(Deferred(self.cancelled.append))
        return self.waiting[-1]


class Asked:
    """A guarded service that has an ident client."""

    def __init__(self, service: type[Service], *guards: Any, idents: Any = None, names: Any = None) -> None:
        self.idents = idents or Idents()
        self.service = service()
        clock: Any = self.service.clock
        house = House(lambda: clock)
        house.ident, house.names = self.idents, names or house.names
        self.service.factory = GuardedFactory(self.service.inner, Policy(*guards).guards, reactor=clock, service=house)

    def arrive(self, address: Any = THERE, local: Any = HERE) -> Any:
        """A peer connects; its connection."""
        protocol: Any = self.service.factory.buildProtocol(address)
        wire = self.service.wire(address)
        wire.getHost = lambda: local  # type: ignore[method-assign]
        wire.protocol = protocol
        protocol.makeConnection(wire)
        return protocol.connection


@pytest.fixture
def make(service: type[Service]) -> Any:
    """Makes services."""
    return partial(Asked, service)


def test_nobody_waits_for_the_answer(make: Any) -> None:
    """The application has the connection in the same moment; the claim is there when it has come."""
    here = make(Ident("log"))
    connection = here.arrive()
    assert connection.state == "open"
    assert len(here.service.built) == 1
    assert connection.listening
    assert connection.peer.ident is None
    assert here.idents.asked == [(HERE, THERE)]
    here.idents.waiting[0].callback(JOE)
    assert connection.peer.ident == JOE


def test_names_and_idents_are_asked_for_at_once(make: Any) -> None:
    """Also where the connection waits for its name; the claim may be there before."""

    class Names:
        """Knows nothing yet."""

        looking: Deferred[Any] = Deferred()

        def settle(self, *_: object) -> None:
            """Never mind."""

        def verify(self, _: str) -> Deferred[Any]:
            """It takes its time."""
            return self.looking

    here = make(VerifiedName("require"), Ident("log"), names=Names())
    connection = here.arrive()
    assert connection.state == "opening"
    assert here.idents.asked == [(HERE, THERE)]
    here.idents.waiting[0].callback(JOE)
    assert here.service.built == []
    Names.looking.callback(Verified("mail.example"))
    assert connection.state == "open"
    assert connection.peer.ident == JOE


def test_the_claim_is_in_the_log_from_there_on(make: Any, logged: Any) -> None:
    """Marked as one; before it there is nothing to tell."""
    here = make(Ident("log"))
    connection = here.arrive()
    here.idents.waiting[0].callback(JOE)
    connection.settle()
    assert "client.ident" not in logged.named("opened")[0]
    assert logged.named("settled")[0]["client.ident"] == "claim"
    assert logged.named("settled")[0]["client.ident.claim"] == b"joe"


@pytest.mark.parametrize("reply", [IdentError("NO-USER"), NoReply(WhyNot.REFUSED)])
def test_what_is_known_already_is_there_at_once(make: Any, reply: IdentReply) -> None:
    """When the application begins."""
    here = make(Ident("log"))
    here.idents.known = reply
    assert here.arrive().peer.ident == reply


def test_the_end_of_the_connection_is_the_end_of_the_question(make: Any) -> None:
    """There is nothing to be asked about any more."""
    here = make(Ident("log"))
    connection = here.arrive()
    connection.meter.transport.abortConnection()
    here.service.clock.advance(0)
    assert here.idents.cancelled == here.idents.waiting
    assert connection.peer.ident is None


def test_an_answer_that_came_in_time_is_not_cancelled(make: Any) -> None:
    """It is kept for the last line."""
    here = make(Ident("log"))
    connection = here.arrive()
    here.idents.waiting[0].callback(JOE)
    connection.meter.transport.abortConnection()
    here.service.clock.advance(0)
    assert here.idents.cancelled == []
    assert connection.peer.ident == JOE


@pytest.mark.parametrize(("address", "local"), [(None, HERE), (UNIXAddress(b"/s"), HERE), (THERE, None)])
def test_whoever_has_no_address_is_not_asked_about(make: Any, address: Any, local: Any) -> None:
    """And it is told."""
    here = make(Ident("log"), idents=RealIdents(Clock))
    assert here.arrive(address, local).peer.ident == NoReply(WhyNot.NOT_ASKED)


def test_who_is_behind_a_proxy_is_not_asked_about(make: Any) -> None:
    """Its machine does not know this connection, and the proxy's knows the proxy's user only."""
    here = make(Ident("log"), ProxyProtocol("192.0.2.0/24"))
    connection = here.arrive()
    connection.meter.dataReceived(b"PROXY TCP4 203.0.113.9 198.51.100.7 4321 995\r\n")
    assert connection.state == "open"
    assert connection.peer.ident == NoReply(WhyNot.NOT_ASKED)
    assert here.idents.asked == []


def test_the_client_is_told_how_to_ask(make: Any) -> None:
    """Port and time, from the options; the defaults are those of services(5) and five seconds."""
    assert make(Ident("log")).idents.settled == [(113, 5.0)]
    assert make(Ident("log", "2s", "auth")).idents.settled == [(113, 2.0)]
    assert make(Ident("log", port=1113)).idents.settled == [(1113, 5.0)]


@pytest.mark.parametrize("word", ["require", "on", "allow", ""])
def test_nothing_can_be_required_of_a_claim(word: str) -> None:
    """There is one word besides `off`, which makes no guard."""
    with pytest.raises(OptionError, match=r"option ident: .* is not log$"):
        Ident(word)
    assert Policy.from_options({"ident": "off"}) == Policy()


def test_an_explanation_asks_nobody() -> None:
    """A supposed peer has no machine; and nothing would be decided by it."""
    assert explain(Policy(Ident("log")), Supposed("192.0.2.1")).verdict == "admitted"
