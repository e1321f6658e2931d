"""What Prometheus reads is what the service has counted, in names and labels that stay bounded."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain_text
from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock

import netguard
from netguard.admin.asked import Asked
from netguard.admin.metrics import EVENTS, Metrics
from netguard.figures import BOUNDS
from netguard.policy import Policy
from netguard.process.vitals import Vitals
from netguard.service import Service
from netguard.testing import connect
from netguard.vocabulary import VOCABULARY
from tests.fakeledger import Machine, Place, wait

if TYPE_CHECKING:
    from collections.abc import Iterator

    from netguard.admin.asked import Answer

PACKAGE = Path(netguard.__file__).parent
OPEN = "application/openmetrics-text; version=1.0.0"


def scraped(metrics: Metrics, accept: str = "") -> Answer:
    """What a scrape gets."""
    return metrics.page(Asked("GET", "/metrics", headers={"accept": accept} if accept else {}))


def values(answer: Answer) -> dict[tuple[str, str], float]:
    """Every sample, by its name and its labels."""
    text = answer.body.decode()
    families = open_metrics(text) if answer.kind.startswith("application/openmetrics") else plain_text(text)
    return {
        (sample.name, ",".join(f"{key}={value}" for key, value in sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def metrics_of(house: Service, *guards: str) -> Metrics:
    """The metrics of a service with these guards."""
    return Metrics(Vitals(house), guards)


@pytest.mark.parametrize("accept", ["", OPEN])
def test_what_was_counted_is_what_is_read(accept: str) -> None:
    """In both formats, live connections' bytes included."""
    policy = Policy.from_options({"max-per-peer": 1, "idle": "30s"})
    first = connect(policy)
    first.feed(b"hello")
    refused = connect(first.factory)
    assert refused.refused
    house = first.factory.service
    found = values(scraped(metrics_of(house, "ConnectionLimit", "IdleTimeout"), accept))
    assert found["netguard_connections", ""] == 1
    assert found["netguard_accepted_total", ""] == 1
    assert found["netguard_received_bytes_total", ""] == found["netguard_sent_bytes_total", ""] == 5
    assert found["netguard_refused_total", "guard=ConnectionLimit,reason=TooManyFromPeer"] == 1
    assert found["netguard_cut_total", "guard=IdleTimeout,reason=Idle"] == 0
    first.advance(31)
    found = values(scraped(metrics_of(house, "ConnectionLimit", "IdleTimeout"), accept))
    assert found["netguard_cut_total", "guard=IdleTimeout,reason=Idle"] == 1
    assert found["netguard_connections", ""] == 0
    assert found["netguard_connections_peak", ""] == 1
    assert found["netguard_received_bytes_total", ""] == 5


def test_each_format_says_which_it_is() -> None:
    """Who reads OpenMetrics says so, and gets its end mark."""
    metrics = metrics_of(Service(Clock))
    plain, open_ = scraped(metrics, "text/plain;version=0.0.4, */*;q=0.1"), scraped(metrics, OPEN)
    assert plain.kind.startswith("text/plain; version=0.0.4")
    assert open_.kind.startswith("application/openmetrics-text; version=1.0.0")
    assert open_.body.endswith(b"# EOF\n")


def test_a_guard_that_is_on_has_its_zeros_from_the_beginning() -> None:
    """The first refusal is then an increase; guards that are off have none."""
    found = values(scraped(metrics_of(Service(Clock), "ConnectionLimit")))
    assert found["netguard_refused_total", "guard=ConnectionLimit,reason=TooManyConnections"] == 0
    assert found["netguard_refused_total", "guard=Draining,reason=Draining"] == 0
    assert found["netguard_cut_total", "guard=Expelled,reason=Expelled"] == 0
    assert ("netguard_refused_total", "guard=Penalties,reason=Penalised") not in found
    assert found["netguard_events_total", "event=shedding"] == 0


def test_every_event_of_a_service_has_its_zero_from_the_beginning() -> None:
    """Those of workers and of a ledger where there are any."""
    house = Service(Clock)
    found = values(scraped(metrics_of(house)))
    told = {labels.removeprefix("event=") for name, labels in found if name == "netguard_events_total"}
    assert told == {*EVENTS[""]}
    house.crew = object()
    found = values(scraped(metrics_of(house)))
    assert [found["netguard_events_total", f"event={each}"] for each in EVENTS["crew"]] == [0] * len(EVENTS["crew"])
    house.tell("worker_stuck", {"worker": 1})
    assert values(scraped(metrics_of(house)))["netguard_events_total", "event=worker_stuck"] == 1


def test_every_event_that_a_service_tells_is_known_here() -> None:
    """Whatever word is handed to a service's ``tell``, anywhere in the package."""
    words = {word for path in PACKAGE.rglob("*.py") for word in _told(ast.parse(path.read_text()))}
    assert words & VOCABULARY.keys() == {name for names in EVENTS.values() for name in names}


def _told(module: ast.Module) -> Iterator[object]:
    for node in ast.walk(module):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "tell":
            yield from (each.value for arg in node.args[:1] for each in ast.walk(arg) if isinstance(each, ast.Constant))


def test_what_may_come_early_or_late_has_both_zeros() -> None:
    """Who is cut before it is in counts as refused; who claims too late to be somebody else, as cut."""
    found = values(scraped(metrics_of(Service(Clock), "HandshakeTimeout", "ProxyProtocol")))
    for name in ("netguard_refused_total", "netguard_cut_total"):
        assert found[name, "guard=HandshakeTimeout,reason=HandshakeTooSlow"] == 0
        assert found[name, "guard=ProxyProtocol,reason=ProxyHeaderUnexpected"] == 0
    assert ("netguard_cut_total", "guard=ProxyProtocol,reason=ProxyHeaderMissing") not in found


def test_what_a_guard_would_do_has_its_zero_from_the_beginning() -> None:
    """Where it only observes, and where it could."""
    policy = Policy.from_options({"idle": "5s", "max-per-peer": 1, "rate-in": "1KiB", "observe": "all"})
    house = policy.wrap(Factory.forProtocol(Protocol), Clock()).service
    guards = [type(each).__name__ for each in policy.guards]
    found = values(scraped(metrics_of(house, *guards)))
    would = {labels: value for (name, labels), value in found.items() if name == "netguard_observed_total"}
    names = ("would_cut,guard=IdleTimeout", "would_refuse,guard=ConnectionLimit", "would_refuse,guard=IdleTimeout")
    assert would == {f"event={each}": 0 for each in (*names, "would_pause,guard=Bandwidth")}


def test_what_guards_would_have_done_is_counted_apart() -> None:
    """By event and guard."""
    there = connect(Policy.from_options({"idle": "5s", "observe": "all"}))
    there.feed(b"x")
    there.advance(10)
    found = values(scraped(metrics_of(there.factory.service, "IdleTimeout")))
    assert found["netguard_observed_total", "event=would_cut,guard=IdleTimeout"] == 1
    assert found["netguard_cut_total", "guard=IdleTimeout,reason=Idle"] == 0


def test_the_lag_is_a_histogram() -> None:
    """Its buckets grow from one to the next, and its sum is that of all."""
    house = Service(Clock)
    for late in (0.0, 0.004, 0.3, 60.0):
        house.late(0.0, late)
    found = values(scraped(metrics_of(house)))
    buckets = [found["netguard_loop_lag_seconds_bucket", f"le={bound}"] for bound in (*BOUNDS, "+Inf")]
    assert buckets == [1, 1, 2, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 4]
    assert found["netguard_loop_lag_seconds_count", ""] == 4
    assert found["netguard_loop_lag_seconds_sum", ""] == pytest.approx(60.304)


def test_no_peer_is_ever_a_label() -> None:
    """A thousand of them make no series."""
    factory = Policy.from_options({"max-connections": 10}).wrap(Factory.forProtocol(Protocol), Clock(), verbose=False)
    metrics = metrics_of(factory.service, "ConnectionLimit")
    before = scraped(metrics).body.count(b"\n")
    for number in range(1000):
        factory.buildProtocol(IPv4Address("TCP", f"10.0.{number // 256}.{number % 256}", 40000))
    answer = scraped(metrics)
    assert answer.body.count(b"\n") == before
    assert b"10.0." not in answer.body
    assert values(answer)["netguard_refused_total", "guard=ConnectionLimit,reason=TooManyConnections"] == 990


def test_the_process_and_its_version_are_there() -> None:
    """By the names that every program has for them."""
    found = values(scraped(metrics_of(Service(Clock))))
    names = {name for name, _ in found}
    assert {"process_resident_memory_bytes", "process_open_fds", "process_cpu_seconds_total", "python_info"} <= names
    assert found["netguard_ready", ""] == 0
    assert [labels for name, labels in found if name == "netguard_build_info"] != ["version="]


def test_what_cannot_be_read_here_is_left_out() -> None:
    """Some systems have no figures of memory and files."""
    house = Service(Clock)
    house.signals = house.signals.fixed({"rss": None, "fds": None})
    names = {name for name, _ in values(scraped(metrics_of(house)))}
    assert "process_cpu_seconds_total" in names
    assert not names & {"process_resident_memory_bytes", "process_open_fds"}


def test_the_limit_of_the_moment_is_there() -> None:
    """Where there is one; and how many are remembered for having misbehaved."""
    factory = Policy.from_options({"max-connections": "900", "penalty": "1/h"}).wrap(
        Factory.forProtocol(Protocol), Clock()
    )
    (dial,) = (each for each in factory.service.dials if each.option.flag == "max-connections")
    dial.set("12")
    connect(factory).connection.misdeed("malformed")  # type: ignore[union-attr]
    found = values(scraped(metrics_of(factory.service)))
    assert found["netguard_connections_limit", ""] == 12
    assert found["netguard_misbehaved_peers", ""] == 1
    assert ("netguard_connections_limit", "") not in values(scraped(metrics_of(Service(Clock))))


def test_a_fleet_has_its_figures_and_a_service_alone_has_none() -> None:
    """How it stands with the ledger, once it has ever answered how long ago and how quickly."""
    house = Service(Clock)
    assert not [name for name, _ in values(scraped(metrics_of(house))) if "ledger" in name]
    place = Place(Clock())
    machine, other = Machine(place), Machine(place)
    house.offers["ledger"] = machine.exchange
    found = values(scraped(metrics_of(house)))
    assert found["netguard_ledger_joined", ""] == 0
    assert ("netguard_ledger_age_seconds", "") not in found
    machine.start()
    other.start()
    wait(place.clock, 2.0)
    found = values(scraped(metrics_of(house)))
    names = ("joined", "machines", "peers")
    assert [found[f"netguard_ledger_{name}", ""] for name in names] == [1, 1, 0]
    assert 0 <= found["netguard_ledger_age_seconds", ""] < 0.5
    assert found["netguard_ledger_round_trip_seconds", ""] < 0.5
