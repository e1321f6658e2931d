"""Taking the ports of another instance over, while they are open."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netguard.joined_port import adopt
from netguard.process.commands import ControlError
from netguard.process.control_client import ControlClient, LostError
from netguard.process.handover import GIVE, LEAVE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from netguard.process.instance import SingleInstance

_MOST = 250
"""Descriptors that one message can have (SCM_MAX_FD is 253)."""

_ANY = "0.0.0.0"  # noqa: S104 - as it is written

Address = tuple[int, str, int]
"""A socket's family, host and port."""


class Inheritance:
    """What another instance has handed over.

    Args:
        client: the connection to it.
        sockets: descriptors of listening sockets.
        lock: the descriptor of its lock, or None.
        pid: the other instance.

    Attributes:
        sockets: those that nobody has taken yet, by address; several where several processes served it.
        lock: likewise.
        held: the lock of this instance, where it is the one that was handed over; its file names the other instance
            until everything is taken over.
        pidfile: the pidfile that is this instance's from then on, or None.
        taken: how many sockets have been.
    """

    def __init__(self, client: ControlClient, sockets: Sequence[int], lock: int | None, pid: object) -> None:
        self._client = client
        self.sockets: dict[Address, list[int]] = {}
        for each in sockets:
            self.sockets.setdefault(_address(each), []).append(each)
        self._possess: dict[tuple[str, int], Callable[[], object]] = {}
        self._alone: list[Any] = []
        self.lock = lock
        self.pid = pid
        self.taken = 0
        self.held: SingleInstance | None = None
        self.pidfile: str | None = None

    @classmethod
    def of(cls, path: str) -> Inheritance:
        """Ask another instance for it.

        Args:
            path: its control socket.

        Raises:
            ControlError: it gives nothing.
        """
        client = ControlClient(path)
        descriptors: list[int] = []
        try:
            answer = client.receive(GIVE.split(), descriptors, _MOST)
            lock = descriptors.pop(0) if answer.get("lock") and descriptors else None
            return cls(client, descriptors, lock, answer.get("pid"))
        except (ControlError, OSError) as why:
            client.close()
            for each in descriptors:
                os.close(each)
            raise ControlError(str(why)) from None

    def take_lock(self) -> int | None:
        """The lock's descriptor, which is the caller's from now on; None where there is none."""
        lock, self.lock = self.lock, None
        return lock

    def listen_by(self, reactor: Any) -> Callable[..., Any]:
        """What does ``listenTCP`` in the place of a reactor's own: it uses the sockets that were handed over.

        Args:
            reactor: the reactor.
        """
        listen = reactor.listenTCP

        def listen_or_adopt(port: Any, factory: Any, backlog: int = 50, interface: str = "") -> Any:
            found = self.take(interface, port)
            if not found:
                return listen(port, factory, backlog=backlog, interface=interface)
            made = adopt(reactor.adoptStreamPort, found, _family(interface), factory, backlog)
            # Twisted's, as if it was opened here.
            self.when_alone(interface, port, lambda: setattr(made, "_shouldShutdown", True))
            return made

        return listen_or_adopt

    def take(self, interface: str, port: int) -> list[int]:
        """Take the descriptors of one port's sockets; they are the caller's from now on.

        Args:
            interface: where it listens, as it is written.
            port: its number.

        Returns:
            All, since whoever is steered to one that nobody serves would be reset; none where the port is another.
        """
        taken = self.sockets.pop((_family(interface), interface or _ANY, port), [])
        self.taken += bool(taken)
        return taken

    def when_alone(self, interface: str, port: int, do: Callable[[], object]) -> None:
        """Call something once the sockets of a port, which were taken, are this instance's alone, if that comes.

        Args:
            interface: where it listens, as it is written.
            port: its number.
            do: what to call.
        """
        self._possess[interface or _ANY, port] = do

    def done(self) -> None:
        """Say that everything serves; the other instance leaves. It waits for the answer.

        One that has ended meanwhile has left already; one that has only lost patience is told anew.

        Raises:
            ControlError: the other instance does not answer so.
        """
        try:
            self._leave(self._client)
        except LostError:
            try:
                again = ControlClient(self._client.path)
            except ControlError:
                return
            with again, suppress(LostError):
                self._leave(again)
        finally:
            self.close()

    def _leave(self, client: ControlClient) -> None:
        self._alone = client.ask(LEAVE.split()).get("alone", [])

    def possess(self) -> None:
        """The other instance has left: the sockets that were its alone are this one's alone, and end with it."""
        for host, number in self._alone:
            self._possess.get((host, number), _nothing)()

    def sign(self) -> None:
        """Everything is taken over: let lock and pidfile say who runs.

        Raises:
            OSError: that cannot be written.
        """
        if self.held is not None:
            self.held.claim()
        if self.pidfile is not None:
            Path(self.pidfile).write_text(str(os.getpid()), encoding="ascii")

    def close(self) -> None:
        """Close what nobody has taken."""
        self._client.close()
        for each in chain.from_iterable(self.sockets.values()):
            os.close(each)
        self.sockets.clear()
        lock = self.take_lock()
        if lock is not None:
            os.close(lock)


def _nothing() -> None:
    """Nobody wants to know."""


def _family(interface: str) -> int:
    return socket.AF_INET6 if ":" in interface else socket.AF_INET


def _address(descriptor: int) -> Address:
    looked_at = socket.socket(fileno=descriptor)
    try:
        host, port = looked_at.getsockname()[:2]
        return looked_at.family, host, port
    finally:
        looked_at.detach()
