"""TLS to a ledger: its certificate is always verified, for the name or the address that the URL has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from OpenSSL.crypto import X509
from twisted.internet.ssl import Certificate, optionsForClientTLS, platformTrust, trustRootFromCertificates

from netguard.process.pem import private_key, read_pem

_CA, _CERTIFICATE = "--ledger: ca", "--ledger: certificate"


def client_tls(host: str, ca: Path | None = None, certificate: Path | None = None) -> Any:
    """What a connection asks for its TLS.

    Args:
        host: the name, or the address, that the other side has to prove.
        ca: a PEM file with those who vouch for it; None for the authorities that the system trusts.
        certificate: a PEM file with our key, our certificate, and those that vouch for it; None for none.

    Raises:
        OptionError: a file cannot be used.
    """
    trust: Any = platformTrust() if ca is None else trustRootFromCertificates(_authorities(ca))
    ours = {} if certificate is None else _ours(certificate)
    return optionsForClientTLS(host, trustRoot=trust, extraCertificateOptions=ours)


def _authorities(path: Path) -> list[Certificate]:
    pem = read_pem(path, _CA)
    if not pem.certificates:
        raise pem.trouble("there is no certificate in it (-----BEGIN CERTIFICATE-----)")
    return [Certificate(X509.from_cryptography(each)) for each in pem.certificates]


def _ours(path: Path) -> dict[str, Any]:
    """Our certificate as it is: Twisted's own classes for it are made of types that pyOpenSSL warns of."""
    pem = read_pem(path, _CERTIFICATE)
    if not pem.certificates or not pem.keys:
        raise pem.trouble("a certificate and its private key are to be in it")
    first, *chain = pem.certificates
    return {"privateKey": private_key(pem.keys[0]), "certificate": first, "extraCertChain": chain}
