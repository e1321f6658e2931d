"""What is promised of observing: every guard of the catalogue can do it; it reports, and does nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from attrs import frozen
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed

from netguard.application import misdeed
from netguard.guard import Guard
from netguard.guards.access_rules import AccessRules
from netguard.guards.bandwidth import Bandwidth
from netguard.guards.byte_limit import ByteLimit
from netguard.guards.connection_limit import ConnectionLimit
from netguard.guards.connection_rate import ConnectionRate
from netguard.guards.first_byte_timeout import FirstByteTimeout
from netguard.guards.handshake_timeout import HandshakeTimeout
from netguard.guards.ident import Ident
from netguard.guards.idle_timeout import IdleTimeout
from netguard.guards.lifetime import Lifetime
from netguard.guards.load_shedding import LoadShedding
from netguard.guards.login_timeout import LoginTimeout
from netguard.guards.minimum_rate import MinimumRate
from netguard.guards.penalties import Penalties
from netguard.guards.proxy_protocol import ProxyProtocol
from netguard.guards.refusal import Refusal
from netguard.guards.transport import Transport
from netguard.guards.verified_name import VerifiedName
from netguard.guards.write_stall import WriteStall
from netguard.policy import CATALOGUE
from netguard.verdict import NoName

if TYPE_CHECKING:
    from tests.guards.conftest import Service, Wire

PEER = IPv4Address("TCP", "192.0.2.1", 40_000)
DECIDE_NOTHING = {Ident, Refusal, Transport}
"""They say how something is done, or what is claimed; there is nothing that they could do or leave."""


def comes(house: Service) -> Wire | None:
    """A connection comes; None when it is refused at once."""
    protocol: Any = house.factory.buildProtocol(PEER)
    if protocol is None:
        return None
    wire = house.wire(PEER)
    wire.protocol = protocol
    protocol.makeConnection(wire)
    house.wait(0)
    return wire


def second(house: Service) -> Wire | None:
    """One connection is there, and another comes."""
    assert comes(house)
    return comes(house)


def silent(house: Service) -> Wire | None:
    """Nothing comes, for a minute."""
    wire = comes(house)
    house.wait(60, 0.25)
    return wire


def noisy(house: Service) -> Wire | None:
    """A thousand bytes come at once."""
    peer = house.connect()
    peer.sends(b"x" * 1000)
    house.wait(0)
    return peer.wire


def slow(house: Service) -> Wire | None:
    """A byte comes every second, for a minute."""
    peer = house.connect()
    for _ in range(60):
        peer.sends(b"x")
        house.wait(1, 0.25)
    return peer.wire


def deaf(house: Service) -> Wire | None:
    """A thousand bytes are sent, and the peer takes none, for a minute."""
    peer = house.connect()
    peer.is_sent(b"x" * 1000)
    house.wait(60, 0.25)
    return peer.wire


def handshaking(house: Service) -> Wire | None:
    """TLS begins, and does not end."""
    peer = house.connect()
    peer.wire.startTLS = lambda *_: None  # type: ignore[attr-defined]
    transport: Any = peer.app.transport
    transport.startTLS(None)
    house.wait(60, 0.25)
    return peer.wire


def headed(house: Service) -> Wire | None:
    """A PROXY header comes from somebody who must not send one."""
    peer = house.connect()
    peer.sends(b"PROXY TCP4 10.0.0.1 10.0.0.2 3 4\r\n")
    house.wait(0)
    return peer.wire


def guessing(house: Service) -> Wire | None:
    """Two failed logins, and another connection."""
    peer = house.connect(PEER)
    for _ in range(2):
        misdeed(peer.app.transport, "failed-login")
    house.wait(1)
    return comes(house)


class NoNames:
    """A resolver that finds nothing."""

    def verify(self, _: str) -> Deferred[NoName]:
        """Answer."""
        return succeed(NoName())


def nameless(house: Service) -> Wire | None:
    """The peer has no name."""
    house.factory.service.names = NoNames()
    return comes(house)


@frozen
class Story:
    """What happens to a guard, and what it says when it only observes.

    Args:
        guard: the guard's class.
        options: its options.
        plays: lets it happen; answers the transport of the connection that matters.
        event: what is told.
    """

    guard: type[Guard]
    options: dict[str, Any]
    plays: Callable[[Service], Wire | None]
    event: str

    def __str__(self) -> str:
        """Name it."""
        return self.guard.__name__


STORIES = [
    Story(ConnectionLimit, {"total": 1}, second, "would_refuse"),
    Story(ConnectionLimit, {"per_peer": 1}, second, "would_refuse"),
    Story(ConnectionRate, {"total": "1/h"}, second, "would_refuse"),
    Story(ConnectionRate, {"per_peer": "1/h"}, second, "would_refuse"),
    Story(ProxyProtocol, {"sources": "10.0.0.0/8"}, headed, "would_cut"),
    Story(ProxyProtocol, {"sources": "192.0.2.0/24"}, silent, "would_refuse"),
    Story(LoadShedding, {"limit": 1}, second, "would_refuse"),
    Story(AccessRules, {"rules": "deny ALL"}, comes, "would_refuse"),
    Story(Penalties, {"penalty": "1/h"}, guessing, "would_refuse"),
    Story(VerifiedName, {"names": "require"}, nameless, "would_refuse"),
    Story(HandshakeTimeout, {"after": 10}, handshaking, "would_cut"),
    Story(FirstByteTimeout, {"after": 10}, silent, "would_cut"),
    Story(LoginTimeout, {"after": 10}, silent, "would_cut"),
    Story(IdleTimeout, {"after": 10}, silent, "would_cut"),
    Story(Lifetime, {"after": 10}, slow, "would_cut"),
    Story(MinimumRate, {"received": 100}, slow, "would_cut"),
    Story(MinimumRate, {"sent": 100}, deaf, "would_cut"),
    Story(WriteStall, {"after": 10}, deaf, "would_cut"),
    Story(ByteLimit, {"received": 10}, noisy, "would_cut"),
    Story(ByteLimit, {"item": 10}, noisy, "would_cut"),
    Story(ByteLimit, {"sent": 10}, deaf, "would_cut"),
    Story(ByteLimit, {"queue": 10}, deaf, "would_cut"),
    Story(Bandwidth, {"received": 10}, noisy, "would_pause"),
]
DEEDS = ("refused", "cut")
THOUGHTS = ("would_refuse", "would_cut", "would_pause")


def harmed(wire: Wire | None) -> bool:
    """Whether anything was done to a connection."""
    return wire is None or wire.aborted or not wire.connected or wire.producerState == "paused"


def told(logged: Any, *names: str) -> list[tuple[str, str]]:
    """Which of these events were told, by which guards."""
    return [(name, each["guard"]) for name in names for each in logged.named(name)]


def test_every_guard_with_a_decision_has_a_story() -> None:
    """Who adds a guard to the catalogue adds one here."""
    assert {each.guard for each in STORIES} == set(CATALOGUE) - DECIDE_NOTHING


@pytest.mark.parametrize("story", STORIES, ids=str)
def test_a_guard_that_acts_does_so_in_this_story(service: type[Service], logged: Any, story: Story) -> None:
    """Otherwise the next test would prove nothing; and it tells no thoughts."""
    house = service(story.guard(**story.options))
    assert harmed(story.plays(house))
    house.factory.abort_all()
    house.wait(0)
    assert not told(logged, *THOUGHTS)


@pytest.mark.parametrize("story", STORIES, ids=str)
def test_a_guard_that_observes_reports_and_does_nothing(service: type[Service], logged: Any, story: Story) -> None:
    """One report for the connection, which names the guard and why; it lives, and bytes pass in both directions."""
    house = service(story.guard(observe=True, **story.options))
    wire = story.plays(house)
    assert wire is not None
    assert not harmed(wire)
    assert told(logged, *THOUGHTS) == [(story.event, story.guard.__name__)]
    assert not told(logged, *DEEDS)
    (event,) = logged.named(story.event)
    assert event["count"] == 1
    assert event["way"] == "in" if story.event == "would_pause" else event["reason"]
    app: Any = house.built[-1]
    before = len(app.got)
    wire.protocol.dataReceived(b"more\n")
    app.transport.write(b"answer")
    assert len(app.got) == before + 5
    assert bytes(wire.dataBuffer).endswith(b"answer")


# Counts


def counted(logged: Any, name: str) -> dict[str, int]:
    """For how many connections the lines of an event stand, by guard."""
    counts: dict[str, int] = {}
    for each in logged.named(name):
        counts[each["guard"]] = counts.get(each["guard"], 0) + each["count"]
    return counts


def test_refusals_and_would_be_refusals_of_a_flood_are_counted_apart_and_exactly(
    service: type[Service], logged: Any
) -> None:
    """A hundred come in one moment; each guard's own count is right, though most lines of it are held back."""
    house = service(
        ConnectionLimit(total=10, observe=True),
        ConnectionRate(total="30/h"),
        AccessRules("deny ALL", observe=True),
    )
    let_in = [comes(house) for _ in range(100)]
    house.wait(2)
    assert sum(each is not None for each in let_in) == 30
    assert counted(logged, "refused") == {"ConnectionRate": 70}
    # The limit is asked before the rate, the rules are asked after it.
    assert counted(logged, "would_refuse") == {"ConnectionLimit": 90, "AccessRules": 30}
    assert len(logged.named("refused")) < 70
    assert len(logged.named("would_refuse")) < 90


def test_cuts_and_would_be_cuts_are_counted_apart_and_exactly(service: type[Service], logged: Any) -> None:
    """Whom one guard would have cut, another cuts later: one line for each deed, a count for each thought."""
    house = service(IdleTimeout(10, observe=True), Lifetime(20))
    for _ in range(50):
        comes(house)
    house.wait(30, 0.25)
    assert counted(logged, "would_cut") == {"IdleTimeout": 50}
    assert told(logged, "cut") == [("cut", "Lifetime")] * 50
    assert not logged.named("refused")
