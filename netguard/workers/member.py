"""A worker's side: it listens on the sockets that it was handed, and does what its parent says.

The connection to the parent brings connections, one for each question, on which the commands of the control socket are
spoken. When it is lost, the parent is gone: this worker lets nobody in any more,
lets those who are in finish, and ends.
"""

from __future__ import annotations

import faulthandler
import os
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from twisted.internet.error import ReactorNotRunning
from twisted.internet.interfaces import IFileDescriptorReceiver
from twisted.internet.protocol import Protocol
from zope.interface import implementer

from netguard import events
from netguard.factory import count_sessions
from netguard.process.commands import Call, Command
from netguard.process.control import Only
from netguard.process.control_session import Session
from netguard.process.operator import Operator
from netguard.process.peer_credentials import Credentials
from netguard.process.vitals import Vitals
from netguard.workers.listening import HandedListening, listening_by
from netguard.workers.population import share_population
from netguard.workers.snapshot import snapshot
from netguard.workers.totals import Table
from netguard.workers.worker import SHOW

if TYPE_CHECKING:
    from twisted.internet.error import CannotListenError
    from twisted.python.failure import Failure

    from netguard.service import Service as House
    from netguard.workers.assignment import Assignment

PARENTS = frozenset(
    {
        *("listening", "guarding", "unguarded", "started", "draining", "stopped", "reloaded", "reload_failed"),
        *("command", "limit_changed", "restart_needed"),
    }
)
"""Events that the parent tells for all."""

READY, CUT = b"ready\n", b"cut %d\n"
"""What a worker says."""


class Member:
    """One worker.

    Args:
        assignment: what it was told.
    """

    def __init__(self, assignment: Assignment) -> None:
        self.assignment = assignment
        self.lifeline = Lifeline()
        faulthandler.register(SHOW, file=2, all_threads=False)
        events.QUIET.update(PARENTS)
        count_sessions(assignment.first, assignment.workers)

    def serve(self, service: Any, house: House, reactor: Any, more: Sequence[Command] = ()) -> None:
        """Let a service listen on what was handed over, and answer the parent.

        Args:
            service: the application's.
            house: what its factories have in common.
            reactor: the reactor.
            more: further commands.
        """
        self._share(house)
        for dial in house.dials:
            if dial.option.flag in self.assignment.limits:
                dial.set(self.assignment.limits[dial.option.flag])
        listening = HandedListening(reactor, self.assignment)
        orders = Orders(house, reactor, listening.ports)
        self.lifeline.begin(house, reactor, (*Operator(house, Vitals(house), reactor, more).commands, *orders.commands))
        opens, starts = service.privilegedStartService, service.startService
        refused: list[CannotListenError] = []

        def open_ports() -> None:
            with listening_by(reactor, listening.listen, refused):
                opens()

        def start() -> None:
            with listening_by(reactor, listening.listen, refused):
                starts()
            reactor.callWhenRunning(self._ready, house, reactor)

        service.privilegedStartService, service.startService = open_ports, start

    def _share(self, house: House) -> None:
        """Count together with the others."""
        about = self.assignment
        table = Table(about.totals, about.workers)
        os.close(about.totals)
        for at, total in enumerate((None, *house.totals)):
            column = table.column(at, about.number - 1)
            if column is not None and total is None:
                share_population(house, column, about.workers)
            elif column is not None and total is not None:
                total(column)

    def _ready(self, house: House, reactor: Any) -> None:
        self.lifeline.adopt(socket.socket(fileno=self.assignment.lifeline), reactor)
        drain = house.offers.get("drain")
        if drain is not None:
            drain.when_over().addCallback(lambda outcome: self.lifeline.say(CUT % outcome.cut))
        self.lifeline.say(READY)


class Orders:
    """What a parent, and nobody else, says.

    Args:
        house: the service.
        reactor: the reactor.
        ports: what listens.
    """

    def __init__(self, house: House, reactor: Any, ports: Sequence[Any]) -> None:
        self._house = house
        self._reactor = reactor
        self._ports = ports
        self.commands: tuple[Command, ...] = (
            Command("figures", "", "All figures, for the parent.", self.figures),
            Command("part", "[shared]", "Drain; others serve the ports, where they are shared.", self.part),
            Command("hurry", "", "Cut who is still there.", self.hurry),
            Command("stop", "", "End, whoever is there.", self.stop),
        )

    def figures(self, _call: Call) -> Mapping[str, object]:
        """Tell them."""
        return snapshot(self._house)

    def part(self, call: Call) -> Mapping[str, object]:
        """Drain. Where nobody else has the sockets, who waits in their queues is let in before they close."""
        for port in self._ports:
            port._shouldShutdown = not call.words  # noqa: SLF001 - Twisted's, of a socket that was not opened here
        return {"parting": leave(self._house, self._reactor)}

    def hurry(self, _call: Call) -> Mapping[str, object]:
        """Cut them, even if this comes before the order to drain, since each comes on a connection of its own."""
        if "drain" in self._house.offers:
            leave(self._house, self._reactor)
            self._house.offers["drain"].hurry()
        return {}

    def stop(self, _call: Call) -> Mapping[str, object]:
        """End, once this was answered."""
        self._reactor.callLater(0, _stop, self._reactor)
        return {}


def leave(house: House, reactor: Any) -> bool:
    """Let those who are in finish, and end; at once where the service does not drain.

    Returns:
        Whether it drains.
    """
    drain = house.offers.get("drain")
    if drain is None:
        _stop(reactor)
    else:
        drain.begin()
    return drain is not None


def _stop(reactor: Any) -> None:
    with suppress(ReactorNotRunning):  # it ends already
        reactor.stop()


@implementer(IFileDescriptorReceiver)
class Lifeline(Protocol):
    """The connection to the parent."""

    _socket: socket.socket | None = None

    def begin(self, house: House, reactor: Any, commands: Sequence[Command]) -> None:
        """Say what is to be done with what comes.

        Args:
            house: the service.
            reactor: the reactor.
            commands: what can be asked.
        """
        self._house = house
        self._reactor = reactor
        self._commands = commands

    def adopt(self, sock: socket.socket, reactor: Any) -> None:
        """Be the protocol of a connected socket."""
        sock.setblocking(False)
        self._socket = sock
        reactor.adoptStreamConnection(sock.fileno(), socket.AF_UNIX, Only(self))

    def say(self, line: bytes) -> None:
        """Tell the parent something, at once: the end of this process may follow."""
        if self._socket is not None:
            with suppress(OSError):  # it is gone
                self._socket.send(line)

    def fileDescriptorReceived(self, descriptor: int) -> None:
        """A question comes."""
        who = Credentials(os.getppid(), os.geteuid(), os.getegid())
        session = Session(self._commands, self._house, who, self._reactor, lambda _: None)
        os.set_blocking(descriptor, False)
        self._reactor.adoptStreamConnection(descriptor, socket.AF_UNIX, Only(session))
        os.close(descriptor)

    def connectionLost(self, reason: Failure | None = None) -> None:
        """The parent has gone, however that was: nobody would restart, control or count this worker."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            if self._reactor.running:
                events.emit("orphaned", {"pid": os.getpid()})
                leave(self._house, self._reactor)
