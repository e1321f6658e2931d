"""Producers of an application, on real sockets, TLS or not: a peer that is slow holds them, and nothing is lost."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPullProducer, IPushProducer
from twisted.internet.threads import deferToThread
from twisted.protocols.basic import FileSender
from zope.interface import implementer

from netguard.application import connection_of
from netguard.guards.bandwidth import Bandwidth
from netguard.policy import Policy
from tests.native.conftest import until
from tests.native.house import MUCH

if TYPE_CHECKING:
    from tests.native.house import House

# Twisted hands pyOpenSSL's own objects to pyOpenSSL.
pytestmark = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")

ALL = 2 * MUCH
"""More than the kernel keeps for a peer that does not read."""

PIECE = 100_000
HELD = 512 * 1024
"""So much may wait in our memory for a peer, whatever kind of producer has it."""


@implementer(IPushProducer, IPullProducer)
class Producer:
    """Has ALL; writes piece after piece until it is held, or one when it is asked.

    Args:
        application: whose it is.
        streaming: whether it writes by itself.

    Attributes:
        told: what it was told.
        waiting: the most that ever waited for the peer after a piece of its own.
    """

    def __init__(self, application: Any, *, streaming: bool) -> None:
        self.transport = application.transport
        self.streaming = streaming
        self.told: list[str] = []
        self.at = self.waiting = 0
        self.going = False
        self.transport.registerProducer(self, streaming)
        if streaming:
            self.resumeProducing()

    def pauseProducing(self) -> None:
        """Hold."""
        self.told.append("pause")
        self.going = False

    def resumeProducing(self) -> None:
        """Go on."""
        self.told.append("resume")
        self.going = True
        while self.going and self.at < len(ALL):
            self.transport.write(ALL[self.at : self.at + PIECE])
            self.at += PIECE
            if (connection := connection_of(self.transport)) is not None:
                self.waiting = max(self.waiting, connection.queued)
            if not self.streaming:
                break
        if self.at >= len(ALL) and not self.told.count("end"):
            self.told.append("end")
            self.transport.unregisterProducer()
            self.transport.loseConnection()

    def stopProducing(self) -> None:
        """The end."""
        self.told.append("stop")


@pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "pull"])
async def test_a_producer_is_held_by_a_peer_that_is_slow(house: House, streaming: bool) -> None:
    """Begun while bytes are delivered. All of it arrives in order, then the end; what waits stays bounded."""
    producers: list[Producer] = []
    house.open(lambda application: producers.append(Producer(application, streaming=streaming)))
    with await deferToThread(house.call, 65_536) as caller:
        caller.sendall(b"go")
        await until(lambda: producers and held(producers[0]))
        with await deferToThread(house.call):  # others are served
            await until(lambda: len(house.ground.applications) == 2)
        (producer,) = producers
        assert producer.at < len(ALL)
        assert await deferToThread(house.hears, caller) == (ALL, "in order")
    await until(lambda: house.called("lost", 0))
    assert house.called("lost", 0) == [("lost", ConnectionDone)]
    assert producer.waiting <= HELD
    assert "stop" not in producer.told
    if streaming:
        assert producer.told.count("pause") >= 1
    else:
        assert producer.told.count("resume") == -(-len(ALL) // PIECE)


def held(producer: Producer) -> bool:
    """Whether it has written something that the kernel does not take."""
    if producer.streaming:
        return not producer.going
    below = getattr(producer.transport, "transport", producer.transport)  # of Twisted's TLS
    return len(below.dataBuffer) + below._tempDataLen > 0 and producer.at > PIECE


@pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "pull"])
async def test_a_producer_whose_peer_goes_is_stopped(house: House, streaming: bool) -> None:
    """Once, and nobody asks it for more."""
    producers: list[Producer] = []
    house.open(lambda application: producers.append(Producer(application, streaming=streaming)))
    with await deferToThread(house.call, 65_536) as caller:
        caller.sendall(b"go")
        await until(lambda: producers and held(producers[0]))
    await until(lambda: house.called("lost", 0))
    (producer,) = producers
    assert producer.told.count("stop") == 1
    assert producer.told[-1] == "stop"


async def test_twisteds_own_file_sender_works(house: House) -> None:
    """A pull producer of somebody else's."""

    def send(application: Any) -> None:
        done = FileSender().beginFileTransfer(io.BytesIO(ALL), application.transport)
        done.addCallback(lambda _: application.transport.loseConnection())

    house.open(send)
    assert await deferToThread(house.says, b"go") == (ALL, "in order")


@pytest.mark.parametrize("streaming", [True, False], ids=["streaming", "pull"])
async def test_a_guard_holds_it_as_well(guarded_house: House, streaming: bool) -> None:
    """By what may be sent in a second: all arrives, and what waits stays bounded."""
    producers: list[Producer] = []
    policy = Policy(Bandwidth(sent=8 * len(ALL)))
    guarded_house.open(lambda application: producers.append(Producer(application, streaming=streaming)), policy=policy)
    assert await deferToThread(guarded_house.says, b"go") == (ALL, "in order")
    assert producers[0].waiting <= HELD
