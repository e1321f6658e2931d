"""TLS contexts for every service: TLS 1.2 and later, ALPN that breaks nobody, certificates that may change.

The rules of this file:

* A connection asks for the context of its moment, so a renewed certificate is used from the next connection
  on and an open one keeps what it began with.
* ALPN (RFC 7301): one of our protocols is chosen when the client offers it. A client that offers only others,
  or none, connects without: Twisted's own callback answers those with a fatal alert, which would lock out
  every client that has an idea of ALPN that is not ours.
* A client that asks for a name gets the certificate of that name, any other the first: a wrong name is for
  the client to judge.
* Sessions are resumed by tickets, which cost no memory here. Who has their key can read them, so it changes
  with the certificates, and after half a day in any case (RFC 9325, section 3.4, has a week at most).
* A client certificate that does not verify ends the handshake, so there is none that does not.
"""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import frozen
from cryptography import x509
from OpenSSL import SSL
from OpenSSL.crypto import X509
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from zope.interface import implementer

from netguard.process.certificates import Identity, Names, read_authorities, read_identities
from netguard.process.pem import TLSTrouble
from netguard.tls_failure import words

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from twisted.protocols.tls import TLSMemoryBIOProtocol

__all__ = ["ServerTLS", "TLSTrouble", "server_tls", "verified_certificate"]

TICKET_KEYS = 12 * 3600.0
"""Seconds for which tickets are made and understood with one key."""

# Of TLS 1.2, what has forward secrecy and authenticates what it encrypts; all that TLS 1.3 has does.
_CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"
_PARTIAL_WRITE = 1  # SSL_MODE_ENABLE_PARTIAL_WRITE, which pyOpenSSL sets and has no name for
_OPTIONS = SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION | SSL.OP_CIPHER_SERVER_PREFERENCE


class _Context(SSL.Context):
    """One of ours: a client's certificate that came through it was verified."""


@frozen
class _Loaded:
    """What the files held when they were last read.

    Args:
        identities: the certificates, the first for whoever asks for none.
        names: by which clients ask for them.
        authorities: who vouches for clients.
    """

    identities: tuple[Identity, ...]
    names: Names
    authorities: tuple[x509.Certificate, ...]


@implementer(IOpenSSLServerConnectionCreator)
class ServerTLS:
    """Makes the TLS side of each connection from the certificates of the moment.

    Made by :func:`server_tls`.

    Args:
        paths: the PEM files.
        alpn: the protocols to choose from, the best first.
        client_ca: a PEM file with those who vouch for clients; None when no client is asked for a certificate.
        seconds: a clock that is never set back.
    """

    def __init__(
        self,
        paths: Sequence[Path],
        alpn: Sequence[bytes],
        client_ca: Path | None = None,
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._paths = tuple(paths)
        self._alpn = tuple(alpn)
        self._client_ca = client_ca
        self._seconds = seconds
        self.reload()

    def reload(self) -> None:
        """Read the files again; connections that begin from now on use them, and no session from before is resumed.

        Raises:
            TLSTrouble: when they cannot be used; what was loaded before stays in use.
        """
        identities = read_identities(self._paths)
        authorities = () if self._client_ca is None else read_authorities(self._client_ca)
        self._use(_Loaded(identities, Names.of(identities), authorities))

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Begin the TLS of one connection (IOpenSSLServerConnectionCreator)."""
        if self._seconds() - self._since >= TICKET_KEYS:
            self._use(self._loaded)
        return SSL.Connection(self._context, None)

    @property
    def asks_clients(self) -> bool:
        """Whether clients are asked for a certificate, which they may have or not."""
        return bool(self._loaded.authorities)

    def _use(self, loaded: _Loaded) -> None:
        """Make contexts, each of which is born with another key for tickets; only the first one's is used."""
        session_id = os.urandom(16)
        contexts = [self._make(identity, loaded.authorities, session_id) for identity in loaded.identities]
        if len(contexts) > 1:
            contexts[0].set_tlsext_servername_callback(_by_name(loaded.names, contexts))
        self._loaded, self._context, self._since = loaded, contexts[0], self._seconds()

    def _make(self, identity: Identity, authorities: Sequence[x509.Certificate], session_id: bytes) -> _Context:
        context = _Context(SSL.TLS_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.set_options(_OPTIONS)
        context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # an idle connection keeps no buffers
        context.clear_mode(_PARTIAL_WRITE)  # what is written is encrypted by one call
        try:
            context.use_certificate(identity.chain[0])
            context.use_privatekey(identity.key)  # type: ignore[arg-type]  # OpenSSL refuses what it has no use for
            for each in identity.chain[1:]:
                context.add_extra_chain_cert(each)
        except (SSL.Error, TypeError) as error:
            raise identity.source.trouble(f"OpenSSL refuses it: {words(error)}") from None
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        context.set_session_id(session_id)
        _ask_clients(context, authorities)
        if self._alpn:
            context.set_alpn_select_callback(_chooser(self._alpn))
        context.set_cipher_list(_CIPHERS)
        return context


def server_tls(
    pem: str | os.PathLike[str],
    *more: str | os.PathLike[str],
    alpn: Sequence[bytes] = (),
    client_ca: str | os.PathLike[str] | None = None,
    seconds: Callable[[], float] = time.monotonic,
) -> ServerTLS:
    """TLS for the server's side of connections: 1.2 and later, with forward secrecy and authenticated encryption.

    Args:
        pem: a PEM file with private key, certificate and chain in any order, the server's certificate being
            the first certificate. Where the key lies in a file of its own, that is the next argument.
        more: the same for other certificates: a client that asks for a name gets the one that has it (SNI), and any
            other client the first.
        alpn: the protocols to choose from when a client offers them, the best first: ``(b"pop3",)``.
        client_ca: a PEM file with the certificates of those who vouch for clients. Clients are then asked for a
            certificate, and may have none; :func:`verified_certificate` answers it.
        seconds: a clock that is never set back.

    Returns:
        What `listenSSL`, `startTLS`, `TLSMemoryBIOFactory` and `wrapServerTLS` take.

    Raises:
        TLSTrouble: one line with the name of the file and what is wrong with it.
    """
    paths = [Path(each).absolute() for each in (pem, *more)]
    return ServerTLS(paths, alpn, None if client_ca is None else Path(client_ca).absolute(), seconds)


def verified_certificate(transport: Any, now: datetime | None = None) -> x509.Certificate | None:
    """The certificate of a client, if it has one that one of our authorities vouches for, and its key.

    Args:
        transport: of a connection that was made by a :class:`ServerTLS`; of any other the answer is None.
        now: the time at which it must be valid; a resumed session may have begun when it still was.
    """
    handle = getattr(transport, "getHandle", lambda: None)()
    if not isinstance(handle, SSL.Connection) or not isinstance(handle.get_context(), _Context):
        return None
    if handle.get_peer_finished() is None:  # until then nobody has proved to have the key
        return None
    certificate = handle.get_peer_certificate(as_cryptography=True)
    moment = datetime.now(UTC) if now is None else now
    if certificate is None or not certificate.not_valid_before_utc <= moment <= certificate.not_valid_after_utc:
        return None
    return certificate


def _ask_clients(context: SSL.Context, authorities: Sequence[x509.Certificate]) -> None:
    if not authorities:
        context.set_verify(SSL.VERIFY_NONE)
        return
    store = context.get_cert_store()
    assert store is not None  # noqa: S101 - a new context has one
    for each in authorities:
        store.add_cert(X509.from_cryptography(each))
        context.add_client_ca(each)  # so that clients know which of their certificates is meant
    context.set_verify(SSL.VERIFY_PEER)


def _by_name(names: Names, contexts: Sequence[SSL.Context]) -> Callable[[SSL.Connection], None]:
    def choose(connection: SSL.Connection) -> None:
        place = names.find(connection.get_servername())
        if place:
            connection.set_context(contexts[place])

    return choose


def _chooser(ours: tuple[bytes, ...]) -> Callable[[SSL.Connection, list[bytes]], Any]:
    def choose(_: SSL.Connection, offered: list[bytes]) -> Any:
        for protocol in ours:
            if protocol in offered:
                return protocol
        return SSL.NO_OVERLAPPING_PROTOCOLS

    return choose
