"""TLS contexts for every service: TLS 1.2 and later, ALPN that breaks nobody, certificates that may change.

The rules of this file:

* A connection asks for the context of its moment, so a renewed certificate is used from the next connection
  on and an open one keeps what it began with.
* ALPN (RFC 7301): one of our protocols is chosen when the client offers it. A client that offers only others,
  or none, connects without: Twisted's own callback answers those with a fatal alert, which would lock out
  every client that has an idea of ALPN that is not ours.
* What is wrong with a file is said in one line, at the start, with the name of the file.
* A private key is refused when everybody may read it or somebody else may write it, as ssh refuses one. Its
  group may read it: that is how distributions share keys with services (Debian's group ssl-cert).
"""

from __future__ import annotations

import os
import shlex
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from attrs import frozen
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.ssl import CertificateOptions, TLSVersion
from zope.interface import implementer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
    from twisted.protocols.tls import TLSMemoryBIOProtocol

# A key and a long chain are some 20 KiB.
_LARGEST_PEM = 1024 * 1024


class TLSTrouble(ValueError):
    """A certificate or key that cannot be used. Its text is one line for the operator."""


@frozen
class _Identity:
    """What a server shows, and the key that proves it."""

    key: PrivateKeyTypes
    chain: tuple[x509.Certificate, ...]


@implementer(IOpenSSLServerConnectionCreator)
class ServerTLS:
    """Makes the TLS side of each connection from the certificate of the moment.

    Made by :func:`server_tls`.

    Args:
        certificate: a PEM file with the certificate and its chain.
        key: a PEM file with the private key, which may be the same.
        alpn: the protocols to choose from, the best first.
    """

    def __init__(self, certificate: Path, key: Path, alpn: Sequence[bytes]) -> None:
        self._certificate = certificate
        self._key = key
        self._alpn = tuple(alpn)
        self._context = self._load()

    def reload(self) -> None:
        """Read the files again; connections that begin from now on use them.

        Raises:
            TLSTrouble: when they cannot be used; what was loaded before stays in use.
        """
        self._context = self._load()

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Begin the TLS of one connection (IOpenSSLServerConnectionCreator)."""
        return SSL.Connection(self._context, None)

    def _load(self) -> SSL.Context:
        identity = _read_identity(self._certificate, self._key)
        # Twisted hands these on to pyOpenSSL, which wants cryptography's objects; Twisted's types still say
        # its own.
        key, (own, *chain) = cast("Any", identity.key), cast("Any", identity.chain)
        options = CertificateOptions(
            privateKey=key,
            certificate=own,
            extraCertChain=chain,
            raiseMinimumTo=TLSVersion.TLSv1_2,
        )
        try:
            context = options.getContext()
        except SSL.Error as error:
            raise TLSTrouble(f"--tls {self._certificate}: OpenSSL refuses it: {_words(error)}") from None
        context.set_alpn_select_callback(_chooser(self._alpn))
        return context


def server_tls(
    pem: str | os.PathLike[str] | tuple[str | os.PathLike[str], str | os.PathLike[str]],
    *,
    alpn: Sequence[bytes] = (),
) -> ServerTLS:
    """TLS for the server's side of connections: 1.2 and later, with Twisted's choice of ciphers.

    Args:
        pem: a PEM file with private key, certificate and chain in any order, the server's certificate being
            the first certificate; or two, one with the certificates and one with the key.
        alpn: the protocols to choose from when a client offers them, the best first: ``(b"pop3",)``.

    Returns:
        What `listenSSL`, `startTLS`, `TLSMemoryBIOFactory` and `wrapServerTLS` take.

    Raises:
        TLSTrouble: one line with the name of the file and what is wrong with it.
    """
    certificate, key = pem if isinstance(pem, tuple) else (pem, pem)
    return ServerTLS(Path(certificate).absolute(), Path(key).absolute(), alpn)


def _chooser(ours: tuple[bytes, ...]) -> Callable[[SSL.Connection, list[bytes]], Any]:
    def choose(_: SSL.Connection, offered: list[bytes]) -> Any:
        for protocol in ours:
            if protocol in offered:
                return protocol
        return SSL.NO_OVERLAPPING_PROTOCOLS

    return choose


def _read_identity(certificate: Path, key: Path) -> _Identity:
    """Read and match certificate and key, so that trouble is told apart before OpenSSL mixes it up."""
    secret = _read(key, private=True)
    public = secret if certificate == key else _read(certificate, private=False)
    if b"-----BEGIN CERTIFICATE-----" not in public:
        raise TLSTrouble(f"--tls {certificate}: there is no certificate in it (-----BEGIN CERTIFICATE-----)")
    try:
        chain = tuple(x509.load_pem_x509_certificates(public))
        shown = chain[0].public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise TLSTrouble(f"--tls {certificate}: a certificate in it is damaged") from None
    private = _private_key(key, secret)
    spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if private.public_key().public_bytes(*spki) != shown.public_bytes(*spki):
        raise TLSTrouble(
            f"--tls {key}: its private key does not belong to the first certificate in {certificate}"
            " (the server's own certificate comes first, then those that vouch for it)"
        )
    return _Identity(private, chain)


def _private_key(key: Path, secret: bytes) -> PrivateKeyTypes:
    if b"PRIVATE KEY-----" not in secret:
        raise TLSTrouble(
            f"--tls {key}: there is no private key in it (-----BEGIN PRIVATE KEY-----);"
            " one file must hold the key and the certificates"
        )
    try:
        return load_pem_private_key(secret, password=None)
    except TypeError:
        raise TLSTrouble(
            f"--tls {key}: its private key needs a passphrase, and nobody is there to type it;"
            " 'openssl pkey' writes one without"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise TLSTrouble(f"--tls {key}: its private key is damaged, or of a kind that OpenSSL does not know") from None


def _read(path: Path, *, private: bool) -> bytes:
    """Read a PEM file; symlinks are followed, as certificate managers lay them."""
    try:
        # Without O_NONBLOCK a FIFO would hang the start.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise TLSTrouble(f"--tls {path}: {error.strerror}") from None
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise TLSTrouble(f"--tls {path}: is not a regular file")
        if private:
            _judge_key(path, mode)
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            octets = file.read(_LARGEST_PEM + 1)
    finally:
        os.close(descriptor)
    if len(octets) > _LARGEST_PEM:
        raise TLSTrouble(f"--tls {path}: is larger than {_LARGEST_PEM} octets, so it is no certificate")
    return octets


def _judge_key(path: Path, mode: int) -> None:
    if mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise TLSTrouble(
            f"--tls {path}: its private key is open to others (mode {stat.S_IMODE(mode):04o}, at most 0640);"
            f" run: chmod 600 {shlex.quote(str(path))}"
        )


def _words(error: SSL.Error) -> str:
    """What OpenSSL says, without its codes."""
    return "; ".join(str(entry[-1]) for entry in (error.args[0] if error.args else ())) or "no reason given"
