"""Several sockets of one address are one port, and nobody who waits at any of them is lost."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from zope.interface.verify import verifyObject

from netguard.guarded_endpoints import announce
from netguard.guards.connection_limit import ConnectionLimit
from netguard.joined_port import JoinedPort, adopt, ports_of
from netguard.native.port import Port
from netguard.process.newcomers import is_shared, stop_accepting
from netguard.testing import Echo
from netguard.workers.sockets import opened, steer
from netguard.workers.steering import Instruction

HERE = "127.0.0.1"
_RETURN = 0x06


def to(at: int) -> list[Instruction]:
    """A program by which every newcomer goes to one socket of a group."""
    return [(_RETURN, 0, 0, at)]


@pytest.fixture
def group() -> Iterator[list[socket.socket]]:
    """Three sockets of one address."""
    made = opened(HERE, 0, 7, 3)
    yield made
    for each in made:
        each.close()


def serve(group: list[socket.socket]) -> tuple[Any, Any]:
    """A guarded echo on all of them."""
    from twisted.internet import reactor

    real: Any = reactor
    guarded = ConnectionLimit(total=9).wrap(Factory.forProtocol(Echo), reactor)
    made = adopt(real.adoptStreamPort, [os.dup(each.fileno()) for each in group], socket.AF_INET, guarded, 7)
    return announce(made, guarded), guarded


async def echoed(peer: socket.socket) -> bytes:
    """What comes back."""
    from twisted.internet import reactor

    peer.setblocking(False)
    while True:
        try:
            return peer.recv(9)
        except BlockingIOError:
            await deferLater(reactor, 0.01)


async def test_all_are_served_as_one(group: list[socket.socket]) -> None:
    """Each by our own transport; what is the same for all is known of the port."""
    port, guarded = serve(group)
    verifyObject(IListeningPort, port)
    assert [type(each) for each in ports_of(port)] == [Port] * 3
    assert [each.getsockname() for each in port.sockets] == [each.getsockname() for each in group]
    assert (port.connected, port.backlog, port.factory) == (True, 7, guarded)
    assert port.getHost().port == group[0].getsockname()[1]
    assert guarded.service.carriers == {"native": 1}
    assert guarded.service.open_ports == [port]
    port.startListening()
    for at in range(3):
        steer(group, to(at))
        with socket.create_connection(group[0].getsockname()) as peer:
            peer.sendall(b"hello")
            assert await echoed(peer) == b"hello"
    await port.stopListening()
    assert not port.connected
    guarded.abort_all()
    await guarded.when_empty()


async def test_while_it_does_not_read_all_wait(group: list[socket.socket]) -> None:
    """Behind it, they are served."""
    from twisted.internet import reactor

    port, guarded = serve(group)
    guarded.service.pause_accepting("test")
    peers = []
    for at in range(3):
        steer(group, to(at))
        peers.append(socket.create_connection(group[0].getsockname()))
        peers[-1].sendall(b"%d" % at)
    await deferLater(reactor, 0.05)
    assert guarded.population == 0
    guarded.service.resume_accepting("test")
    for at, peer in enumerate(peers):
        with peer:
            assert await echoed(peer) == b"%d" % at
    await port.stopListening()
    guarded.abort_all()
    await guarded.when_empty()


async def test_who_waits_anywhere_is_accepted_before_it_closes(group: list[socket.socket]) -> None:
    """Where the sockets are this process's alone; they are, or are shared, all together."""
    port, guarded = serve(group)
    assert is_shared(port)
    port._shouldShutdown = True
    assert [is_shared(each) for each in port.ports] == [False] * 3
    peers = []
    for at in range(3):
        steer(group, to(at))
        peers.append(socket.create_connection(group[0].getsockname()))
    stop_accepting(guarded.service)
    assert guarded.population == 3
    for peer in peers:
        with peer:
            peer.sendall(b"hello")
            assert await echoed(peer) == b"hello"
    guarded.abort_all()
    await guarded.when_empty()


def test_one_is_no_joined_port(group: list[socket.socket]) -> None:
    """It is what the reactor made."""

    class One:
        backlog = 0

    one = One()
    numbers = [os.dup(group[0].fileno())]
    assert adopt(lambda *_: one, numbers, socket.AF_INET, None, 9) is one
    assert ports_of(one) == [one]
    assert one.backlog == 9


def test_what_cannot_be_adopted_is_closed(group: list[socket.socket]) -> None:
    """Nobody else would."""

    def refuse(*_: object) -> None:
        raise OSError(24, "Too many")

    numbers = [os.dup(each.fileno()) for each in group]
    with pytest.raises(OSError, match="Too many"):
        adopt(refuse, numbers, socket.AF_INET, None, 9)
    for each in numbers:
        with pytest.raises(OSError, match="Bad file"):
            os.fstat(each)


def test_it_can_be_copied_and_asked_for_what_it_has_not() -> None:
    """Looking for an attribute ends, whatever there is yet."""
    with pytest.raises(AttributeError):
        _ = JoinedPort.__new__(JoinedPort).sockets
    with pytest.raises(AttributeError):
        _ = JoinedPort([object()]).factory
