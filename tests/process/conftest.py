"""What the tests of TLS have in common: an authority, and a server's file."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from tests.pemfiles import issued


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """Who vouches for the tests' certificates."""
    return trustme.CA()


@pytest.fixture
def trusted(authority: trustme.CA) -> bytes:
    """What a client is told to trust."""
    return authority.cert_pem.bytes()


@pytest.fixture
def pem(authority: trustme.CA, tmp_path: Path) -> Path:
    """A PEM file with key, certificate and chain."""
    return issued(tmp_path / "server.pem", authority)
