"""A connection while it is being made: there at once, there later, or why it never will be."""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from errno import EINPROGRESS, ENETUNREACH
from typing import Any, cast

import pytest
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError
from twisted.internet.error import (
    ConnectBindError,
    ConnectionDone,
    NoProtocol,
    NoRouteError,
    TimeoutError,  # noqa: A004 - Twisted's
)
from twisted.internet.error import ConnectionRefusedError as RefusedError
from twisted.internet.main import CONNECTION_LOST
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from netguard.native.client import PromptClient
from netguard.native.connecting import Connecting
from tests.conftest import Logged
from tests.native.conftest import WITHIN, until

TRIES = 50


class Turns(Clock):
    """A clock that remembers who waits for its socket."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Any] = []
        self.readers: list[Any] = []

    def addWriter(self, writer: Any) -> None:
        """Somebody waits."""
        self.waiting.append(writer)

    def removeWriter(self, writer: Any) -> None:
        """He does no more."""
        if writer in self.waiting:
            self.waiting.remove(writer)

    def addReader(self, reader: Any) -> None:
        """Somebody reads."""
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        """He does no more."""
        self.readers.remove(reader)


class Slow(socket.socket):
    """Is not connected at once, as over a real network."""

    code = EINPROGRESS
    error = 0

    def connect_ex(self, address: Any) -> int:
        """Begin."""
        super().connect_ex(address)
        return self.code

    def getpeername(self) -> Any:
        """Nobody yet."""
        raise OSError

    def getsockopt(self, level: int, option: int, size: int = 0) -> Any:
        """What became of it."""
        return self.error if option == socket.SO_ERROR else super().getsockopt(level, option, size)


@pytest.fixture
def server() -> Iterator[socket.socket]:
    """A server that takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


class Trial:
    """One connection, and what came of it."""

    def __init__(
        self, server: socket.socket, factory: Any = None, host: str = "127.0.0.1", bind: Any = None, port: int = 0
    ) -> None:
        self.turns = Turns()
        self.came: list[Any] = []
        self.addresses: list[Any] = []
        self.factory = cast("Any", factory or Factory.forProtocol(Protocol))
        self._build = self.factory.buildProtocol
        self.factory.buildProtocol = self._asked
        self.connecting = Connecting(self.turns, PromptClient, self.came.append, self.came.append)
        self.connecting.begin(host, port or server.getsockname()[1], self.factory, 10.0, bind)

    def _asked(self, address: Any) -> Any:
        self.addresses.append(address)
        return self._build(address)

    def settled(self) -> Trial:
        """The same, when it is decided: where the kernel is busy, that may take a moment."""
        if self.turns.waiting:
            select.select([], [self.connecting.socket], [], WITHIN)
            self.connecting.doWrite()
        return self

    @property
    def failed(self) -> Any:
        """Why there is none."""
        (failure,) = self.came
        return failure.value

    def close(self) -> None:
        """End the connection."""
        (protocol,) = self.came
        protocol.transport.connectionLost(Failure(ConnectionDone()))
        assert not self.turns.readers


def test_on_this_machine_it_is_made_at_once(server: socket.socket) -> None:
    """No reactor has to say so, and no timer runs."""
    it = Trial(server)
    for _ in range(TRIES):
        if it.came:
            break
        it.settled().close()  # the kernel was busy
        it = Trial(server)
    (protocol,) = it.came
    assert type(protocol.transport) is PromptClient
    assert protocol.transport.getTcpNoDelay()
    assert it.addresses == [IPv4Address("TCP", *server.getsockname())]
    assert it.addresses == [protocol.transport.getPeer()]
    assert not it.turns.waiting
    assert not it.turns.getDelayedCalls()
    assert it.turns.readers == [protocol.transport]
    it.close()


def test_over_a_network_the_reactor_says_when(server: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for its socket to be writable, and for so long."""
    monkeypatch.setattr(socket, "socket", Slow)
    it = Trial(server)
    assert it.came == []
    assert it.turns.waiting == [it.connecting]
    assert it.connecting.fileno() >= 0
    assert it.connecting.logPrefix() == "-"
    it.connecting.doWrite()
    assert not it.turns.waiting
    assert not it.turns.getDelayedCalls()
    it.close()


def test_who_does_not_answer_in_time_is_given_up(server: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the seconds that it has, and its socket is closed."""
    monkeypatch.setattr(socket, "socket", Slow)
    it = Trial(server)
    it.turns.advance(9.9)
    assert it.came == []
    it.turns.advance(0.2)
    assert isinstance(it.failed, TimeoutError)
    assert it.connecting.fileno() == -1
    assert not it.turns.waiting
    it.connecting.connectionLost(Failure(CONNECTION_LOST))
    assert len(it.came) == 1


@pytest.mark.parametrize("found", ["by writing", "by the reactor"])
def test_who_refuses_later_is_heard(found: str, server: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel knows why."""
    monkeypatch.setattr(socket, "socket", Slow)
    monkeypatch.setattr(Slow, "error", ENETUNREACH)
    it = Trial(server)
    if found == "by writing":
        it.connecting.doWrite()
    else:
        it.connecting.connectionLost(Failure(CONNECTION_LOST))
    assert isinstance(it.failed, NoRouteError)
    assert not it.turns.getDelayedCalls()


def test_a_reactor_that_stops_ends_it(server: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel knows of nothing, so the reactor's word counts."""
    monkeypatch.setattr(socket, "socket", Slow)
    it = Trial(server)
    it.connecting.connectionLost(Failure(CONNECTION_LOST))
    assert it.failed is CONNECTION_LOST


def test_who_refuses_at_once_is_heard_at_once(server: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """No route, say."""
    monkeypatch.setattr(socket, "socket", Slow)
    monkeypatch.setattr(Slow, "code", ENETUNREACH)
    assert isinstance(Trial(server).failed, NoRouteError)


def test_it_can_be_given_up(server: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """By who waits for it."""
    monkeypatch.setattr(socket, "socket", Slow)
    it = Trial(server)
    it.connecting.cancel()
    assert isinstance(it.failed, CancelledError)
    assert not it.turns.waiting


def test_it_may_come_from_an_address(server: socket.socket) -> None:
    """One of this machine's."""
    it = Trial(server, bind=("127.0.0.7", 0)).settled()
    theirs, address = server.accept()
    theirs.close()
    assert address[0] == "127.0.0.7"
    it.close()
    assert isinstance(Trial(server, bind=("192.0.2.1", 0)).failed, ConnectBindError)


def test_addresses_of_both_families_will_do() -> None:
    """With the scope that a link-local one has."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as server:
        it = Trial(server, host="::1").settled()
        assert [type(each) for each in it.addresses] == [IPv6Address]
        assert it.addresses[0].port == server.getsockname()[1]
        it.close()


def test_where_descriptors_are_short_it_says_so(server: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Twisted does."""

    def short(*_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(socket, "socket", short)
    it = Trial(server)
    assert isinstance(it.failed, ConnectBindError)
    assert "Too many open files" in str(it.failed)


def test_a_factory_that_makes_nothing_ends_it(server: socket.socket) -> None:
    """Or one that fails: who wants to connect hears of either."""

    class Nothing(Factory):
        """Makes none."""

        def buildProtocol(self, addr: Any) -> None:
            """None."""

    class Broken(Factory):
        """Fails."""

        def buildProtocol(self, addr: Any) -> None:
            """Fail."""
            raise LookupError

    assert isinstance(Trial(server, Nothing()).settled().failed, NoProtocol)
    assert isinstance(Trial(server, Broken()).settled().failed, LookupError)


def test_a_protocol_that_fails_at_once_is_cut(server: socket.socket, logged: Logged) -> None:
    """As in a reactor: it is logged, and its connection is over."""

    class Fails(Protocol):
        """Fails."""

        over = False

        def connectionMade(self) -> None:
            """Fail."""
            raise LookupError

        def connectionLost(self, reason: Any = None) -> None:
            """It is over."""
            self.over = True

    it = Trial(server, Factory.forProtocol(Fails)).settled()
    assert it.came[0].over
    assert len(logged.take_failures(LookupError)) == 1


async def test_a_port_where_nobody_listens_refuses() -> None:
    """In the real reactor, which finds out by itself."""
    from twisted.internet import reactor

    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        found: list[Any] = []
        it = Connecting(reactor, PromptClient, found.append, found.append)
        it.begin("127.0.0.1", nobody.getsockname()[1], Factory.forProtocol(Protocol), 10.0)
        await until(lambda: found)
        assert cast("Failure", found[0]).check(RefusedError)
