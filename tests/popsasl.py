"""Logs in to a POP3 server by SASL, as a client that trusts nothing, and as one that lies; for tests of any folder."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from OpenSSL import SSL

from netguard.accounts.credentials import scram_verifier
from netguard.accounts.store import Store
from netguard.wire.scram_client import ScramClient
from netguard.wire.strict_base64 import decode
from tests.pemfiles import key_pem, write
from tests.popserver import PATIENCE, Peer

ENTERED = b"+OK logged in\r\n"
REFUSED = b"-ERR [AUTH] user unknown or secret wrong\r\n"


def line(message: bytes) -> bytes:
    """A message of SASL as it travels."""
    return base64.b64encode(message)


def plain(name: str, password: str, authzid: str = "") -> bytes:
    """The command that logs in by PLAIN."""
    return b"AUTH PLAIN " + line(f"{authzid}\0{name}\0{password}".encode())


def nonce() -> bytes:
    """A fresh one."""
    return base64.b64encode(os.urandom(18))


def scram(peer: Peer, client: ScramClient, mechanism: str = "SCRAM-SHA-256", *, initial: bool = True) -> bytes:
    """Log in by SCRAM; returns the last answer. A server that cannot prove itself fails the test."""
    said = peer.ask(f"AUTH {mechanism}".encode() + (b" " + line(client.first) if initial else b""))
    if not initial:
        assert said == b"+ \r\n"
        said = peer.ask(line(client.first))
    while said.startswith(b"+ "):
        said = peer.ask(line(client.receive(decode(said[2:-2]) or b"")))
    return said


class _Socket:
    """A blocking connection with pyOpenSSL's TLS, as far as `Peer` needs a socket."""

    def __init__(self, below: socket.socket, tls: SSL.Connection) -> None:
        self._below = below
        self._tls = tls

    def recv(self, size: int) -> bytes:
        """Some octets; none at the end."""
        try:
            return self._tls.recv(size)
        except (SSL.ZeroReturnError, SSL.SysCallError):
            return b""

    def sendall(self, data: bytes) -> None:
        """Send all of it."""
        self._tls.sendall(data)

    def close(self) -> None:
        """Close."""
        self._below.close()


class Bound(Peer):
    """A client that knows what binds a login to its TLS, which the standard library does not tell in TLS 1.3.

    Args:
        port: where the server listens, on loopback.
        version: the one version of TLS to speak.
        starttls: whether TLS begins by STLS.
        name: the name that is asked for by SNI.
        shown: a PEM file with key and certificate of the client.
    """

    def __init__(
        self,
        port: int,
        version: int = SSL.TLS1_3_VERSION,
        *,
        starttls: bool = False,
        name: str = "localhost",
        shown: Path | None = None,
    ) -> None:
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_min_proto_version(version)
        context.set_max_proto_version(version)
        if shown is not None:
            context.use_certificate_file(str(shown))
            context.use_privatekey_file(str(shown))
        self._name = name
        if starttls:
            super().__init__(port)
            assert self.ask(b"STLS").startswith(b"+OK")
            self._switch(context)
        else:
            self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
            self._switch(context)
            self.greeting = self.line()

    def __enter__(self) -> Bound:  # noqa: PYI034 - no subclasses
        return self

    def _switch(self, context: SSL.Context) -> None:
        below: Any = self.socket
        below.settimeout(None)  # pyOpenSSL cannot wait on a socket that has one
        self.tls = SSL.Connection(context, below)
        self.tls.set_tlsext_host_name(self._name.encode())
        self.tls.set_connect_state()
        try:
            self.tls.do_handshake()
        except SSL.Error:
            below.close()
            raise
        bound: Any = _Socket(below, self.tls)
        self.socket = bound

    @property
    def exporter(self) -> tuple[str, bytes]:
        """The binding of TLS 1.3 (RFC 9266)."""
        return "tls-exporter", self.tls.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")

    @property
    def end_point(self) -> tuple[str, bytes]:
        """The binding to the server's certificate (RFC 5929); those of tests are signed with SHA-256."""
        shown = self.tls.get_peer_certificate(as_cryptography=True)
        assert shown is not None
        return "tls-server-end-point", hashlib.sha256(shown.public_bytes(Encoding.DER)).digest()


def give(accounts: Path, name: str, password: str, **credentials: str) -> None:
    """Let a user log in by SCRAM with this password, and by other credentials, as they are stored."""
    store = Store(accounts)
    store.add_all([], iterations=4096)  # what unknown users cost, too
    assert store.change(name, {"scram-sha-256": scram_verifier(password, 4096), **credentials}, {}, ["password"])
    store.close()


def vouched_for(authority: trustme.CA, path: Path, *names: x509.GeneralName) -> Path:
    """A PEM file with key and certificate of a client, for whom an authority vouches."""
    key = ec.generate_private_key(ec.SECP256R1())
    vouching = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    signing: Any = load_pem_private_key(authority.private_key_pem.bytes(), None)
    now, hour = datetime.now(UTC), timedelta(hours=1)
    bare = x509.CertificateBuilder(vouching.subject, x509.Name([]), key.public_key(), 1, now - hour, now + hour)
    made = bare.add_extension(x509.SubjectAlternativeName(names), critical=True).sign(signing, SHA256())
    return write(path, key_pem(key) + made.public_bytes(Encoding.PEM))
