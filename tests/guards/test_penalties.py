"""What is promised of Penalties: who misbehaves is refused for a while, by prefix, and nobody else is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.interfaces import ISSLTransport
from zope.interface import directlyProvides

from netguard.application import misdeed
from netguard.errors import ItemTooLong, OptionError, Penalised
from netguard.guards import penalties
from netguard.guards.byte_limit import ByteLimit
from netguard.guards.handshake_timeout import HandshakeTimeout
from netguard.guards.penalties import Penalties, name_of
from netguard.guards.proxy_protocol import ProxyProtocol
from netguard.packed import pack, peer_key
from netguard.penalty_table import PenaltyTable
from netguard.policy import Policy
from netguard.units import Frequency, Prefix

if TYPE_CHECKING:
    from tests.guards.conftest import Peer, Service

HERE, THERE = "192.0.2.1", "192.0.2.2"


def misbehaves(peer: Peer, count: int = 1, kind: str = "failed-login", **about: Any) -> None:
    """The application says so, so many times."""
    for _ in range(count):
        misdeed(peer.app.transport, kind, **about)


def penalise(house: Service, host: str = HERE, count: int = 11) -> None:
    """A peer comes, misbehaves and goes."""
    peer = house.connect(host)
    misbehaves(peer, count)
    peer.wire.lost(ConnectionError())


@pytest.mark.parametrize("start", [0.0, 1.8e9])
def test_as_much_as_is_tolerated_passes_and_more_is_refused(service: type[Service], start: float) -> None:
    """Ten failed logins and no more; then nobody comes in from there for a minute."""
    house = service(Penalties("10/10m"), start=start)
    peer = house.connect(HERE)
    misbehaves(peer, 10)
    house.connect(HERE)
    misbehaves(peer)
    assert house.knock(HERE) is None
    house.clock.advance(59.9)
    assert house.knock(HERE) is None
    house.clock.advance(0.2)
    house.connect(HERE)


def test_connections_that_are_there_stay(service: type[Service]) -> None:
    """Somebody who has logged in from there reads on."""
    house = service(Penalties("10/10m"))
    peer, other = house.connect(HERE), house.connect(HERE)
    misbehaves(peer, 11)
    other.sends(b"STAT\r\n")
    house.wait(5)
    assert other.reason is None
    assert peer.reason is None
    assert other.app.got == b"STAT\r\n"


def test_one_users_mistakes_lock_out_nobody_who_comes_from_elsewhere(service: type[Service]) -> None:
    """What is counted is the address, never a name: the same user, from another address, is let in."""
    house = service(Penalties("10/10m"))
    penalise(house, HERE, 100)
    assert house.knock(HERE) is None
    peer = house.connect(THERE)
    misbehaves(peer, 10, once=b"alice and her old password")
    house.connect(THERE)


def test_peers_are_told_apart_by_prefix(service: type[Service]) -> None:
    """IPv6 by /64 unless told otherwise; IPv4-mapped ones are IPv4."""
    house = service(Penalties("10/10m"))
    for last in range(11):
        penalise(house, f"2001:db8::{last:x}", 1)
    assert house.knock("2001:db8::ffff") is None
    house.connect("2001:db8:0:1::1")
    penalise(house, f"::ffff:{HERE}")
    assert house.knock(HERE) is None
    house = service(Penalties("10/10m", prefix="24,48"))
    penalise(house, HERE)
    assert house.knock(THERE) is None
    house.connect("192.0.3.1")


@pytest.mark.parametrize("address", [None, UNIXAddress(b"/run/x")])
def test_peers_without_an_address_are_never_penalised(service: type[Service], address: Any) -> None:
    """They cannot be told apart."""
    house = service(Penalties("1/h"))
    peer = house.connect(address)
    misbehaves(peer, 100)
    penalise(house, HERE)
    house.connect(address)


def test_exempt_networks_are_never_penalised(service: type[Service]) -> None:
    """A gateway with many honest peers behind it; those outside of the network are penalised as ever."""
    house = service(Penalties("10/10m", exempt="10.0.0.0/8,2001:db8::/32"))
    for host in ("10.1.2.3", "2001:db8::1", "::ffff:10.1.2.3"):
        penalise(house, host, 1000)
        house.connect(host)
    penalise(house, "11.0.0.1")
    assert house.knock("11.0.0.1") is None


def test_this_machine_is_exempt_unless_somebody_says_otherwise() -> None:
    """A webmail or a proxy on it brings everybody's mistakes; other loopback addresses are peers as all are."""
    for surface in ("pop", "guard"):
        exempt = _exempt({"penalty": "10/10m"}, surface)
        assert exempt.contains("127.0.0.1")
        assert exempt.contains("::1")
        assert not exempt.contains("127.0.0.2")
    assert _exempt({"penalty-exempt": "off"}, "pop") is None
    assert Penalties("10/10m").exempt is None


def _exempt(options: dict[str, str], surface: str) -> Any:
    (guard,) = (each for each in Policy.from_options(options, surface).guards if isinstance(each, Penalties))
    return guard.exempt


def test_who_is_behind_a_proxy_is_penalised_and_not_the_proxy(service: type[Service]) -> None:
    """The effective address counts, for misdeeds and for refusals."""
    house = service(Penalties("10/10m"), ProxyProtocol("10.0.0.0/8"))
    wires = []

    def through(client: str) -> Any:
        address = IPv4Address("TCP", "10.0.0.1", 4)
        protocol: Any = house.factory.buildProtocol(address)
        wires.append(house.wire(address))
        wires[-1].protocol = protocol
        protocol.makeConnection(wires[-1])
        protocol.dataReceived(f"PROXY TCP4 {client} 192.0.2.9 4 110\r\n".encode())
        return protocol

    guesser = through(HERE)
    for _ in range(11):
        misdeed(guesser.protocol.transport, "failed-login")
    built = len(house.built)
    through(HERE)
    assert len(house.built) == built
    through(THERE)
    assert len(house.built) == built + 1


def test_a_cut_for_a_cause_is_a_misdeed(service: type[Service], logged: Any) -> None:
    """Guards need not say so themselves; what one is cut for has a weight."""
    house = service(ByteLimit(item=10), Penalties("2/10m"))
    for _ in range(3):
        peer = house.connect(HERE)
        peer.sends(b"x" * 100)
        house.wait(0)
        peer.why(ItemTooLong)
    assert house.knock(HERE) is None
    (event,) = logged.named("penalised")
    assert event["kinds"] == "cut"


@pytest.mark.parametrize(("closes", "misdeeds"), [(False, [("cut", 0.5)]), (True, [])])
def test_to_leave_without_a_good_bye_is_no_misdeed(
    service: type[Service], closes: bool, misdeeds: list[tuple[str, float]]
) -> None:
    """Some honest clients never answer TLS's close_notify; a handshake that does not come is another thing."""
    house = service(HandshakeTimeout(10), Penalties("10/10m"))
    told: list[tuple[str, float]] = []
    house.factory.service.when_misdeed(lambda _, each: told.append((each.kind, each.weight)))
    address = IPv4Address("TCP", HERE, 4)
    protocol: Any = house.factory.buildProtocol(address)
    wire = house.wire(address)
    wire.protocol = protocol
    directlyProvides(wire, ISSLTransport)
    protocol.makeConnection(wire)
    if closes:
        protocol.dataReceived(b"QUIT\r\n")
        wire.loseConnection = lambda: None  # type: ignore[method-assign]  # it waits for the peer
        protocol.protocol.transport.loseConnection()
    house.wait(20)
    assert wire.aborted
    assert told == misdeeds


def test_the_same_secret_of_the_same_user_counts_once(service: type[Service]) -> None:
    """A mail program with an old password may try it for ever."""
    house = service(Penalties("2/10m"))
    for _ in range(100):
        peer = house.connect(HERE)
        misbehaves(peer, once=b"alice, old password")
        house.wait(5)
    house.connect(HERE)
    for each in range(3):
        misbehaves(peer, once=b"guess %d" % each)
    assert house.knock(HERE) is None


# What is told


def test_the_refusal_names_what_would_have_to_change(service: type[Service], logged: Any) -> None:
    """The option, its limit, what was observed, and for how long it still holds."""
    house = service(Penalties("10/10m"))
    penalise(house)
    house.clock.advance(17.5)
    assert house.knock(HERE) is None
    (event,) = logged.named("refused")
    assert (event["guard"], event["option"]) == ("Penalties", "penalty")
    assert (event["limit"], event["observed"]) == ("10/10m", "11/10m")
    assert event["reason"] == (
        "the peer has misbehaved too often, observed 11/10m, limit 10/10m, option penalty, for 42.5s more"
    )
    assert event["reason"] == str(Penalised(Frequency(10, 600), Frequency(11, 600), 42.5))


def test_a_penalty_is_told_once_when_it_begins(service: type[Service], logged: Any) -> None:
    """Who, how long, which time, and for what; however much else the peer does."""
    house = service(Penalties("10/10m"))
    peer = house.connect("2001:db8::7")
    misbehaves(peer, 5, "malformed", weight=0.5)
    misbehaves(peer, 8)
    misbehaves(peer, 5)
    (event,) = logged.named("penalised")
    told = {name: event[name] for name in event["netguard"].fields}
    assert told == {
        "client.address": "2001:db8::7",
        "guard": "Penalties",
        "option": "penalty",
        "limit": "10/10m",
        "observed": "11/10m",
        "duration": 60.0,
        "times": 1,
        "peer": "2001:db8::/64",
        "kinds": "malformed,failed-login",
    }
    misbehaves(peer, 6)
    assert [(each["times"], each["duration"]) for each in logged.named("penalised")] == [(1, 60.0), (2, 120.0)]


def test_observing_says_what_it_would_have_done(service: type[Service], logged: Any) -> None:
    """Everybody is let in; and what somebody does who would have been refused makes no further penalty."""
    house = service(Penalties("10/10m", observe=True))
    house.clock.advance(1)
    peer = house.connect(HERE)
    house.clock.advance(1)
    misbehaves(peer, 11)
    house.clock.advance(1)
    for _ in range(5):
        penalise(house, HERE, 50)
    (event,) = logged.named("penalised")
    assert event["observe"] is True
    assert len(logged.named("would_refuse")) == 5
    assert not logged.named("refused")
    misbehaves(peer, 11)  # its connection would have been let in
    assert [each["times"] for each in logged.named("penalised")] == [1, 2]


def test_a_full_table_is_told_once_a_minute(
    service: type[Service], logged: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its bound; also after the clock was set back."""
    monkeypatch.setattr(penalties, "PenaltyTable", lambda *given: PenaltyTable(*given, suspects=5, offenders=5))
    house = service(Penalties("10/10m"))
    house.clock.advance(1e6)
    told = []
    for later in (0, 0, 59, 2, -3600):
        house.clock.rightNow += later
        for last in range(1, 20):
            penalise(house, f"192.0.2.{last}", 1)
        told.append(len(logged.named("full")))
    assert told == [1, 1, 1, 2, 3]
    event = logged.named("full")[0]
    assert (event["guard"], event["option"], event["limit"]) == ("Penalties", "penalty", 5)
    assert "forgotten" in event["reason"]


# Options


def test_penalties_are_as_long_as_the_options_say(service: type[Service]) -> None:
    """From the shortest, doubling, to the longest."""
    house = service(Penalties("1/m", shortest="10s", longest="35s"))
    lengths = []
    for _ in range(4):
        penalise(house, count=2)
        began = house.now
        while house.knock(HERE) is None:
            house.clock.advance(0.5)
        lengths.append(house.now - began)
    assert lengths == [10, 20, 35, 35]


def test_a_longest_penalty_below_the_shortest_is_a_mistake() -> None:
    """In one line, with both options; as long is right."""
    with pytest.raises(OptionError, match="option penalty-most: 30s is less than the 1m of penalty-for"):
        Penalties("10/10m", longest="30s")
    assert Penalties("10/10m", shortest="30s", longest="30s").longest == 30


# For the operator


def test_the_ledger_lists_and_clears(service: type[Service]) -> None:
    """By the addresses and networks that it lists, and by any address in them."""
    house = service(Penalties("10/10m", prefix="24,64"))
    (ledger,) = house.factory.service.penalties
    penalise(house, "2001:db8::7")
    penalise(house, HERE, 3)
    house.clock.advance(30)
    rows = [(row.key, row.left, row.times, row.score, row.kinds) for row in ledger.rows()]
    assert rows == [
        ("2001:db8::/64", 30.0, 1, 0.0, ("failed-login",)),
        ("192.0.2.0/24", 0.0, 0, 2.5, ("failed-login",)),
    ]
    assert [row.key for row in ledger.rows(most=1)] == ["2001:db8::/64"]
    assert ledger.clear("192.0.2.0/24") == 1
    assert ledger.clear(" 2001:db8::99 ") == 1
    assert ledger.clear("2001:db8::99") == 0
    house.connect("2001:db8::7")
    penalise(house, HERE)
    assert house.knock(THERE) is None
    assert ledger.clear() == 1
    house.connect(THERE)
    assert ledger.clear("no address") == 0


def test_the_ports_of_a_service_have_one_table() -> None:
    """What a peer does on one port counts on the other."""
    policy = Policy(Penalties("10/10m"))
    factory = policy.wrap(object())
    beside = policy.wrap(object(), beside=factory)
    assert len(factory.service.penalties) == 1
    assert beside.service is factory.service


@pytest.mark.parametrize(
    ("host", "prefix", "name"),
    [
        ("nobody", Prefix(), "nobody"),
        ("192.0.2.7", Prefix(), "192.0.2.7"),
        ("2001:db8::7", Prefix(), "2001:db8::/64"),
        ("::1", Prefix(32, 128), "::1"),
        ("::1", Prefix(32, 0), "::/0"),
        ("192.0.2.7", Prefix(24, 64), "192.0.2.0/24"),
    ],
)
def test_a_peer_has_a_name_that_a_person_can_use(host: str, prefix: Prefix, name: str) -> None:
    """An address, or the network that is one peer."""
    assert name_of(peer_key(pack(host), prefix), prefix) == name


def test_penalties_and_pardons_are_told_to_other_machines(service: type[Service]) -> None:
    """Once somebody asks; those of who only observes are not."""
    house, watcher = service(Penalties("10/10m")), service(Penalties("10/10m", observe=True))
    ((tally,), (ledger,)) = house.factory.service.tallies, house.factory.service.penalties
    assert tally.flag == "penalty"
    tally.news(9)
    penalise(house)
    house.clock.advance(20)
    assert tally.news(9) == {HERE: (40.0, 0, "failed-login")}
    ledger.clear(HERE)
    assert tally.news(9) == {HERE: None}
    penalise(house)
    penalise(house, THERE)
    tally.news(9)
    ledger.clear()
    assert tally.news(9) == {HERE: None, THERE: None}
    (other,) = watcher.factory.service.tallies
    other.news(9)
    penalise(watcher)
    assert other.news(9) == {}


def test_penalties_of_other_machines_hold(service: type[Service], logged: Any) -> None:
    """For what is left of them; a person finds them in the list, and can end them."""
    house = service(Penalties("10/10m"))
    ((tally,), (ledger,)) = house.factory.service.tallies, house.factory.service.penalties
    tally.hear("aa", {HERE: [30.0, 1, "malformed"]})
    assert house.knock(HERE) is None
    (event,) = logged.named("refused")
    assert (event["limit"], event["observed"]) == ("10/10m", "11/10m")
    assert logged.named("penalised") == []
    (row,) = ledger.rows()
    assert (row.key, row.left, row.kinds) == (HERE, 30.0, ("malformed",))
    house.clock.advance(30.1)
    house.connect(HERE)


def test_what_nobody_asks_for_is_not_kept(service: type[Service], monkeypatch: pytest.MonkeyPatch) -> None:
    """And what is kept for somebody who asks no more is bounded."""
    monkeypatch.setattr(penalties, "OFFENDERS", 2)
    house = service(Penalties("10/10m"))
    (tally,) = house.factory.service.tallies
    penalise(house)
    assert tally.news(9) == {}
    for number in range(1, 6):
        penalise(house, f"198.51.100.{number}")
    assert len(tally.news(9)) == 2
