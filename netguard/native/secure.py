"""A TCP transport that sends an answer at the end of the read that it answers, inside TLS as well."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

from twisted.internet._newtls import _BypassTLS
from twisted.internet.abstract import FileDescriptor
from twisted.internet.interfaces import INegotiated
from twisted.protocols.tls import TLSMemoryBIOFactory
from zope.interface.declarations import Provides

from netguard.encryption import Encryption
from netguard.native.prompt import PromptServer
from netguard.native.tls import Layer

READ = 256 * 1024
"""Bytes that one read may bring inside TLS, so that what they hold is passed on by few calls."""

_Descriptor: Any = FileDescriptor  # half of it is not annotated
_Bypass: Any = _BypassTLS
_Factory: Any = TLSMemoryBIOFactory


class _Below(_Bypass):  # type: ignore[misc]
    """A transport as its TLS uses it: past TLS."""

    def write(self, data: bytes) -> None:
        """Send what is encrypted."""
        self._connection.write_soon(data)

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """Send several pieces of it."""
        self._connection.write_soon(b"".join(iovec))

    def loseConnection(self) -> None:
        """Close, since TLS is over."""
        self._connection.close_below()


class _OfTLS:
    """What there is inside TLS only. A ``__getattr__`` would do, and double the time of every other attribute."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, server: Any, owner: type | None = None) -> Any:
        if server is None:
            return self
        if server.TLS and server.upper is not None:
            return getattr(server.upper, self._name)
        message = f"{type(server).__name__!r} object has no attribute {self._name!r}"
        raise AttributeError(message, name=self._name, obj=server)


@cache
def _provided_by(kind: Any) -> Any:
    return Provides(kind, INegotiated)


def _makers(context: Any, *, client: bool) -> tuple[Any, Any]:
    """What makes the TLS of connections by a context factory: the factory that contexts look at, and the maker."""
    if isinstance(context, Encryption):
        return context.factory, context.begin
    factory = _Factory(context, client, None)
    return factory, factory._creatorCallable  # noqa: SLF001 - it takes every kind of context


class SecureServer(PromptServer):
    """One accepted connection on which TLS can begin; see :class:`netguard.native.prompt.PromptServer`."""

    upper: Any

    def startTLS(self, ctx: Any, normal: bool = True) -> None:  # noqa: FBT002 - ITLSTransport's
        """Put TLS between this and who gets what is read.

        Args:
            ctx: any context factory of Twisted's.
            normal: whether we are TLS's server.
        """
        producer, streaming = self.producer, self.streamingProducer
        if producer is not None:
            self.unregisterProducer()
        factory, make = _makers(ctx, client=not normal)
        self.upper = layer = Layer(factory, self.upper, self, make, starts=not normal)
        self.most = READ
        self.TLS = True
        kind: Any = type(self)
        self.__provides__ = _provided_by(kind)
        layer.makeConnection(_Below(FileDescriptor, self))
        if producer is not None:
            self.registerProducer(producer, streaming)

    def flushes_soon(self) -> bool:
        """Whether what is written now is sent at the end of the turn; it is, while something is called promptly."""
        if self._inside:
            self._wanted = True
        return self._wanted

    def _encrypt(self) -> None:
        if not self.upper.pieces:
            return
        self._inside = True
        try:
            self.upper.flush()
        finally:
            self._inside = self._wanted = False

    # what TLS knows, as long as there is some

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Take a producer."""
        if self.TLS and self.disconnected:
            _Descriptor.registerProducer(self, producer, streaming)
        else:
            super().registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        """Let a producer go."""
        if self.TLS and self.disconnected:
            _Descriptor.unregisterProducer(self)
        else:
            super().unregisterProducer()

    def close_below(self) -> None:
        """Close what lies below TLS, behind what is written: nobody reads what still comes, and it would be kept."""
        if self.connected and not self._closing:
            self.stopReading()
            self.startWriting()
            self._closing = 1

    def resumeProducing(self) -> None:
        """Read again; while TLS is being closed its end is still to come."""
        if not self.TLS:
            super().resumeProducing()
        elif self.connected and not self._closing:
            self.startReading()

    def abortConnection(self) -> None:
        """Reset the connection; nothing more is delivered."""
        if self.TLS and self.upper is not None:
            self.upper.abandon()
        super().abortConnection()

    def getHandle(self) -> Any:
        """The socket; inside TLS its ``OpenSSL.SSL.Connection``, or None when that is over."""
        if not self.TLS:
            return super().getHandle()
        return None if self.upper is None else self.upper.getHandle()

    getPeerCertificate = _OfTLS()
    negotiatedProtocol = _OfTLS()
