"""Handing over: the descriptors go along with the answer, and nothing changes before the other side serves."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from twisted.internet.task import Clock

from netguard.guards.idle_timeout import IdleTimeout
from netguard.process.commands import Call, ControlError
from netguard.process.drain import Drain
from netguard.process.handover import GIVE, LEAVE, HandOver
from netguard.process.instance import SingleInstance
from netguard.process.newcomers import is_shared
from netguard.testing import Echo, connect


class Transport:
    """Takes descriptors.

    Attributes:
        go: what is called when the client goes.
    """

    go: Callable[[], object]

    def __init__(self) -> None:
        self.sent: list[int] = []
        self.transport = self

    def sendFileDescriptor(self, descriptor: int) -> None:
        """Keep."""
        self.sent.append(descriptor)

    def when_gone(self, do: Callable[[], object]) -> None:
        """Keep."""
        self.go = do


class Port:
    """A port that listens."""

    _shouldShutdown = True

    def __init__(self, family: int = socket.AF_INET) -> None:
        self.socket = socket.socket(family)
        if family == socket.AF_INET:
            self.socket.bind(("127.0.0.1", 0))
        self.connected = True
        self.factory = self.reactor = None

    def fileno(self) -> int:
        """The socket's."""
        return self.socket.fileno()

    def getHost(self) -> str:
        """Where."""
        return "there"

    def stopReading(self) -> None:
        """It can."""

    def stopListening(self) -> None:
        """Listen no more."""
        self.connected = False
        self.socket.close()


@pytest.fixture
def house() -> Any:
    """A service that drains, with a port and one that is not guarded."""
    peer = connect(IdleTimeout("1h"), Echo, clock=Clock())
    house = peer.factory.service
    peer.vanish()
    house.offers["drain"] = Drain(house, peer.clock, 30.0)
    house.ports.append(Port())
    house.listens_besides(Port())
    yield house
    for each in (*house.ports, *house.others):
        each.socket.close()


def test_all_is_given(house: Any, tmp_path: Path) -> None:
    """The lock first, then the sockets; they listen as before."""
    lock = SingleInstance(tmp_path / "lock")
    lock.acquire()
    client = Transport()
    given = HandOver(house, lock, {"pidfile": "twistd.pid"}).give(Call(client=client))
    ports = [*house.ports, *house.others]
    assert client.sent == [lock.descriptor, *(each.fileno() for each in ports)]
    assert given == {"pid": os.getpid(), "lock": True, "sockets": [list(each.socket.getsockname()) for each in ports]}
    assert all(each.connected for each in ports)
    lock.release()


def test_what_ends_it_while_the_next_one_starts_ends_nothing_of_that(house: Any) -> None:
    """Until every next one that was given it has gone: then all is as it was, or was shared before."""
    clients, twistd = [Transport(), Transport()], {"pidfile": "twistd.pid"}
    own, shared = house.ports[0], house.others[0]
    shared._shouldShutdown = False
    over = HandOver(house, None, twistd)
    for each in clients:
        over.give(Call(client=each))
    for each in clients:
        assert (is_shared(own), is_shared(shared), twistd) == (True, True, {"pidfile": ""})
        each.go()
    assert (is_shared(own), is_shared(shared), twistd) == (False, True, {"pidfile": "twistd.pid"})


@pytest.mark.parametrize("told", [True, False])
def test_what_leaves_takes_nothing_back(told: bool, house: Any) -> None:
    """Whether the next one said that it serves, or a signal came first."""
    client, twistd = Transport(), {"pidfile": "twistd.pid"}
    over = HandOver(house, None, twistd)
    over.give(Call(client=client))
    if told:
        over.leave(Call(client=client))
    else:
        house.offers["drain"].begin()
    client.go()
    assert (is_shared(house.ports[0]), twistd) == (True, {"pidfile": ""})


def test_who_leaves_leaves_the_name_of_the_control_socket(house: Any) -> None:
    """When it ends is no matter then."""
    told: list[str] = []
    house.offers["control"] = SimpleNamespace(bequeath=lambda: told.append("bequeathed"))
    over = HandOver(house, None, {})
    over.give(Call(client=Transport()))
    assert told == []
    over.leave(Call(client=Transport()))
    assert told == ["bequeathed"]


def test_without_a_lock_the_sockets_are_given(house: Any) -> None:
    """There may be none."""
    client = Transport()
    given = HandOver(house, None, {}).give(Call(client=client))
    assert (given["lock"], len(client.sent)) == (False, 2)


def test_it_leaves_when_the_other_side_serves(house: Any) -> None:
    """Its sockets are closed and not shut down, the pidfile is the other's, and it drains."""
    twistd = {"pidfile": "twistd.pid"}
    alone = sorted(each.socket.getsockname() for each in (house.ports[0], house.others[0]))
    left = HandOver(house, None, twistd).leave(Call())
    assert left == {"draining": True, "connections": 0, "alone": alone}
    assert twistd == {"pidfile": ""}
    assert is_shared(house.ports[0])
    assert is_shared(house.others[0])
    assert not house.others[0].connected
    house.reactor.advance(0)
    assert not house.ports[0].connected
    assert house.offers["drain"].outcome is not None


@pytest.mark.parametrize("signalled", [False, True])
def test_what_somebody_else_has_too_is_not_the_heirs_alone(signalled: bool, house: Any) -> None:
    """That of systemd, say, which was handed over to this instance; also when a signal has closed all before."""
    own, client = house.others[0].socket.getsockname(), Transport()
    house.ports[0]._shouldShutdown = False
    over = HandOver(house, None, {})
    over.give(Call(client=client))
    if signalled:
        house.offers["drain"].begin()
        house.others[0].stopListening()
    assert over.leave(Call(client=client))["alone"] == [own]


@pytest.mark.parametrize("serves", [True, False])
def test_what_two_heirs_have_is_nobodys_alone(serves: bool, house: Any) -> None:
    """Unless one of them has gone without having said that it serves: who serves goes, too."""
    over, clients = HandOver(house, None, {}), [Transport(), Transport()]
    for each in clients:
        over.give(Call(client=each))
    if serves:
        assert over.leave(Call(client=clients[0]))["alone"] == []
    clients[0].go()
    alone: Any = over.leave(Call(client=clients[1]))["alone"]
    assert len(alone) == (0 if serves else 2)


@pytest.mark.parametrize("alone", [True, False])
def test_what_workers_share_is_the_heirs_alone(alone: bool, house: Any) -> None:
    """They leave, too; but not whoever else has it."""
    port, other = house.ports[0], house.others[0]
    port._shouldShutdown = False
    port.alone = alone
    house.crew = SimpleNamespace(handed=False)
    ours = sorted(each.socket.getsockname() for each in ([port, other] if alone else [other]))
    assert HandOver(house, None, {}).leave(Call())["alone"] == ours
    assert house.crew.handed


def test_who_leaves_leaves_ports_of_any_kind(house: Any) -> None:
    """Though only those of TCP can be the heir's: an operator may say so by hand."""
    house.ports.append(Port(socket.AF_UNIX))
    assert len(HandOver(house, None, {}).leave(Call())["alone"]) == 2  # type: ignore[arg-type]
    assert is_shared(house.ports[1])


def test_what_cannot_be_handed_over_is_refused(house: Any) -> None:
    """Before anything is sent."""
    over = HandOver(house, None, {})
    assert [each.name for each in over.commands] == [GIVE, LEAVE]
    client = Transport()
    house.ports.append(Port(socket.AF_UNIX))
    with pytest.raises(ControlError, match="only ports of TCP can be handed over, and there is there"):
        over.give(Call(client=client))
    del house.offers["drain"]
    for do in (over.give, over.leave):
        with pytest.raises(ControlError, match="--drain off"):
            do(Call(client=client))
    assert client.sent == []
