"""``/metrics``: the figures of a service as Prometheus reads them, by ``prometheus-client``.

The rules of this file:

* Names end in their unit, and what only grows in ``_total``; the guard that decided is a label, a peer never is: an
  attacker could make as many series as there are addresses.
* What may happen here is there from the beginning, with a zero: else the first time would be no increase.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import version
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from netguard import errors
from netguard.admin.asked import Answer, Asked
from netguard.admin.health import unready
from netguard.figures import BOUNDS

if TYPE_CHECKING:
    from prometheus_client.core import Metric

    from netguard.errors import Reason
    from netguard.process.vitals import Reading, Vitals

_BY = ("guard", "reason")
_LIMIT = "max-connections"

TOTALS = {
    "accepted": ("netguard_accepted", "Connections that all guards let in."),
    "closed": ("netguard_closed", "Connections that ended by themselves."),
    "bytes_in": ("netguard_received_bytes", "Bytes that came from peers."),
    "bytes_out": ("netguard_sent_bytes", "Bytes that applications wrote to peers."),
}
"""Of the figures that only grow, those that are one number."""

EVENTS = {
    "": (
        *("started", "taken_over", "draining", "stopped", "reloaded", "reload_failed", "restart_needed"),
        *("limit_changed", "shedding", "recovered", "unreadable", "penalised", "full", "heartbeat", "command", "error"),
    ),
    "crew": ("worker_started", "worker_ended", "worker_stuck", "unsteered"),
    "ledger": ("ledger_joined", "ledger_lost"),
}
"""The events that a service tells of itself: always, with workers, and with a ledger."""

PAUSING = ("Bandwidth",)
"""The guards that hold somebody back."""


class Metrics:
    """Answers ``/metrics``.

    Args:
        vitals: reads the figures.
        guards: the names of the guards that are on.
    """

    def __init__(self, vitals: Vitals, guards: Iterable[str]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_Figures(vitals, frozenset(guards)))
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def page(self, asked: Asked) -> Answer:
        """All of them, as OpenMetrics for those who say that they read it."""
        encode, kind = choose_encoder(asked.headers.get("accept", ""))
        return Answer(encode(self._registry), kind)


class _Figures(Collector):
    """Reads the figures whenever they are asked for; nothing is counted twice.

    Args:
        vitals: reads the figures.
        guards: the guards that are on.
    """

    def __init__(self, vitals: Vitals, guards: frozenset[str]) -> None:
        self._vitals = vitals
        refusals, cuts = (_reasons(f"netguard.errors.{kind}", guards) for kind in ("refusals", "cuts"))
        # Who is cut before the guards have let it in is refused; and one refusal may come too late to be one.
        self._refused = dict.fromkeys([*refusals, *cuts], 0)
        self._cut = dict.fromkeys([*cuts, *(each for each in refusals if each is errors.ProxyHeaderUnexpected)], 0)
        self._version = version("netguard")
        self._process = [each for each in ProcessCollector(registry=None).collect() if each.name in _CONSTANT]

    def describe(self) -> list[Metric]:
        """Nothing: a registry that is asked to do without names asks for no figures."""
        return []

    def collect(self) -> Iterator[Metric]:
        """The figures of the moment."""
        house, reading = self._vitals.house, self._vitals.read()
        figures = house.figures
        yield _gauge("netguard_connections", "Connections that live now.", reading.connections)
        yield _gauge("netguard_connections_peak", "The most connections that have lived at a time.", reading.peak)
        limits = [each.value for each in house.dials if each.option.flag == _LIMIT]
        if limits:
            yield _gauge("netguard_connections_limit", "Connections that may live at a time.", max(limits))
        remembered = sum(len(each.table) for each in house.penalties)
        yield _gauge("netguard_misbehaved_peers", "Peers that are remembered for having misbehaved.", remembered)
        yield _gauge("netguard_ready", "Whether newcomers are served now.", unready(house) is None)
        if "ledger" in house.offers:
            yield from _ledger(house.offers["ledger"].reading())
        for name, (metric, about) in TOTALS.items():
            yield CounterMetricFamily(metric, about, reading.totals[name])
        yield _by_reason("netguard_refused", "Connections that were not let in.", {**self._refused, **figures.refused})
        yield _by_reason("netguard_cut", "Connections that were ended by us.", {**self._cut, **figures.cut})
        would = {**self._may_observe(), **figures.would}
        yield _counts("netguard_observed", "What guards in observe mode would have done.", ("event", "guard"), would)
        told = {(event,): count for event, count in {**_may_tell(house), **figures.told}.items()}
        yield _counts("netguard_events", "Events of the service itself.", ("event",), told)
        yield _lag(figures.lags)
        built = GaugeMetricFamily("netguard_build_info", "The version that runs.", labels=("version",))
        built.add_metric((self._version,), 1)
        yield built
        yield from self._process
        yield from _process(reading, house.cpu())

    def _may_observe(self) -> dict[tuple[str, str], int]:
        """What the guards that only observe may tell."""
        house = self._vitals.house
        observed = {name for each in house.factories for name in getattr(each, "observed", ())}
        may = {"would_refuse": _guards(self._refused), "would_cut": _guards(self._cut), "would_pause": {*PAUSING}}
        return {(event, guard): 0 for event, guards in may.items() for guard in guards & observed}


def _may_tell(house: Any) -> dict[str, int]:
    """The events that may come."""
    there = {"": True, "crew": house.crew is not None, "ledger": "ledger" in house.offers}
    return {name: 0 for kind, names in EVENTS.items() if there[kind] for name in names}


_CONSTANT = ("process_start_time_seconds", "process_max_fds")


def _process(reading: Reading, cpu: float) -> Iterator[Metric]:
    """What changes of the process. The client's own way to count ten thousand open files takes ten milliseconds."""
    yield CounterMetricFamily("process_cpu_seconds", "Total user and system CPU time spent in seconds.", cpu)
    if reading.rss is not None:
        yield _gauge("process_resident_memory_bytes", "Resident memory size in bytes.", reading.rss)
    if reading.fds is not None:
        yield _gauge("process_open_fds", "Number of open file descriptors.", reading.fds)


def _ledger(reading: Mapping[str, Any]) -> Iterator[Metric]:
    yield _gauge("netguard_ledger_joined", "Whether we count together with other machines now.", reading["joined"])
    yield _gauge("netguard_ledger_machines", "Other machines that are known.", reading["machines"])
    yield _gauge("netguard_ledger_peers", "Peers that are known for what they do elsewhere.", reading["peers"])
    if reading["last"] is not None:
        last, took = reading["last"], reading["round_trip"]
        yield _gauge("netguard_ledger_age_seconds", "How long ago the ledger last answered.", last)
        yield _gauge("netguard_ledger_round_trip_seconds", "How long its last answer took.", took)


def _gauge(name: str, about: str, value: float) -> Metric:
    return GaugeMetricFamily(name, about, float(value))


def _by_reason(name: str, about: str, counted: Mapping[type[Reason], int]) -> Metric:
    labelled = {(each.guard or each.__name__, each.__name__): count for each, count in counted.items()}
    return _counts(name, about, _BY, labelled)


def _counts(name: str, about: str, labels: tuple[str, ...], counted: Mapping[Any, int]) -> Metric:
    family = CounterMetricFamily(name, about, labels=labels)
    for values, count in sorted(counted.items()):
        family.add_metric(values, count)
    return family


def _lag(lags: Any) -> Metric:
    buckets = [(_bound(bound), count) for bound, count in zip((*BOUNDS, None), accumulate(lags.counts), strict=True)]
    return HistogramMetricFamily(
        "netguard_loop_lag_seconds", "How late the event loop came to what was due.", buckets, lags.total
    )


def _bound(bound: float | None) -> str:
    return "+Inf" if bound is None else str(bound)


def _guards(reasons: Iterable[type[Reason]]) -> set[str]:
    """Who refuses, or cuts, for these reasons."""
    return {each.guard for each in reasons if each.guard}


def _reasons(module: str, guards: frozenset[str]) -> list[type[Reason]]:
    """Why these guards, and we whatever guards there are, refuse or cut."""
    every = [getattr(errors, name) for name in errors.__all__]
    reasons = [each for each in every if isinstance(each, type) and issubclass(each, errors.Reason)]
    return [each for each in reasons if each.__module__ == module and (not each.guard or each.guard in guards)]
