"""What is promised of AccessRules: the first rule that concerns a peer decides, and the log says which one it was."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from netguard.errors import Denied, DeniedByFile, NameUnknown, OptionError, PrivilegedPort
from netguard.explanation import Supposed, explain
from netguard.factory import GuardedFactory
from netguard.guards.access_rules import AccessRules
from netguard.policy import Policy
from netguard.rules import Rules, rules
from netguard.service import Service as House
from netguard.verdict import Failure, Mismatch, NoName, Timeout, Verified

if TYPE_CHECKING:
    from collections.abc import Callable

    from netguard.verdict import Verdict
    from tests.guards.conftest import Service

HERE = "192.0.2.7"


def test_the_first_rule_that_concerns_a_peer_decides(service: type[Service], logged: Any) -> None:
    """A refusal names the rule and the option; it costs no application object."""
    house = service(AccessRules(["allow 192.0.2.7", "deny 192.0.2.0/24", "allow 2001:db8::/32", "deny ALL"]))
    for host in (HERE, "2001:db8::1", "::ffff:192.0.2.7"):
        house.connect(host)
    assert house.knock("192.0.2.8") is None
    assert house.knock("203.0.113.1") is None
    assert len(house.built) == 3
    first, second = logged.named("refused")
    assert (first["guard"], first["option"], first["limit"]) == ("AccessRules", "rules", "deny 192.0.2.0/24")
    assert second["limit"] == "deny ALL"
    assert "observed" not in first
    assert first["reason"] == ("the access rules do not let the peer in, limit deny 192.0.2.0/24, option rules")


@pytest.mark.parametrize(("last", "let_in"), [("allow 10.0.0.0/8", False), ("deny 10.0.0.0/8", True)])
def test_the_opposite_of_the_last_rule_holds_for_everybody_else(
    service: type[Service], logged: Any, last: str, *, let_in: bool
) -> None:
    """The refusal says that there was no rule."""
    house = service(AccessRules(f"deny 198.51.100.0/24,{last}"))
    assert (house.knock(HERE) is not None) is let_in
    if not let_in:
        (event,) = logged.named("refused")
        assert (event["limit"], event["option"]) == ("none of them allows it", "rules")


@pytest.mark.parametrize("address", [None, UNIXAddress(b"/run/x")])
def test_peers_without_an_address_are_concerned_by_words_alone(service: type[Service], address: Any) -> None:
    """By UNIX and by ALL; no network has them, and no name could be looked up."""
    assert service(AccessRules("deny UNIX,allow ALL")).knock(address) is None
    assert service(AccessRules("allow UNIX,deny ALL")).knock(address) is not None
    assert service(AccessRules("deny 0.0.0.0/0")).knock(address) is not None
    assert service(AccessRules("allow 0.0.0.0/0 ::/0")).knock(address) is None


def test_a_guard_that_observes_tells_and_lets_in(service: type[Service], logged: Any) -> None:
    """Rules can be tried before they hold."""
    house = service(AccessRules("deny 192.0.2.0/24", privileged_port="refuse", observe=True))
    house.connect(HERE)
    (event,) = logged.named("would_refuse")
    assert (event["guard"], event["limit"]) == ("AccessRules", "deny 192.0.2.0/24")


# ports


def _from_port(house: Service, port: int) -> Any:
    return house.factory.buildProtocol(IPv4Address("TCP", HERE, port))


@pytest.mark.parametrize(("port", "let_in"), [(1, False), (1023, False), (1024, True), (65535, True), (0, True)])
def test_peers_from_privileged_ports_are_refused_where_that_is_wanted(
    service: type[Service], logged: Any, port: int, *, let_in: bool
) -> None:
    """All ports below 1024, and no other."""
    house = service(AccessRules(privileged_port="refuse"))
    assert (_from_port(house, port) is not None) is let_in
    if not let_in:
        (event,) = logged.named("refused")
        assert (event["option"], event["limit"], event["observed"]) == ("privileged-port", "1024", str(port))


@pytest.mark.parametrize("how", ["allow", "log", None])
@pytest.mark.parametrize(("rule", "let_in"), [("allow ALL", True), ("deny ALL", False)])
def test_a_privileged_port_opens_no_door(service: type[Service], how: str | None, rule: str, *, let_in: bool) -> None:
    """Whatever is done about such ports, the rules decide alike for every port."""
    house = service(AccessRules(rule, privileged_port=how))
    for port in (22, 1023, 1024, 50_000):
        assert (_from_port(house, port) is not None) is let_in


def test_no_rule_opens_a_door_to_a_port_that_is_refused(service: type[Service]) -> None:
    """Nor is there any way to write one that goes by ports."""
    assert _from_port(service(AccessRules("allow ALL", privileged_port="refuse")), 1023) is None
    for rule in ("allow 192.0.2.7:22", "allow port:22", "allow 22", "allow [2001:db8::1]:22"):
        with pytest.raises(OptionError, match="option rules"):
            AccessRules(rule)


def test_a_privileged_port_is_logged_where_that_is_wanted(service: type[Service], logged: Any) -> None:
    """In every event of that connection, and of no other."""
    house = service(AccessRules(privileged_port="log"))
    for port in (1023, 1024):
        peer: Any = _from_port(house, port)
        peer.makeConnection(house.wire(None))
    first, second = logged.named("opened")
    assert first["client.privileged"] == "yes"
    assert "client.privileged" not in second


# names


class Names:
    """A resolver that answers when a test lets it."""

    def __init__(self, verdict: Verdict | None = None) -> None:
        self.asked: list[str] = []
        self.verdict = verdict
        self.waiting: list[Deferred[Verdict]] = []

    def verify(self, host: str) -> Deferred[Verdict]:
        """Answer, now or later."""
        self.asked.append(host)
        if self.verdict is not None:
            return succeed(self.verdict)
        self.waiting.append(Deferred())
        return self.waiting[-1]


class Named:
    """A guarded service that has a resolver."""

    def __init__(self, service: type[Service], names: Names, *args: Any, **options: Any) -> None:
        self.names = names
        self.service = service()
        self.house = House(lambda: clock)
        clock: Any = self.service.clock
        self.house.names = names
        self.guard = AccessRules(*args, **options)
        self.service.factory = GuardedFactory(self.service.inner, [self.guard], reactor=clock, service=self.house)

    def arrive(self, host: str = HERE, port: int = 50_000) -> Any:
        """A peer connects; its wrapper."""
        address = IPv4Address("TCP", host, port)
        protocol: Any = self.service.factory.buildProtocol(address)
        assert protocol is not None
        wire = self.service.wire(address)
        wire.protocol = protocol
        protocol.makeConnection(wire)
        return protocol

    def state(self, verdict: Verdict) -> str:
        """What becomes of a peer with this verdict."""
        self.names.verdict = verdict
        peer = self.arrive()
        state = str(peer.connection.state)
        self.service.clock.advance(0)
        return state


GOOD = Verified("host.good.example")


@pytest.mark.parametrize(
    ("listed", "verdict", "state"),
    [
        ("allow .good.example", GOOD, "open"),
        ("allow .good.example", Verified("host.notgood.example"), "refused"),
        ("allow .good.example", Verified("xgood.example"), "refused"),
        ("allow host.good.example", GOOD, "open"),
        ("allow host.good.example", Mismatch(("host.good.example",)), "refused"),
        ("deny UNKNOWN", NoName(), "refused"),
        ("deny UNKNOWN", Mismatch(), "open"),
        ("deny UNKNOWN", GOOD, "open"),
        ("deny PARANOID", Mismatch(), "refused"),
        ("deny PARANOID", NoName(), "open"),
        ("allow KNOWN", GOOD, "open"),
        ("allow KNOWN", NoName(), "refused"),
        ("allow KNOWN", Mismatch(), "refused"),
    ],
)
def test_a_name_decides_when_it_is_verified(service: type[Service], listed: str, verdict: Verdict, state: str) -> None:
    """And the words mean what tcp_wrappers means by them."""
    assert Named(service, Names(), listed).state(verdict) == state


def test_a_privileged_port_is_logged_where_a_name_decides_too(service: type[Service], logged: Any) -> None:
    """The name is looked up first, and does not hide the port."""
    named = Named(service, Names(GOOD), "allow .good.example", privileged_port="log")
    assert named.arrive(port=99).connection.state == "open"
    (event,) = logged.named("opened")
    assert (event["client.privileged"], event["client.name"]) == ("yes", "host.good.example")


def test_a_peer_waits_for_its_name(service: type[Service]) -> None:
    """There is no application before the verdict, and the verdict is known afterwards."""
    named = Named(service, Names(), "allow .good.example,deny ALL")
    peer = named.arrive()
    assert (peer.connection.state, named.service.built) == ("opening", [])
    assert named.names.asked == [HERE]
    named.names.waiting[0].callback(GOOD)
    assert peer.connection.state == "open"
    assert peer.connection.peer.name == GOOD


def test_a_name_is_only_looked_up_where_it_decides(service: type[Service]) -> None:
    """Peers whom a rule before it concerns cost no question."""
    named = Named(service, Names(GOOD), "allow 192.0.2.0/24,deny .bad.example,allow ALL")
    assert named.arrive(HERE).connection.state == "open"
    assert named.names.asked == []
    assert named.arrive("203.0.113.5").connection.state == "open"
    assert named.names.asked == ["203.0.113.5"]


def test_a_name_that_is_known_is_not_looked_up_again(service: type[Service]) -> None:
    """Whoever found it out."""
    named = Named(service, Names(), "allow .good.example")
    door = named.service.factory.opening.questions[0][1]
    peer = named.arrive()
    peer.connection.learn(name=GOOD)
    wait: Any = door(peer.connection)
    with pytest.raises(StopIteration):
        wait.send(None)
    assert named.names.asked == [HERE]


def test_a_refusal_by_name_tells_the_name(service: type[Service], logged: Any) -> None:
    """With the rule, so that the operator need not look it up again."""
    named = Named(service, Names(), "deny .good.example UNKNOWN PARANOID,allow 198.51.100.1")
    for verdict in (GOOD, NoName(), Mismatch(("liar.example",))):
        assert named.state(verdict) == "refused"
    assert named.state(Verified("x.example")) == "refused"
    assert [(event["limit"], event["observed"]) for event in logged.named("refused")] == [
        ("deny .good.example", "host.good.example"),
        ("deny UNKNOWN", "no-name"),
        ("deny PARANOID", "mismatch"),
        ("none of them allows it", "x.example"),
    ]


@pytest.mark.parametrize("verdict", [Timeout(), Failure(2), Failure()])
def test_names_that_cannot_be_found_out_fail_closed_unless_told_otherwise(
    service: type[Service], logged: Any, verdict: Verdict
) -> None:
    """Open, the rules that need a name do not concern the peer."""
    listed = "deny .bad.example UNKNOWN PARANOID,allow ALL"
    assert Named(service, Names(), listed).state(verdict) == "refused"
    (event,) = logged.named("refused")
    assert (event["option"], event["limit"]) == ("names-fail", "deny .bad.example")
    assert event["observed"] == ("timeout" if verdict == Timeout() else "failure")
    assert Named(service, Names(), listed, names_fail="open").state(verdict) == "open"
    assert Named(service, Names(), "allow .good.example", names_fail="open").state(verdict) == "refused"


def test_a_resolver_that_fails_lets_nobody_in(service: type[Service], logged: Any) -> None:
    """Nobody gets in unexamined."""
    named = Named(service, Names(), "deny .bad.example")
    peer = named.arrive()
    named.names.waiting[0].errback(ZeroDivisionError())
    assert peer.connection.state == "refused"
    assert logged.take_failures(ZeroDivisionError)


def test_a_peer_that_leaves_while_its_name_is_looked_up_is_gone(service: type[Service], logged: Any) -> None:
    """What the verdict is does not matter any more."""
    named = Named(service, Names(), "deny .bad.example")
    peer = named.arrive()
    peer.transport.abortConnection()
    named.service.clock.advance(0)
    named.names.waiting[0].callback(Verified("x.bad.example"))
    assert peer.connection.state == "ended"
    assert logged.named("refused") == []
    assert named.service.built == []


def test_rules_about_names_are_a_mistake_where_nobody_looks_names_up(file: Path) -> None:
    """The start ends with one line that names the rule and its place."""
    house = _nameless()
    with pytest.raises(OptionError, match=re.escape("allow .x.example: rules about names need look-ups")):
        AccessRules("deny ::1,allow .x.example").install(house)
    file.write_text("allow 10.0.0.0/8\ndeny PARANOID")
    expected = re.escape(f"deny PARANOID ({file}:2): rules about names need look-ups")
    with pytest.raises(OptionError, match=expected):
        AccessRules(file=file).install(house)
    file.write_text("allow 10.0.0.0/8\ndeny ALL")
    AccessRules(file=file).install(house)
    file.write_text("allow .x.example")
    assert not house.reload()


def _nameless() -> Any:
    clock: Any = Clock()
    house = House(lambda: clock)
    house.names = None
    return house


# files


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of rules."""
    path = tmp_path / "net.rules"
    path.write_text("# ours\nallow 192.0.2.0/24\ndeny ALL\n")
    return path


def test_the_rules_of_a_file_come_after_the_others(service: type[Service], file: Path, logged: Any) -> None:
    """A refusal by the file names the line."""
    house = service(AccessRules("deny 192.0.2.66", file=str(file)))
    house.connect(HERE)
    assert house.knock("192.0.2.66") is None
    assert house.knock("203.0.113.1") is None
    first, second = logged.named("refused")
    assert (first["option"], first["limit"]) == ("rules", "deny 192.0.2.66")
    assert (second["option"], second["limit"]) == ("access", f"deny ALL ({file}:3)")


def test_the_last_rule_of_all_says_what_holds_for_everybody_else(
    service: type[Service], file: Path, logged: Any
) -> None:
    """It is the file's."""
    file.write_text("allow 192.0.2.0/24")
    house = service(AccessRules("deny 192.0.2.66", file=file))
    assert house.knock("203.0.113.1") is None
    (event,) = logged.named("refused")
    assert (event["option"], event["limit"]) == ("access", "none of them allows it")


def test_a_file_is_read_again_when_the_service_reloads(service: type[Service], file: Path) -> None:
    """For those who come from then on, over every port."""
    house = service(AccessRules(file=file))
    assert house.knock("203.0.113.1") is None
    file.write_text("allow 203.0.113.1")
    assert house.knock("203.0.113.1") is None
    assert house.factory.service.reload()
    house.connect("203.0.113.1")
    assert house.knock(HERE) is None


def test_who_is_in_can_be_judged_again(service: type[Service], file: Path) -> None:
    """By the rules of now, which may need the name that was not looked up before; a guard that observes only tells."""
    file.write_text("allow ALL")
    named = Named(service, Names(), file=file)
    good, bad, other = named.arrive(), named.arrive(), named.arrive("203.0.113.5")
    file.write_text("deny 203.0.113.0/24\nallow .good.example")
    assert named.house.reload()
    reviews: Any = named.house.review()
    waiting: list[Deferred[None]] = [Deferred.fromCoroutine(each) for each in reviews]
    assert (other.connection.state, good.connection.state) == ("cut", "open")
    assert isinstance(other.connection.reason, DeniedByFile)
    first, second = named.names.waiting
    first.callback(GOOD)
    second.callback(NoName())
    assert all(each.called for each in waiting)
    assert (good.connection.state, bad.connection.state) == ("open", "cut")
    named.service.clock.advance(1)
    assert named.house.reload()
    reviews = named.house.review()
    for review in reviews:
        with pytest.raises(StopIteration):
            review.send(None)  # its name is known by now
    assert good.connection.state == "open"


@pytest.mark.parametrize("broken", ["allow 203.0.113.1\nalow ::1", "", None, b"\xff"])
def test_a_broken_file_leaves_the_rules_as_they_were(
    service: type[Service], file: Path, logged: Any, broken: str | bytes | None
) -> None:
    """Nothing of it is used, and it is told in one line."""
    house = service(AccessRules(file=file))
    if broken is None:
        file.unlink()
    else:
        file.write_bytes(broken if isinstance(broken, bytes) else broken.encode())
    assert not house.factory.service.reload()
    (event,) = logged.named("reload_failed")
    assert str(file) in event["reason"]
    assert "\n" not in event["reason"]
    house.connect(HERE)
    assert house.knock("203.0.113.1") is None
    assert logged.named("reloaded") == []


def test_a_peer_who_waits_is_judged_by_the_rules_that_held_when_it_came(service: type[Service], file: Path) -> None:
    """All of them, so that it is never judged by some of the old and some of the new ones."""
    file.write_text("allow .good.example")
    named = Named(service, Names(), file=file)
    peer = named.arrive()
    file.write_text("deny .good.example")
    assert named.house.reload()
    named.names.waiting[0].callback(GOOD)
    assert peer.connection.state == "open"
    assert named.state(GOOD) == "refused"


def test_a_file_with_a_mistake_ends_the_start(file: Path) -> None:
    """The guard cannot even be made; the one line has the option, the file and the line."""
    file.write_text("allow ALL\nalow ::1\n")
    with pytest.raises(OptionError, match=re.escape(f"option access: {file}:2: 'alow ::1' is not a rule")):
        AccessRules(file=file)
    with pytest.raises(OptionError, match=r"option access: .*No such file"):
        AccessRules(file=file.with_name("other"))
    with pytest.raises(OptionError, match="option access"):
        AccessRules(file=5)


def test_a_path_is_kept_as_a_whole(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon changes its directory before the file is read again."""
    monkeypatch.chdir(file.parent)
    assert AccessRules(file="net.rules") == AccessRules(file=file)
    assert AccessRules(file="net.rules").file == str(file)


# options


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (AccessRules, "AccessRules needs at least one of: rules, file, privileged_port"),
        (lambda: AccessRules("allow 10.0.0.1/8"), "option rules (allow, deny): '10.0.0.1/8' has bits"),
        (lambda: AccessRules("10.0.0.0/8"), "option rules (allow, deny): '10.0.0.0/8' is not a rule"),
        (lambda: AccessRules([]), "option rules (allow, deny): there is no rule"),
        (lambda: AccessRules(privileged_port="maybe"), "option privileged-port"),
        (lambda: AccessRules("allow ALL", names_fail="maybe"), "option names-fail"),
    ],
)
def test_what_cannot_be_meant_is_refused(made: Callable[[], AccessRules], why: str) -> None:
    """With the option's name."""
    with pytest.raises(OptionError, match=re.escape(why)):
        made()


def test_rules_are_equal_wherever_they_were_written() -> None:
    """As text, as a list, or as rules."""
    assert AccessRules("deny ::1, allow ALL") == AccessRules(["deny ::1", "allow ALL"])
    assert AccessRules(Rules("deny ::1,allow ALL")) == AccessRules(rules("deny ::1,allow ALL"))
    assert hash(AccessRules("deny ::1")) == hash(AccessRules("deny [::1]/128"))


def test_every_reason_is_explained_by_the_same_code(file: Path) -> None:
    """What `netguard explain` says of a peer is what would become of it."""
    policy = Policy(AccessRules("deny .bad.example,allow 198.51.100.0/24", file=file, privileged_port="refuse"))

    def reason(host: str, name: Any, port: int = 40_000) -> Any:
        explanation = explain(policy, Supposed(host, port, name=name))
        return explanation.reason

    assert reason(HERE, Verified("x.good.example")) is None
    assert type(reason(HERE, Verified("x.bad.example"))) is Denied
    assert type(reason("203.0.113.1", NoName())) is DeniedByFile
    assert type(reason(HERE, Timeout())) is NameUnknown
    assert type(reason(HERE, GOOD, 1023)) is PrivilegedPort
