"""Certificates with their keys, and which of them a client gets that asks for a name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from netguard.process.certificates import Names, read_authorities, read_identities
from netguard.process.pem import TLSTrouble
from tests.pemfiles import HOST, certificate_for, issued, key_pem, write

Issue = Callable[..., Path]


@pytest.fixture
def issue(authority: trustme.CA, tmp_path: Path) -> Issue:
    """A function that writes a PEM file with a certificate for names."""

    def write_one(*names: str) -> Path:
        return issued(tmp_path / f"{names[0].replace('*', '_')}.pem", authority, *names)

    return write_one


def refused(*paths: Path) -> str:
    """The one line with which files are refused."""
    with pytest.raises(TLSTrouble) as trouble:
        Names.of(read_identities(paths))
    line = str(trouble.value)
    assert "\n" not in line
    assert trouble.value.__cause__ is None
    return line


# Certificates and keys


def test_certificate_and_key_may_lie_apart(authority: trustme.CA, pem: Path, tmp_path: Path) -> None:
    """A file that has the key alone belongs to the one before it; so it goes with several."""
    leaf = authority.issue_cert(HOST)
    chain = write(tmp_path / "chain.pem", b"".join(each.bytes() for each in leaf.cert_chain_pems), 0o644)
    key = write(tmp_path / "key.pem", leaf.private_key_pem.bytes())
    found = read_identities([pem, chain, key, pem])
    assert [each.source.path for each in found] == [pem, chain, pem]
    for each in found:
        assert each.key.public_key() == each.chain[0].public_key()


def test_a_file_without_a_key_or_a_certificate_says_which(
    authority: trustme.CA, pem: Path, trusted: bytes, tmp_path: Path
) -> None:
    """Half of what is needed is told by the half that is missing, and with the file that lacks it."""
    leaf = authority.issue_cert(HOST)
    lonely = write(tmp_path / "lonely.pem", leaf.cert_chain_pems[0].bytes())
    empty = write(tmp_path / "empty.pem", b"")
    for paths in ([lonely], [lonely, pem], [pem, lonely], [lonely, empty]):
        assert refused(*paths).startswith(f"--tls {lonely}: there is no private key in it")
    key = write(tmp_path / "key.pem", leaf.private_key_pem.bytes())
    for paths in ([key], [key, lonely], [pem, key]):
        assert refused(*paths).startswith(f"--tls {key}: there is no certificate in it")
    assert refused(empty).startswith(f"--tls {empty}: there is no certificate in it")


def test_a_key_of_another_certificate_is_refused(pem: Path, authority: trustme.CA) -> None:
    """Key and first certificate must belong together, and the line says what comes first."""
    one, other = authority.issue_cert(HOST), authority.issue_cert(HOST)
    pem.write_bytes(one.private_key_pem.bytes() + other.cert_chain_pems[0].bytes())
    assert refused(pem).startswith(f"--tls {pem}: its private key does not belong to the first certificate")
    pem.write_bytes(one.private_key_pem.bytes() + authority.cert_pem.bytes() + one.cert_chain_pems[0].bytes())
    assert "the server's own certificate comes first" in refused(pem)


# Names


@pytest.mark.parametrize(
    ("asked", "place"),
    [
        (b"mail.example.org", 0),
        (b"MAIL.Example.ORG", 0),
        (b"pop.example.org", 2),
        (b"other.example.org", 1),
        (b"a.b.example.org", None),
        (b"example.org", None),
        (b"pop.example.net", 3),
        (b"imap.example.net", 3),
        (b"xn--bcher-kva.example", 3),
        (b"nobody.example.com", None),
        (b"*.example.org", None),
        (b"mail.example.org.", None),
        (b"192.0.2.1", None),
        (b"", None),
        (b"\xff\0\r\n", None),
        (b"mail.example.org\0.evil.example", None),
        (None, None),
    ],
    ids=repr,
)
def test_the_certificate_of_a_name(issue: Issue, asked: bytes | None, place: int | None) -> None:
    """A name of its own counts before a wildcard, whatever the order; a wildcard stands for one label."""
    paths = [
        issue("mail.example.org", "192.0.2.1"),
        issue("*.example.org"),
        issue("pop.example.org"),
        issue("pop.example.net", "imap.example.net", "xn--bcher-kva.example"),
    ]
    assert Names.of(read_identities(paths)).find(asked) == place


@given(st.binary(max_size=300))
def test_whatever_a_client_asks_for_has_an_answer(asked: bytes) -> None:
    """No name raises: what OpenSSL calls must not."""
    assert Names(()).find(asked) is None


def test_a_certificate_that_nobody_could_ask_for_is_refused(issue: Issue, tmp_path: Path) -> None:
    """The first needs no names; another without any would never be shown, nor one with names that nobody believes."""
    key = ec.generate_private_key(ec.SECP256R1())
    for number, extensions in enumerate(
        ([], [x509.SubjectAlternativeName([x509.DNSName("*"), x509.RFC822Name("a@example.org")])])
    ):
        nameless = write(tmp_path / f"nameless{number}.pem", key_pem(key) + certificate_for(key, *extensions))
        assert Names.of(read_identities([nameless])).find(b"mail.example.org") is None
        assert refused(issue(HOST), nameless).startswith(f"--tls {nameless}: its certificate has no DNS name")


# Authorities


def test_authorities_are_read(authority: trustme.CA, tmp_path: Path) -> None:
    """A file may hold several."""
    both = authority.cert_pem.bytes() + trustme.CA().cert_pem.bytes()
    assert len(read_authorities(write(tmp_path / "ca.pem", both))) == 2


def test_what_vouches_for_nobody_is_no_authority(authority: trustme.CA, tmp_path: Path) -> None:
    """A client's own certificate in the place of its authority's would let nobody in, or one alone."""
    leaf = authority.issue_cert(HOST).cert_chain_pems[0].bytes()
    plain = certificate_for(ec.generate_private_key(ec.SECP256R1()))
    for content, what in ((b"", "there is no certificate"), (leaf, "may not vouch"), (plain, "may not vouch")):
        path = write(tmp_path / "ca.pem", content)
        with pytest.raises(TLSTrouble) as trouble:
            read_authorities(path)
        assert str(trouble.value).startswith(f"--tls-ca {path}: ")
        assert what in str(trouble.value)
