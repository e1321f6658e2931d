"""What is promised of Below: it goes past what the application's calls have to pass."""

from __future__ import annotations

from typing import Any

from netguard.guards.lifetime import Lifetime
from netguard.native.below import Below
from netguard.testing import Application, NativeMemoryTransport, connect


def test_nothing_is_counted_held_or_refused() -> None:
    """What is written passes whatever the guards hold, and a pause is nobody's."""
    peer = connect(Lifetime("1h"), Application, carrier=NativeMemoryTransport)
    connection: Any = peer.connection
    transport: Any = peer.transport
    below: Any = Below(transport)
    connection.pause("a guard", "out")
    below.write(b"past")
    below.pauseProducing()
    assert not transport.reading
    assert connection.listening
    below.resumeProducing()
    assert transport.reading
    peer.advance()
    assert (peer.taken, connection.sent) == (b"past", 0)
    assert below.getPeer() == transport.getPeer()
    below.loseConnection()
    peer.advance()
    assert peer.lost


def test_a_producer_is_the_transports() -> None:
    """The meter does not know it."""
    peer = connect(Lifetime("1h"), Application, carrier=NativeMemoryTransport)
    transport: Any = peer.transport
    below: Any = Below(transport)
    producer: Any = object()
    below.registerProducer(producer, True)
    assert transport.producer is producer
    assert transport.meter.supply is None
    below.unregisterProducer()
    assert transport.producer is None
