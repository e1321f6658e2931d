"""Tests for netguard.process.operator: what can be asked of a service, and done to it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, ensureDeferred, succeed
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from netguard.errors import Expelled, OptionError
from netguard.guard import Misdeed
from netguard.guards.connection_limit import ConnectionLimit
from netguard.guards.connection_rate import ConnectionRate
from netguard.guards.idle_timeout import IdleTimeout
from netguard.guards.penalties import Penalties
from netguard.policy import Policy
from netguard.process.commands import ControlError, find
from netguard.process.control_session import Rows
from netguard.process.heartbeat import Heartbeat
from netguard.process.operator import DESCRIBED, Operator
from netguard.process.vitals import Vitals
from netguard.testing import Dialogue, connect

POLICY = Policy(
    ConnectionLimit(total=4, per_peer=3),
    ConnectionRate(total="1000/s"),
    IdleTimeout("5m"),
    Penalties("2/10m", exempt=None),
)


class Desk:
    """A service with an operator at it."""

    def __init__(self, policy: Policy = POLICY) -> None:
        self.clock = Clock()
        self.peers = [connect(policy, clock=self.clock)]
        self.factory = self.peers[0].factory
        self.house = self.factory.service
        self.operator = Operator(self.house, Vitals(self.house), self.clock)

    def connect(self, host: str = "192.0.2.1") -> Dialogue:
        """One more peer."""
        self.peers.append(connect(self.factory, address=IPv4Address("TCP", host, 40000)))
        return self.peers[-1]

    def ask(self, line: str, client: Any = None) -> Any:
        """Give a command; its answer as a program reads it."""
        command, words = find(self.operator.commands, line)
        result = command.do(command.call(words, client))
        if hasattr(result, "__await__"):
            answers: list[Any] = []
            ensureDeferred(result).addBoth(answers.append)
            for _ in range(100):
                self.clock.advance(0)
            result = answers[0]
            getattr(result, "raiseException", lambda: None)()
        rows = {key: json.loads(f"[{', '.join(value)}]") for key, value in result.items() if isinstance(value, Rows)}
        return json.loads(json.dumps({**result, **rows}))


@pytest.fixture
def desk() -> Desk:
    """An operator."""
    return Desk()


def test_the_status_has_the_figures(desk: Desk) -> None:
    """And how things are switched."""
    for _ in range(3):
        desk.connect()
    status = desk.ask("status")
    assert (status["connections"], status["peak"], status["accepted"]) == (3, 3, 3)
    assert status["refused"] == {"ConnectionLimit": 1}
    assert (status["draining"], status["heartbeat"]) == (False, "off")
    assert status["transports"] == {}
    desk.house.carriers["native"] += 1
    assert desk.ask("status")["transports"] == {"native": 1}


def test_connections_are_listed_in_the_order_in_which_they_came(desk: Desk) -> None:
    """All of them, however many there are, in slices."""
    desk = Desk(Policy(IdleTimeout("5m")))
    for _ in range(DESCRIBED * 2 + 3):
        desk.connect()
    found = desk.ask("connections")
    sessions = [each["session"] for each in found["connections"]]
    assert found["total"] == found["matching"] == len(sessions) == DESCRIBED * 2 + 4
    assert sessions == sorted(sessions)
    assert found["connections"][0]["waits"][0]["guard"] == "IdleTimeout"


def test_connections_are_sorted_cut_short_and_searched(desk: Desk) -> None:
    """The most of something first; by any part of the address, or of the session's number."""
    desk.connect("198.51.100.7").feed(b"123")
    desk.connect("198.51.100.8").feed(b"12345")
    found = desk.ask("connections sort=received most=2")
    assert [each["received"] for each in found["connections"]] == [5, 3]
    assert (found["total"], found["matching"]) == (3, 3)
    found = desk.ask("connections match=51.100")
    assert {each["client.address"] for each in found["connections"]} == {"198.51.100.7", "198.51.100.8"}
    assert (found["total"], found["matching"]) == (3, 2)
    assert len(desk.ask("connections most=1")["connections"]) == 1
    assert desk.ask("connections match=nobody")["connections"] == []


def test_the_least_come_first_where_that_is_asked(desk: Desk) -> None:
    """Of any key; the most and the least at a time are a mistake."""
    desk.connect("198.51.100.70").feed(b"123")
    desk.connect("198.51.100.8").feed(b"12345")
    assert [each["received"] for each in desk.ask("connections sort=received least=2")["connections"]] == [0, 3]
    (last,) = desk.ask("connections sort=peer most=1")["connections"]
    assert last["client.address"] == "198.51.100.8"
    sessions = [each["session"] for each in desk.ask("connections least=2")["connections"]]
    assert sessions == sorted(sessions)
    with pytest.raises(ControlError, match="write most=N or least=N"):
        desk.ask("connections most=1 least=1")


def test_one_that_ends_meanwhile_is_left_out() -> None:
    """A list is made over several turns of the reactor."""
    desk = Desk(Policy(IdleTimeout("5m")))
    for _ in range(DESCRIBED):
        desk.connect()
    command, words = find(desk.operator.commands, "connections")
    answers: list[Any] = []
    ensureDeferred(command.do(command.call(words))).addCallback(answers.append)
    desk.peers[-1].vanish()
    for _ in range(10):
        desk.clock.advance(0)
    rows = json.loads(f"[{', '.join(answers[0]['connections'])}]")
    assert len(rows) == DESCRIBED


@pytest.mark.parametrize(
    "line",
    ["connections sort=name", "connections most=0", "connections most=-1", "connections most=all", "connections sort="],
)
def test_what_cannot_be_listed_is_refused(desk: Desk, line: str) -> None:
    """With one line."""
    with pytest.raises(ControlError) as why:
        desk.ask(line)
    assert "\n" not in str(why.value)


def test_a_connection_is_cut_by_its_number(desk: Desk) -> None:
    """Once; and nobody else."""
    other = desk.connect()
    assert other.connection is not None
    number = other.connection.number
    assert desk.ask(f"cut {number}") == {"cut": number}
    other.advance(0)
    assert other.lost
    assert isinstance(other.connection.reason, Expelled)
    assert not desk.peers[0].lost
    with pytest.raises(ControlError, match=f"there is no session {number}"):
        desk.ask(f"cut {number}")
    with pytest.raises(ControlError, match="is not a whole number"):
        desk.ask("cut all")


def test_the_heartbeat_is_switched(desk: Desk) -> None:
    """By every way of writing it; alone, it says how it is."""
    with pytest.raises(ControlError, match="started without heartbeat"):
        desk.ask("heartbeat")
    desk.house.offers["heartbeat"] = Heartbeat(Vitals(desk.house), 60.0, desk.clock)
    said = [
        desk.ask(line)["heartbeat"]
        for line in ("heartbeat", "heartbeat off", "heartbeat 5s", "heartbeat off", "heartbeat on", "heartbeat on 10s")
    ]
    assert said == ["1m", "off", "5s", "off", "5s", "10s"]
    assert desk.ask("status")["heartbeat"] == "10s"
    for line in ("heartbeat off 5s", "heartbeat 5s 5s", "heartbeat often", "heartbeat on 1ms"):
        with pytest.raises((ControlError, OptionError)):
            desk.ask(line)
    assert desk.ask("heartbeat")["heartbeat"] == "10s"


class Drain:
    """What drains, for a test."""

    began: float | None = None

    def begin(self) -> None:
        """Begin."""
        self.began = 1.0


def test_draining_is_begun(desk: Desk) -> None:
    """Where the service can do that; the answer does not wait for its end."""
    with pytest.raises(ControlError, match="started without drain"):
        desk.ask("drain")
    desk.house.offers["drain"] = Drain()
    assert desk.ask("status")["draining"] is False
    assert desk.ask("drain") == {"draining": True, "connections": 1}
    assert desk.ask("status")["draining"] is True


class Reloading:
    """What reloads, for a test.

    Args:
        troubles: what could not be used.
    """

    def __init__(self, *troubles: str) -> None:
        self._troubles = troubles

    def reload(self) -> Deferred[list[str]]:
        """Answer."""
        return succeed(list(self._troubles))


def test_reloading_says_what_came_of_it(desk: Desk) -> None:
    """What could not be used is the answer."""
    desk.house.offers["reload"] = Reloading()
    assert desk.ask("reload") == {"reloaded": True}
    desk.house.offers["reload"] = Reloading("rules:3: no", "a.pem: no")
    with pytest.raises(ControlError, match=r"rules:3: no; a\.pem: no"):
        desk.ask("reload")


def test_penalties_are_listed_and_cleared(desk: Desk) -> None:
    """One peer's, or all."""
    assert desk.ask("penalties") == {"penalties": []}
    for host in ("192.0.2.1", "198.51.100.7"):
        peer: Any = desk.connect(host)
        desk.house.misdeed(peer.connection, Misdeed("failed-login", 3.0))
    rows = desk.ask("penalties")["penalties"]
    assert {each["peer"] for each in rows} == {"192.0.2.1", "198.51.100.7"}
    assert rows[0]["left"] == 60.0
    assert rows[0]["kinds"] == ["failed-login"]
    assert len(desk.ask("penalties most=1")["penalties"]) == 1
    assert desk.ask("clear 192.0.2.1") == {"cleared": 1}
    with pytest.raises(ControlError, match=r"nothing is known of '192.0.2.1'"):
        desk.ask("clear 192.0.2.1")
    assert desk.ask("clear all") == {"cleared": 1}
    assert desk.ask("clear all") == {"cleared": 0}


def test_limits_are_listed_with_what_holds(desk: Desk) -> None:
    """As one would write them, and whether they can be set."""
    rows = {each["option"]: each for each in desk.ask("limits")["limits"]}
    assert rows["max-connections"] == {
        "option": "max-connections",
        "value": "4",
        "guard": "ConnectionLimit",
        "settable": True,
    }
    assert (rows["idle"]["value"], rows["idle"]["settable"]) == ("5m", False)
    assert rows["connect-rate"]["settable"] is True
    desk.ask("limits set max-connections 7")
    rows = {each["option"]: each for each in desk.ask("limits")["limits"]}
    assert rows["max-connections"]["value"] == "7"


def test_a_limit_that_is_set_holds_for_newcomers(desk: Desk) -> None:
    """Up and down; who is there already stays."""
    assert desk.ask("limits set max-per-peer 1") == {"option": "max-per-peer", "value": "1", "before": "3"}
    assert desk.connect().refused
    assert not desk.peers[0].lost
    desk.ask("limits set max-per-peer 2")
    assert not desk.connect().refused
    assert desk.connect().refused
    desk.ask("limits set max-connections 2")
    assert desk.connect("198.51.100.7").refused
    desk.ask("limits set max-connections 3")
    assert not desk.connect("198.51.100.7").refused


def test_a_rate_that_is_set_holds_for_newcomers() -> None:
    """From the next one on."""
    desk = Desk(Policy(ConnectionRate(total="100/s", per_peer="50/s")))
    desk.ask("limits set connect-rate-per-peer 1/min")
    assert desk.connect("198.51.100.7").refused is False
    assert desk.connect("198.51.100.7").refused
    desk.ask("limits set connect-rate 1/h")
    desk.clock.advance(1)
    desk.connect("198.51.100.8")
    assert desk.connect("198.51.100.9").refused


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("limits set idle 3s", "cannot be set while the service runs; what can: connect-rate, max-connections"),
        ("limits set max-connections many", "option max-connections: 'many' is not a whole number"),
        ("limits set max-connections 0", "option max-connections: '0' is not"),
        ("limits set max-connections off", "option max-connections: 'off' is not"),
        ("limits set nothing 3", "'nothing' cannot be set"),
        ("limits set connect-rate fast", "option connect-rate: 'fast' is not"),
    ],
)
def test_what_cannot_be_set_changes_nothing(desk: Desk, line: str, why: str) -> None:
    """The option's own words say what is wrong with a value."""
    before = desk.ask("limits")
    with pytest.raises((ControlError, OptionError), match=why):
        desk.ask(line)
    assert desk.ask("limits") == before


def test_a_service_without_such_limits_says_so() -> None:
    """None can be set."""
    with pytest.raises(ControlError, match="what can: none"):
        Desk(Policy(IdleTimeout("5m"))).ask("limits set max-connections 3")


class Client:
    """Who watches events."""

    def __init__(self) -> None:
        self.transport = StringTransport()
        self.stream: Any = None


def test_events_are_watched_until_something_is_sent(desk: Desk) -> None:
    """Those that were asked for."""
    client = Client()
    command, words = find(desk.operator.commands, "events refused")
    ended: list[Any] = []
    command.do(command.call(words, client)).addCallback(ended.append)
    for _ in range(3):
        desk.connect()
    desk.clock.advance(0.1)
    (line,) = client.transport.value().splitlines()
    assert json.loads(line)["reason"].startswith("too many connections are open from this peer")
    client.stream.stopProducing()
    assert ended[0]["told"] == 1
    with pytest.raises(ControlError, match="'frob' is no event"):
        desk.ask("events frob")


def test_help_is_the_table(desk: Desk) -> None:
    """With every command in it."""
    commands = desk.ask("help")["commands"]
    assert [each["command"].split()[0] for each in commands] == [
        each.name.split()[0] for each in desk.operator.commands
    ]
