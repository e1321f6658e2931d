"""Both ends of a pair: bytes, pauses and ends, each way."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some
from twisted.internet.interfaces import ISSLTransport
from zope.interface import alsoProvides

from netguard.relay.stalls import TICK
from netguard.testing import MemoryTransport, NativeMemoryTransport
from tests.relay.conftest import STALL, Site, site

MIB = 1024 * 1024
BOUND = 2 * 65_536
"""What a transport may hold, and one read."""


def test_bytes_pass_both_ways_as_they_are(alone: Site) -> None:
    """Every byte there is, in pieces of any size."""
    client, backend = alone.pair()
    everything = bytes(range(256)) * 3
    client.feed(everything, split=7)
    backend.deliver(everything[::-1])
    client.advance()
    assert bytes(backend.taken) == everything
    assert client.taken == everything[::-1]


def test_a_backend_that_answers_after_the_clients_fin_is_heard(alone: Site) -> None:
    """The FIN is passed on behind all bytes; both are closed when both have finished."""
    client, backend = alone.pair()
    client.feed(b"question")
    client.finish()
    assert (bytes(backend.taken), backend.finished) == (b"question", True)
    assert not client.lost
    backend.deliver(b"answer")
    client.advance()
    assert client.taken == b"answer"
    backend.finish()
    client.advance()
    assert client.lost
    assert backend.disconnected
    assert client.events[-1].name == "closed"
    assert alone.relay.pool.backends[0].live == 0


def test_a_client_that_goes_on_after_the_backends_fin_is_heard(alone: Site) -> None:
    """The other way round."""
    client, backend = alone.pair()
    backend.deliver(b"that was all")
    backend.finish()
    client.advance()
    assert client.taken == b"that was all"
    assert client.transport.finished
    assert not client.lost
    client.feed(b"more")
    assert bytes(backend.taken) == b"more"
    assert not backend.disconnected
    client.finish()
    assert client.lost
    assert backend.disconnected
    assert not backend.aborted


def test_a_fin_waits_for_what_is_queued(alone: Site) -> None:
    """A backend that is slow to take gets all of it, and then the FIN."""
    client, backend = alone.pair()
    backend.takes(0)
    client.feed(b"x" * 300_000, split=50_000)
    client.finish()
    assert not backend.finished
    for _ in range(400):
        backend.takes(1000)
        client.advance()
    assert len(backend.taken) == 300_000
    assert backend.finished


def test_a_slow_backend_holds_the_client(alone: Site) -> None:
    """What is kept for it is bounded, however much the client has."""
    client, backend = alone.pair()
    backend.takes(0)
    client.feed(b"x" * MIB)
    client.advance(5)
    assert client.connection.received <= BOUND
    assert not client.transport.reading
    backend.takes(None)
    client.advance()
    assert len(backend.taken) == MIB


def test_a_slow_client_holds_the_backend(alone: Site) -> None:
    """What is kept for it is bounded, however much the backend has."""
    client, backend = alone.pair()
    client.takes(0)
    backend.deliver(b"x" * MIB)
    client.advance(5)
    assert client.connection.written <= BOUND
    assert not backend.reading
    client.takes(None)
    client.advance()
    assert client.taken == b"x" * MIB


def test_a_reset_of_the_client_resets_the_backend(alone: Site) -> None:
    """When that has taken what had come."""
    client, backend = alone.pair()
    backend.takes(0)
    client.feed(b"last words")
    client.vanish()
    alone.clock.advance(TICK)
    assert not backend.aborted
    backend.takes(None)
    alone.clock.advance(TICK)
    assert bytes(backend.taken) == b"last words"
    assert backend.aborted


def test_a_reset_of_the_backend_resets_the_client(alone: Site) -> None:
    """When that has taken what had come; a cut answer does not look like a whole one."""
    client, backend = alone.pair()
    client.takes(0)
    backend.deliver(b"half an ans")
    client.advance()
    backend.vanish()
    client.advance(1)
    assert not client.lost
    client.takes(None)
    client.advance(1)
    assert client.taken == b"half an ans"
    assert client.lost
    assert not client.transport.finished


def test_nothing_waits_for_a_reset_when_all_is_taken(alone: Site) -> None:
    """It goes at once."""
    client, backend = alone.pair()
    backend.vanish()
    client.advance(0)
    assert client.lost
    client, backend = alone.client(), alone.servers[0].accept()
    client.vanish()
    assert backend.aborted


@pytest.mark.parametrize("clean", [True, False])
def test_a_backend_that_takes_nothing_does_not_keep_what_its_client_left(clean: bool, alone: Site) -> None:
    """The guards are around the client, which is gone: the relay has the same limit for what is left."""
    client, backend = alone.pair()
    backend.takes(0)
    client.feed(b"x")
    if clean:
        backend.finish()
        client.finish()
    else:
        client.vanish()
    assert client.lost
    client.advance(STALL - 1)
    assert not backend.aborted
    client.advance(2)
    assert backend.aborted
    assert len(alone.relay.stalls) == 0


def test_nothing_waits_for_an_acknowledgement() -> None:
    """Nagle's algorithm would let a question in two parts wait; where it cannot be switched off, it is not there."""
    relay = site()
    relay.carrier = Delaying
    client, backend = relay.pair()
    assert client.transport.delays is False
    assert not hasattr(backend, "delays")


class Delaying(MemoryTransport):
    """Remembers whether it delays, and then says that it is no TCP."""

    delays = True

    def setTcpNoDelay(self, enabled: bool) -> None:
        """Not on this kind of socket."""
        self.delays = not enabled
        raise OSError


def inside_tls(transport: Any) -> Any:
    """From now on a transport pretends to be encrypted."""
    alsoProvides(transport, ISSLTransport)
    return transport


def test_towards_tls_an_end_is_a_close() -> None:
    """Its half-close is `close_notify`; that of the socket below would cut it off."""
    relay = site()
    client, backend = relay.pair()
    inside_tls(backend)
    client.finish()
    assert not backend.finished
    assert backend.disconnecting


def test_bytes_for_nobody_go_nowhere(alone: Site) -> None:
    """What a client still sends when its backend is gone, or a backend when its client is."""
    client, backend = alone.pair()
    client.takes(0)
    backend.deliver(b"x")
    client.advance()
    protocol = backend.protocol
    backend.vanish()
    client.feed(b"nobody reads this")
    client.takes(None)
    client.advance(1)
    assert client.lost
    protocol.dataReceived(b"nor this")
    assert alone.timers <= 1


def play(data: some.DataObject, carrier: Any) -> None:
    """Sends, FINs and takes of both, in any order: all arrives, in order, and both end when both have finished."""
    relay = site(carrier=carrier)
    client, backend = relay.pair()
    sent: dict[str, bytearray] = {"client": bytearray(), "backend": bytearray()}
    finished: set[str] = set()
    ends: dict[str, Any] = {"client": client.transport, "backend": backend}
    for _ in range(data.draw(some.integers(1, 25))):
        who = data.draw(some.sampled_from(["client", "backend"]))
        does = data.draw(some.sampled_from(["send", "send", "finish", "takes", "hold"]))
        if does == "send" and who not in finished:
            piece = data.draw(some.integers(1, 255)).to_bytes(1, "big") * data.draw(some.sampled_from([1, 999, 70_000]))
            sent[who] += piece
            ends[who].deliver(piece)
        elif does == "finish" and who not in finished:
            finished.add(who)
            ends[who].finish()
        elif does == "takes":
            ends[who].takes(None)
        elif does == "hold":
            ends[who].takes(0)
        client.advance(0)
    for end in ends.values():
        end.takes(None)
    client.advance(1)
    assert bytes(backend.taken) == sent["client"]
    assert client.taken == sent["backend"]
    assert client.lost == (len(finished) == 2)
    assert bool(backend.disconnected) == (len(finished) == 2)


@given(data=some.data())
def test_whatever_happens_in_whatever_order_bytes_are_the_same(data: some.DataObject) -> None:
    """Over Twisted's transport."""
    play(data, MemoryTransport)


# Not a parameter of the test above: pytest-twisted wraps hypothesis' inner test once more for each.
@given(data=some.data())
def test_so_it_is_on_our_own_transport(data: some.DataObject) -> None:
    """Over netguard's."""
    play(data, NativeMemoryTransport)
