"""What scanners of TLS say of a default start: nothing worse than ok."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.pemfiles import key_pem, write
from tests.popserver import Server, Site, environment, serving
from tests.programs import needs, run

HOST = "localhost"
# Of testssl.sh itself and of the test's surroundings, not of the server: its openssl has no GOST, HTTP is not
# spoken, and nobody has a record in the DNS about who may sign for localhost.
NOT_OURS = {"engine_problem", "service", "DNS_CAArecord"}
# Each takes processor time by the second, so each way in has its share of them.
CHECKS = {
    "pop3s": "--protocols --server-preference --server-defaults --heartbleed --renegotiation --crime",
    "stls": "--protocols --std --pfs --ccs",
}
MADE = {
    "pop3s": {
        "TLS1",
        "TLS1_3",
        "cipher_order",
        "cert_chain_of_trust",
        "heartbleed",
        "secure_client_renego",
        "CRIME_TLS",
    },
    "stls": {"TLS1", "TLS1_3", "cipherlist_NULL", "cipherlist_STRONG", "PFS", "CCS"},
}


@frozen
class Scanned:
    """A server that is scanned.

    Args:
        ca: the file with who vouches for it.
        plain: its port for STLS.
        tls: its port for TLS.
    """

    ca: Path
    plain: int
    tls: int

    def where(self, how: str) -> list[str]:
        """The scanners' words for one of its ports."""
        return [f"{HOST}:{self.tls}"] if how == "pop3s" else [f"{HOST}:{self.plain}"]


def _certify(site: Site) -> Path:
    """A certificate as a public authority gives it: for 90 days, with an address for revocations."""
    names = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "An authority")])
    authority, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    revocations = x509.DistributionPoint([x509.UniformResourceIdentifier("http://localhost/crl")], None, None, None)
    root = _signed(names, names, authority, authority, x509.BasicConstraints(ca=True, path_length=None))
    leaf = _signed(
        names,
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)]),
        authority,
        key,
        x509.SubjectAlternativeName([x509.DNSName(HOST)]),
        x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]),
        x509.CRLDistributionPoints([revocations]),
    )
    write(site.pem, key_pem(key) + leaf + root)
    return write(site.folder / "ca.pem", root)


def _signed(
    issuer: x509.Name,
    subject: x509.Name,
    by: ec.EllipticCurvePrivateKey,
    key: ec.EllipticCurvePrivateKey,
    *extensions: x509.ExtensionType,
) -> bytes:
    now = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
    builder = x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + dt.timedelta(days=90))
    for extension in extensions:
        builder = builder.add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
    return builder.sign(by, hashes.SHA256()).public_bytes(Encoding.PEM)


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scanned]:
    """A server with the defaults, on free ports; its log must be clean at the end."""
    site = Site.make(tmp_path_factory.mktemp("site"), {})
    ca = _certify(site)
    with serving(*site.both_ports, cwd=site.folder) as server:
        yield Scanned(ca, *server.ports(2))
        _unharmed(server)


def _unharmed(server: Server) -> None:
    assert server.events("error", "cut", "refused", "penalised") == []


@needs("sslscan")
@pytest.mark.parametrize("how", ["stls", "pop3s"])
def test_sslscan(how: str, scanned: Scanned, tmp_path: Path) -> None:
    """Only TLS 1.2 and 1.3, strong ciphers, a strong key; no renegotiation, compression or heartbeat."""
    options = ["--starttls-pop3"] if how == "stls" else []
    run("sslscan", "--no-colour", f"--xml={tmp_path / 'found.xml'}", *options, *scanned.where(how), home=tmp_path)
    found = ET.parse(tmp_path / "found.xml").getroot().find("ssltest")  # noqa: S314 - of a program that we started
    assert found is not None
    spoken = {(each.get("type"), each.get("version")) for each in found.iter("protocol") if each.get("enabled") == "1"}
    assert spoken == {("tls", "1.2"), ("tls", "1.3")}
    ciphers = list(found.iter("cipher"))
    assert {each.get("strength") for each in ciphers} <= {"strong", "acceptable"}
    assert all("GCM" in str(each.get("cipher")) or "CHACHA20" in str(each.get("cipher")) for each in ciphers)
    assert {each.get("vulnerable") for each in found.iter("heartbleed")} == {"0"}
    renegotiation = found.find("renegotiation")
    assert renegotiation is None or (renegotiation.get("supported"), renegotiation.get("secure")) != ("1", "0")


@needs("testssl")
@pytest.mark.slow
@pytest.mark.timeout(900)  # a shell script of a hundred thousand processes, on a machine that has other work
@pytest.mark.parametrize("how", ["stls", "pop3s"])
def test_testssl(how: str, scanned: Scanned, tmp_path: Path) -> None:
    """No finding of testssl.sh is worse than ok, and the important ones were made."""
    for attempt in range(3):  # a check that testssl itself could not make, on a busy machine, is made again
        findings = _testssl(how, scanned, tmp_path, tmp_path / f"found{attempt}.json")
        if not any("check failed" in each["finding"] for each in findings.values()):
            break
    worse = [
        each for each in findings.values() if each["severity"] not in ("OK", "INFO") and each["id"] not in NOT_OURS
    ]
    assert worse == []
    assert MADE[how] - set(findings) == set()


def _testssl(how: str, scanned: Scanned, tmp_path: Path, out: Path) -> dict[str, dict[str, str]]:
    """What testssl.sh finds, by the name of the check."""
    options = ["--quiet", "--color", "0", "--warnings", "off", "--ip", "one", "--jsonfile", str(out)]
    options += ["--add-ca", str(scanned.ca), *CHECKS[how].split(), *(["--starttls", "pop3"] if how == "stls" else [])]
    ended = subprocess.run(
        ["testssl", *options, *scanned.where(how)],
        cwd=tmp_path,
        env=environment() | {"HOME": str(tmp_path), "TERM": "dumb"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=280,
        check=False,
    )
    assert out.exists(), ended.stdout[-2000:] + ended.stderr[-2000:]
    return {each["id"]: each for each in json.loads(out.read_text())}
