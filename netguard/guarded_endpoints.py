"""Endpoints that guard what listens or connects through them."""

from __future__ import annotations

import os
import socket
from math import ceil, inf
from typing import TYPE_CHECKING, Any, cast

from attrs import define, field
from twisted.internet import tcp
from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.error import ConnectingCancelledError, NoProtocol
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint, IStreamServerEndpoint
from twisted.python.failure import Failure
from zope.interface import implementer

from netguard import events
from netguard.errors import Unwanted
from netguard.factory import GuardedFactory
from netguard.joined_port import ports_of
from netguard.native.port import is_taken_over, take_over
from netguard.wrapper import Wrapper

if TYPE_CHECKING:
    from twisted.internet.interfaces import IAddress, IListeningPort, IProtocol, IProtocolFactory

    from netguard.policy import Policy
    from netguard.service import Service

_USER_TIMEOUT: int | None = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux, RFC 5482
_MOST = 2**31 - 1


def announce(port: IListeningPort, factory: Any = None) -> IListeningPort:
    """Tell ``listening``, with the real address: the number that was found for port 0, or a UNIX socket's path.

    A port of a guarded factory carries its connections by our own transport from here on, if it can and is to.

    Args:
        port: what ``listen`` answered.
        factory: what it serves, so that a guarded factory knows its ports; others may be around that one.

    Returns:
        The same port.
    """
    while factory is not None and not isinstance(factory, GuardedFactory):
        factory = getattr(factory, "wrappedFactory", None)
    about = _where(port.getHost())
    if factory is not None:
        factory.listens(port)
        for each in ports_of(port):
            _stand_behind(each, factory.service.given_up_after)
        ours = factory.service.native and _is_native(port)
        about["transport"] = carrier = "native" if ours else "stock"
        factory.service.carriers[carrier] += 1
    events.emit("listening", about)
    return port


def _is_native(port: Any) -> bool:
    taken = [take_over(each) or is_taken_over(each) for each in ports_of(port)]
    return all(taken)


def _stand_behind(port: Any, seconds: float) -> None:
    """Have the kernel give up peers that take nothing: what a listening socket has, those that it accepts inherit."""
    over_ip = isinstance(port, tcp.Port) and port.addressFamily in (socket.AF_INET, socket.AF_INET6)
    if over_ip and _USER_TIMEOUT is not None:
        milliseconds = 0 if seconds == inf else min(ceil(seconds * 1000), _MOST)
        port.socket.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, milliseconds)


def _where(address: Any) -> dict[str, object]:
    if isinstance(address, UNIXAddress):
        return {"server.address": os.fsdecode(address.name or b"")}
    if hasattr(address, "port"):
        return {"server.address": address.host, "server.port": address.port}
    return {"server.address": str(address)}


@define
class Together:
    """One policy around several factories: its limits count all of them together.

    Args:
        policy: the guards.
        reactor: the clock; the global reactor's when it is None or tells no time.
        verbose: whether the events of level debug are told, too: two lines more for each connection.
    """

    policy: Policy
    reactor: Any = None
    verbose: bool = False
    _first: GuardedFactory | None = field(default=None, init=False)

    @property
    def service(self) -> Service:
        """What all that was wrapped has in common; something was."""
        return cast("GuardedFactory", self._first).service

    def wrap(self, factory: IProtocolFactory, policy: Policy | None = None) -> GuardedFactory:
        """Guard one more factory.

        Args:
            factory: the application's.
            policy: guards of its own; those that are the same as others' count together with them.

        Raises:
            ContradictoryOptions: it is guarded already, with other values.
        """
        clock = self.reactor if IReactorTime.providedBy(self.reactor) else None
        guarded = (policy or self.policy).wrap(factory, clock, beside=self._first, verbose=self.verbose)
        if self._first is None:
            self._first = guarded
        return guarded


class _Outside:
    """What both kinds have: the endpoint inside, and everything of it that we do not change.

    Args:
        endpoint: the endpoint to guard.
        policy: the guards.
        reactor: the clock.
    """

    def __init__(self, endpoint: Any, policy: Policy, reactor: Any = None) -> None:
        self.endpoint = endpoint
        self.policy = policy
        self._together = Together(policy, reactor)

    def __getattr__(self, name: str) -> Any:
        """Applications look into endpoints, a websocket's for its port number: let them."""
        if name.startswith("__") or name == "endpoint":
            raise AttributeError(name)
        return getattr(self.endpoint, name)

    def __repr__(self) -> str:
        """Name both."""
        return f"<guarded {self.endpoint!r}>"


@implementer(IStreamServerEndpoint)
class GuardedServerEndpoint(_Outside):
    """A server endpoint whose connections are guarded, and which tells ``listening`` once it listens.

    Args:
        endpoint: any ``IStreamServerEndpoint``.
        policy: the guards. Limits count everything that listens through this endpoint together.
        reactor: the clock; the global reactor unless given.
    """

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        """Listen, and guard the factory.

        Returns:
            The port; or the failure of the endpoint inside, or :class:`netguard.errors.ContradictoryOptions` when the
            factory is guarded already, with other values.
        """

        def listen() -> Any:
            guarded = self._together.wrap(protocolFactory)
            return self.endpoint.listen(guarded).addCallback(announce, guarded)

        return cast("Deferred[IListeningPort]", maybeDeferred(listen))


@implementer(IStreamClientEndpoint)
class GuardedClientEndpoint(_Outside):
    """A client endpoint whose connections are guarded.

    Args:
        endpoint: any ``IStreamClientEndpoint``.
        policy: the guards. Limits count all connections through this endpoint together.
        reactor: the clock; the global reactor unless given.
    """

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect, let the guards decide, and start the application.

        Returns:
            The application's own protocol, once it has its transport; or the failure of the endpoint inside, the
            :class:`netguard.errors.Reason` for which a guard refused, or why the connection was lost before the
            guards had decided. Cancelling it ends the attempt, whatever it is waiting for.
        """
        try:
            guarded = self._together.wrap(protocolFactory)
        except ValueError:
            return fail()
        return _Attempt(guarded).connect(self.endpoint)


class _Attempt:
    """One call of ``connect``: what the endpoint inside answers, and what became of its connections.

    Twisted's own wrapper answers as soon as the transport is there, with whatever the connection has for its
    protocol then: nothing, while guards still decide. So the answer is taken from the factory: the outcome of the
    connection that the endpoint inside chose (it may have tried several addresses).

    Args:
        guarded: the factory of this attempt alone.
    """

    def __init__(self, guarded: GuardedFactory) -> None:
        self.guarded = guarded
        self.outcomes: dict[Wrapper, Any] = {}
        self.refusal: Failure | None = None
        self.chosen: Wrapper | None = None
        self.connecting: Deferred[Any] = Deferred()
        self.answer: Deferred[IProtocol] = Deferred(self.cancel)
        guarded.follower = self.follow

    def connect(self, endpoint: Any) -> Deferred[IProtocol]:
        """Begin."""
        self.connecting = maybeDeferred(endpoint.connect, self.guarded)
        self.connecting.addCallbacks(self.connected, self.failed)
        return self.answer

    def follow(self, wrapper: Wrapper, outcome: Any) -> None:
        """A connection is the application's, or will never be."""
        if isinstance(outcome, Failure):
            # That the application's own factory wanted no connection is told as Twisted tells it.
            outcome = self.refusal = Failure(NoProtocol()) if outcome.check(Unwanted) else outcome
        self.outcomes[wrapper] = outcome
        if wrapper is self.chosen:
            self.give(outcome)

    def connected(self, protocol: Any) -> None:
        """The endpoint inside has chosen a connection."""
        if isinstance(protocol, Wrapper):
            self.chosen = protocol
            if protocol in self.outcomes:
                self.give(self.outcomes[protocol])
        else:  # it stands for a connection that was refused, or a foreign endpoint unwrapped the protocol itself
            self.give(self.refusal or protocol)

    def failed(self, why: Failure) -> None:
        """The endpoint inside has no connection; if a guard was the reason, it is the better answer."""
        self.give(self.refusal if self.refusal is not None and why.check(NoProtocol) else why)

    def give(self, outcome: Any) -> None:
        """Answer; but when the attempt has been cancelled, nobody wants what came of it."""
        self.guarded.follower = None
        if self.answer.called:
            self.guarded.abort_all()
        else:
            self.answer.callback(outcome)

    def cancel(self, answer: Deferred[IProtocol]) -> None:
        """Whoever waits has lost interest: stop connecting, or end the connection that waits for its guards."""
        if self.chosen is None:
            self.connecting.cancel()
        else:
            answer.errback(ConnectingCancelledError(cast("IAddress", self.chosen.connection.address)))
            self.guarded.abort_all()
