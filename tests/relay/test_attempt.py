"""One try to reach one backend."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
from twisted.internet.error import ConnectionRefusedError as RefusedError

from netguard.relay.attempt import Attempt, TooLate
from tests.relay.conftest import Site, site


class Tried:
    """One try."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.site: Site = site()
        (self.server,) = self.site.servers
        self.server.refuses = refuses
        (self.backend,) = self.site.relay.pool.backends
        self.answers: list[Attempt] = []
        self.attempt = Attempt(self.backend, self.site.relay.stalls, 10.0, b"", self.answers.append)
        self.attempt.begin()

    @property
    def why(self) -> Any:
        """Why it failed."""
        (answer,) = self.answers
        return None if answer.failure is None else answer.failure.type


def test_a_backend_that_takes_it_is_reached() -> None:
    """It counts until the connection is gone; no timer stays."""
    it = Tried()
    assert (it.backend.live, it.answers) == (1, [])
    transport = it.server.accept()
    assert it.why is None
    assert (it.backend.live, it.site.timers) == (1, 0)
    it.attempt.stop()
    assert not transport.aborted
    transport.vanish()
    assert it.backend.live == 0
    assert len(it.answers) == 1


def test_a_backend_that_refuses_is_not() -> None:
    """It is told at once, and counts no more."""
    it = Tried()
    it.server.refuse()
    assert it.why is RefusedError
    assert (it.backend.live, it.site.timers) == (0, 0)


@pytest.mark.usefixtures("no_collector")
def test_a_backend_that_refuses_leaves_nothing() -> None:
    """Nothing that only the garbage collector would find."""
    it = Tried()
    attempt, back = weakref.ref(it.attempt), weakref.ref(it.attempt.back)
    it.server.refuse()
    it.answers.clear()
    del it
    assert attempt() is None
    assert back() is None


def test_an_endpoint_that_raises_refuses() -> None:
    """Whatever it is: no connection hangs for it."""
    it = Tried(refuses=True)
    assert it.why is RefusedError
    assert (it.backend.live, it.site.timers) == (0, 0)


def test_a_backend_has_its_time_and_no_more() -> None:
    """Just within it, it is reached."""
    it = Tried()
    it.site.clock.advance(9.9)
    assert it.answers == []
    it.site.clock.advance(0.2)
    assert it.why is TooLate
    assert it.attempt.failure is not None
    assert str(it.attempt.failure.value) == "it took more than 10 s"
    assert (it.server.cancelled, it.backend.live) == (1, 0)
    other = Tried()
    other.site.clock.advance(9.9)
    other.server.accept()
    other.site.clock.advance(1)
    assert other.why is None


def test_inside_tls_it_is_reached_when_the_handshake_is_over() -> None:
    """And has the same time for both."""
    it = Tried()
    transport = it.server.accept(tls=True)
    assert it.answers == []
    transport.protocol.handshakeCompleted()
    assert it.why is None
    transport.protocol.handshakeCompleted()
    assert len(it.answers) == 1
    late = Tried()
    transport = late.server.accept(tls=True)
    late.site.clock.advance(10)
    assert late.why is TooLate
    assert transport.aborted
    late.site.clock.advance(0)
    assert (late.backend.live, len(late.answers)) == (0, 1)


def test_a_handshake_that_fails_is_a_failure() -> None:
    """As when the certificate is for somebody else."""
    it = Tried()
    it.server.accept(tls=True).vanish()
    assert it.why is not None
    assert it.backend.live == 0


@pytest.mark.parametrize("tls", [False, True])
def test_who_stops_hears_nothing(tls: bool) -> None:
    """The connection is ended, whatever became of it."""
    it = Tried()
    if tls:
        it.server.accept(tls=True)
    it.attempt.stop()
    it.attempt.stop()
    it.site.clock.advance(20)
    assert (it.answers, it.backend.live) == ([], 0)
    assert it.server.cancelled == (not tls)
    assert [each.aborted for each in it.server.came] == [True] * tls


def test_an_endpoint_that_cannot_be_stopped_is_cut_when_it_comes() -> None:
    """Its connection is nobody's."""
    it = Tried()
    factory, _ = it.server.asked[0]
    it.attempt.stop()
    it.server.asked[0] = (factory, it.server.asked[0][1].__class__())
    assert it.server.accept().aborted
    it.site.clock.advance(0)
    assert it.backend.live == 0
