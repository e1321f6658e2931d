"""What binds a login to its TLS connection, and whom a certificate names."""

from __future__ import annotations

import base64
import hashlib
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from OpenSSL import SSL

from netguard.pop3.channel import Bindings, bindings, end_point, names_in

_SHA256 = SHA256()
KEY = ec.generate_private_key(ec.SECP256R1())
ALICE = (x509.RFC822Name("alice"), x509.RFC822Name("alice@example.org"), x509.DNSName("alice.example.org"))


def certificate(*names: x509.GeneralName, key: Any = KEY, algorithm: Any = _SHA256, **options: Any) -> x509.Certificate:
    """A certificate that vouches for itself."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "alice")])
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(1), now + timedelta(1))
    if names:
        made = made.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return made.sign(key, algorithm, **options)


def context(shown: x509.Certificate | None, version: int, *, key: Any = KEY) -> SSL.Context:
    """One side's TLS."""
    made = SSL.Context(SSL.TLS_METHOD)
    made.set_min_proto_version(version)
    made.set_max_proto_version(version)
    if shown is not None:
        made.use_certificate(shown)
        made.use_privatekey(key)
    return made


def connect(server: SSL.Context, client: SSL.Context) -> tuple[SSL.Connection, SSL.Connection]:
    """Both sides of a connection in memory, once their handshake is over."""
    sides = SSL.Connection(server), SSL.Connection(client)
    sides[0].set_accept_state()
    sides[1].set_connect_state()
    for _ in range(4):
        for this, other in (sides, sides[::-1]):
            with suppress(SSL.WantReadError):
                this.do_handshake()
            with suppress(SSL.WantReadError):
                other.bio_write(this.bio_read(65_536))
    return sides


class Transport:
    """What a session has."""

    def __init__(self, connection: object) -> None:
        self._connection = connection

    def getHandle(self) -> object:
        """The TLS."""
        return self._connection


# Bindings


def test_exporter_of_tls_1_3() -> None:
    """Both sides get the same, and another one in the next connection; it is there without being computed."""
    sides = connect(context(certificate(), SSL.TLS1_3_VERSION), context(None, SSL.TLS1_3_VERSION))
    server, client = map(Bindings, sides)
    assert list(server) == ["tls-exporter", "tls-server-end-point"]
    assert (len(server), bool(server)) == (2, True)
    assert server["tls-exporter"] == client["tls-exporter"] != bytes(32)
    assert len(server["tls-exporter"]) == 32
    again, _ = connect(context(certificate(), SSL.TLS1_3_VERSION), context(None, SSL.TLS1_3_VERSION))
    assert Bindings(again)["tls-exporter"] != server["tls-exporter"]


def test_end_point_below() -> None:
    """In TLS 1.2 there is no exporter to be trusted, but the hash of the certificate."""
    shown = certificate()
    server, _ = connect(context(shown, SSL.TLS1_2_VERSION), context(None, SSL.TLS1_2_VERSION))
    found = Bindings(server)
    expected = hashlib.sha256(shown.public_bytes(Encoding.DER)).digest()
    assert dict(found) == {"tls-server-end-point": expected}
    with pytest.raises(KeyError):
        found["tls-exporter"]
    with pytest.raises(KeyError):
        found["tls-unique"]


SIGNED_WITH_SHA1 = base64.b64decode(
    b"MIIBbTCCARSgAwIBAgIULmKlAVx5C+lL3OOlNpOxw4g8pRwwCQYHKoZIzj0EATAMMQowCAYDVQQDDAFhMCAXDTI2MTEyOTEwMDc1M1oYDzIxMj"
    b"YxMTA1MTAwNzUzWjAMMQowCAYDVQQDDAFhMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxLjCPonfJLEfLRw6oP+JONhLlV4yLPJ2ULhSLFJ"
    b"vI4/1LsNBQYqdoxISeSRV02X8xhuab4fthLbTBj8DQHzV6NTMFEwHQYDVR0OBBYEFFDYJfAq4nCN2EbhZNB5o5GEZHVHMB8GA1UdIwQYMBaAFF"
    b"DYJfAq4nCN2EbhZNB5o5GEZHVHMA8GA1UdEwEB/wQFMAMBAf8wCQYHKoZIzj0EAQNIADBFAiAt75F5gKt2AfomUpH2YdzKm915KbB4GGRiwBDS"
    b"4iLHGgIhAO+cgLi66o5pemMxeqedTnmHZslmoL3tVbUStzfZwYEz"
)


@pytest.mark.parametrize(("algorithm", "name"), [(SHA256(), "sha256"), (SHA384(), "sha384")], ids=["256", "384"])
def test_end_point_is_the_hash_of_the_signature(algorithm: Any, name: str) -> None:
    """Of RSA-PSS, too, which names it in another place."""
    pss = padding.PSS(padding.MGF1(algorithm), padding.PSS.DIGEST_LENGTH)
    key = rsa.generate_private_key(65537, 2048)
    for shown in (certificate(key=key, algorithm=algorithm, rsa_padding=pss), certificate(algorithm=algorithm)):
        assert end_point(shown) == hashlib.new(name, shown.public_bytes(Encoding.DER)).digest()


def test_end_point_of_a_weak_hash() -> None:
    """It is that of SHA-256 (RFC 5929, section 4.1)."""
    shown = x509.load_der_x509_certificate(SIGNED_WITH_SHA1)
    assert end_point(shown) == hashlib.sha256(SIGNED_WITH_SHA1).digest()


def test_a_certificate_without_a_hash_binds_nothing() -> None:
    """Of Ed25519 the RFC defines no end point: in TLS 1.2 there is no binding then, and in 1.3 the exporter alone."""
    key = ed25519.Ed25519PrivateKey.generate()
    shown = certificate(key=key, algorithm=None)
    assert end_point(shown) is None
    below, _ = connect(context(shown, SSL.TLS1_2_VERSION, key=key), context(None, SSL.TLS1_2_VERSION))
    assert (len(Bindings(below)), bool(Bindings(below))) == (0, False)
    with pytest.raises(KeyError):
        Bindings(below)["tls-server-end-point"]
    above, client = connect(context(shown, SSL.TLS1_3_VERSION, key=key), context(None, SSL.TLS1_3_VERSION))
    assert list(Bindings(above)) == ["tls-exporter"]
    assert list(Bindings(client)) == ["tls-exporter"]  # it shows no certificate


def test_a_certificate_of_an_unknown_signature_binds_nothing() -> None:
    """As those of algorithms that came after us."""

    class Later:
        @property
        def signature_hash_algorithm(self) -> object:
            raise UnsupportedAlgorithm("a later one")

    later: Any = Later()
    assert end_point(later) is None


# Certificates


@pytest.mark.parametrize(
    ("kind", "names"),
    [("email", ("alice", "alice@example.org")), ("dns", ("alice.example.org",)), ("uri", ())],
)
def test_names_are_of_one_kind(kind: str, names: tuple[str, ...]) -> None:
    """What the operator said; never the common name."""
    assert names_in(certificate(*ALICE), kind) == names
    assert names_in(certificate(), kind) == ()


def test_a_certificate_that_cannot_be_read_names_nobody() -> None:
    """An extension that is damaged is none."""
    name = x509.Name([])
    now = datetime.now(UTC)
    damaged = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, b"\x30\x03\x81\x01")
    made = x509.CertificateBuilder(name, name, KEY.public_key(), 1, now, now + timedelta(1))
    assert names_in(made.add_extension(damaged, critical=False).sign(KEY, SHA256()), "email") == ()


@pytest.mark.parametrize("transport", [Transport(None), Transport(object()), object()])
def test_tls_of_another_make_binds_nothing(transport: object) -> None:
    """As that of a test, or of a reactor that has its own."""
    assert dict(bindings(transport)) == {}


def test_the_transport_of_a_session_leads_to_its_tls() -> None:
    """By the handle, as Twisted's transports have it."""
    server, client = connect(context(certificate(), SSL.TLS1_3_VERSION), context(None, SSL.TLS1_3_VERSION))
    assert bindings(Transport(server))["tls-exporter"] == Bindings(client)["tls-exporter"]
