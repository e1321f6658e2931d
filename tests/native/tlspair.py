"""A native transport with TLS, and its peer, in one thread without a reactor's turns: every step is a call."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from typing import Any

import trustme
from attrs import define, field
from twisted.internet.protocol import Factory
from twisted.internet.ssl import CertificateOptions
from twisted.internet.testing import MemoryReactorClock

from netguard.encryption import Encryption
from netguard.guards.lifetime import Lifetime
from netguard.native.meter import NativeMeter
from netguard.native.server import Server
from netguard.policy import Policy
from netguard.testing import Application

APPLICATION_DATA = 23
"""The type of a record that has some."""

_BUFFER = 4 * 1024 * 1024


@cache
def identity() -> tuple[trustme.CA, Any]:
    """Who vouches, and a server's context by Twisted."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    authority = trustme.CA()
    made = authority.issue_cert("localhost")
    key: Any = load_pem_private_key(made.private_key_pem.bytes(), None)
    certificate: Any = x509.load_pem_x509_certificate(made.cert_chain_pems[0].bytes())
    return authority, CertificateOptions(privateKey=key, certificate=certificate, acceptableProtocols=[b"mine"])


def client_context(version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    """A client's, of one version."""
    made = ssl.create_default_context()
    identity()[0].configure_trust(made)
    made.minimum_version = made.maximum_version = version
    made.set_alpn_protocols(["mine"])
    return made


@define(eq=False)
class Pair:
    """Both ends of one connection.

    Attributes:
        application: what is inside TLS at our end.
        transport: ours.
        peer: the other end's TLS.
        closed: whether we have closed the connection.
        wire: all that we have sent.
    """

    application: Any
    transport: Any
    reactor: Any
    _theirs: socket.socket
    peer: Any
    _incoming: Any
    _outgoing: Any
    closed: bool = False
    wire: bytearray = field(factory=bytearray)

    @classmethod
    def of(cls, application: Any = None, *, context: Any = None, tls: ssl.SSLContext | None = None) -> Pair:
        """A connection whose handshake has not begun."""
        application = application or Application()
        factory = Factory.forProtocol(lambda: application)
        factory.noisy = False
        reactor: Any = MemoryReactorClock()
        guarded = Policy(Lifetime("1h")).wrap(factory, reactor)
        meter: Any = guarded.admit(None, NativeMeter)
        ours, theirs = socket.socketpair()
        for each in (ours, theirs):
            each.setblocking(False)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        server: Any = None
        transport = Server(ours, meter, ("127.0.0.1", 1), server, 0, reactor)
        transport.secure_by(Encryption(context or identity()[1], guarded))
        transport.promptly(meter.makeConnection, transport)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        peer = (tls or client_context()).wrap_bio(incoming, outgoing, server_hostname="localhost")
        return cls(application, transport, reactor, theirs, peer, incoming, outgoing)

    @classmethod
    def ready(cls, application: Any = None, **about: Any) -> Pair:
        """A connection whose handshake is over."""
        made = cls.of(application, **about)
        made.shake_hands()
        return made

    def shake_hands(self) -> None:
        """Let both sides do what they have to, until the peer is content."""
        for _ in range(3):
            with suppress(ssl.SSLWantReadError):
                self.peer.do_handshake()
            self.pass_on()

    # what the peer does

    def pass_on(self, sizes: Iterable[int] = ()) -> None:
        """Send what the peer's TLS has to send, in reads of these sizes and a last one; take what is answered."""
        self.send(self._outgoing.read(), sizes)

    def send(self, data: bytes, sizes: Iterable[int] = ()) -> None:
        """Send bytes, whatever they are."""
        for size in sizes:
            self._read(data[:size])
            data = data[size:]
        self._read(data)
        self.take()

    def _read(self, data: bytes) -> None:
        if data and not self.closed:
            self._theirs.sendall(data)
            self.read()

    def read(self) -> None:
        """Our end reads, as the reactor would have it do."""
        if self.transport.connected:
            self.transport.read_at_once()

    def finish(self) -> None:
        """The peer closes its direction, without a word of TLS."""
        self._theirs.shutdown(socket.SHUT_WR)
        self.read()

    def take(self) -> None:
        """The peer takes what we have sent."""
        try:
            while data := self._theirs.recv(_BUFFER):
                self.wire += data
                self._incoming.write(data)
            self.closed = True
        except BlockingIOError:
            return
        except ConnectionError:
            self.closed = True
        self._incoming.write_eof()

    def write(self, data: bytes, sizes: Iterable[int] = ()) -> None:
        """The peer sends inside TLS."""
        self.peer.write(data)
        self.pass_on(sizes)

    def heard(self) -> bytes:
        """What the peer has got inside TLS since it was last asked."""
        self.take()
        found = b""
        with suppress(ssl.SSLWantReadError, ssl.SSLZeroReturnError, ssl.SSLEOFError):
            while data := self.peer.read(_BUFFER):
                found += data
        return found

    def bids_farewell(self) -> None:
        """The peer sends close_notify."""
        with suppress(ssl.SSLWantReadError, ssl.SSLError):
            self.peer.unwrap()
        self.pass_on()

    # what our end does

    def turn(self) -> None:
        """A turn of the reactor: what was called later, and what could not be sent at once."""
        self.reactor.advance(0)
        while self.transport.connected and self.transport in self.reactor.writers:
            why = self.transport.doWrite()
            if why is not None:
                self.transport.connectionLost(_failure(why))
            self.take()
        self.take()

    def records(self, kind: int = APPLICATION_DATA) -> list[int]:
        """The lengths of the records of a kind that we have sent."""
        found, at = [], 0
        while at < len(self.wire):
            length = int.from_bytes(self.wire[at + 3 : at + 5])
            if self.wire[at] == kind:
                found.append(length)
            at += 5 + length
        return found

    def end(self) -> None:
        """Leave nothing open."""
        if self.transport.connected:
            self.transport.connectionLost(_failure(ConnectionResetError()))
        self._theirs.close()


def _failure(why: Any) -> Any:
    from twisted.python.failure import Failure

    return Failure(why)
