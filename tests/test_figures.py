"""Tests for netguard.figures: what a service counts."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address

from netguard.errors import Expelled, Idle, TooManyConnections, TooManyFromPeer
from netguard.figures import BOUNDS, Figures, Lags
from netguard.guards.connection_limit import ConnectionLimit
from netguard.guards.idle_timeout import IdleTimeout
from netguard.policy import Policy
from netguard.testing import connect


def figures_of(peer: Any) -> Figures:
    """Those of the service that a connection belongs to."""
    found: Figures = peer.factory.service.figures
    return found


def test_every_connection_is_counted_once_by_its_end() -> None:
    """Accepted when it is let in; refused, cut or closed at its end; and what passed is added then."""
    first = connect(Policy(IdleTimeout("5s"), ConnectionLimit(total=3)))
    others = [connect(first.factory), connect(first.factory)]
    figures = figures_of(first)
    assert (figures.accepted, figures.now, figures.peak) == (3, 3, 3)
    assert first.factory.buildProtocol(IPv4Address("TCP", "192.0.2.9", 1)) is None
    first.feed(b"12345")
    first.vanish()
    assert (figures.closed, figures.now, figures.peak) == (1, 2, 3)
    assert (figures.bytes_in, figures.bytes_out) == (5, 5)
    others[0].advance(6)
    assert figures.cut == {Idle: 2}
    assert figures.refused == {TooManyConnections: 1}
    assert (figures.accepted, figures.now, figures.peak) == (3, 0, 3)
    connect(first.factory)
    assert (figures.accepted, figures.now, figures.peak) == (4, 1, 3)


def test_who_is_refused_with_a_connection_counts_as_who_is_refused_without() -> None:
    """Whether a port asks before it makes one, or an endpoint's factory is asked for a protocol."""
    first = connect(ConnectionLimit(per_peer=1))
    address = IPv4Address("TCP", "192.0.2.1", 7)
    assert first.factory.meet(address.host, address.port) is None
    assert first.factory.admit(address) is None
    assert figures_of(first).refused == {TooManyFromPeer: 2}
    assert (figures_of(first).now, figures_of(first).peak, figures_of(first).accepted) == (1, 1, 1)


def test_what_guards_would_have_done_is_counted_apart() -> None:
    """By event and guard."""
    peer = connect(IdleTimeout("5s", observe=True))
    peer.advance(6)
    assert figures_of(peer).would == {("would_cut", "IdleTimeout"): 1}
    assert not figures_of(peer).cut


def test_events_of_the_service_are_counted_by_name() -> None:
    """As how often it began to shed."""
    service = connect(IdleTimeout("5s")).factory.service
    service.tell("reloaded", {})
    service.tell("reloaded", {})
    assert service.figures.told == {"reloaded": 2}


def test_the_lag_has_a_median_a_worst_and_counts_by_bounds() -> None:
    """The first two begin anew when somebody says so; a clock that was set back is no lag."""
    lags = Lags()
    assert (lags.median, lags.worst) == (0.0, 0.0)
    for late in (0.001, 0.0011, 30.0, -5.0, 0.002):
        lags.add(late)
    assert (lags.median, lags.worst) == (0.0011, 30.0)
    assert lags.counts == [2, 2, *[0] * (len(BOUNDS) - 2), 1]
    lags.begin()
    assert (lags.median, lags.worst) == (0.0, 0.0)
    assert sum(lags.counts) == 5
    assert round(lags.total, 4) == 30.0041


def test_late_sweeps_are_lag() -> None:
    """Whether or not anybody sheds load by it."""
    peer = connect(IdleTimeout("1h"))
    clock: Any = peer.factory.reactor
    clock.advance(1.0)
    assert figures_of(peer).lags.worst == 0.75


def test_expelled_connections_are_cut_by_nobody() -> None:
    """That is, by the name of the reason."""
    peer = connect(IdleTimeout("1h"))
    peer.factory.abort_all()
    peer.advance(0.25)
    assert figures_of(peer).cut == {Expelled: 1}
