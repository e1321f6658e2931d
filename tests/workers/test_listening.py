"""Who listens in the place of a reactor."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, cast

import pytest
from twisted.internet import reactor as global_reactor
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.protocol import Factory
from twisted.internet.ssl import CertificateOptions
from twisted.protocols.policies import WrappingFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import directlyProvides

from netguard.guarded_endpoints import announce
from netguard.policy import Policy
from netguard.workers.assignment import Assignment
from netguard.workers.listening import HandedListening, SharedListening, listening_by
from netguard.workers.sockets import opened
from tests.programs import free_port

if TYPE_CHECKING:
    from tests.conftest import Logged

HERE = "127.0.0.1"


class Reactor:
    """Adopts what it is given."""

    def __init__(self) -> None:
        self.adopted: list[Any] = []

    def listenTCP(self, *_: object) -> str:
        """By itself."""
        return "its own"

    def listenUNIX(self, *_: object) -> str:
        """Likewise."""
        return "its own"

    def adoptStreamPort(self, *about: object) -> Any:
        """Keep what was said."""
        self.adopted.append(about)
        return Factory()


class Watching(Reactor):
    """One on which our transport works."""

    def __init__(self) -> None:
        super().__init__()
        directlyProvides(self, IReactorFDSet)


def guarded() -> Any:
    """A guarded factory."""
    return Policy.from_options({"idle": "1m"}).wrap(Factory(), global_reactor)


def inside_tls() -> Any:
    """The same inside Twisted's TLS."""
    return TLSMemoryBIOFactory(CertificateOptions(), isClient=False, wrappedFactory=guarded())


def inside_another() -> Any:
    """The same inside a factory that may be anything."""
    return WrappingFactory(guarded())


def test_only_for_a_while_and_only_tcp() -> None:
    """Whatever else would listen is refused, and noted; afterwards all is as it was."""
    reactor: Any = Reactor()
    reactor.listenTCP = hooked = lambda *_: "hooked"
    refused: list[CannotListenError] = []
    with listening_by(reactor, lambda *_: "ours", refused):
        assert reactor.listenTCP(1, None) == "ours"
        with pytest.raises(CannotListenError, match="--workers shares ports of TCP alone"):
            reactor.listenUNIX("there", None)
        with pytest.raises(CannotListenError, match="--workers opens ports itself"):
            reactor.adoptStreamPort(3, 2, None)
    assert reactor.listenTCP is hooked
    assert reactor.listenUNIX("there", None) == "its own"
    assert [each.port for each in refused] == ["there", "descriptor 3"]


@pytest.mark.parametrize(
    ("kind", "factory", "told"),
    [
        (Watching, guarded, "native"),
        (Watching, inside_tls, "native"),
        (Watching, inside_another, "stock"),
        (Watching, Factory, None),
        (Reactor, guarded, "stock"),
    ],
)
def test_the_parent_opens_a_socket_for_each(kind: Any, factory: Any, told: str | None, logged: Logged) -> None:
    """And knows whether the workers will carry the connections by our transport."""
    listening = SharedListening(kind(), 3)
    port = listening.listen(0, serves := factory(), 7, HERE)
    assert listening.ports == [port]
    assert (len(port.sockets), port.asked) == (3, (HERE, 0))
    announce(cast("Any", port), serves)
    assert [each.get("transport") for each in logged.named("listening")] == [told]
    with pytest.raises(CannotListenError, match="in use"):
        listening.listen(port.getHost().port, Factory(), interface=HERE)
    for each in listening.ports:
        each.stopListening()


class Heir:
    """What another instance has handed over."""

    def __init__(self, descriptors: list[int]) -> None:
        self.descriptors = descriptors
        self.left: list[Any] = []

    def take(self, _interface: str, port: int) -> list[int]:
        """Give them, for one port."""
        return self.descriptors if port == 0 else []

    def when_alone(self, interface: str, port: int, do: Any) -> None:
        """Keep it."""
        assert (interface, port) == (HERE, 0)
        self.left.append(do)


@pytest.mark.parametrize(("had", "workers"), [(2, 3), (3, 2)])
def test_what_was_handed_over_is_used(had: int, workers: int) -> None:
    """By the parent that takes over: all of it, be it more than there are workers."""
    before = opened(HERE, 0, 50, had)
    heir: Any = Heir([each.detach() for each in before])
    listening = SharedListening(Reactor(), workers, heir)
    port = listening.listen(0, Factory(), interface=HERE)
    assert [each.fileno() for each in port.sockets[:had]] == heir.descriptors
    assert len(port.sockets) == 3
    assert len({each.getsockname() for each in port.sockets}) == 1
    port.stopListening()


def test_what_was_handed_over_is_the_workers_alone_when_nobody_else_has_it() -> None:
    """As what the parent has opened itself is from the beginning."""
    before = opened(HERE, 0, 50, 1)
    heir: Any = Heir([each.detach() for each in before])
    listening = SharedListening(Reactor(), 1, heir)
    ports = [listening.listen(number, Factory(), interface=HERE) for number in (free_port(), 0)]
    assert [each.alone for each in ports] == [True, False]
    before_and_after = [listening.alone]
    heir.left[0]()
    assert [*before_and_after, listening.alone] == [False, True]
    for each in ports:
        each.stopListening()


def test_a_worker_uses_its_own_in_their_order() -> None:
    """Two ports of any number at one place are two; what was not handed over is not opened."""
    reactor: Any = Reactor()
    handed = [os.open(os.devnull, os.O_RDONLY) for _ in range(3)]
    places = ((HERE, 0), ("::1", 0), (HERE, 0))
    sockets = tuple((*place, (number,)) for place, number in zip(places, handed, strict=True))
    listening = HandedListening(reactor, Assignment(1, 2, 1, 3, 4, sockets))
    factories = [Factory() for _ in range(3)]
    made = [listening.listen(0, factory, interface=HERE) for factory in factories[:2]]
    made.append(listening.listen(0, factories[2], 9, "::1"))
    assert [each[0] for each in reactor.adopted] == [handed[0], handed[2], handed[1]]
    assert [each[2] for each in reactor.adopted] == factories
    assert [each.backlog for each in made] == [50, 50, 9]
    assert listening.ports == made
    with pytest.raises(CannotListenError, match="opened at the start"):
        listening.listen(0, Factory(), interface=HERE)
    for each in handed:
        with pytest.raises(OSError, match="Bad file"):
            os.close(each)
