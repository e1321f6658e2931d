"""A twistd plugin that listens under guards: what netguard's own are made of, and what anybody's can be."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from twisted.application.service import MultiService
from twisted.python import usage

from netguard.guarded_endpoints import Together
from netguard.plugins.guard_options import GuardOptions
from netguard.plugins.listening import listening
from netguard.process.tls import ServerTLS, server_tls

if TYPE_CHECKING:
    from twisted.internet.interfaces import IProtocolFactory

    from netguard.service import Service

_Multi: Any = MultiService  # it is not annotated


class ServiceOptions(GuardOptions):
    """Options of a plugin that says where to listen; its own are added by a subclass.

    Attributes:
        listens: the endpoints, as the operator wrote them.
        tls: the files with certificates and keys.
    """

    def __init__(self) -> None:
        super().__init__()
        self.listens: list[str] = []
        self.tls: list[str] = []

    def opt_listen(self, description: str) -> None:
        """Listen here, several times if wanted.

        An endpoint, in which a port may be a service name; tls:PORT is TLS from the first byte, with --tls.
        """
        self.listens.append(description)

    def opt_tls(self, path: str) -> None:
        """A PEM file with key, certificate and chain, for --listen tls:PORT.

        Where they are two files, give it twice: first that of the certificates, then that of the key. Give it
        again for other certificates: a client that asks for a name gets the one that has it, any other the first.
        """
        self.tls.append(path)

    def parseArgs(self, *words: str) -> None:
        """Every word belongs to an option."""
        if words:
            raise usage.UsageError(f"{words[0]!r} is one word too many")

    def postOptions(self) -> None:
        """Check what was given, as far as no reactor is needed."""
        super().postOptions()
        self.prepare()
        self.listens = self.listens or self.usual()
        if not self.listens:
            raise usage.UsageError("--listen is missing: where to take connections, as in --listen tcp:8080")
        self.config.refuse_others(self.listens)

    def prepare(self) -> None:
        """Check the options of the plugin's own; a subclass does.

        Raises:
            UsageError: with one line, when they cannot be honoured.
        """

    def usual(self) -> list[str]:
        """Where to listen when nothing was said; a subclass may know, else it has to be said."""
        return []

    def listen(
        self, service: Any, made: Callable[[], IProtocolFactory], reactor: Any, tls: ServerTLS | None = None
    ) -> Service:
        """Let a service listen wherever the operator said, under guards whose limits count all ports together.

        Args:
            service: the service.
            made: makes the factory of one port; it may be the same for all.
            reactor: the reactor.
            tls: the certificates, or None.

        Returns:
            What all ports have in common.

        Raises:
            ValueError: an endpoint cannot be served; the text is one line for the operator.
        """
        together = Together(self.policy, reactor, verbose=bool(self["verbose"]))
        for description in self.listens:
            policy = self.policy_of(description)
            guarded = together.wrap(made(), policy)
            listening(reactor, description, policy, guarded, tls).setServiceParent(service)
        if tls is not None:
            together.service.when_reloaded(tls.reload)
        return together.service

    def serve(self, factory: IProtocolFactory, alpn: tuple[bytes, ...] = ()) -> Any:
        """The whole service for a protocol: what ``makeService`` returns.

        Args:
            factory: the application's.
            alpn: the protocols to choose from inside TLS, the best first.

        Returns:
            A service that listens under guards, and has all that these options say: its lock, its log, and so on.

        Raises:
            SystemExit: with one line, when something that was named cannot be used.
        """
        return self.made(lambda reactor: _Serving(self, factory, alpn, reactor))

    def made(self, make: Callable[[Any], Any], *troubles: type[Exception]) -> Any:
        """A service with all that these options say: what ``makeService`` returns.

        Args:
            make: makes it, given the reactor; its ``house`` is what its ports have in common.
            troubles: what it raises, besides ValueError, when something that was named cannot be used.

        Raises:
            SystemExit: with one line, when it does.
        """
        from twisted.internet import reactor

        known: tuple[type[Exception], ...] = (ValueError, *troubles)
        try:
            service = make(reactor)
        except known as why:
            self.fail(why)
        return self.equip(service, service.house)


class _Serving(_Multi):  # type: ignore[misc]
    """One protocol, on all ports.

    Args:
        options: the parsed command line.
        factory: the application's.
        alpn: the protocols to choose from inside TLS.
        reactor: the reactor.
    """

    def __init__(
        self, options: ServiceOptions, factory: IProtocolFactory, alpn: tuple[bytes, ...], reactor: Any
    ) -> None:
        super().__init__()
        tls = server_tls(*options.tls, alpn=alpn) if options.tls else None
        self.house = options.listen(self, lambda: factory, reactor, tls)
