"""The end of a guarded factory: nobody new, and the application hears of it behind its last connection."""

from __future__ import annotations

from typing import Any

from twisted.internet.protocol import Factory
from twisted.internet.task import Clock

from netguard.errors import DrainOver
from netguard.guards.idle_timeout import IdleTimeout
from netguard.testing import Echo, connect


class Inner(Factory):
    """Remembers what it is told."""

    protocol = Echo

    def __init__(self) -> None:
        self.stopped = 0

    def stopFactory(self) -> None:
        """Remember."""
        self.stopped += 1


def test_a_closed_factory_keeps_its_application_until_the_last_connection_is_gone() -> None:
    """Though its port is closed, what the application closes when it stops is wanted until then."""
    inner: Any = Inner()
    factory = IdleTimeout("1h").wrap(inner, Clock())
    factory.doStart()
    peer = connect(factory)
    factory.close()
    factory.doStop()
    empty: Any = factory.when_empty()
    assert (inner.stopped, empty.called) == (0, False)
    assert connect(factory).refused
    peer.vanish()
    assert (inner.stopped, empty.called) == (1, True)
    assert factory.when_empty().called


def test_a_factory_that_is_not_closed_stops_at_once() -> None:
    """As Twisted's do; so does a closed one without connections."""
    for close in (False, True):
        inner: Any = Inner()
        factory = IdleTimeout("1h").wrap(inner, Clock())
        factory.doStart()
        peer = None if close else connect(factory)
        if close:
            factory.close()
        factory.doStop()
        assert inner.stopped == 1
        if peer is not None:
            peer.vanish()
        assert inner.stopped == 1


def test_all_are_cut_for_the_reason_that_is_given() -> None:
    """Or because somebody wants it."""
    peer = connect(IdleTimeout("1h"))
    other = connect(peer.factory)
    peer.factory.abort_all(DrainOver(30.0, 30.1))
    peer.advance(1)
    assert other.lost
    assert str(peer.application.reason) == (
        "the service stops, and the connection was not done in time, observed 30.1s, limit 30s, option drain"
    )
