"""Which certificate a server shows to whom: certificates with their keys, and the names that clients ask for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from service_identity.exceptions import CertificateError
from service_identity.hazmat import DNS_ID, DNSPattern

from netguard.process.pem import Pem, private_key, read_pem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

_TLS, _TLS_CA = "--tls", "--tls-ca"


@frozen
class Identity:
    """What a server shows, and the key that proves it.

    Args:
        key: the private key.
        chain: the server's own certificate, then those that vouch for it.
        source: the file of the certificates, for a person.
    """

    key: PrivateKeyTypes
    chain: tuple[x509.Certificate, ...]
    source: Pem


@frozen
class Names:
    """The names of several certificates, by which clients ask for them (SNI, RFC 6066).

    A name that a certificate has itself counts before a wildcard, and of equals the first. The rules of matching are
    service-identity's (RFC 6125). Nothing is kept of what clients ask for.

    Args:
        patterns: each name, and the place of its certificate.
    """

    patterns: tuple[tuple[DNSPattern, int], ...]

    @classmethod
    def of(cls, identities: Sequence[Identity]) -> Names:
        """The names of these certificates.

        Raises:
            TLSTrouble: nobody could ever ask for one that is not the first.
        """
        found: list[tuple[DNSPattern, int]] = []
        for place, identity in enumerate(identities):
            names = list(_patterns(identity.chain[0]))
            if place and not names:
                raise identity.source.trouble(
                    "its certificate has no DNS name (subjectAltName) by which a client could ask for it;"
                    " only the first --tls may lack one"
                )
            found += ((each, place) for each in names)
        return cls(tuple(sorted(found, key=lambda each: b"*" in each[0].pattern)))

    def find(self, asked: bytes | None) -> int | None:
        """The place of the certificate for a name; None when there is none.

        Args:
            asked: what the client sent, which may be anything.
        """
        try:
            name = DNS_ID((asked or b"").decode("ascii"))
        except ValueError:
            return None
        return next((place for pattern, place in self.patterns if name.verify(pattern)), None)


def read_identities(paths: Sequence[Path]) -> tuple[Identity, ...]:
    """Read certificates and their keys, so that trouble is told apart before OpenSSL mixes it up.

    Args:
        paths: PEM files, each with a key, its certificate and what vouches for it, in any order but that the server's
            own certificate is the first one; or that in two files, the second of which has the key alone.

    Raises:
        TLSTrouble: one of them cannot be used.
    """
    identities: list[Identity] = []
    waiting: Pem | None = None
    for path in paths:
        pem = read_pem(path, _TLS)
        if waiting is not None and (pem.certificates or not pem.keys):
            break
        if not pem.certificates and waiting is None:
            raise pem.trouble("there is no certificate in it (-----BEGIN CERTIFICATE-----); it comes before its key")
        if pem.keys:
            identities.append(_matched(pem if waiting is None else waiting, pem))
        waiting = None if pem.keys else pem
    if waiting is not None:
        raise waiting.trouble(
            "there is no private key in it (-----BEGIN PRIVATE KEY-----), nor in a file of its own behind it"
        )
    return tuple(identities)


def read_authorities(path: Path) -> tuple[x509.Certificate, ...]:
    """Read the certificates of those who vouch for clients.

    Args:
        path: a PEM file with one or several.

    Raises:
        TLSTrouble: it cannot be used.
    """
    pem = read_pem(path, _TLS_CA)
    if not pem.certificates:
        raise pem.trouble("there is no certificate in it (-----BEGIN CERTIFICATE-----)")
    for each in pem.certificates:
        if not _is_authority(each):
            raise pem.trouble(
                f"{each.subject.rfc4514_string() or 'a certificate without a name'} in it may not vouch for others;"
                " name the authority that signs the clients' certificates"
            )
    return pem.certificates


def _matched(public: Pem, private: Pem) -> Identity:
    key = private_key(private.keys[0])
    spki = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if key.public_key().public_bytes(*spki) != public.certificates[0].public_key().public_bytes(*spki):
        raise private.trouble(
            f"its private key does not belong to the first certificate in {public.path}"
            " (the server's own certificate comes first, then those that vouch for it)"
        )
    return Identity(key, public.certificates, public)


def _patterns(certificate: x509.Certificate) -> Iterator[DNSPattern]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    for name in names.get_values_for_type(x509.DNSName):
        try:
            yield DNSPattern.from_bytes(name.encode())
        except CertificateError:  # a wildcard of a kind that no client believes either
            continue


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:  # certificates of version 1 have none, and are roots
        return certificate.version is x509.Version.v1
