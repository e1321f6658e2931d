"""The ports of netguard's own services: a port that cannot be had ends the start with one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import frozen
from twisted.application.internet import StreamServerEndpointService
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface import implementer

from netguard.before_tls import BeforeTls
from netguard.endpoint_strings import PROXIED
from netguard.endpoints import server_endpoint
from netguard.errors import OptionError
from netguard.guarded_endpoints import announce
from netguard.one_line import end_in_one_line
from netguard.policy import Policy
from netguard.process.tls import ServerTLS

_Service: Any = StreamServerEndpointService  # it is not annotated


HANDED = "systemd:"
"""What begins an endpoint whose socket was opened by systemd."""


class CannotServeError(Exception):
    """A port cannot be had; the text is one line for the operator."""


@implementer(IStreamServerEndpoint)
@frozen
class _Telling:
    """An endpoint that tells who is listening on it.

    Args:
        endpoint: the endpoint.
        tell: called with the port.
    """

    endpoint: Any
    tell: Callable[[IListeningPort], IListeningPort]

    def listen(self, protocolFactory: Any) -> Any:
        """Listen, and tell."""
        return self.endpoint.listen(protocolFactory).addCallback(self.tell)


class ListeningService(_Service):  # type: ignore[misc]
    """Listens on one endpoint, and tells ``listening`` once it does.

    Args:
        endpoint: where to listen.
        factory: what to serve there.
        description: the endpoint as the operator wrote it.

    Attributes:
        listening: fires with the port.
    """

    def __init__(self, endpoint: Any, factory: Any, description: str) -> None:
        super().__init__(_Telling(endpoint, self._listens), factory)
        self.listening: Deferred[IListeningPort] = Deferred()
        self._description = description
        self._raiseSynchronously = True  # as twisted.application.strports has it

    def privilegedStartService(self) -> None:
        """Listen while the process may still do so on any port.

        Raises:
            CannotServeError: the port cannot be had. If nobody catches it, it ends the program with its one line.
        """
        try:
            super().privilegedStartService()
        except (CannotListenError, OSError) as why:
            error = CannotServeError(f"{_reason(why)}: cannot listen on {self._description}")
            end_in_one_line(error)
            raise error from None

    def _listens(self, port: IListeningPort) -> IListeningPort:
        announce(port, self.factory)
        self.listening.callback(port)
        return port


def listening(reactor: Any, description: str, policy: Policy, guarded: Any, tls: ServerTLS | None) -> ListeningService:
    """The service for one ``--listen``.

    Args:
        reactor: the reactor.
        description: an endpoint; or ``tls:`` and the rest of one of type ``tcp:``, or one of type ``systemd:``: TLS
            from the first byte.
        policy: its guards.
        guarded: the factory, with those guards around it.
        tls: the certificates, or None.

    Raises:
        ValueError: it is no endpoint that can be served so; the text is one line for the operator.
    """
    kind, _, rest = description.partition(":")
    where, factory = description, guarded
    if kind == "tls":
        if tls is None:
            raise ValueError(f"--listen {description} needs a certificate: --tls PEM")
        where = rest if rest.startswith(HANDED) else f"tcp:{rest}"
        factory = TLSMemoryBIOFactory(tls, isClient=False, wrappedFactory=guarded)
    if kind in ("", "guard"):
        raise ValueError(f"--listen {description!r}: name an endpoint such as tcp:8080; all are guarded already")
    if kind == PROXIED and policy.before_tls:
        raise ValueError(f"--listen {description}: --proxy-from reads the PROXY header; leave haproxy: out")
    try:
        endpoint = server_endpoint(BeforeTls(reactor) if policy.before_tls else reactor, where)
    except OptionError as why:
        raise ValueError(str(why).replace("endpoint tcp:", f"endpoint {kind}:", 1)) from None
    return ListeningService(endpoint, factory, description)


def _reason(why: Exception) -> str:
    error = getattr(why, "socketError", why)
    return getattr(error, "strerror", None) or str(error)
