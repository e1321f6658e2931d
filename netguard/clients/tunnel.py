"""Connecting through a proxy: an endpoint's attempt, its deadline, and how the application gets the connection.

The rules of this file:

* Only the connection that the endpoint inside has chosen negotiates; it may have tried several addresses.
* One deadline holds for connecting to the proxy and for negotiating with it. Whatever ends an attempt ends its
  connection, by an abort, and its timer.
* When the tunnel is there we step out of the path of the bytes: the transport then delivers to the application. Where
  somebody stands between whom we do not know, the bytes are passed on.
* What came with the proxy's last reply is delivered at once, behind the answer of ``connect``.
"""

from __future__ import annotations

from typing import Any, Protocol, cast

from twisted.internet import error, protocol
from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IAddress, IHalfCloseableProtocol, IProtocol, IReactorTime, IStreamClientEndpoint
from twisted.internet.tcp import Client
from twisted.python.failure import Failure
from zope.interface import implementer, providedBy

from netguard.wire.tunnel import Granted, Host, Negotiation, NoProxy, ProxyClosed, ProxyError

_IPV4 = 4

KEPT: dict[str, object] = {}
"""What the last wrapper between declared to provide: made anew by zope.interface whenever nobody has it any more, which
would take longer than the words of a negotiation."""


class ProxyTimeout(ProxyError, error.TimeoutError):
    """The time for connecting to the proxy and negotiating with it is over.

    Args:
        stage: ``connecting`` or ``negotiating``.
    """

    def __init__(self, stage: str) -> None:
        super().__init__()
        self.stage = stage

    def __str__(self) -> str:
        """Say at what it was."""
        doing = "was not reached" if self.stage == "connecting" else "was reached, but did not connect us"
        return f"the proxy {doing} in time"


class Plan(Protocol):
    """What an attempt is told."""

    within: float
    where: tuple[Host, int]
    proxy: IStreamClientEndpoint

    def clock(self) -> IReactorTime:
        """Tells the time."""

    def negotiation(self) -> Negotiation:
        """A new negotiation."""


@implementer(IHalfCloseableProtocol)
class _Tunnel(protocol.Protocol):
    """The connection to the proxy: negotiates; and where it could not step out of the path, passes on.

    Args:
        attempt: whose it is.
    """

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt
        self.negotiation: Negotiation | None = None
        self.application: Any = None
        self.spoke_early = self.ended_early = False

    def begin(self, negotiation: Negotiation) -> None:
        """It is this connection that was chosen."""
        if self.spoke_early:
            raise NoProxy("it spoke before it was asked")
        if self.ended_early:
            raise ProxyClosed
        self.negotiation = negotiation
        say(self.transport, negotiation.opening)

    def dataReceived(self, data: bytes) -> None:
        """Negotiate, or pass on."""
        if self.application is not None:
            self.application.dataReceived(data)
        elif self.negotiation is None:
            self.spoke_early = True  # kept it is not
        else:
            self.attempt.hears(self, self.negotiation, data)

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        """The proxy is gone."""
        if self.application is not None:
            self.application.connectionLost(reason)
        elif self.negotiation is not None:
            self.attempt.loses(reason)
        else:
            self.ended_early = True  # what becomes of the attempt the endpoint inside will say

    def readConnectionLost(self) -> None:
        """The other side will send no more."""
        if self.application is None:
            self.connectionLost(Failure(error.ConnectionDone()))
        elif IHalfCloseableProtocol.providedBy(self.application):
            self.application.readConnectionLost()
        else:
            cast("Any", self.transport).loseConnection()

    def writeConnectionLost(self) -> None:
        """The other side takes no more."""
        if IHalfCloseableProtocol.providedBy(self.application):
            self.application.writeConnectionLost()

    def step_out(self) -> Any:
        """Let the transport deliver to the application itself.

        Returns:
            What delivers to it from here on.
        """
        # The attribute of plain transports, and that of Twisted's TLS; an endpoint has put its own wrapper between.
        for name in ("wrappedProtocol", "protocol"):
            held = getattr(self.transport, name, None)
            if held is self or getattr(held, "_wrappedProtocol", None) is self:
                setattr(self.transport, name, self.application)
                KEPT["declared"] = providedBy(held)
                return lambda data: getattr(self.transport, name).dataReceived(data)
        return self.dataReceived


class _Factory(protocol.Factory):
    """What the endpoint to the proxy is given; start and stop are the application's factory's."""

    noisy = False

    def __init__(self, attempt: Attempt) -> None:
        self.attempt = attempt

    def doStart(self) -> None:
        """Pass it on."""
        self.attempt.factory.doStart()

    def doStop(self) -> None:
        """Pass it on."""
        self.attempt.factory.doStop()

    def buildProtocol(self, addr: object) -> _Tunnel:
        """One of the connections of which one will be chosen."""
        self.attempt.tunnel = _Tunnel(self.attempt)
        return self.attempt.tunnel


class Attempt:
    """One attempt to connect.

    Args:
        plan: the endpoint.
        factory: the application's.
    """

    def __init__(self, plan: Plan, factory: Any) -> None:
        self.plan = plan
        self.factory = factory
        self.tunnel: _Tunnel | None = None
        self.chosen = self.over = False
        self.answer: Deferred[IProtocol] = Deferred(self._cancel)
        self.connecting: Deferred[Any] = Deferred()
        self.timer: Any = None

    def begin(self) -> Deferred[IProtocol]:
        """Connect to the proxy."""
        self.timer = self.plan.clock().callLater(self.plan.within, self._expire)
        self.connecting = maybeDeferred(self.plan.proxy.connect, cast("Any", _Factory(self)))
        self.connecting.addCallbacks(self._connected, self._fail)
        return self.answer

    def _connected(self, found: object) -> None:
        """The endpoint inside has a connection."""
        self.chosen = True
        self.tunnel = tunnel = found if isinstance(found, _Tunnel) else cast("_Tunnel", self.tunnel)
        if self.over:  # its Deferred could not be cancelled
            self._abort()
        else:
            try:
                tunnel.begin(self.plan.negotiation())
            except ProxyError:
                self._fail(Failure())

    def hears(self, tunnel: _Tunnel, negotiation: Negotiation, data: bytes) -> None:
        """The proxy says something."""
        if self.over:
            return
        try:
            events = negotiation.receive(data)
        except ProxyError:
            self._fail(Failure())
            return
        for each in events:
            if isinstance(each, Granted):
                self._grant(tunnel, each.rest)
            else:
                say(tunnel.transport, each)

    def loses(self, reason: Failure) -> None:
        """The connection to the proxy is gone; what a guard or TLS has against it is the better reason."""
        self._fail(Failure(ProxyClosed()) if reason.type in {error.ConnectionDone, error.ConnectionLost} else reason)

    def _grant(self, tunnel: _Tunnel, rest: bytes) -> None:
        """The tunnel is there: build the application, give it the connection, and what came for it already."""
        try:
            tunnel.application = self.factory.buildProtocol(self._address())
        except Exception:  # noqa: BLE001 - as endpoints do: it is the answer
            self._fail(Failure())
            return
        if tunnel.application is None:
            self._fail(Failure(error.NoProtocol()))
            return
        deliver, transport = tunnel.step_out(), tunnel.transport
        try:
            tunnel.application.makeConnection(transport)
        except Exception:  # noqa: BLE001 - the same
            self._fail(Failure())
            return
        self._end()
        self.answer.callback(tunnel.application)
        if rest and not _closing(transport):
            deliver(rest)

    def _address(self) -> IAddress:
        host, port = self.plan.where
        if isinstance(host, str):
            return HostnameAddress(host.encode("ascii"), port)
        return (IPv4Address if host.version == _IPV4 else IPv6Address)("TCP", str(host), port)

    def _fail(self, why: Failure) -> None:
        if not self.over:
            self._end()
            self._abort()
            self.answer.errback(why)

    def _expire(self) -> None:
        stage = "negotiating" if self.chosen else "connecting"
        self._stop()
        self.answer.errback(ProxyTimeout(stage))

    def _cancel(self, answer: Deferred[IProtocol]) -> None:
        self._stop()
        answer.errback(error.ConnectingCancelledError(self._address()))

    def _stop(self) -> None:
        self._end()
        if self.chosen:
            self._abort()
        else:
            self.connecting.cancel()

    def _end(self) -> None:
        self.over = True
        if self.timer.active():
            self.timer.cancel()

    def _abort(self) -> None:
        transport: Any = self.tunnel and self.tunnel.transport
        if transport is not None:
            getattr(transport, "abortConnection", transport.loseConnection)()


def say(transport: Any, words: bytes) -> None:
    """Send words of a negotiation; at once where nothing stands between, since nothing can wait before them."""
    bare = type(transport) is Client and not transport.TLS
    if bare and not transport.dataBuffer and not transport._tempDataBuffer:  # noqa: SLF001 - its queue
        sent = transport.writeSomeData(words)
        if sent == len(words):
            return
        if isinstance(sent, int):
            words = words[sent:]
    transport.write(words)


def _closing(transport: object) -> bool:
    """Whether the application has closed already, and so wants no more; an abort shows in private attributes only."""
    return any(getattr(transport, name, False) for name in ("disconnecting", "_aborting", "_aborted"))
