"""A TCP connection of our own while it is being made: a socket, and nothing else until the other side has answered.

On this machine it has answered before ``connect`` returns, so that is asked for at once; only where it has not, the
reactor is to tell when it does.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from errno import EINPROGRESS, EWOULDBLOCK
from functools import lru_cache
from os import strerror
from typing import TYPE_CHECKING, Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectBindError, NoProtocol, TimeoutError, getConnectError  # noqa: A004
from twisted.internet.tcp import _resolveIPv6
from twisted.python import log
from twisted.python.failure import Failure

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall

_UNDER_WAY = (EINPROGRESS, EWOULDBLOCK)
_HOST_AND_PORT = 2


Make = Callable[[socket.socket, tuple[Any, ...], Any], Any]


class Connecting:
    """One connection that is being made. To the reactor, it is what writes to its socket.

    Args:
        reactor: who tells when it is made.
        make: makes its transport.
        made: called with the protocol, once that has it.
        failed: called with the failure that says why there is none, if there is none.
    """

    socket: socket.socket
    _address: tuple[Any, ...]
    _factory: Any
    _timer: IDelayedCall | None = None
    _over = False

    def __init__(
        self, reactor: Any, make: Make, made: Callable[[Any], object], failed: Callable[[Failure], object]
    ) -> None:
        self._reactor = reactor
        self._make = make
        self._made = made
        self._failed = failed

    def begin(self, host: str, port: int, factory: Any, within: float, bind: Any = None) -> None:
        """Connect; it may be done before this returns.

        Args:
            host: an address, of IPv4 or IPv6.
            port: the port.
            factory: makes the protocol once there is a connection.
            within: seconds that it may take.
            bind: host and port to connect from; None for any.
        """
        self._factory = factory
        six = ":" in host
        try:
            self._address = _resolveIPv6(host, port) if six else (host, port)
            self.socket = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_STREAM)
        except OSError as why:
            _, _, failed = self._ends()
            failed(Failure(ConnectBindError(*why.args[:2])))
            return
        try:
            self.socket.setblocking(False)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if bind is not None:
                self.socket.bind(bind)
        except OSError as why:
            self._fail(ConnectBindError(*why.args[:2]))
            return
        code = self.socket.connect_ex(self._address)
        if not code or (code in _UNDER_WAY and self._answered()):
            self._succeed()
        elif code in _UNDER_WAY:
            self._timer = self._reactor.callLater(within, self._fail, TimeoutError())
            self._reactor.addWriter(self)
        else:
            self._fail(getConnectError((code, strerror(code))))

    def _answered(self) -> bool:
        try:
            self.socket.getpeername()
        except OSError:
            return False
        return True

    # for the reactor

    def fileno(self) -> int:
        """The descriptor of the socket."""
        return self.socket.fileno()

    def logPrefix(self) -> str:
        """What stands in the log for what is nobody's yet."""
        return "-"

    def doWrite(self) -> None:
        """The other side has answered, or never will."""
        code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._fail(getConnectError((code, strerror(code))))
        else:
            self._rest()
            self._succeed()

    def connectionLost(self, reason: Failure) -> None:
        """The reactor has found that it has failed, or stops."""
        code = -1 if self._over else self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        why: Any = getConnectError((code, strerror(code))) if code > 0 else reason.value
        self._fail(why)

    # the ends

    def _rest(self) -> None:
        if self._timer is not None:
            if self._timer.active():
                self._timer.cancel()
            self._timer = None
            self._reactor.removeWriter(self)

    def _fail(self, why: BaseException) -> None:
        if self._over:
            return
        _, _, failed = self._ends()
        self._rest()
        self.socket.close()
        failed(Failure(why))

    def cancel(self) -> None:
        """Give up."""
        self._fail(CancelledError())

    def _ends(self) -> tuple[Any, Callable[[Any], object], Callable[[Failure], object]]:
        """It is over: hold nobody any more who may hold us, and say who they were."""
        self._over = True
        were = self._factory, self._made, self._failed
        del self._factory, self._made, self._failed
        return were

    def _succeed(self) -> None:
        factory, tell, failed = self._ends()
        try:
            protocol = factory.buildProtocol(_named(self._address))
        except BaseException:  # noqa: BLE001 - who wants to connect hears of it, whatever it is
            self.socket.close()
            failed(Failure())
            return
        if protocol is None:
            self.socket.close()
            failed(Failure(NoProtocol()))
            return
        made = self._make(self.socket, self._address, self._reactor)
        made.upper = protocol
        try:
            made.promptly(protocol.makeConnection, made)
        except BaseException:  # noqa: BLE001 - as the reactor does
            log.err()
            made.connectionLost(Failure())
        tell(protocol)


@lru_cache(maxsize=64)
def _named(address: tuple[Any, ...]) -> IPv4Address | IPv6Address:
    """What factories are told; most connections go to few places."""
    return (IPv4Address if len(address) == _HOST_AND_PORT else IPv6Address)("TCP", *address)
