"""What is promised of ConnectionLimit: as many as may be, and places are given back however a connection ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock

from netguard.errors import Expelled, Reason
from netguard.guard import Connection, Guard, frozen
from netguard.guards.connection_limit import ConnectionLimit, Crowd
from netguard.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.guards.conftest import Service


def test_exactly_max_connections_may_be_open(service: type[Service], logged: Any) -> None:
    """The next is refused, costs no application object, and the event names what would have to change."""
    house = service(ConnectionLimit(total=3))
    for host in ("192.0.2.1", "192.0.2.2", "2001:db8::1"):
        house.connect(host)
    assert house.knock("192.0.2.3") is None
    assert len(house.built) == 3
    (event,) = logged.named("refused")
    assert (event["guard"], event["option"]) == ("ConnectionLimit", "max-connections")
    assert (event["limit"], event["observed"], event["client.address"]) == ("3", "4", "192.0.2.3")


def test_exactly_max_per_peer_may_be_open(service: type[Service], logged: Any) -> None:
    """Others are not concerned."""
    house = service(ConnectionLimit(per_peer=2))
    house.connect("192.0.2.1")
    house.connect("192.0.2.1")
    assert house.knock("192.0.2.1") is None
    house.connect("192.0.2.2")
    (event,) = logged.named("refused")
    assert (event["guard"], event["option"]) == ("ConnectionLimit", "max-per-peer")
    assert (event["limit"], event["observed"]) == ("2", "3")


SAME = [
    ("192.0.2.1", "192.0.2.1", "32,64"),
    ("192.0.2.1", "::ffff:192.0.2.1", "32,64"),
    ("::ffff:192.0.2.1", "::ffff:192.0.2.1", "32,64"),
    ("192.0.2.1", "192.0.2.255", "24,64"),
    ("192.0.2.1", "::ffff:192.0.2.255", "24,64"),
    ("192.0.2.1", "203.0.113.9", "0,64"),
    ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", "32,64"),
    ("fe80::1%eth0", "fe80::2", "32,64"),
    ("fe80::1%eth0", "fe80::1%eth1", "32,128"),
    ("2001:db8:0:1::1", "2001:db8:0:2::1", "32,48"),
    ("2001:db8::1", "fe80::1", "32,0"),
]
DIFFERENT = [
    ("192.0.2.1", "192.0.2.2", "32,64"),
    ("192.0.2.1", "192.0.3.1", "24,64"),
    ("2001:db8:0:1::1", "2001:db8:0:2::1", "32,64"),
    ("2001:db8::1", "2001:db8::2", "32,128"),
    ("192.0.2.1", "2001:db8::1", "0,0"),
    ("::ffff:192.0.2.1", "::1", "32,0"),
]


@pytest.mark.parametrize(("one", "other", "prefix"), SAME)
def test_addresses_within_a_prefix_are_one_peer(service: type[Service], one: str, other: str, prefix: str) -> None:
    """IPv4-mapped IPv6 addresses are IPv4 addresses; a zone does not count."""
    for first, second in ((one, other), (other, one)):
        house = service(ConnectionLimit(per_peer=1, prefix=prefix))
        house.connect(first)
        assert house.knock(second) is None


@pytest.mark.parametrize(("one", "other", "prefix"), DIFFERENT)
def test_addresses_beyond_a_prefix_are_two_peers(service: type[Service], one: str, other: str, prefix: str) -> None:
    """An IPv4 address is never the same peer as an IPv6 address."""
    house = service(ConnectionLimit(per_peer=1, prefix=prefix))
    house.connect(one)
    house.connect(other)
    assert house.knock(one) is None
    assert house.knock(other) is None


@pytest.mark.parametrize("address", [None, UNIXAddress(b"/run/x"), UNIXAddress(b"")])
def test_peers_without_an_address_have_only_the_total_limit(service: type[Service], address: Any) -> None:
    """A UNIX socket's peers cannot be told apart."""
    house = service(ConnectionLimit(total=5, per_peer=1))
    for _ in range(5):
        house.connect(address)
    assert house.knock(address) is None


@frozen
class Refuses(Guard):
    """A guard that comes later and refuses, at once or after a while, or fails."""

    how: str = "now"

    def open(self, connection: Connection) -> Deferred[None] | None:
        """Refuse."""
        if self.how == "fail":
            raise ZeroDivisionError
        waits: Deferred[None] = succeed(None) if self.how == "soon" else Deferred()
        if self.how == "now":
            connection.refuse(Expelled())
            return None
        waits.addCallback(lambda _: connection.refuse(Expelled()))
        if self.how == "later":
            connection.after(1, lambda _: waits.callback(None))
        return waits


@pytest.fixture
def crowds(monkeypatch: pytest.MonkeyPatch) -> list[Crowd]:
    """What was counted, by every ConnectionLimit that was installed."""
    made: list[Crowd] = []
    begin = Crowd.__init__

    def remember(self: Crowd, limit: ConnectionLimit) -> None:
        begin(self, limit)
        made.append(self)

    monkeypatch.setattr(Crowd, "__init__", remember)
    return made


def _nobody(crowds: list[Crowd]) -> bool:
    (crowd,) = crowds
    return crowd.total == 0 and crowd.peers == {}


@pytest.mark.parametrize("how", ["now", "soon"])
def test_a_refusal_by_a_later_guard_gives_the_place_back(service: type[Service], crowds: list[Crowd], how: str) -> None:
    """For the total and for the peer."""
    house = service(ConnectionLimit(total=1, per_peer=1), Refuses(how))
    for _ in range(5):
        protocol = house.factory.buildProtocol(IPv4Address("TCP", "192.0.2.1", 5))
        if protocol is not None:
            wire = house.wire(None)
            wire.protocol = protocol
            protocol.makeConnection(wire)
            house.wait(1)
    assert _nobody(crowds)
    assert house.built == []


def test_a_late_refusal_gives_the_place_back(service: type[Service], crowds: list[Crowd]) -> None:
    """It is taken as long as the other guard thinks."""
    house = service(ConnectionLimit(total=1, per_peer=1), Refuses("later"))
    protocol: Any = house.factory.buildProtocol(IPv4Address("TCP", "192.0.2.1", 5))
    wire = house.wire(None)
    wire.protocol = protocol
    protocol.makeConnection(wire)
    assert house.knock() is None
    house.wait(2)
    assert wire.aborted
    assert _nobody(crowds)


def test_a_later_guard_that_fails_gives_the_place_back(
    service: type[Service], crowds: list[Crowd], logged: Any
) -> None:
    """Nobody gets in unexamined, and nobody's place is lost."""
    house = service(ConnectionLimit(total=1, per_peer=1), Refuses("fail"))
    for _ in range(3):
        assert house.knock() is None
    assert _nobody(crowds)
    assert len(logged.take_failures(ZeroDivisionError)) == 3


@pytest.mark.parametrize("ends", ["peer", "cut", "none", "raise"])
def test_every_end_gives_the_place_back(service: type[Service], crowds: list[Crowd], ends: str) -> None:
    """The peer's, ours, and the application's that wants no connection or fails to make one."""
    house = service(ConnectionLimit(total=1, per_peer=1))

    def refuse(_: object) -> None:
        if ends == "raise":
            raise ZeroDivisionError

    if ends in {"none", "raise"}:
        cast("Any", house.inner).buildProtocol = refuse
    for _ in range(3):
        if ends == "raise":
            with pytest.raises(ZeroDivisionError):
                house.knock()
        elif ends == "none":
            assert house.knock() is None
        else:
            peer = house.connect()
            assert house.knock() is None
            if ends == "peer":
                peer.wire.lost(ConnectionDone())
            else:
                peer.connection.cut(Expelled())
                assert house.knock() is None  # not before it is really gone
                house.wait(0)
            assert peer.reason is not None
        assert _nobody(crowds)


def test_an_early_end_while_others_think_gives_the_place_back(service: type[Service], crowds: list[Crowd]) -> None:
    """A peer that leaves before it was let in."""
    house = service(ConnectionLimit(total=1, per_peer=1), Refuses("never"))
    protocol: Any = house.factory.buildProtocol(IPv4Address("TCP", "192.0.2.1", 5))
    wire = house.wire(None)
    wire.protocol = protocol
    protocol.makeConnection(wire)
    wire.lost(ConnectionDone())
    assert _nobody(crowds)


def test_two_factories_of_one_service_count_together(service: type[Service]) -> None:
    """``beside`` shares what was installed; another ``wrap`` does not."""
    house = service(ConnectionLimit(total=2))
    policy = Policy(ConnectionLimit(total=2))
    clock: Any = Clock()
    inner: Any = house.inner
    first = policy.wrap(inner, clock)
    second = policy.wrap(inner, clock, beside=first)
    alone = policy.wrap(inner, clock)
    build: Callable[[Any], Any] = lambda factory: factory.buildProtocol(None)  # noqa: E731
    assert [build(first) is None, build(second) is None, build(first) is None] == [False, False, True]
    assert build(second) is None
    assert build(alone) is not None


def test_without_a_limit_for_a_peer_nobody_is_remembered(service: type[Service], crowds: list[Crowd]) -> None:
    """Memory is for those who want it."""
    house = service(ConnectionLimit(total=1))
    peer = house.connect()
    assert crowds[0].peers == {}
    peer.wire.lost(ConnectionDone())
    assert _nobody(crowds)


def test_observing_says_once_a_connection_what_it_would_have_done(service: type[Service], logged: Any) -> None:
    """And lets everybody in; those are counted, and give back their places."""
    house = service(ConnectionLimit(total=1, per_peer=1, observe=True))
    peers = [house.connect() for _ in range(3)]
    assert len(logged.named("would_refuse")) == 2
    assert {each["option"] for each in logged.named("would_refuse")} == {"max-connections"}
    assert [each["observed"] for each in logged.named("would_refuse")] == ["2", "3"]
    for each in peers:
        each.wire.lost(ConnectionDone())
    house.connect()
    assert len(logged.named("would_refuse")) == 2


def test_a_refused_connection_has_exactly_one_event(service: type[Service], logged: Any) -> None:
    """And no other limit of the same guard adds one."""
    house = service(ConnectionLimit(total=1, per_peer=1))
    house.connect()
    before = len(logged.events)
    assert house.knock() is None
    assert [each["event"] for each in logged.events[before:]] == ["refused"]
    assert issubclass(Expelled, Reason)


def test_a_full_service_says_so_without_counting(service: type[Service]) -> None:
    """Before anything is made for a newcomer, who is told as refused all the same."""
    house = service(ConnectionLimit(total=2))
    first = house.connect()
    assert house.factory.meet("192.0.2.9", 1) is not None
    house.connect()
    assert house.factory.meet("192.0.2.9", 1) is None
    assert house.factory.meet("192.0.2.9", 2) is None
    first.wire.lost(ConnectionDone())
    assert house.factory.meet("192.0.2.9", 1) is not None
    assert house.knock() is not None
    assert house.knock() is None
    assert len(house.built) == 3


def test_connections_to_other_machines_count(service: type[Service], logged: Any) -> None:
    """As far as they are known; and those of here are told."""
    house = service(ConnectionLimit(per_peer=3))
    (tally,) = house.factory.service.tallies
    assert tally.flag == "max-per-peer"
    first = house.connect("192.0.2.1")
    assert tally.news(9) == {"192.0.2.1": 1}
    tally.hear("aa", {"192.0.2.1": 1})
    tally.hear("bb", {"192.0.2.1": 1})
    assert house.knock("192.0.2.1") is None
    house.connect("192.0.2.2")
    (event,) = logged.named("refused")
    assert (event["limit"], event["observed"]) == ("3", "4")
    tally.forget("bb")
    house.connect("192.0.2.1")
    assert house.knock("192.0.2.1") is None
    first.wire.lost(ConnectionDone())
    house.connect("192.0.2.1")
    assert tally.news(9) == {"192.0.2.1": 2, "192.0.2.2": 1}


def test_a_total_is_not_counted_over_machines() -> None:
    """It is there for this one's sake."""
    assert Policy(ConnectionLimit(total=3)).wrap(object()).service.tallies == []
