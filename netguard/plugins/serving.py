"""Walks the services of an application that knows nothing of netguard, and guards those that listen.

The services stay where they are and as they are; only the factory that each hands to its port is another one. So
whatever starts and stops them, with or without privileges, does it as before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from attrs import define, field, frozen
from twisted.application import internet
from twisted.application.service import IService, IServiceCollection, MultiService, Service
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IProtocolFactory, IStreamServerEndpoint
from twisted.internet.protocol import ClientFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from netguard import events
from netguard.before_tls import BeforeTls, listening_before_tls
from netguard.errors import OptionError
from netguard.guarded_endpoints import GuardedServerEndpoint, Together, announce
from netguard.one_line import end_in_one_line
from netguard.policy import Policy

_OLDER = (internet.TCPServer, internet.SSLServer, internet.UNIXServer)
_DATAGRAMS = (
    internet.UDPServer,
    internet.MulticastServer,
    internet.UNIXDatagramServer,
    internet.UNIXDatagramClient,
)
_CLIENTS = (internet.TCPClient, internet.SSLClient, internet.UNIXClient, internet.ClientService)
_HARMLESS = (internet.TimerService, internet.CooperatorService)

_NO_PORT = (CannotListenError, OSError, OverflowError)
"""What Twisted raises for a port that is taken, that one may not have, or whose number is none."""

_BESIDES = {
    "twisted.protocols.ftp.FTPFactory": "its data connections (PASV, PORT) are sockets of their own",
    "twisted.runner.inetd.InetdFactory": "a program that has a connection gives its place back by a time limit only",
}
"""What an application's factory opens besides, by the name of its class."""


@frozen
class Found:
    """What was done about one service.

    Args:
        service: what it is, for a person.
        reason: why it is not guarded; None when it is.
    """

    service: str
    reason: str | None = None

    def __str__(self) -> str:
        """One line for the terminal."""
        return f"guards {self.service}" if self.reason is None else f"does not guard {self.service}: {self.reason}"

    def tell(self) -> None:
        """One event for the log."""
        if self.reason is None:
            events.emit("guarding", {"service": self.service})
        else:
            events.emit("unguarded", {"service": self.service, "reason": self.reason})


@define
class Keeper:
    """Guards services, all beside each other: one policy, and limits that count them together.

    Args:
        policy: the guards.
        reactor: the clock; the global reactor unless given.
        verbose: whether the events of level debug are told, too.
    """

    policy: Policy
    reactor: Any = None
    verbose: bool = False
    _together: Together = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Begin to count."""
        self._together = Together(self.policy, self.reactor, self.verbose)

    @property
    def house(self) -> Any:
        """What everything that was guarded has in common."""
        return self._together.service

    def guard(self, service: Any) -> list[Found]:
        """Guard a service and everything below it, and whatever will be added below it later.

        Args:
            service: an ``IService``.

        Returns:
            What was found, in the order of the tree; services that open nothing are not mentioned.

        Raises:
            OptionError: a service is guarded already, in a way that contradicts this one.
        """
        return list(self._visit(service))

    def _visit(self, service: Any) -> Iterator[Found]:
        yield from self._one(service)
        collection = IServiceCollection(service, None)
        if collection is not None:
            for child in list(collection):
                yield from self._visit(child)
            self._watch(collection)

    def _one(self, service: Any) -> Iterator[Found]:
        if isinstance(service, internet.StreamServerEndpointService):
            yield from self._endpoint(service)
        elif isinstance(service, _OLDER):
            yield from self._older(service)
        elif isinstance(service, _DATAGRAMS):
            yield Found(_named(service), "datagrams have no connections that could be guarded")
        elif isinstance(service, _CLIENTS):
            yield Found(_named(service), "it connects to others, and only what listens is guarded")
        elif not isinstance(service, _HARMLESS) and _starts_something(service):
            yield from self._unknown(service)

    def _endpoint(self, service: Any) -> Iterator[Found]:
        if isinstance(service.endpoint, GuardedServerEndpoint):
            raise OptionError(
                f"{_named(service)} listens under guard: already; give all the options to netguard-wrap, or none"
            )
        found = Found(f"{_named(service.factory)} on {_named(service.endpoint)}")
        besides = list(_besides(service.factory))
        service.factory = self._together.wrap(service.factory)
        before_tls = self.policy.before_tls
        service.endpoint = _Announced(listening_before_tls(service.endpoint) if before_tls else service.endpoint)
        yield from (found, *besides)

    def _older(self, service: Any) -> Iterator[Found]:
        where, *rest = service.args
        factory = rest.pop(0) if rest else service.kwargs.pop("factory")
        yield Found(f"{_named(factory)} on {type(service).__name__} {where}")
        yield from _besides(factory)
        service.args = (where, self._together.wrap(factory), *rest)
        reactor = service.reactor or _global_reactor()
        service.reactor = _Announcing(BeforeTls(reactor) if self.policy.before_tls else reactor)

    def _unknown(self, service: Any) -> Iterator[Found]:
        """A service of the application's own making: guarded if it has a server's factory where all have it."""
        factory = vars(service).get("factory")
        if IProtocolFactory.providedBy(factory) and not isinstance(factory, ClientFactory):
            service.factory = self._together.wrap(factory)
            yield Found(f"{_named(factory)} of {_named(service)}")
            yield from _besides(factory)
        else:
            yield Found(_named(service), "it starts by itself what it starts; if that listens, it is not guarded")

    def _watch(self, collection: Any) -> None:
        """Some applications add services when they start: those are guarded, too."""
        add = collection.addService

        def add_guarded(service: Any) -> None:
            for found in self.guard(service):
                found.tell()
            add(service)

        collection.addService = add_guarded


def _starts_something(service: Any) -> bool:
    ordinary = (Service.startService, MultiService.startService)
    privileged = (Service.privilegedStartService, MultiService.privilegedStartService)
    kind = type(service)
    return IService.providedBy(service) and (
        getattr(kind, "startService", None) not in ordinary
        or getattr(kind, "privilegedStartService", None) not in privileged
    )


def _named(thing: Any) -> str:
    name = getattr(thing, "name", None)
    kind = type(thing).__name__
    return f"{kind} {name!r}" if IService.providedBy(thing) and name else kind


def _besides(factory: Any) -> Iterator[Found]:
    for kind in type(factory).__mro__:
        reason = _BESIDES.get(f"{kind.__module__}.{kind.__qualname__}")
        if reason is not None:
            yield Found(f"all of {_named(factory)}", reason)


@implementer(IStreamServerEndpoint)
class _Announced:
    """The endpoint of a service, telling ``listening`` once it listens.

    Args:
        endpoint: the service's own.
    """

    def __init__(self, endpoint: Any) -> None:
        self.endpoint = endpoint

    def listen(self, factory: Any) -> Any:
        """Listen, and tell."""
        return self.endpoint.listen(factory).addCallbacks(announce, _cannot, callbackArgs=(factory,))

    def __getattr__(self, name: str) -> Any:
        """Everything else is the endpoint's own."""
        if name.startswith("__") or name == "endpoint":
            raise AttributeError(name)
        return getattr(self.endpoint, name)


class _Announcing:
    """The reactor as the older services see it: every port that they open is told.

    Args:
        reactor: the real one.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def __getattr__(self, name: str) -> Any:
        """Everything is the reactor's own; what listens tells so."""
        found = getattr(self._reactor, name)
        return _announcing(found) if name in ("listenTCP", "listenSSL", "listenUNIX") else found


def _announcing(listen: Callable[..., Any]) -> Callable[..., Any]:
    def listen_and_tell(*args: Any, **kwargs: Any) -> Any:
        try:
            port = listen(*args, **kwargs)
        except _NO_PORT as why:
            end_in_one_line(why)
            raise
        return announce(port, _factory(args, kwargs))

    return listen_and_tell


def _cannot(why: Failure) -> Failure:
    if isinstance(why.value, _NO_PORT):
        end_in_one_line(why.value)
    return why


def _factory(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """The factory, where all of ``listenTCP`` and its like have it."""
    return kwargs["factory"] if "factory" in kwargs else args[1]


def _global_reactor() -> Any:
    from twisted.internet import reactor

    return reactor
