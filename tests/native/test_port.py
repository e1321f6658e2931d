"""What is promised of Port: it accepts a few at a time, and makes nothing for a connection that is refused."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from twisted.internet import tcp
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock

from netguard.guards.connection_limit import ConnectionLimit
from netguard.guards.lifetime import Lifetime
from netguard.guards.refusal import Refusal
from netguard.native.port import BATCH, Port, take_over
from netguard.policy import Policy
from netguard.testing import Application, Echo
from tests.native.conftest import until

if TYPE_CHECKING:
    from tests.native.conftest import Ground


def limit(style: str | None = None, total: int = 1) -> Policy:
    """One connection, and how others are refused."""
    return Policy(ConnectionLimit(total=total), *([] if style is None else [Refusal(style)]))


@pytest.fixture
def reactor() -> Any:
    """The reactor of this run."""
    from twisted.internet import reactor as installed

    return installed


@pytest.mark.parametrize("interface", ["127.0.0.1", "::1"])
async def test_a_connection_lives_on_it(ground: Ground, interface: str) -> None:
    """Both kinds of IP; at the end every place is free."""
    port = ground.listen(Echo, limit(), interface)
    client, application = await ground.connect(port)
    client.send(b"hello")
    assert await ground.read(client, 5) == b"hello"
    assert application.transport.getPeer().host == interface
    client.close()
    await until(lambda: application.reason)
    assert port.factory.connections == []
    client, _ = await ground.connect(port)
    client.send(b"again")
    assert await ground.read(client, 5) == b"again"


async def test_who_is_refused_sees_a_close(ground: Ground) -> None:
    """And no application is built."""
    port = ground.listen(Echo, limit())
    await ground.connect(port)
    assert await ground.read(ground.dial(port), 1) == b""
    assert len(ground.applications) == 1


async def test_who_is_refused_may_be_reset_and_who_is_let_in_is_not(ground: Ground) -> None:
    """The listening socket says it for all of them; it is taken back for those that are let in."""
    port = ground.listen(Echo, limit("reset"))
    client, application = await ground.connect(port)
    with pytest.raises(ConnectionResetError):
        await ground.read(ground.dial(port), 1)
    linger = application.transport.getHandle().getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
    assert struct.unpack("ii", linger) == (0, 0)
    application.transport.write(b"bye")
    application.transport.loseConnection()
    assert await ground.read(client, 100) == b"bye"


async def test_who_is_refused_may_be_told(ground: Ground) -> None:
    """In the form that the application has for it."""

    class Framed(Factory):
        """Has one."""

        def buildProtocol(self, addr: object) -> Any:
            """Build."""
            ground.applications.append(Application())
            return ground.applications[-1]

        def refusal_text(self, text: str) -> bytes:
            """Frame it."""
            return b"-ERR " + text.encode() + b"\r\n"

    port = ground.listen(Framed(), limit("text:full"))
    await ground.connect(port)
    assert await ground.read(ground.dial(port), 100) == b"-ERR full\r\n"


async def test_what_the_applications_factory_raises_is_logged_and_refused(ground: Ground, logged: Any) -> None:
    """And the port goes on, with every place free."""

    class Fails(Factory):
        """Raises, once."""

        asked = 0

        def buildProtocol(self, addr: object) -> Any:
            """Raise, or build."""
            self.asked += 1
            if self.asked == 1:
                raise ZeroDivisionError
            return Echo()

    port = ground.listen(Fails(), limit())
    assert await ground.read(ground.dial(port), 1) == b""
    assert len(logged.take_failures(ZeroDivisionError)) == 1
    client = ground.dial(port)
    client.send(b"x")
    assert await ground.read(client, 1) == b"x"


async def test_what_connection_made_raises_is_logged(ground: Ground, logged: Any) -> None:
    """The connection stays, as it does at Twisted's port."""

    class Fails(Echo):
        """Raises when it is connected."""

        def connectionMade(self) -> None:
            """Raise."""
            super().connectionMade()
            raise ZeroDivisionError

    client, _ = await ground.connect(ground.listen(Fails))
    client.send(b"x")
    assert await ground.read(client, 1) == b"x"
    assert len(logged.take_failures(ZeroDivisionError)) == 1


async def test_few_are_accepted_in_one_turn(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many wait; those who are in have their turn in between."""
    port, turns = ground.listen(Echo, limit(total=1000)), list[int]()
    accept_some = port.doRead
    talker, talking = await ground.connect(port)

    def counted() -> None:
        before = len(ground.applications)
        accept_some()
        turns.append(len(ground.applications) - before)
        heard.append(len(talking.received))
        with suppress(BlockingIOError):
            talker.send(b"x")

    heard = list[int]()
    monkeypatch.setattr(port, "doRead", counted)
    for _ in range(10 * BATCH):
        ground.dial(port)
    await until(lambda: len(ground.applications) == 1 + 10 * BATCH)
    assert max(turns) == BATCH
    assert all(each >= turn - 1 for turn, each in enumerate(heard))  # in the same turn or in the next
    client, _ = await ground.connect(port)
    client.send(b"x")
    assert await ground.read(client, 1) == b"x"


async def test_a_link_local_peer_keeps_its_zone(ground: Ground, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is part of the address."""
    port = ground.listen(Echo, interface="::1")
    real = port.socket
    seen: list[Any] = []

    class Zoned:
        """A socket whose peers are on link 1."""

        def __getattr__(self, name: str) -> Any:
            """Everything else."""
            return getattr(real, name)

        def _accept(self) -> Any:
            descriptor, client = real._accept()
            return descriptor, (*("fe80::1", client[1]), 0, 1)

    monkeypatch.setattr(port, "socket", Zoned())
    monkeypatch.setattr(port.factory.wrapped, "buildProtocol", seen.append)
    assert await ground.read(ground.dial(port), 1) == b""
    assert seen[0].host.startswith("fe80::1%")
    monkeypatch.undo()


async def test_other_ports_are_left_alone(reactor: Any) -> None:
    """Those of other factories, of another kind, with a transport of their own, or that do not listen."""
    guarded: Any = Policy(Lifetime("1h")).wrap(Factory.forProtocol(Echo))
    plain: Any = Factory.forProtocol(Echo)

    class Own(tcp.Server):
        """Somebody's transport."""

    ports = [reactor.listenTCP(0, each, interface="127.0.0.1") for each in (plain, guarded, guarded)]
    ports[1].transport = Own
    assert [take_over(each) for each in ports] == [False, False, True]
    assert [type(each) for each in ports] == [tcp.Port, tcp.Port, Port]
    assert not take_over(ports[2])
    for each in ports:
        await each.stopListening()
    idle: Any = tcp.Port(0, guarded, reactor=reactor)
    assert not take_over(idle)
    elsewhere: Any = tcp.Port(0, guarded, reactor=Clock())
    elsewhere.connected = True
    assert not take_over(elsewhere)
    assert not take_over(MemoryReactorClock().listenTCP(0, guarded))


@pytest.mark.parametrize("first", [True, False])
async def test_those_who_speak_first_are_listened_to_at_once(ground: Ground, first: bool) -> None:
    """As long as they do; one in sixteen is asked where nobody does, in case that changes."""
    port = ground.listen(Echo, limit(total=1000))
    asked: list[bool] = []
    listen_at_once = port._listen_at_once

    def count(made: Any) -> None:
        listen_at_once(made)
        asked.append(made.meter.received > 0)

    port._listen_at_once = count

    def arrived(number: int) -> bool:
        return len(ground.applications) > number

    for number in range(33):
        client = socket.socket()
        ground.clients.append(client)
        client.connect(("127.0.0.1", port.getHost().port))
        if first:
            client.send(b"hello")
        client.setblocking(False)
        await until(partial(arrived, number))
    assert asked == ([True] * 33 if first else [False] * 3)


async def test_one_that_greets_and_goes_is_heard(ground: Ground) -> None:
    """As daytime services do: all is said and done in the turn in which the peer was let in."""

    class Daytime(Application):
        """Says the time, and closes."""

        def connectionMade(self) -> None:
            """Say it."""
            super().connectionMade()
            transport: Any = self.transport
            transport.write(b"noon")
            transport.loseConnection()

    port = ground.listen(Daytime)
    for _ in range(20):
        client = ground.dial(port)
        assert await ground.read(client, 100) == b"noon"
    assert {type(each.reason) for each in ground.applications} == {ConnectionDone}
    assert port.factory.connections == []
