"""What an application does to its own connection while bytes are being delivered to it, on real sockets, TLS or not."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from twisted.internet.error import ConnectionAborted, ConnectionDone, ConnectionLost
from twisted.internet.threads import deferToThread
from twisted.protocols.basic import LineOnlyReceiver

from netguard.guards.connection_limit import ConnectionLimit
from netguard.native.secure import READ
from netguard.native.server import Server
from netguard.policy import Policy
from netguard.testing import HalfCloseable
from tests.native.conftest import until
from tests.native.house import MUCH

if TYPE_CHECKING:
    from tests.conftest import Logged
    from tests.native.house import House

# Twisted hands pyOpenSSL's own objects to pyOpenSSL.
pytestmark = pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")


async def test_who_closes_hears_nothing_more_and_is_heard(house: House) -> None:
    """What was written before arrives, and then an end in order."""

    def close(application: Any) -> None:
        assert house.bare or type(application.transport) is Server
        application.transport.write(b"bye")
        application.transport.loseConnection()

    house.open(close)
    assert await deferToThread(house.says, b"hello") == (b"bye", "in order")
    await until(lambda: house.called("lost"))
    assert house.ground.applications[-1].calls[1:] == [("data", b"hello"), ("lost", ConnectionDone)]
    assert house.port.factory.connections == []


async def test_who_closes_in_the_middle_of_a_stream_hears_of_no_more_of_it(plain_house: House) -> None:
    """However much has come by then; it hears of its end once."""
    house = plain_house
    house.open(lambda application: application.transport.loseConnection())

    def stream() -> None:
        with house.call() as caller, pytest.raises(OSError):  # noqa: PT011 - whichever comes first
            caller.sendall(100 * MUCH)

    await deferToThread(stream)
    await until(lambda: house.called("lost"))
    assert len(house.called("data")) == 1
    assert len(house.called("lost")) == 1


async def test_who_aborts_hears_nothing_more_and_is_not_heard(house: House) -> None:
    """The peer sees a reset; nothing that was written in the same breath reaches it."""

    def abort(application: Any) -> None:
        application.transport.write(b"never")
        application.transport.abortConnection()
        application.transport.write(b"never")
        application.transport.loseConnection()

    house.open(abort)
    assert await deferToThread(house.says, MUCH[:100_000]) == (b"", "broken off")
    await until(lambda: house.called("lost"))
    assert len(house.called("data")) == 1
    assert house.called("lost") == [("lost", ConnectionLost if house.secure else ConnectionAborted)]
    assert house.port.factory.connections == []


async def test_who_pauses_is_given_nothing_until_it_resumes(house: House) -> None:
    """However many turns go by; then it gets the rest, in order."""

    def heard(number: int) -> bool:
        return len(house.ground.applications) == number and len(house.called("data")) > 0

    house.open(lambda application: application.transport.pauseProducing())
    talking = deferToThread(house.says, MUCH)
    await until(partial(heard, 1))
    paused = house.ground.applications[-1]
    for number in (2, 3, 4):  # others are served meanwhile
        other = deferToThread(house.says, b"x")
        await until(partial(heard, number))
        house.ground.applications[-1].transport.loseConnection()
        await other
    assert house.bare or len([each for each in paused.calls if each[0] == "data"]) == 1
    assert len(paused.received) <= READ  # which Twisted's TLS delivers to its end, in pieces
    paused.transport.resumeProducing()
    await until(lambda: len(paused.received) == len(MUCH))
    assert bytes(paused.received) == MUCH
    paused.transport.loseConnection()
    assert await talking == (b"", "in order")


async def test_who_pauses_at_every_piece_gets_all_of_them(house: House) -> None:
    """Resumed in the same call, or by the reactor later."""
    from twisted.internet import reactor

    later: Any = reactor

    def again(application: Any) -> None:
        application.reactions["data"] = lambda: again(application)
        application.transport.pauseProducing()
        if len(application.calls) % 2:
            application.transport.resumeProducing()
        else:
            later.callLater(0, application.transport.resumeProducing)
        if len(application.received) == len(MUCH):
            application.transport.loseConnection()

    house.open(again)
    assert await deferToThread(house.says, MUCH) == (b"", "in order")
    assert bytes(house.ground.applications[-1].received) == MUCH


async def test_who_raises_is_ended_and_nobody_else(house: House, logged: Logged) -> None:
    """It is logged once, its place is free, and the port goes on."""

    def fail(application: Any) -> None:
        application.transport.write(b"never")
        if bytes(application.received) == b"fail":
            raise ZeroDivisionError
        application.transport.write(b" mind")
        application.transport.loseConnection()

    house.open(fail, policy=Policy(ConnectionLimit(total=1)))
    heard, _ = await deferToThread(house.says, b"fail")
    assert heard == b""
    await until(lambda: house.called("lost"))
    assert house.called("lost") == [("lost", ConnectionLost if house.secure else ZeroDivisionError)]
    assert len(logged.take_failures(ZeroDivisionError)) == 1
    assert await deferToThread(house.says, b"go on") == (b"never mind", "in order")


async def test_one_may_abort_another_for_whom_something_has_come_in_the_same_turn(house: House) -> None:
    """The other hears of nothing but its end, and of that once."""

    def end(application: Any) -> None:
        for each in house.ground.applications:
            if each is not application:
                each.transport.abortConnection()

    house.open(end)
    with await deferToThread(house.call) as one, await deferToThread(house.call) as other:
        await until(lambda: len(house.ground.applications) == 2)
        for each in (one, other):  # the reactor does not turn in between
            each.sendall(b"x")
        await until(lambda: house.called("lost", 0) or house.called("lost", 1))
    await until(lambda: house.called("lost", 0) and house.called("lost", 1))
    assert len(house.called("data", 0) + house.called("data", 1)) == 1
    assert [len(house.called("lost", each)) for each in (0, 1)] == [1, 1]


async def test_who_closes_its_direction_hears_the_other(plain_house: House) -> None:
    """The answer arrives, then our FIN; what the peer says afterwards is heard."""
    house = plain_house

    def half(application: Any) -> None:
        application.transport.write(b"that is all")
        application.transport.loseWriteConnection()

    house.open(half, HalfCloseable)

    def talk() -> tuple[bytes, str]:
        with house.call() as caller:
            heard = house.hears(caller, b"one")
            caller.sendall(b" more")
            return heard

    assert await deferToThread(talk) == (b"that is all", "in order")
    await until(lambda: house.called("read lost"))
    application = house.ground.applications[-1]
    assert bytes(application.received) == b"one more"
    assert not house.called("lost")
    application.transport.loseConnection()
    await until(lambda: house.called("lost"))
    assert house.called("lost") == [("lost", ConnectionDone)]


class Lines(LineOnlyReceiver):
    """Takes lines, until it is told to quit."""

    transport: Any

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.reason: Any = None

    def lineReceived(self, line: bytes) -> None:
        """Take one."""
        self.heard.append(line)
        assert not self.transport.disconnecting
        if line == b"quit":
            self.transport.loseConnection()
            assert self.transport.disconnecting

    def connectionLost(self, reason: Any = None) -> None:
        """Remember."""
        self.reason = reason.value


async def test_who_closes_hears_no_line_that_came_along(house: House) -> None:
    """Twisted's receivers ask their transport whether it is being closed: what follows a farewell is not obeyed."""
    made: list[Lines] = []

    def make() -> Lines:
        made.append(Lines())
        return made[-1]

    house.serve(make)
    assert await deferToThread(house.says, b"one\r\nquit\r\nDELETE ALL\r\nquit\r\n") == (b"", "in order")
    await until(lambda: made[0].reason)
    assert made[0].heard == [b"one", b"quit"]
    assert type(made[0].reason) is ConnectionDone


async def test_who_closes_while_it_has_paused_is_closed_when_it_resumes(house: House) -> None:
    """TLS has to hear its peer's end for that."""

    def close(application: Any) -> None:
        application.transport.pauseProducing()
        application.transport.loseConnection()
        application.transport.resumeProducing()

    house.open(close)
    assert await deferToThread(house.says, b"hello") == (b"", "in order")
    await until(lambda: house.called("lost"))
    assert house.called("lost") == [("lost", ConnectionDone)]
