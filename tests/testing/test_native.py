"""Tests for netguard.testing.native: our own transport in the hands of a test."""

from __future__ import annotations

import pytest

from netguard.errors import LifetimeOver
from netguard.guards.connection_limit import ConnectionLimit
from netguard.guards.lifetime import Lifetime
from netguard.native.server import Server
from netguard.testing import Application, HalfCloseable, NativeMemoryTransport, connect
from netguard.testing.native import MemorySocket


def test_it_is_the_real_transport_but_for_its_socket() -> None:
    """And it has the handles of the other one."""
    peer = connect(Lifetime("5s"), HalfCloseable, carrier=NativeMemoryTransport)
    transport = peer.transport
    assert isinstance(transport, NativeMemoryTransport)
    assert isinstance(transport, Server)
    peer.feed(b"hello")
    peer.takes(2)
    transport.write(b"abc")
    peer.advance()
    assert peer.taken == b"ab"
    transport.loseWriteConnection()
    peer.takes(None)
    peer.finish()
    assert (peer.taken, transport.finished, transport.reading, transport.aborted) == (b"abc", True, False, False)
    peer.advance(5)
    assert transport.aborted
    assert type(peer.application.reason) is LifetimeOver
    assert transport.changes == [("taken", b"abc"), ("finished",), ("not reading",), ("lost",)]


def test_a_refused_connection_has_none() -> None:
    """No transport is made for it."""
    first = connect(ConnectionLimit(total=1), Application, carrier=NativeMemoryTransport)
    second = connect(first.factory, carrier=NativeMemoryTransport)
    assert second.refused
    assert second.transport is None


def test_its_socket_does_what_sockets_do() -> None:
    """As far as a transport asks it."""
    sock = MemorySocket()
    with pytest.raises(BlockingIOError):
        sock.recv(10)
    sock.room = 0
    with pytest.raises(BlockingIOError):
        sock.send(b"x")
    assert sock.send(b"") == 0
    sock.unread += b"abc"
    sock.peer_finished = True
    assert (sock.recv(2), sock.recv(2), sock.recv(2)) == (b"ab", b"c", b"")
    sock.shutdown(2)
    assert not sock.finished
    sock.setsockopt(1, 2, 3)
    assert sock.getsockopt(1, 2) == 0
    assert sock.fileno() > 0
