"""PEM files: what is in them, and what is wrong with them, in one line with the file's name and the line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from netguard.process.pem import TLSTrouble, _blocks, private_key, read_pem
from tests.pemfiles import HOST, key_pem, write


def refused(path: Path) -> str:
    """The one line with which a file, or its key, is refused."""
    with pytest.raises(TLSTrouble) as trouble:
        private_key(read_pem(path, "--tls").keys[0])
    line = str(trouble.value)
    assert line.startswith(f"--tls {path}:")
    assert "\n" not in line
    assert trouble.value.__cause__ is None
    return line.removeprefix(f"--tls {path}:")


@pytest.mark.parametrize(
    "comment",
    [
        b"",
        b"A comment.\n",
        b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n",
        b"Bag Attributes\r\n    localKeyID: 01\r\n",
    ],
    ids=["none", "text", "parameters", "attributes"],
)
def test_the_parts_of_a_file_may_stand_in_any_order(authority: trustme.CA, pem: Path, comment: bytes) -> None:
    """Certificates before the key, a comment, and the parameters that `openssl ecparam` writes do no harm."""
    leaf = authority.issue_cert(HOST)
    certificates = b"".join(part.bytes() for part in leaf.cert_chain_pems)
    for order in (
        (certificates, comment, leaf.private_key_pem.bytes()),
        (comment, leaf.private_key_pem.bytes(), certificates),
    ):
        found = read_pem(write(pem, b"".join(order)), "--tls")
        assert len(found.certificates) == len(leaf.cert_chain_pems)
        assert private_key(*found.keys).public_key() == found.certificates[0].public_key()


def test_line_ends_of_other_systems_are_taken(authority: trustme.CA, pem: Path) -> None:
    """A file that was written on Windows, or whose last line has no end."""
    content = authority.issue_cert(HOST).private_key_and_cert_chain_pem.bytes()
    for variant in (content.replace(b"\n", b"\r\n"), content.rstrip()):
        found = read_pem(write(pem, variant), "--tls")
        assert found.certificates
        assert private_key(found.keys[0]).public_key() == found.certificates[0].public_key()


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    """A file that is not there, a directory, and a FIFO, which does not hang."""
    assert refused(tmp_path / "absent.pem") == " No such file or directory"
    assert refused(tmp_path) == " is not a regular file"
    os.mkfifo(tmp_path / "fifo", 0o600)
    assert refused(tmp_path / "fifo") == " is not a regular file"


def test_a_damaged_key_or_certificate_is_told_by_its_line(pem: Path, authority: trustme.CA) -> None:
    """A base64 that was cut: the line says where the part begins that is broken."""
    leaf = authority.issue_cert(HOST)
    key, certificate = leaf.private_key_pem.bytes(), leaf.cert_chain_pems[0].bytes()
    pem.write_bytes(b"# comment\n" + key.replace(key[60:80], b"") + certificate)
    assert refused(pem).startswith("2: this private key is damaged")
    pem.write_bytes(key + certificate.replace(certificate[60:80], b""))
    assert refused(pem) == f"{len(key.splitlines()) + 1}: this certificate is damaged"


def test_a_part_without_an_end_is_told_by_its_line(pem: Path, authority: trustme.CA) -> None:
    """A file of which half was copied."""
    leaf = authority.issue_cert(HOST)
    key, certificate = leaf.private_key_pem.bytes(), leaf.cert_chain_pems[0].bytes()
    for half in (certificate[:-40], certificate[:-40] + b"\n" + key):
        pem.write_bytes(half)
        assert refused(pem) == "1: what begins here has no end (-----END CERTIFICATE-----)"


def test_a_key_with_a_passphrase_is_refused(pem: Path) -> None:
    """A service has nobody who could type it, and the line names the way out."""
    pem.write_bytes(key_pem(ec.generate_private_key(ec.SECP256R1()), b"sesame"))
    line = refused(pem)
    assert line.startswith("1: this private key needs a passphrase")
    assert "openssl pkey" in line


def test_a_file_that_is_too_large_is_refused(pem: Path) -> None:
    """One octet above a mebibyte is no certificate; at a mebibyte it is read."""
    content = pem.read_bytes()
    pem.write_bytes(content + b"\n" * (1024 * 1024 - len(content)))
    assert read_pem(pem, "--tls").keys
    pem.write_bytes(content + b"\n" * (1024 * 1024 - len(content) + 1))
    assert "larger than 1048576 octets" in refused(pem)


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o440, 0o640], ids=oct)
def test_a_key_that_its_group_may_read_passes(pem: Path, mode: int) -> None:
    """That is how distributions share a key with services."""
    pem.chmod(mode)
    assert read_pem(pem, "--tls").keys


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o601, 0o620, 0o660], ids=oct)
def test_a_key_that_others_may_read_or_write_is_refused(pem: Path, mode: int) -> None:
    """The line names the mode and the command that mends it."""
    pem.chmod(mode)
    line = refused(pem)
    assert f"mode {mode:04o}, at most 0640" in line
    assert line.endswith(f"run: chmod 600 {pem}")


def test_a_certificate_alone_may_be_read_by_everybody(pem: Path, trusted: bytes) -> None:
    """It is no secret."""
    write(pem, trusted, 0o666)
    pem.chmod(0o666)
    assert read_pem(pem, "--tls-ca").certificates


@given(st.lists(st.sampled_from([b"-----BEGIN X-----", b"-----END X-----", b"-----BEGIN Y-----", b"\n", b"-", b"Z"])))
def test_any_junk_is_refused_or_has_parts_that_end(parts: list[bytes]) -> None:
    """Whatever stands in a file, its parts are whole and do not overlap."""
    content = b"".join(parts)
    try:
        blocks = list(_blocks(content, "file"))
    except TLSTrouble:
        return
    assert sum(len(each.octets) - 1 for each in blocks) <= len(content)
    for each in blocks:
        assert each.octets.startswith(b"-----BEGIN " + each.label.encode())
        assert each.octets.count(b"-----END ") == 1
