"""The backend's end: there when the backend can hear us."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import alsoProvides

from netguard.relay.back import Back, BackFactory
from netguard.relay.stalls import TICK, Stalls
from netguard.testing import HalfCloseable, MemoryTransport


class Ended:
    """An end, what was told of it, and its transport."""

    def __init__(self, *, tls: bool = False) -> None:
        self.clock = Clock()
        self.told: list[Any] = []
        self.back = Back(Stalls(self.clock, 10.0), self.told.append, lambda: self.told.append("gone"))
        self.transport = MemoryTransport(self.clock, BackFactory(self.back, b"preface").buildProtocol(None), None)
        if tls:
            alsoProvides(self.transport, ISSLTransport)
        self.back.makeConnection(self.transport)


def test_it_is_there_with_its_connection_and_gone_with_it() -> None:
    """Each is told once."""
    it = Ended()
    assert it.told == [None]
    it.transport.vanish()
    assert it.told == [None, "gone"]
    it.back.connectionLost(Failure(ConnectionLost()))
    assert it.told == [None, "gone"]


def test_inside_tls_it_is_there_after_the_handshake() -> None:
    """What fails before is the answer, and nobody was there who could go."""
    it = Ended(tls=True)
    assert it.told == []
    it.transport.vanish()
    assert [type(each.value) for each in it.told] == [ConnectionLost]


def test_who_leaves_does_not_wait_for_ever() -> None:
    """A backend that takes nothing is cut after a while; until then, it has the chance."""
    it = Ended()
    it.transport.takes(0)
    it.transport.write(b"x")
    it.back.leave()
    it.clock.pump([TICK] * 39)
    assert not it.transport.aborted
    it.clock.pump([TICK] * 2)
    assert it.transport.aborted


def test_who_leaves_and_is_taken_from_leaves_nothing_behind() -> None:
    """No timer, and no reset."""
    it = Ended()
    it.transport.write(b"x")
    it.back.leave()
    it.clock.advance(0)
    assert bytes(it.transport.taken) == b"x"
    assert it.transport.disconnected
    assert not it.transport.aborted
    assert not it.clock.getDelayedCalls()


def test_the_factory_makes_no_noise() -> None:
    """A log line for each connection is the events' affair."""
    assert not BackFactory.noisy


async def test_behind_a_real_endpoint_a_half_close_is_heard() -> None:
    """Twisted's endpoints have a wrapper that would not tell of it; the transport delivers to us without it."""
    from twisted.internet import reactor

    told: list[Any] = []
    server: Any = await serverFromString(reactor, "tcp:0:interface=127.0.0.1").listen(Factory.forProtocol(Finishing))
    back = Back(Stalls(cast("Any", reactor)), told.append, lambda: told.append("gone"))
    finished: Deferred[None] = Deferred()
    back.readConnectionLost = lambda: finished.callback(None)  # type: ignore[method-assign]
    endpoint = clientFromString(reactor, f"tcp:127.0.0.1:{server.getHost().port}")
    assert await endpoint.connect(BackFactory(back)) is back
    assert back.transport.protocol is back
    await finished
    assert told == [None]
    gone: Deferred[None] = Deferred()
    back._gone = lambda: gone.callback(None)
    back.transport.loseWriteConnection()
    back.leave()
    await gone
    assert len(back.stalls) == 0
    await server.stopListening()


class Finishing(HalfCloseable):
    """Has nothing to say, and hears what comes."""

    def connectionMade(self) -> None:
        """Send a FIN."""
        cast("Any", self.transport).loseWriteConnection()

    def readConnectionLost(self) -> None:
        """The other side has finished, too."""
        cast("Any", self.transport).loseConnection()
