"""Who has connected is accepted before a port is closed."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet.endpoints import serverFromString
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater

from netguard.guarded_endpoints import announce
from netguard.guards.connection_limit import ConnectionLimit
from netguard.process.newcomers import is_shared, stop_accepting
from netguard.testing import Echo


@pytest.fixture
def peers() -> Iterator[list[socket.socket]]:
    """Sockets that are closed at the end."""
    made: list[socket.socket] = []
    yield made
    for each in made:
        each.close()


async def listen(where: str, most: int = 1000) -> tuple[Any, Any]:
    """A guarded echo that listens; the reactor has no turn before the test gives it one."""
    from twisted.internet import reactor

    guarded = ConnectionLimit(total=most).wrap(Factory.forProtocol(Echo), reactor)
    port: Any = await serverFromString(reactor, where).listen(guarded)
    announce(port, guarded)
    return port, guarded


async def turn() -> None:
    """Give the reactor a moment."""
    from twisted.internet import reactor

    await deferLater(reactor, 0.01)


async def ended(guarded: Any) -> None:
    """Nothing is left behind."""
    guarded.abort_all()
    await guarded.when_empty()
    await turn()


@pytest.mark.parametrize("where", ["tcp:0:interface=127.0.0.1", r"tcp6:0:interface=\:\:1", "unix:{}/socket"])
async def test_who_waits_in_the_queue_is_served(where: str, peers: list[socket.socket], tmp_path: Any) -> None:
    """Nobody has accepted them when the port is closed; each gets its answer. Later comers are refused."""
    port, guarded = await listen(where.format(tmp_path))
    host = port.getHost()
    address: Any = host.name if where.startswith("unix") else (host.host, host.port)
    for number in range(20):
        peer = socket.socket(port.addressFamily)
        peers.append(peer)
        peer.connect(address)
        peer.sendall(b"%02d" % number)
    assert guarded.population == 0
    stop_accepting(guarded.service)
    assert guarded.population == 20
    await turn()
    with pytest.raises(OSError, match=r"refused|No such file"), socket.socket(port.addressFamily) as late:
        late.connect(address)
    for number, peer in enumerate(peers):
        peer.setblocking(False)
        while True:
            try:
                assert peer.recv(9) == b"%02d" % number
                break
            except BlockingIOError:
                await turn()
    await ended(guarded)


async def test_a_queue_that_is_left_alone_is_not_accepted(peers: list[socket.socket]) -> None:
    """While the service is overloaded, its newcomers stay where they are, and are reset with the port."""
    port, guarded = await listen("tcp:0:interface=127.0.0.1")
    guarded.service.pause_accepting("test")
    peers.append(socket.create_connection(("127.0.0.1", port.getHost().port)))
    stop_accepting(guarded.service)
    await turn()
    assert guarded.population == 0
    with pytest.raises(ConnectionResetError):
        peers[0].recv(1)


async def test_a_socket_that_others_hold_keeps_its_queue(peers: list[socket.socket]) -> None:
    """systemd, or the next instance, accepts who waits there."""
    from twisted.internet import reactor

    guarded = ConnectionLimit(total=9).wrap(Factory.forProtocol(Echo), reactor)
    with socket.create_server(("127.0.0.1", 0)) as held:
        held.setblocking(False)
        real: Any = reactor
        port = real.adoptStreamPort(held.fileno(), socket.AF_INET, guarded)
        announce(port, guarded)
        assert is_shared(port)
        peers.append(socket.create_connection(held.getsockname()))
        stop_accepting(guarded.service)
        await turn()
        assert guarded.population == 0
        accepted, _ = held.accept()
        accepted.close()


async def test_a_flood_does_not_keep_it_there(peers: list[socket.socket]) -> None:
    """It accepts for so many turns as the queue is long, whoever comes meanwhile."""

    class Endless:
        backlog = 3
        turns = 0

        def __init__(self) -> None:
            self.socket = socket.create_server(("127.0.0.1", 0))
            peers.extend([self.socket, socket.create_connection(self.socket.getsockname())])
            self.connected = True

        def fileno(self) -> int:
            return self.socket.fileno()

        def doRead(self) -> None:
            self.turns += 1

        def stopReading(self) -> None:
            pass

        def stopListening(self) -> None:
            self.connected = False

    _, guarded = await listen("tcp:0:interface=127.0.0.1")
    endless = Endless()
    guarded.service.ports.append(endless)
    stop_accepting(guarded.service)
    await turn()
    assert (endless.turns, endless.connected) == (4, False)
    assert not is_shared(endless)
