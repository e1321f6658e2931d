"""What is promised of VerifiedName: names are logged beside connections, or required before they open."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from attrs import define, field
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import Deferred, succeed

from netguard.errors import ContradictoryOptions, OptionError
from netguard.explanation import Supposed, explain
from netguard.factory import GuardedFactory
from netguard.guards.access_rules import AccessRules
from netguard.guards.verified_name import VerifiedName
from netguard.policy import Policy
from netguard.service import Service as House
from netguard.verdict import Failure, Mismatch, NoName, Timeout, Verdict, Verified

if TYPE_CHECKING:
    from tests.guards.conftest import Service

HERE = "192.0.2.7"
GOOD = Verified("mail.example")
BAD: list[tuple[Verdict, str]] = [
    (NoName(), "no-name"),
    (Mismatch(("liar.example",)), "mismatch"),
    (Timeout(), "timeout"),
    (Failure(2), "failure"),
]


@define
class Names:
    """A resolver that answers when the test says so.

    Attributes:
        verdict: what it answers at once; None while it thinks.
    """

    verdict: Verdict | None = None
    asked: list[str] = field(factory=list)
    waiting: list[Deferred[Verdict]] = field(factory=list)
    settled: list[tuple[Any, ...]] = field(factory=list)
    cancelled: list[Any] = field(factory=list)

    def settle(self, servers: Any, within: float | None, proxy: str | None) -> None:
        """Remember."""
        self.settled.append((servers, within, proxy))

    def verify(self, host: str) -> Deferred[Verdict]:
        """Answer, or think."""
        self.asked.append(host)
        if self.verdict is not None:
            return succeed(self.verdict)
        self.waiting.append(Deferred(self.cancelled.append))
        return self.waiting[-1]


class Named:
    """A guarded service that has a resolver."""

    def __init__(self, service: type[Service], *guards: Any) -> None:
        self.names = Names()
        self.service = service()
        clock: Any = self.service.clock
        self.house = House(lambda: clock)
        self.house.names = self.names
        policy = Policy(*guards)
        observed = frozenset(type(each).__name__ for each in policy.guards if each.observe)
        self.service.factory = GuardedFactory(
            self.service.inner, policy.guards, observed=observed, reactor=clock, service=self.house
        )

    def arrive(self, address: Any = HERE) -> Any:
        """A peer connects; its connection."""
        address = IPv4Address("TCP", address, 50_000) if isinstance(address, str) else address
        protocol: Any = self.service.factory.buildProtocol(address)
        assert protocol is not None
        wire = self.service.wire(address)
        wire.protocol = protocol
        protocol.makeConnection(wire)
        self.service.clock.advance(0)
        return protocol.connection


@pytest.fixture
def make(service: type[Service]) -> Any:
    """Makes services."""
    return lambda *guards: Named(service, *guards)


def test_a_required_name_is_waited_for(make: Any) -> None:
    """The application is built only when it is there, and can read it."""
    here = make(VerifiedName("require"))
    connection = here.arrive()
    assert connection.state == "opening"
    assert here.service.built == []
    here.names.waiting[0].callback(GOOD)
    assert connection.state == "open"
    assert len(here.service.built) == 1
    assert connection.peer.name == GOOD
    assert here.names.asked == [HERE]


@pytest.mark.parametrize(("verdict", "observed"), BAD)
def test_whoever_has_no_verified_name_is_refused(make: Any, logged: Any, verdict: Verdict, observed: str) -> None:
    """Each verdict says which one it was; and no application is built."""
    here = make(VerifiedName("require"))
    here.names.verdict = verdict
    connection = here.arrive()
    assert connection.state == "ended"
    assert here.service.built == []
    (event,) = logged.named("refused")
    assert (event["guard"], event["option"], event["observed"]) == ("VerifiedName", "names", observed)
    assert event["client.name.verdict"] == observed
    assert "client.name" not in event
    assert event["client.address"] == HERE


def test_who_only_observes_lets_them_in(make: Any, logged: Any) -> None:
    """And tells whom it would have refused."""
    here = make(VerifiedName("require", observe=True))
    here.names.verdict = NoName()
    assert here.arrive().state == "open"
    (event,) = logged.named("would_refuse")
    assert (event["option"], event["observed"]) == ("names", "no-name")


def test_a_logged_name_is_not_waited_for(make: Any, logged: Any) -> None:
    """The connection goes on, and its last event has the name, behind the address."""
    here = make(VerifiedName("log"))
    connection = here.arrive()
    assert (connection.state, connection.peer.name) == ("open", None)
    here.names.waiting[0].callback(GOOD)
    assert connection.peer.name == GOOD
    here.service.built[0].transport.loseConnection()
    here.service.clock.advance(0)
    (event,) = logged.named("closed")
    assert (event["client.name"], event["client.name.verdict"]) == ("mail.example", "verified")
    assert event["client.address"] == HERE
    assert "client=192.0.2.7 " in str(event["netguard"])
    assert here.names.cancelled == []


@pytest.mark.parametrize(("verdict", "word"), BAD)
def test_other_verdicts_are_logged_as_words(make: Any, logged: Any, verdict: Verdict, word: str) -> None:
    """A name that was not verified stands in no log line."""
    here = make(VerifiedName("log"))
    here.names.verdict = verdict
    connection = here.arrive()
    assert connection.peer.name == verdict
    connection.meter.transport.abortConnection()
    here.service.clock.advance(0)
    (event,) = logged.named("closed")
    assert event["client.name.verdict"] == word
    assert "liar" not in str(event)


@pytest.mark.parametrize("how", ["log", "require"])
def test_the_end_of_the_connection_is_the_end_of_the_look_up(make: Any, logged: Any, how: str) -> None:
    """Nobody is interested any more, and nothing is said about it."""
    here = make(VerifiedName(how))
    connection = here.arrive()
    connection.meter.transport.abortConnection()
    here.service.clock.advance(0)
    assert connection.state == "ended"
    assert here.names.cancelled == here.names.waiting
    assert logged.named("refused") == []


@pytest.mark.parametrize("how", ["log", "require"])
@pytest.mark.parametrize("address", [None, UNIXAddress(b"/run/x")])
def test_peers_without_an_address_need_no_name(make: Any, how: str, address: Any) -> None:
    """A UNIX socket's permissions are what decides about them."""
    here = make(VerifiedName(how))
    assert here.arrive(address).state == "open"
    assert here.names.asked == []


@pytest.mark.parametrize("how", ["log", "require"])
def test_a_name_that_the_access_rules_have_asked_for_is_not_asked_for_again(make: Any, how: str) -> None:
    """One look-up for both."""
    here = make(VerifiedName(how), AccessRules("allow .example"))
    here.names.verdict = GOOD
    assert here.arrive().state == "open"
    assert here.names.asked == [HERE]


def test_how_to_look_up_is_said_for_the_access_rules_too(make: Any) -> None:
    """Without looking up anything for itself."""
    here = make(VerifiedName(within="1s", dns="127.0.0.1:5353", proxy="socks5h://127.0.0.1"))
    assert here.names.settled == [((("127.0.0.1", 5353),), 1.0, "socks5h://127.0.0.1")]
    assert here.arrive().state == "open"
    assert here.names.asked == []


def test_two_ports_of_a_service_look_up_alike(service: type[Service]) -> None:
    """Or the start ends with a line that says so."""
    clock: Any = service().clock
    house = House(lambda: clock)
    GuardedFactory(service().inner, [VerifiedName(within=1)], reactor=clock, service=house)
    with pytest.raises(ContradictoryOptions, match="option names-within"):
        GuardedFactory(service().inner, [VerifiedName(within=2)], reactor=clock, service=house)


@pytest.mark.parametrize("options", [{}, {"names": "sometimes"}, {"dns": "dns.example"}, {"within": 0}, {"proxy": 1}])
def test_what_cannot_be_meant_is_refused(options: dict[str, Any]) -> None:
    """With the name of the option."""
    with pytest.raises(
        OptionError, match=r"VerifiedName needs at least one of|option (names|dns|dns-proxy|names-within): "
    ):
        VerifiedName(**options)


@pytest.mark.parametrize(
    ("name", "verdict"), [(GOOD, "admitted"), (NoName(), "refused"), (Timeout(), "refused"), (None, "waits")]
)
def test_it_can_be_explained(name: Verdict | None, verdict: str) -> None:
    """With the verdict that is supposed; without one, the connection waits for it. To log a name, none is needed."""
    supposed = Supposed(HERE, name=name)
    assert explain(Policy(VerifiedName("require", dns="127.0.0.1")), supposed).verdict == verdict
    assert explain(Policy(VerifiedName("log")), supposed).verdict == "admitted"
