"""The relay as a whole: checks, and what is told of backends."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, cast

import pytest
from OpenSSL import SSL
from twisted.python.failure import Failure

from netguard.relay.service import _reason
from tests.conftest import Logged
from tests.relay.conftest import Site, site

EVERY = 5.0


@pytest.fixture
def checked() -> Any:
    """A relay with two backends that it looks at."""
    relay = site(2, check=EVERY)
    relay.relay.startService()
    yield relay
    relay.relay.stopService()
    assert not [each for each in relay.clock.getDelayedCalls() if each.active()]


def look(relay: Site, number: int = 0, *, well: bool) -> None:
    """Let one look at a backend come about."""
    server = relay.servers[number]
    while not server.asked:
        relay.clock.advance(0.25)
    if well:
        server.accept()
    else:
        server.refuse()


def test_a_backend_goes_down_and_comes_up_again(checked: Site, logged: Logged) -> None:
    """It gets no new connections meanwhile; both are told once."""
    first, second = cast("Any", checked.relay.pool.backends)
    for _ in range(3):
        look(checked, well=False)
    assert not first.up
    (told,) = logged.named("backend_down")
    assert (told["backend"], told["option"], told["limit"]) == ("tcp:b0:80", "fall", 3)
    assert "refused" in told["reason"]
    assert {checked.relay.pool.choose() for _ in range(3)} == {second}
    for _ in range(2):
        look(checked, well=True)
    assert first.up
    (told,) = logged.named("backend_up")
    assert (told["backend"], told["option"], told["limit"]) == ("tcp:b0:80", "rise", 2)
    assert logged.named("unreachable") == []  # that is for clients' connections


def test_a_check_ends_its_connection_and_leaves_nothing(checked: Site) -> None:
    """In order: a reset would be an error to the backend."""
    look(checked, well=True)
    (transport,) = checked.servers[0].came
    checked.clock.advance(0.25)
    assert transport.disconnected
    assert not transport.aborted
    assert checked.relay.pool.backends[0].live == 0
    assert len(checked.relay.stalls) == 0


def test_looks_are_apart(checked: Site) -> None:
    """Each backend every five seconds, and not all of them in the same moment."""
    asked = []
    checked.clock.advance(0)
    for _ in range(80):
        for number, server in enumerate(checked.servers):
            while server.asked:
                asked.append((number, checked.clock.seconds()))
                server.refuse()
        checked.clock.advance(0.25)
    ones = [moment for number, moment in asked if number == 0]
    twos = [moment for number, moment in asked if number == 1]
    assert [later - earlier for earlier, later in pairwise(ones)] == [EVERY] * (len(ones) - 1)
    assert [later - earlier for earlier, later in pairwise(twos)] == [EVERY] * (len(twos) - 1)
    assert twos[0] - ones[0] == EVERY / 2


def test_a_check_that_is_not_answered_fails_in_time(checked: Site) -> None:
    """The next one does not wait for it longer than its turn."""
    checked.clock.pump([0.25] * 150)
    assert checked.servers[0].cancelled >= 3
    assert not checked.relay.pool.backends[0].up


def test_no_check_goes_on_when_the_service_has_stopped() -> None:
    """Neither one that waits nor one that is under way."""
    relay = site(2, check=EVERY)
    relay.relay.startService()
    relay.clock.advance(0.25)
    assert len(relay.servers[0].asked) == 1
    relay.relay.stopService()
    assert relay.servers[0].cancelled == 1
    assert not relay.clock.getDelayedCalls()
    assert [each.live for each in relay.relay.pool.backends] == [0, 0]


def test_without_checks_nobody_looks() -> None:
    """Backends are then found out by connections only."""
    relay = site()
    relay.relay.startService()
    relay.clock.advance(60)
    assert relay.servers[0].asked == []
    relay.relay.stopService()


def test_a_flood_of_failures_is_a_few_lines_with_the_whole_count(logged: Logged) -> None:
    """And the last of it is told although nothing more happens."""
    relay = site()
    relay.relay.startService()
    relay.servers[0].refuses = True
    for _ in range(100):
        relay.client()
    assert len(logged.named("unreachable")) == 10
    relay.clock.advance(1.5)
    told = logged.named("unreachable")
    assert sum(each["count"] for each in told) == 100
    assert told[0]["backend"] == "tcp:b0:80"
    for _ in range(30):
        relay.client()
    relay.relay.stopService()
    assert sum(each["count"] for each in logged.named("unreachable")) == 130


def test_why_is_told_in_words() -> None:
    """Also of TLS, whose errors are lists."""
    assert _reason(None) == ""
    assert _reason(Failure(ValueError())) == "ValueError"
    assert _reason(Failure(SSL.Error([("", "", "certificate verify failed")]))).startswith("TLS failed: ")
