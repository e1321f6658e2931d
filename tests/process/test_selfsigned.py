"""Certificates that nobody vouches for."""

from __future__ import annotations

import os
import socket
import ssl
import stat
from datetime import UTC, datetime, timedelta
from threading import Thread
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from netguard.process.selfsigned import self_signed
from netguard.process.tls import ServerTLS, server_tls

if TYPE_CHECKING:
    from pathlib import Path


def test_the_file_is_private_whatever_the_umask_is(tmp_path: Path) -> None:
    """It holds a private key, so its mode is 0600, and nothing half-made is left beside it."""
    before = os.umask(0)
    try:
        made = self_signed("demo.example.org", tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [made]


def test_our_own_server_takes_it(tmp_path: Path) -> None:
    """What is made here is what `server_tls` reads."""
    assert isinstance(server_tls(self_signed("demo.example.org", tmp_path)), ServerTLS)


def _answer(listening: socket.socket, pem: Path) -> None:
    """Greet one client inside TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    connection, _ = listening.accept()
    with connection, context.wrap_socket(connection, server_side=True) as secure:
        secure.sendall(b"+OK")
        secure.recv(1)


@pytest.mark.parametrize(
    ("hostname", "reached_as"),
    [
        ("demo.example.org", "demo.example.org"),
        ("demo.example.org", "localhost"),
        ("demo.example.org", "127.0.0.1"),
        ("demo.example.org", "::1"),
        ("localhost", "localhost"),
        ("192.0.2.1", "192.0.2.1"),
        ("127.0.0.1", "127.0.0.1"),
        ("x" * 60 + ".example.org", "x" * 60 + ".example.org"),
    ],
)
def test_a_strict_client_that_trusts_it_connects(tmp_path: Path, hostname: str, reached_as: str) -> None:
    """Under each of its names, with the strictest rules of the standard library on."""
    pem = self_signed(hostname, tmp_path)
    context = ssl.create_default_context(cafile=pem)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(20)
        server = Thread(target=_answer, args=(listening, pem))
        server.start()
        with (
            socket.create_connection(listening.getsockname(), timeout=20) as plain,
            context.wrap_socket(plain, server_hostname=reached_as) as secure,
        ):
            assert secure.recv(3) == b"+OK"
        server.join(20)


def test_it_is_good_for_thirty_days_and_each_is_new(tmp_path: Path) -> None:
    """A second one replaces the first, with another key."""
    first = x509.load_pem_x509_certificate(self_signed("localhost", tmp_path).read_bytes())
    second = x509.load_pem_x509_certificate(self_signed("localhost", tmp_path).read_bytes())
    assert first.public_key() != second.public_key()
    left = second.not_valid_after_utc - datetime.now(UTC)
    assert timedelta(days=29) < left <= timedelta(days=30)
    assert second.not_valid_before_utc < datetime.now(UTC)
    assert len(list(tmp_path.iterdir())) == 1
