"""Who listens in the place of a reactor while a service opens its ports: in the parent, and in a worker."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReactorFDSet

from netguard.joined_port import adopt
from netguard.workers.shared_port import SharedPort
from netguard.workers.sockets import family_of, opened

if TYPE_CHECKING:
    from netguard.process.inheritance import Inheritance
    from netguard.workers.assignment import Assignment

_ADOPT = ("adoptStreamPort", "adoptDatagramPort")
_OTHERS = ("listenUNIX", "listenUDP", "listenMulticast", "listenUNIXDatagram", *_ADOPT)
NOT_SHARED = "--workers shares ports of TCP alone, and this is none"
NOT_OURS = "--workers opens ports itself, as in tcp:110, and cannot share a socket that another program has opened"
NOT_OPENED = "--workers shares ports that are opened at the start, and this is none"


@contextmanager
def listening_by(reactor: Any, listen: Callable[..., Any], refused: list[CannotListenError]) -> Iterator[None]:
    """Let ``listenTCP`` of a reactor be another function for the time of a block, and nothing else listen.

    Args:
        reactor: the reactor.
        listen: the function.
        refused: where each refusal is added.
    """

    def refusing(why: str, kind: str = "") -> Callable[..., Any]:
        def refuse(place: object, *_: object, **__: object) -> Any:
            refused.append(CannotListenError(None, f"{kind}{place}", OSError(errno.EOPNOTSUPP, why)))
            raise refused[-1]

        return refuse

    before = {name: vars(reactor)[name] for name in ("listenTCP", *_OTHERS) if name in vars(reactor)}
    reactor.listenTCP = listen
    for name in _OTHERS:
        setattr(reactor, name, refusing(NOT_OURS, "descriptor ") if name in _ADOPT else refusing(NOT_SHARED))
    try:
        yield
    finally:
        for name in ("listenTCP", *_OTHERS):
            delattr(reactor, name)
        vars(reactor).update(before)


class SharedListening:
    """``listenTCP`` of the parent: opens a socket for each worker.

    Args:
        reactor: the reactor.
        workers: how many there are.
        inherited: what another instance has handed over, or None.

    Attributes:
        ports: what was opened.
    """

    def __init__(self, reactor: Any, workers: int, inherited: Inheritance | None = None) -> None:
        self.ports: list[SharedPort] = []
        self._native = IReactorFDSet.providedBy(reactor)
        self._workers = workers
        self._inherited = inherited

    def listen(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> SharedPort:
        """Open the sockets of one port.

        Raises:
            CannotListenError: the port cannot be had.
        """
        mine = self._taken(interface, port)
        try:
            sockets = opened(interface, port, backlog, self._workers, mine)
        except OSError as why:
            raise CannotListenError(interface, port, why) from None
        made = SharedPort((interface, port), sockets, factory, native=self._native, alone=not mine)
        if mine and self._inherited is not None:
            self._inherited.when_alone(interface, port, made.possess)
        self.ports.append(made)
        return made

    @property
    def alone(self) -> bool:
        """Whether nobody but the workers has any of the sockets."""
        return all(each.alone for each in self.ports)

    def _taken(self, interface: str, port: int) -> list[int]:
        if self._inherited is None:
            return []
        return self._inherited.take(interface, port)


class HandedListening:
    """``listenTCP`` of a worker: uses what it was handed.

    Args:
        reactor: the reactor.
        assignment: what was handed.

    Attributes:
        ports: what listens.
    """

    def __init__(self, reactor: Any, assignment: Assignment) -> None:
        self.ports: list[Any] = []
        self._adopt = reactor.adoptStreamPort
        self._sockets = list(assignment.sockets)

    def listen(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        """Listen on what was handed over for this place.

        Raises:
            CannotListenError: there is none.
        """
        found = next((each for each in self._sockets if each[:2] == (interface, port)), None)
        if found is None:
            raise CannotListenError(interface, port, OSError(errno.EOPNOTSUPP, NOT_OPENED))
        self._sockets.remove(found)
        self.ports.append(adopt(self._adopt, found[2], family_of(interface), factory, backlog))
        return self.ports[-1]
