"""What is promised of HandshakeTimeout: neither TLS nor the opening of a connection takes for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from twisted.internet.defer import Deferred

from netguard.errors import HandshakeTooSlow
from netguard.guard import Connection, Guard, frozen
from netguard.guards.handshake_timeout import HandshakeTimeout

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.guards.conftest import Peer, Service


class Handle:
    """Stands for OpenSSL's connection."""

    finished: bytes | None = None

    def get_peer_finished(self) -> bytes | None:
        """The peer's Finished message, once it came."""
        return self.finished


@pytest.fixture
def starts_tls() -> Callable[[Peer], Handle]:
    """The application starts TLS on a connection; the handle says how far the handshake is."""

    def start(peer: Peer) -> Handle:
        handle = Handle()
        peer.wire.startTLS = lambda *_: None  # type: ignore[attr-defined]
        peer.wire.getHandle = lambda: handle  # type: ignore[attr-defined]
        transport: Any = peer.app.transport
        transport.startTLS(None)
        return handle

    return start


def test_a_connection_without_a_handshake_has_no_limit(service: type[Service]) -> None:
    """Plain text is no handshake."""
    house = service(HandshakeTimeout(10))
    peer = house.connect()
    house.wait(100)
    assert peer.reason is None


@pytest.mark.parametrize("begins", [0, 3, 9.9, 15, 20, 33.3])
def test_a_handshake_that_does_not_end_is_cut_whenever_it_began(
    service: type[Service], starts_tls: Callable[[Peer], Handle], begins: float
) -> None:
    """Within a tick after its moment, and never early; bytes of the handshake are no progress."""
    house = service(HandshakeTimeout(10))
    peer = house.connect()
    house.wait(begins)
    starts_tls(peer)
    assert 10 <= house.end_of(peer, 11) - begins <= 10.31
    why = peer.why(HandshakeTooSlow)
    assert why.limit == 10
    assert 10 <= why.observed <= 10.31


def test_a_handshake_that_ends_just_in_time_is_forgotten(
    service: type[Service], starts_tls: Callable[[Peer], Handle]
) -> None:
    """And a second one has the whole limit."""
    house = service(HandshakeTimeout(10))
    peer = house.connect()
    house.wait(3)
    handle = starts_tls(peer)
    house.wait(9.9)
    handle.finished = b"verify data"
    house.wait(50)
    assert peer.reason is None
    last = house.now
    handle.finished = None
    starts_tls(peer)
    assert 10 <= house.end_of(peer, 11) - last <= 10.31


@frozen
class Ponders(Guard):
    """A guard that never decides."""

    def open(self, connection: Connection) -> Deferred[None]:
        """Wait."""
        return Deferred()


def test_a_guard_that_does_not_decide_ends_as_a_handshake(service: type[Service], logged: Any) -> None:
    """Nobody is kept waiting at the door for ever; the application never hears of it."""
    house = service(HandshakeTimeout(10), Ponders())
    protocol: Any = house.factory.buildProtocol(None)
    from_test = house.clock
    assert protocol is not None
    wire = _wire(house, protocol)
    while not wire.aborted and house.now < 12:
        from_test.advance(0.05)
    assert 10 <= house.now <= 10.31
    from_test.advance(1)
    (event,) = logged.named("refused")
    assert (event["guard"], event["option"], event["limit"]) == ("HandshakeTimeout", "handshake", "10s")
    assert house.built == []


def _wire(house: Service, protocol: Any) -> Any:
    wire = house.wire(None)
    wire.protocol = protocol
    protocol.makeConnection(wire)
    return wire


def test_observing_says_once_what_it_would_have_done(
    service: type[Service], starts_tls: Callable[[Peer], Handle], logged: Any
) -> None:
    """And does nothing."""
    house = service(HandshakeTimeout(10, observe=True))
    peer = house.connect()
    starts_tls(peer)
    house.wait(100)
    assert peer.reason is None
    (event,) = logged.named("would_cut")
    assert (event["guard"], event["option"], event["limit"]) == ("HandshakeTimeout", "handshake", "10s")
