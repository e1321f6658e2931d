"""What is promised of Ends: a connection ends as Twisted's do, whole or by half, once, and leaves nothing behind."""

from __future__ import annotations

import gc
import socket
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure

from netguard.guards.lifetime import Lifetime
from netguard.testing import Application, Echo, HalfCloseable, NativeMemoryTransport, connect
from tests.living import living
from tests.native.conftest import until

if TYPE_CHECKING:
    from tests.native.conftest import Ground
    from tests.native.house import House


def dialogue(application: Any = Echo) -> Any:
    """A connection on a clock."""
    return connect(Lifetime("1h"), application, carrier=NativeMemoryTransport)


def test_an_application_that_goes_on_after_the_peers_end_may_read_again() -> None:
    """Nothing comes, but the reactor is told at the end that nobody reads any more."""
    peer = dialogue(HalfCloseable)
    peer.finish()
    assert not peer.transport.reading
    peer.application.transport.resumeProducing()
    assert peer.transport.reading
    peer.application.transport.loseConnection()
    peer.advance()
    assert peer.lost
    assert not peer.transport.reading


def test_who_leaves_is_gone_at_once_where_nothing_waits() -> None:
    """Without a turn of the reactor; leaving once more changes nothing."""
    peer = dialogue(Application)
    peer.application.transport.write(b"bye")
    peer.advance()
    peer.application.transport.leave()
    assert (peer.taken, peer.lost) == (b"bye", True)
    assert type(peer.application.reason) is ConnectionDone
    peer.application.transport.leave()
    assert [each[0] for each in peer.application.calls] == ["made", "lost"]


def test_who_leaves_waits_for_what_the_kernel_does_not_take() -> None:
    """As who closes does."""
    peer = dialogue(Application)
    peer.takes(1)
    peer.application.transport.write(b"bye")
    peer.application.transport.leave()
    peer.application.transport.leave()
    assert not peer.lost
    peer.takes(None)
    assert (peer.taken, peer.lost) == (b"bye", True)


def test_who_leaves_waits_for_what_a_guard_holds_back() -> None:
    """And leaves when it lets go."""
    peer = dialogue(Application)
    peer.connection.pause("somebody", "out")
    peer.application.transport.write(b"bye")
    peer.application.transport.leave()
    peer.advance()
    assert (peer.taken, peer.lost) == (b"", False)
    peer.connection.resume("somebody", "out")
    peer.advance()
    assert (peer.taken, peer.lost) == (b"bye", True)


def test_it_ends_once() -> None:
    """Whoever says so how often."""
    peer = dialogue(Application)
    for _ in range(3):
        peer.transport.connectionLost(Failure(ConnectionLost()))
    assert [each[0] for each in peer.application.calls] == ["made", "lost"]


@pytest.mark.parametrize(("linger", "why"), [(b"\1\0\0\0\0\0\0\0", ConnectionLost), (b"\0" * 8, ConnectionDone)])
async def test_a_peer_that_goes_is_told_apart(ground: Ground, linger: bytes, why: type[Exception]) -> None:
    """A reset is a loss, a close is not."""
    client, application = await ground.connect(ground.listen())
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    client.close()
    await until(lambda: application.reason)
    assert type(application.reason) is why


async def test_a_half_close_that_raises_is_logged_and_the_end(ground: Ground, logged: Any) -> None:
    """As Twisted has it, in both directions."""

    def fail() -> None:
        raise ZeroDivisionError

    port = ground.listen(HalfCloseable)
    client, application = await ground.connect(port)
    application.reactions["read lost"] = fail
    client.shutdown(socket.SHUT_WR)
    await until(lambda: application.reason)
    _, application = await ground.connect(port)
    application.reactions["write lost"] = fail
    application.transport.loseWriteConnection()
    await until(lambda: application.reason)
    assert len(logged.take_failures(ZeroDivisionError)) == 2
    assert type(application.reason) is ZeroDivisionError


async def test_a_producer_that_raises_when_it_is_stopped_is_logged_and_the_end(
    guarded_house: House, logged: Any
) -> None:
    """Its place comes back, and the application hears of the end; Twisted's transport would tell nobody."""

    class Fails:
        """Raises."""

        def stopProducing(self) -> None:
            """Raise."""
            raise ZeroDivisionError

    def produce(application: Any) -> None:
        application.transport.registerProducer(Fails(), True)
        application.transport.abortConnection()

    house = guarded_house
    house.open(produce)
    await deferToThread(house.says, b"hello")
    await until(lambda: house.called("lost"))
    assert house.port.factory.connections == []
    assert len(logged.take_failures(ZeroDivisionError)) == 1


async def test_a_half_close_reaches_the_peer_after_what_was_written(ground: Ground) -> None:
    """And the peer's answer still comes."""
    client, application = await ground.connect(ground.listen(HalfCloseable))
    application.transport.write(b"last")
    application.transport.loseWriteConnection()
    assert await ground.read(client, 100) == b"last"
    client.send(b"answer")
    await until(lambda: application.received == b"answer")


async def test_nothing_waits_for_the_garbage_collector(ground: Ground) -> None:
    """When a connection is over, its transport goes with its last reference."""
    client, application = await ground.connect(ground.listen())
    held, meter = weakref.ref(application.transport), living(application.transport.meter)
    assert meter()
    client.close()
    await until(lambda: application.reason)
    gc.disable()
    try:
        application.transport = None
        await until(lambda: held() is None and not meter())
    finally:
        gc.enable()


async def test_a_lost_connection_is_found_by_reading(ground: Ground) -> None:
    """It is no half-close."""
    client, application = await ground.connect(ground.listen(HalfCloseable))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    application.transport.read_at_once()
    assert type(application.reason) is ConnectionLost
