"""The search for a backend: one after another, before a byte has gone to any."""

from __future__ import annotations

import pytest

from netguard.relay.dial import TRIES
from tests.conftest import Logged
from tests.relay.conftest import site


def test_the_next_backend_is_tried_when_one_refuses() -> None:
    """The client does not notice, and what it sent goes to the one that took it."""
    relay = site(2)
    client = relay.client()
    client.feed(b"hello")
    relay.servers[0].refuse()
    backend = relay.servers[1].accept()
    assert bytes(backend.taken) == b"hello"
    assert [each.live for each in relay.relay.pool.backends] == [0, 1]
    assert client.events[-1].fields["backend"] == "tcp:b1:80"


def test_the_next_backend_is_tried_when_one_does_not_answer() -> None:
    """Each has its own time."""
    relay = site(2, within=3.0)
    client = relay.client()
    client.feed(b"hello")
    client.advance(3.25)
    assert relay.servers[0].cancelled == 1
    client.advance(2)
    assert bytes(relay.servers[1].accept().taken) == b"hello"


def test_a_backend_whose_tls_fails_is_passed_over() -> None:
    """Nothing of the client had gone to it."""
    relay = site(2)
    client = relay.client()
    client.feed(b"hello")
    first = relay.servers[0].accept(tls=True)
    first.vanish()
    assert bytes(first.taken) == b""
    assert bytes(relay.servers[1].accept().taken) == b"hello"


def test_behind_the_first_byte_there_is_no_other_try() -> None:
    """A backend that had the connection may have acted on it."""
    relay = site(2)
    client = relay.client()
    relay.servers[0].accept().vanish()
    client.advance(0.25)
    assert client.lost
    assert relay.servers[1].asked == []


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_each_backend_is_tried_once_and_not_too_many(count: int) -> None:
    """A client is not passed around for ever."""
    relay = site(count)
    for each in relay.servers:
        each.refuses = True
    client = relay.client()
    client.advance(0.25)
    assert client.lost
    assert client.events[-1].fields["observed"] == str(min(count, TRIES))


def test_nobody_is_tried_where_nobody_is_up(logged: Logged) -> None:
    """It is refused at once."""
    relay = site(2)
    for each in relay.relay.pool.backends:
        each.up = False
    client = relay.client()
    client.advance(0.25)
    assert client.lost
    assert client.events[-1].fields["observed"] == "0"
    assert logged.named("unreachable") == []
