"""A TCP port that accepts for native transports, a few connections at a time."""

from __future__ import annotations

import os
import socket
import struct
import sys
from contextlib import suppress
from typing import Any, cast

from twisted.internet import tcp
from twisted.internet.interfaces import IReactorFDSet
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python import log

from netguard.encryption import Encryption
from netguard.factory import GuardedFactory
from netguard.native.group import Group, group_for
from netguard.native.log_context import call_as
from netguard.native.member import Member
from netguard.native.meter import NativeMeter
from netguard.native.server import Server

BATCH = 4
"""So many connections are accepted in one turn of the reactor: in between, those who are in have their turn."""

FLOOD = 8
"""After so many turns in which somebody waited each time, more are accepted in one."""

TALKERS = 4
"""Once a peer has spoken as soon as it was let in, so many others are listened to at once, and one in 16 ever after."""

_tcp: Any = tcp  # half of it is not annotated
_Port: Any = tcp.Port
_accept, _buffers, _reserved = _tcp._accept, _tcp._BuffersLogs, _tcp._reservedFD  # noqa: SLF001 - nobody knows it better
_AT_ONCE, _AS_USUAL = struct.pack("ii", 1, 0), struct.pack("ii", 0, 0)
_SCOPE = 3
_INHERITS = sys.platform == "linux"


class Port(Member, _Port):  # type: ignore[misc]
    """A port that makes nothing for a connection before the guards have let it in.

    Attributes:
        resets: whether a refused connection is reset. The listening socket then says so for all that it accepts.
        answers: whether it is told a text; not where TLS comes first.
        reactor: who tells the port and its connections what can be read and written: a group, where that can be.
        encryption: what begins TLS on those that are accepted; None where nothing does, or the factory does later.
    """

    factory: GuardedFactory
    encryption: Encryption | None = None
    resets = answers = False
    sessionno: int
    _most = 1
    _turns = _talkers = 0
    reactor: Any

    def begin(self) -> None:
        """Take TLS out of the factory, and set up the listening socket: what is set there, accepted ones begin with."""
        outer: Any = self.factory
        self.factory = cast("GuardedFactory", guarded_in(outer))
        if outer is not self.factory:
            self.encryption = Encryption(outer, self.factory)
        self.logstr = self.logPrefix()
        self.stopReading()
        self.reactor = group_for(self.reactor)
        self.startReading()
        self.resets = self.factory.service.resets
        self.answers = self.factory.service.text is not None and (self.encryption or self.factory.tls) is None
        # Both, since a socket that was handed to us may have been set up by a process before us.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE if self.resets else _AS_USUAL)
        if _INHERITS:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def doRead(self) -> None:
        """Accept a few connections: as many as came last time, or one more while many come."""
        accept, most = self.socket._accept, self._most  # noqa: SLF001 - a socket object is made for who is let in
        for count in range(most):
            try:
                descriptor, client = accept()
            except BlockingIOError:
                self._most, self._turns = max(1, count), 0
                return
            except OSError:
                self._accept_in_need()
                return
            try:
                self._admit(descriptor, client)
            except BaseException:  # noqa: BLE001 - as Twisted does
                log.err()
                return
        self._turns += 1
        if self._turns >= FLOOD:
            self._most = min(BATCH, most + 1)

    def _accept_in_need(self) -> None:
        """Descriptors are short, or the like: Twisted knows what to do; whom it accepts then gets in as any other."""
        try:
            with _buffers(self._logger.namespace, self._logger.observer) as logger:
                for sock, client in _accept(logger, range(1), self.socket, _reserved):
                    self._admit(sock.detach(), client)
        except BaseException:  # noqa: BLE001 - as Twisted does
            log.err()

    def _admit(self, descriptor: int, client: tuple[Any, ...]) -> None:
        caller = self.factory.meet(client[0], client[1])
        if caller is None:
            if isinstance(self.reactor, Group):
                self.reactor.patience.pass_by()  # a flood is not waited for
            self._refuse(descriptor)
            return
        if len(client) > _SCOPE and client[_SCOPE]:  # the zone of a link-local address belongs to it
            host, _ = socket.getnameinfo(client, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
            client = (host, *client[1:])
            caller.host = host
        meter = None
        try:
            meter = self.factory.admit(self._addressType("TCP", *client), NativeMeter, caller)
        finally:
            if meter is None:
                self._refuse(descriptor)
        if meter is None:
            return
        sock = self._let_in(socket.socket(self.addressFamily, self.socketType, 0, descriptor))
        if not _INHERITS:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        number = self.sessionno
        self.sessionno = number + 1
        made = Server(sock, meter, client, self, number, self.reactor)
        made.promptly(self._begin, made, meter)
        if self._talkers or not number % 16:
            self._listen_at_once(made)

    def _begin(self, made: Server, meter: NativeMeter) -> None:
        if self.encryption is not None:
            made.secure_by(self.encryption)
        meter.makeConnection(made)

    def _listen_at_once(self, made: Server) -> None:
        """Where peers speak first, what one says has come by now: a turn of the reactor less."""
        meter = made.meter
        before = meter.received
        if made.moves:
            made.read_at_once()
        else:
            call_as(made, made.read_at_once)
        self._talkers = TALKERS if meter.received != before else max(0, self._talkers - 1)

    def connectionLost(self, reason: Any) -> None:
        """It listens no more."""
        super().connectionLost(reason)
        group = self.reactor
        if isinstance(group, Group):
            self.reactor = group.reactor
            group.close()

    def _let_in(self, sock: socket.socket) -> socket.socket:
        if self.resets:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AS_USUAL)
        return sock

    def _refuse(self, descriptor: int) -> None:
        answer = self.factory.answer if self.answers else None
        if answer is None:
            os.close(descriptor)
            return
        with socket.socket(self.addressFamily, self.socketType, 0, descriptor) as sock, suppress(OSError):
            sock.setblocking(False)
            sock.send(answer)


def take_over(port: Any) -> bool:
    """Let a port that has just begun to listen accept for native transports, if it can.

    It can where Twisted's own TCP port listens for a guarded factory, or for TLS around one, on a reactor that watches
    file descriptors. Ports of other kinds, and those for another factory around the guarded one (PROXY), stay as they
    are: the guards then wrap protocols.

    Args:
        port: what ``listenTCP`` or an endpoint answered.

    Returns:
        Whether it does.
    """
    if type(port) is not tcp.Port:
        return False
    plain: Any = port
    ours = guarded_in(plain.factory) is not None and plain.transport is tcp.Port.transport and plain.connected
    if not (ours and IReactorFDSet.providedBy(plain.reactor)):
        return False
    plain.__class__ = Port
    plain.begin()
    return True


def is_taken_over(port: Any) -> bool:
    """Whether those who serve a port take it over where they are: workers, of whom it says so (``native``).

    Args:
        port: what stands for theirs.
    """
    return bool(getattr(port, "native", False)) and guarded_in(port.factory) is not None


def guarded_in(factory: Any) -> GuardedFactory | None:
    """The guarded factory whose connections may have native transports: this one, or the one inside Twisted's TLS.

    Args:
        factory: what a port is opened for.

    Returns:
        None for any other.
    """
    if type(factory) is TLSMemoryBIOFactory:
        factory = factory.wrappedFactory
    return factory if isinstance(factory, GuardedFactory) else None
