"""What is explained is what happens: the same guards are asked, and the verdict is that of a real connection."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport

from netguard.errors import Reason, TooManyConnections, TooManyFromPeer
from netguard.explanation import Supposed, explain
from netguard.factory import GuardedFactory
from netguard.guards.access_rules import AccessRules
from netguard.guards.connection_limit import ConnectionLimit
from netguard.guards.idle_timeout import IdleTimeout
from netguard.guards.load_shedding import LoadShedding
from netguard.load.signals import Signals
from netguard.peer import address_of
from netguard.policy import CATALOGUE, Policy, defaults
from netguard.service import Service
from netguard.verdict import Timeout, Verified

PEER = Supposed("192.0.2.7")


def test_every_guard_answers_in_its_order() -> None:
    """Those that are asked first, then those that watch; each once, with its options."""
    explained = explain(Policy.from_options(defaults("pop")), PEER)
    asked = [each.guard for each in explained.answers if each.outcome != "limits"]
    watching = [each.guard for each in explained.answers if each.outcome == "limits"]
    assert {"ConnectionLimit", "LoadShedding", "Penalties"} <= set(asked)
    assert sorted(watching, key=[each.__name__ for each in CATALOGUE].index) == watching
    assert sorted(asked + watching) == sorted({*asked, *watching})
    assert (explained.verdict, explained.reason) == ("admitted", None)
    idle = next(each for each in explained.answers if each.guard == "IdleTimeout")
    assert (idle.outcome, dict(idle.options)) == ("limits", {"idle": "10m"})


def test_a_refusal_names_what_decides_and_ends_the_list() -> None:
    """The limit, what was observed, the option; nobody is asked after it."""
    policy = Policy(ConnectionLimit(total=5, per_peer=2), IdleTimeout("5m"))
    explained = explain(policy, Supposed("192.0.2.7", connections=2))
    last = explained.answers[-1]
    assert (explained.verdict, type(explained.reason)) == ("refused", TooManyFromPeer)
    assert (last.guard, last.outcome, last.decider) == ("ConnectionLimit", "refuses", "max-per-peer")
    assert (last.fact("limit"), last.fact("observed")) == ("2", "3")
    assert [each.guard for each in explained.answers] == ["ConnectionLimit"]


def test_what_observes_says_what_it_would_do() -> None:
    """And the peer is admitted."""
    policy = Policy(ConnectionLimit(total=1, observe=True))
    explained = explain(policy, Supposed("192.0.2.7", connections=1))
    assert explained.verdict == "admitted"
    assert [(each.outcome, type(each.reason)) for each in explained.answers] == [("would refuse", TooManyConnections)]
    assert explain(policy, PEER).answers[0].decider is None


def test_nothing_of_it_is_told(logged: Any) -> None:
    """No event of a connection that never was."""
    explain(Policy(ConnectionLimit(total=1)), Supposed("192.0.2.7", connections=1))
    explain(Policy(ConnectionLimit(total=1, observe=True)), Supposed("192.0.2.7", connections=1))
    assert not logged.events


def test_without_guards_everybody_is_admitted() -> None:
    """Nobody answers."""
    assert explain(Policy(), PEER).answers == ()
    assert explain(Policy(), PEER).verdict == "admitted"


OPTIONS: dict[str, st.SearchStrategy[Any]] = {
    "max-connections": st.integers(1, 4),
    "max-per-peer": st.integers(1, 4),
    "connect-rate": st.integers(1, 3),
    "connect-rate-per-peer": st.integers(1, 3),
    "idle": st.integers(1, 100),
    "max-in": st.integers(200, 300),  # more than a header has, which is data where nobody believes it
    "proxy-from": st.sampled_from(["192.0.2.0/24", "10.0.0.0/8,192.0.2.7"]),
    "rules": st.lists(
        st.builds(
            "{} {}".format,
            st.sampled_from(["allow", "deny"]),
            st.sampled_from(["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "ALL", "203.0.113.0/24"]),
        ),
        min_size=1,
        max_size=3,
    ),
    "privileged-port": st.sampled_from(["allow", "log", "refuse"]),
    "shed": st.sampled_from(["lag>250ms", "connections>2", "load>8,lag>1s"]),
    "exempt": st.just("10.0.0.0/8"),
    "shed-limit": st.integers(1, 3),
    "penalty": st.just("3/min"),
    "observe": st.sampled_from(["ConnectionLimit", "all"]),
}
PEERS = st.builds(
    Supposed,
    st.sampled_from(["192.0.2.7", "10.1.2.3", "2001:db8::1", "::ffff:10.1.2.3"]),
    st.sampled_from([1, 1023, 1024, 40000]),
    st.none() | st.sampled_from([("203.0.113.9", 4711), ("10.9.9.9", 99), ("2001:db8::9", 1)]),
    connections=st.integers(0, 4),
    load=st.dictionaries(st.sampled_from(["lag", "load"]), st.sampled_from([0.0, 0.5, 100.0])),
)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Any policy of these options that can be made."""
    chosen = draw(st.lists(st.sampled_from(sorted(OPTIONS)), unique=True))
    given = {flag: draw(OPTIONS[flag]) for flag in chosen}
    if given.get("observe") == "ConnectionLimit" and not {"max-connections", "max-per-peer"} & given.keys():
        del given["observe"]
    if not {"shed", "shed-limit"} & given.keys():
        given.pop("exempt", None)
    return Policy.from_options(given)


def live(policy: Policy, peer: Supposed) -> str | type[Reason]:
    """What becomes of the peer on a guarded factory: how its connection stands, or why it was refused."""
    clock: Any = Clock()
    service = Service(lambda: clock)
    service.signals = Signals.fixed({})
    observed = frozenset(type(each).__name__ for each in policy.guards if each.observe)
    factory = GuardedFactory(
        Factory.forProtocol(Protocol), policy.guards, observed=observed, reactor=clock, service=service, verbose=False
    )
    outcomes: list[Any] = []
    factory.follower = lambda _, outcome: outcomes.append(outcome)
    for number in range(peer.connections + 1):
        outcomes.clear()
        if number == peer.connections:
            service.signals = Signals.fixed({"connections": float(peer.connections), **peer.load})
        built: Any = factory.buildProtocol(address_of(peer.host, peer.port))
        if built is not None:
            connection = built.connection
            built.makeConnection(StringTransport())
            if peer.claimed is not None:
                built.dataReceived(header(*peer.claimed))
        clock.rightNow += 86_400
    if built is not None and connection.reason is not None:
        return type(connection.reason)
    if not outcomes:
        return "waits"
    return "admitted" if isinstance(outcomes[0], Protocol) else type(outcomes[0].value)


def header(host: str, port: int) -> bytes:
    """A PROXY header, as a proxy would write it."""
    family, here = ("TCP6", "::1") if ":" in host else ("TCP4", "127.0.0.1")
    return f"PROXY {family} {host} {here} {port} 110\r\n".encode()


@settings(max_examples=300, deadline=None)
@given(policies(), PEERS)
def test_explanation_and_live_decision_agree(policy: Policy, peer: Supposed) -> None:
    """Whatever the policy, and whoever comes."""
    explained = explain(policy, peer)
    decided = live(policy, peer)
    assert (explained.verdict if explained.reason is None else type(explained.reason)) == decided
    refusing = [each for each in explained.answers if each.outcome == "refuses"]
    assert [type(each.reason) for each in refusing] == ([] if isinstance(decided, str) else [decided])
    assert [each.outcome for each in explained.answers].count("waits") == (decided == "waits")


@pytest.mark.parametrize("host", ["192.0.2.7", "::1"])
def test_the_order_of_questions_is_the_live_one(host: str) -> None:
    """A total that is reached is told before the peer's own limit is."""
    policy = Policy(ConnectionLimit(total=1, per_peer=1))
    assert type(explain(policy, Supposed(host, connections=1)).reason) is TooManyConnections


def test_a_name_that_is_supposed_is_what_the_rules_go_by() -> None:
    """Nobody is asked for it."""
    policy = Policy(AccessRules(rules=["allow .good.example", "deny ALL"]))
    assert explain(policy, Supposed("192.0.2.7", name=Verified("mail.good.example"))).verdict == "admitted"
    assert explain(policy, Supposed("192.0.2.7", name=Verified("notgood.example"))).verdict == "refused"
    assert explain(policy, Supposed("192.0.2.7", name=Timeout())).verdict == "refused"
    assert explain(policy, PEER).verdict == "waits"
    assert [each.outcome for each in explain(policy, PEER).answers] == ["waits"]


@pytest.mark.parametrize(("verdict", "became"), [(Verified("a.example"), "admitted"), (Timeout(), "refused")])
def test_a_name_that_is_required_may_be_supposed(verdict: Any, became: str) -> None:
    """With settings of a resolver that nobody asks."""
    policy = Policy.from_options({"names": "require", "dns": "192.0.2.53", "names-within": "1s"})
    assert explain(policy, Supposed("192.0.2.7", name=verdict)).verdict == became


def test_a_load_that_is_supposed_comes_after_those_who_are_there() -> None:
    """They were let in when all was quiet, and count."""
    policy = Policy(LoadShedding(shed="lag>250ms", by="tighten"), ConnectionLimit(total=2))
    explained = explain(policy, Supposed("192.0.2.7", connections=2, load={"lag": 0.3}))
    assert type(explained.reason) is TooManyConnections
