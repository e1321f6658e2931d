"""PEM files for tests of TLS: who vouches, what is vouched for, and how it lies on the disk."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

HOST = "pop.example.org"


def write(path: Path, content: bytes, mode: int = 0o600) -> Path:
    """A file with this content and mode."""
    path.touch()
    path.chmod(mode)
    path.write_bytes(content)
    return path


def issued(path: Path, authority: trustme.CA, *names: str) -> Path:
    """A PEM file with key, certificate and chain."""
    return write(path, authority.issue_cert(*(names or (HOST,))).private_key_and_cert_chain_pem.bytes())


def key_pem(key: PrivateKeyTypes, passphrase: bytes | None = None) -> bytes:
    """A private key as PEM."""
    how = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)


def certificate_for(key: Any, *extensions: x509.ExtensionType, days: int = 1) -> bytes:
    """A self-signed certificate of a key."""
    now = dt.datetime.now(dt.UTC)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=days))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(key, algorithm).public_bytes(Encoding.PEM)
