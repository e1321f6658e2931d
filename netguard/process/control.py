"""The control socket: who may come in, and that there are never too many.

Who connects is root or who the service runs as: the mode of the socket says so, and the kernel is asked again.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import gatherResults
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.protocol import Factory, Protocol
from zope.interface import implementer

from netguard.process.commands import Command
from netguard.process.control_session import Session, refusal
from netguard.process.peer_credentials import Credentials, credentials

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall
    from twisted.python.failure import Failure

    from netguard.process.private_socket import PrivateSocket
    from netguard.service import Service as House

CLIENTS = 8
"""Clients at a time."""
REST = 1.0
"""Seconds without accepting, after the process had no descriptor for a client: who waits would keep the loop busy."""

_Service: Any = Service  # it is not annotated


@implementer(IReadDescriptor)
class Control(_Service):  # type: ignore[misc]
    """Listens for operators.

    Args:
        place: the socket.
        commands: the table.
        house: where changes are told.
        reactor: the reactor (``IReactorFDSet`` and ``IReactorSocket``).
        owner: user and group to whom the socket is to belong; who we are, unless given.

    Attributes:
        sessions: the clients.
    """

    def __init__(
        self,
        place: PrivateSocket,
        commands: Sequence[Command],
        house: House,
        reactor: Any,
        owner: tuple[int, int] | None = None,
    ) -> None:
        self.sessions: set[Session] = set()
        self._place = place
        self._commands = commands
        self._house = house
        self._reactor = reactor
        self._owner = owner
        self._socket: socket.socket | None = None
        self._resting: IDelayedCall | None = None

    def privilegedStartService(self) -> None:
        """Listen while the process may still do so anywhere.

        Raises:
            SocketError: the socket cannot be had.
        """
        super().privilegedStartService()
        self._socket = self._place.listen(self._owner)

    def startService(self) -> None:
        """Accept."""
        super().startService()
        self._accept()

    def _accept(self) -> None:
        self._resting = None
        self._reactor.addReader(self)

    def bequeath(self) -> None:
        """The next instance takes the socket's name."""
        self._place.bequeath()

    def follow(self) -> None:
        """The instance before has left: its name is ours."""
        self._place.follow()

    def stopService(self) -> Any:
        """Accept no more; the clients have their last answers, and go."""
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        if self._socket is not None:
            self._reactor.removeReader(self)
            self._place.close()
            self._socket = None
        super().stopService()
        return gatherResults([each.part() for each in list(self.sessions)])

    # what the reactor asks of a reader

    def fileno(self) -> int:
        """The listening socket's."""
        return -1 if self._socket is None else self._socket.fileno()

    def logPrefix(self) -> str:
        """What stands before lines of twistd's own log."""
        return "control"

    def connectionLost(self, reason: Failure) -> None:
        """The reactor has given up on the socket."""

    def doRead(self) -> None:
        """Accept one client, if it may come in."""
        if self._socket is None:
            return
        try:
            sock, _ = self._socket.accept()
            with sock:
                sock.setblocking(False)
                self._let_in(sock, credentials(sock))
        except (ConnectionError, BlockingIOError):  # it has gone again
            pass
        except OSError:
            self._reactor.removeReader(self)
            self._resting = self._reactor.callLater(REST, self._accept)

    def _let_in(self, sock: socket.socket, who: Credentials) -> None:
        if who.uid not in (0, os.geteuid()):
            sock.send(b"".join(refusal(f"user {who.uid} may not control this service")))
        elif len(self.sessions) >= CLIENTS:
            sock.send(b"".join(refusal(f"there are {CLIENTS} clients already")))
        else:
            session = Session(self._commands, self._house, who, self._reactor, self.sessions.discard)
            try:
                self._reactor.adoptStreamConnection(sock.fileno(), socket.AF_UNIX, Only(session))
            except OSError as why:  # that takes another descriptor
                sock.send(b"".join(refusal(f"the service cannot take a client: {why.strerror}")))
                raise
            self.sessions.add(session)


class Only(Factory):
    """The factory of a protocol that is there already.

    Args:
        protocol: the protocol.
    """

    noisy = False

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol

    def buildProtocol(self, addr: object) -> Protocol:
        """Give it away."""
        return self._protocol
