"""A service on a port of ours, and clients that block, in threads; the same by Twisted alone, to see what that does."""

from __future__ import annotations

import socket
from ssl import SSLSocket
from typing import TYPE_CHECKING, Any

from twisted.internet.protocol import Factory
from twisted.protocols.tls import TLSMemoryBIOFactory

from netguard.policy import Policy
from netguard.testing import Application
from tests.native.conftest import WITHIN, until
from tests.native.test_secure import listen
from tests.native.tlspair import client_context, identity

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.native.conftest import Ground

MUCH = bytes(range(256)) * 16_384
"""More than socket buffers hold, and than one read brings."""


class House:
    """A service on a native port.

    Args:
        ground: where it and its clients are closed.
        secure: whether its connections begin with TLS.
        bare: whether it is Twisted's alone, without guards: so we see that Twisted does the same.
    """

    def __init__(self, ground: Ground, *, secure: bool = False, bare: bool = False) -> None:
        self.ground = ground
        self.secure = secure
        self.bare = bare
        self.port: Any = None

    def open(
        self, react: Callable[[Any], object], application: type = Application, policy: Policy | None = None
    ) -> None:
        """Serve; the reaction is to the first bytes that come, on each connection."""

        class Reacts(application):  # type: ignore[misc]
            """Reacts."""

            def __init__(it) -> None:  # noqa: N805 - self is another
                super().__init__()
                it.reactions["data"] = lambda: react(it)
                self.ground.applications.append(it)

        self.serve(Reacts, policy)

    def serve(self, make: Callable[[], Any], policy: Policy | None = None) -> None:
        """Serve, with any application."""
        factory: Any = Factory()
        factory.protocol = make
        if self.bare:
            self.port = self._listen_bare(factory)
        elif self.secure:
            self.port = listen(self.ground, factory, *(policy or Policy()).guards)
        else:
            self.port = self.ground.listen(factory, policy)

    def _listen_bare(self, factory: Any) -> Any:
        from twisted.internet import reactor

        listening: Any = reactor
        factory.noisy, factory.connections = False, []
        outer = TLSMemoryBIOFactory(identity()[1], False, factory) if self.secure else factory
        port = listening.listenTCP(0, outer, interface="127.0.0.1")
        port.factory.connections = []
        self.ground.ports.append(port)
        return port

    def call(self, buffer: int = 0) -> Any:
        """A client, for a thread: a socket that blocks, and whose kernel keeps about so many bytes for it."""
        made: Any = socket.socket()
        made.settimeout(WITHIN)
        if buffer:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        made.connect(("127.0.0.1", self.port.getHost().port))
        if self.secure:
            made = client_context().wrap_socket(made, server_hostname="localhost", suppress_ragged_eofs=False)
        return made

    def says(self, words: bytes) -> tuple[bytes, str]:
        """What a client hears that says something, and how it ends: ``in order``, ``broken off``, ``not at all``."""
        with self.call() as caller:
            return self.hears(caller, words)

    @staticmethod
    def hears(caller: Any, words: bytes = b"") -> tuple[bytes, str]:
        """All until the end, and how it ends."""
        heard = b""
        try:
            caller.sendall(words)
            while piece := caller.recv(1 << 20):
                heard += piece
            if isinstance(caller, SSLSocket):
                caller.unwrap()
        except TimeoutError:
            return heard, "not at all"
        except OSError:  # of TLS, too
            return heard, "broken off"
        return heard, "in order"

    def called(self, name: str, number: int = -1) -> list[Any]:
        """The calls of that name that an application heard."""
        return [each for each in self.ground.applications[number].calls if each[0] == name]

    async def end(self) -> None:
        """End all connections that are left."""
        left = [each for each in self.ground.applications if each.transport is not None and each.reason is None]
        for each in left:
            each.transport.abortConnection()
        await until(lambda: all(each.reason is not None for each in left))
