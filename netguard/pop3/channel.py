"""The TLS of a connection, as far as logins care: what binds a login to it, and who the client's certificate names.

The rules of this file:

* `tls-exporter` (RFC 9266) is had in TLS 1.3 only: below, the RFC wants an extended master secret, and nobody here can
  see whether there is one. `tls-server-end-point` (RFC 5929) is had in every version, for clients that know no other.
* Nothing is computed before somebody asks: most sessions never do.
* Whether a certificate was verified is known to who made the TLS, and not here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.hashes import MD5, SHA1, SHA256
from OpenSSL import SSL

_EXPORTER_LABEL, _EXPORTER_OCTETS = b"EXPORTER-Channel-Binding", 32

# The kinds of name, in a certificate's subjectAltName, that can be the name of a user.
KINDS: dict[str, Any] = {"email": x509.RFC822Name, "dns": x509.DNSName, "uri": x509.UniformResourceIdentifier}


class Bindings(Mapping[str, bytes]):
    """What binds a login to its TLS connection, by the name of the binding.

    Args:
        connection: the TLS, whose handshake is over.
    """

    __slots__ = ("_connection",)

    def __init__(self, connection: SSL.Connection) -> None:
        self._connection = connection

    def _values(self) -> dict[str, Callable[[], bytes | None]]:
        exporter: dict[str, Callable[[], bytes | None]] = {}
        if self._connection.get_protocol_version_name() == "TLSv1.3":
            exporter["tls-exporter"] = self._exporter
        return exporter | {"tls-server-end-point": self._end_point}

    def _exporter(self) -> bytes:
        return self._connection.export_keying_material(_EXPORTER_LABEL, _EXPORTER_OCTETS, b"")

    def _end_point(self) -> bytes | None:
        shown = self._connection.get_certificate()
        return None if shown is None else end_point(shown.to_cryptography())

    def __getitem__(self, name: str) -> bytes:
        """The data of a binding."""
        value = self._values()[name]()
        if value is None:
            raise KeyError(name)
        return value

    def __iter__(self) -> Iterator[str]:
        """The names, best first."""
        return (name for name, value in self._values().items() if value() is not None)

    def __len__(self) -> int:
        """How many there are."""
        return sum(1 for _ in self)

    def __bool__(self) -> bool:
        """Whether there is one; in TLS 1.3 there is, and nothing needs to be computed."""
        return any(value() is not None for value in self._values().values())


def end_point(certificate: x509.Certificate) -> bytes | None:
    """The hash of a server's certificate that `tls-server-end-point` is (RFC 5929, section 4.1).

    Args:
        certificate: the server's.

    Returns:
        The hash; None where the RFC defines none, as for signatures without one (Ed25519).
    """
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return None
    if algorithm is None:
        return None
    return certificate.fingerprint(SHA256() if isinstance(algorithm, MD5 | SHA1) else algorithm)


def names_in(certificate: x509.Certificate, kind: str) -> tuple[str, ...]:
    """The names of one kind that a certificate proves.

    Args:
        certificate: a verified one.
        kind: one of `KINDS`.
    """
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return ()
    return tuple(names.get_values_for_type(KINDS[kind]))


def bindings(transport: object) -> Mapping[str, bytes]:
    """What binds a login to the connection that a session has; nothing, where the TLS is of another make.

    Args:
        transport: inside TLS, whose handshake is over.
    """
    handle = getattr(transport, "getHandle", lambda: None)()
    return Bindings(handle) if isinstance(handle, SSL.Connection) else {}
