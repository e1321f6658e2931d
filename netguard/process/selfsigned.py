"""A certificate that nobody vouches for, for demonstrations and tests on one machine."""

from __future__ import annotations

import ipaddress
import os
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAYS = 30
_CLOCK_SKEW = timedelta(hours=1)


def self_signed(hostname: str, directory: str | os.PathLike[str]) -> Path:
    """Make a private key and a self-signed certificate for this machine, good for 30 days.

    It is good for the host name, ``localhost``, 127.0.0.1 and ::1. A client has to be told to trust it: the
    file itself is what ``curl --cacert`` and ``openssl s_client -CAfile`` take.

    Args:
        hostname: a DNS name or an IP address under which the service is reached as well.
        directory: where to put it; an older one is replaced.

    Returns:
        The PEM file with key and certificate, of mode 0600, as `server_tls` takes it.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = _certificate(hostname, key)
    path = Path(directory) / "self-signed.pem"
    # mkstemp makes it 0600 from its first moment; rename, so that no reader sees half of it.
    descriptor, unfinished = tempfile.mkstemp(prefix=".self-signed-", dir=directory)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        file.write(certificate.public_bytes(Encoding.PEM))
    Path(unfinished).replace(path)
    return path


def _certificate(hostname: str, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hostname[:64])])
    now = datetime.now(UTC)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + timedelta(days=_DAYS))
        .add_extension(x509.SubjectAlternativeName(_names(hostname)), critical=False)
        # Its own trust anchor, which some verifiers want to be an authority.
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
    )
    return builder.sign(key, hashes.SHA256())


def _names(hostname: str) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = [
        x509.DNSName("localhost"),
        x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        x509.IPAddress(ipaddress.ip_address("::1")),
    ]
    own: x509.GeneralName
    try:
        own = x509.IPAddress(ipaddress.ip_address(hostname))
    except ValueError:
        own = x509.DNSName(hostname)
    return names if own in names else [own, *names]


def _usage() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
