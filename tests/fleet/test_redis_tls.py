"""What is promised of TLS to a ledger: files that cannot be used are told in one line; the rest is in test_redis.py."""

from __future__ import annotations

from pathlib import Path

import pytest
import trustme

from netguard.errors import OptionError
from netguard.fleet.redis_tls import client_tls
from tests.pemfiles import issued, write


def test_files_that_can_be_used(tmp_path: Path) -> None:
    """None of them is needed."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    ours = issued(tmp_path / "ours.pem", authority)
    for host in ("ledger.example", "192.0.2.1", "::1"):
        assert client_tls(host) is not None
        assert client_tls(host, tmp_path / "ca.pem", ours) is not None


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    """With what is wrong."""
    authority = trustme.CA()
    certificate = write(tmp_path / "certificate.pem", authority.cert_pem.bytes())
    empty = write(tmp_path / "empty.pem", b"")
    open_key = issued(tmp_path / "open.pem", authority)
    open_key.chmod(0o644)
    for ca, ours, why in (
        (tmp_path / "missing.pem", None, "ca .*missing.pem: No such file"),
        (empty, None, "ca .*empty.pem: there is no certificate in it"),
        (None, certificate, "certificate .*certificate.pem: a certificate and its private key"),
        (None, empty, "certificate .*empty.pem: a certificate and its private key"),
        (None, open_key, "open to others"),
    ):
        with pytest.raises(OptionError, match=f"--ledger: .*{why}"):
            client_tls("h", ca, ours)
