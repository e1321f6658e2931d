"""The client's end: what happens before there is a backend, and when there is none."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.interfaces import ISSLTransport
from zope.interface import alsoProvides

from netguard.errors import BackendStalled, NoBackend
from netguard.guards.idle_timeout import IdleTimeout
from netguard.guards.refusal import Refusal
from netguard.guards.write_stall import WriteStall
from netguard.policy import Policy
from netguard.relay.front import HELD, RelayFactory
from netguard.testing import MemoryTransport, connect
from tests.relay.conftest import STALL, Site, site

READ = 65_536


def test_what_comes_before_the_backend_is_held_in_order(alone: Site) -> None:
    """And goes to it first."""
    client = alone.client()
    client.feed(b"first, ")
    client.feed(b"second, ")
    backend = alone.servers[0].accept()
    client.feed(b"third")
    assert bytes(backend.taken) == b"first, second, third"


def test_what_is_held_is_bounded(alone: Site) -> None:
    """At the bound it is still read, and beyond it no more."""
    client = alone.client()
    client.feed(b"x" * HELD)
    assert client.transport.reading
    client.feed(b"y" * 1_000_000)
    assert not client.transport.reading
    assert client.connection.received <= HELD + READ
    backend = alone.servers[0].accept()
    client.advance()
    assert len(backend.taken) == HELD + 1_000_000


def test_a_backend_that_is_slow_from_the_beginning_holds_the_client(alone: Site) -> None:
    """Bytes that were held fill it up: the reading goes on only when it has taken them."""
    client = alone.client()
    client.feed(b"x" * 1_000_000)
    factory, _ = alone.servers[0].asked[0]
    make = factory.buildProtocol

    def slow(addr: Any) -> Any:
        protocol = make(addr)
        begin = protocol.makeConnection
        protocol.makeConnection = lambda transport: (transport.takes(0), begin(transport))
        return protocol

    factory.buildProtocol = slow
    backend = alone.servers[0].accept()
    client.advance(1)
    assert client.connection.received <= HELD + 2 * READ
    backend.takes(None)
    client.advance(1)
    assert len(backend.taken) == 1_000_000


def test_a_client_that_had_finished_before_is_served(alone: Site) -> None:
    """A question and a FIN in one breath."""
    client = alone.client()
    client.feed(b"question")
    client.finish()
    assert not client.lost
    backend = alone.servers[0].accept()
    assert (bytes(backend.taken), backend.finished) == (b"question", True)
    backend.deliver(b"answer")
    backend.finish()
    client.advance()
    assert client.taken == b"answer"
    assert client.lost


def test_a_client_that_goes_before_stops_the_search(alone: Site) -> None:
    """No backend gets a connection for nobody."""
    client = alone.client()
    client.feed(b"x")
    client.vanish()
    assert alone.servers[0].cancelled == 1
    client.advance(60)
    assert alone.relay.pool.backends[0].live == 0
    assert not client.clock.getDelayedCalls()


@pytest.mark.parametrize(
    ("style", "answer", "aborted"),
    [("close", b"", False), ("text:come back later", b"come back later\r\n", False), ("reset", b"", True)],
)
def test_a_client_without_a_backend_is_refused_in_style(style: str, answer: bytes, aborted: bool, alone: Site) -> None:
    """As those are that a guard refuses; the log says why, and which option would change it."""
    client = alone.client(Policy(WriteStall(STALL), Refusal(style)))
    client.feed(b"hello")
    alone.servers[0].refuse()
    client.advance(0.25)
    assert client.taken == answer
    assert client.lost
    last = client.events[-1]
    assert (last.name, last.fields["option"], last.fields["observed"]) == ("cut", "to", "1")
    assert last.fields["reason"] == str(NoBackend(observed=1))
    assert bool(client.transport.aborted if hasattr(client.transport, "aborted") else aborted) is aborted


def test_a_client_that_does_not_take_the_text_is_cut_all_the_same(alone: Site) -> None:
    """It has five seconds for it."""
    client = alone.client(Policy(WriteStall(STALL), Refusal("text:sorry")))
    client.takes(0)
    alone.servers[0].refuse()
    client.advance(4)
    assert not client.lost
    client.advance(2)
    assert client.lost


def test_the_events_name_the_backend(alone: Site) -> None:
    """From the moment at which one has the connection."""
    client, backend = alone.pair()
    backend.finish()
    client.finish()
    assert [(each.name, each.fields.get("backend")) for each in client.events] == [
        ("accepted", None),
        ("opened", None),
        ("relayed", "tcp:b0:80"),
        ("closed", "tcp:b0:80"),
    ]


def test_a_backend_that_stops_reading_ends_the_connection(alone: Site) -> None:
    """No guard sees it, since nobody listens to the client meanwhile; so the relay does, by the same option."""
    client, backend = alone.pair()
    backend.takes(0)
    client.feed(b"x" * 1_000_000)
    client.advance(STALL - 1)
    assert not client.lost
    client.advance(2)
    assert client.lost
    assert (client.events[-1].name, client.events[-1].fields["option"]) == ("cut", "write-stall")
    assert client.events[-1].fields["reason"].startswith(BackendStalled.summary)
    client.advance(STALL + 1)
    assert backend.aborted


def test_a_backend_that_is_slow_is_none_that_stopped(alone: Site) -> None:
    """A byte within the time is enough."""
    client, backend = alone.pair()
    backend.takes(0)
    client.feed(b"x" * 1_000_000)
    for _ in range(5):
        client.advance(STALL - 1)
        backend.takes(1)
        client.advance(0.25)
    assert not client.lost


def test_idle_counts_both_directions(alone: Site) -> None:
    """Who only downloads is not idle, nor is who only uploads; a pair in which nothing moves is."""
    client = alone.client(Policy(IdleTimeout("10s")))
    backend = alone.servers[0].accept()
    for _ in range(5):
        client.advance(9)
        backend.deliver(b"x")
        client.advance(0)
    for _ in range(5):
        client.advance(9)
        client.feed(b"y")
    assert not client.lost
    client.advance(10.5)
    assert client.events[-1].fields["option"] == "idle"
    client.advance(1)
    assert backend.aborted


def test_inside_tls_no_backend_is_asked_before_the_handshake_is_over() -> None:
    """Half a handshake costs the backend nothing."""
    relay = site()

    class Encrypted(MemoryTransport):
        """Pretends to be encrypted from the beginning."""

        def __init__(self, *about: Any) -> None:
            super().__init__(*about)
            alsoProvides(self, ISSLTransport)

    relay.carrier = Encrypted
    client = relay.client()
    assert relay.servers[0].asked == []
    client.transport.protocol.handshakeCompleted()
    client.transport.protocol.handshakeCompleted()
    assert len(relay.servers[0].asked) == 1


def test_without_guards_it_relays_as_well() -> None:
    """An author may have reasons: then nobody is told anything, and nothing is watched but the backend."""
    relay = site()
    front = RelayFactory(relay.relay).buildProtocol(None)
    transport = MemoryTransport(relay.clock, front, None)
    front.makeConnection(transport)
    backend = relay.servers[0].accept()
    transport.deliver(b"x" * 1_000_000)
    backend.takes(0)
    relay.clock.pump([0.25] * int(4 * STALL + 8))
    assert transport.disconnected
    alone = MemoryTransport(relay.clock, front := RelayFactory(relay.relay).buildProtocol(None), None)
    front.makeConnection(alone)
    relay.servers[0].refuse()
    relay.clock.pump([0.25] * 4)
    assert alone.disconnected
    assert not alone.aborted


def test_a_connection_that_a_guard_has_cut_meanwhile_stays_cut(alone: Site) -> None:
    """It has one reason, and one last event."""
    client = alone.client(Policy(IdleTimeout("10s")))
    alone.relay._within = 100.0
    client.advance(11)
    assert client.lost
    assert alone.servers[0].cancelled in (0, 1)
    assert [each.name for each in client.events].count("cut") == 1


def test_one_factory_serves_many() -> None:
    """A second client has a connection of its own."""
    relay = site()
    first = relay.client()
    second = connect(first.factory, carrier=relay.carrier)
    one, two = relay.servers[0].accept(), relay.servers[0].accept()
    first.feed(b"1")
    second.feed(b"2")
    assert (bytes(one.taken), bytes(two.taken)) == (b"1", b"2")
    assert relay.relay.pool.backends[0].live == 2


def rested(client: Any, seconds: float = 3.0) -> bool:
    """Whether a pair ends after so long a silence, when it is asked to."""
    client.advance(seconds)
    client.application.drain()
    return bool(client.application.depart())


def test_a_pair_at_rest_departs_when_the_service_drains(alone: Site) -> None:
    """One in which something is under way does not: a question without its answer, bytes on their way, a search."""
    client = alone.client()
    assert not rested(client)
    backend = alone.servers[0].accept()
    backend.deliver(b"greeting")
    assert not rested(client, 1.0)
    client.feed(b"question")
    assert not rested(client)
    backend.takes(0)
    backend.deliver(b"answer")
    client.feed(b"")
    client.advance()
    client.application.other.transport.write(b"not taken")
    assert not rested(client)
    backend.takes(None)
    assert rested(client)
    client.advance()
    assert client.lost
    assert backend.disconnected
    assert not backend.aborted


def test_without_guards_nobody_knows_what_rests() -> None:
    """So it does not depart."""
    relay = site()
    front = RelayFactory(relay.relay).buildProtocol(None)
    front.makeConnection(MemoryTransport(relay.clock, front, None))
    relay.servers[0].accept()
    assert not front.depart()
    front.transport.abortConnection()
    relay.clock.advance(0)
