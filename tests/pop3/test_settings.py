"""What all sessions share."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from netguard.pop3.factory import Pop3Factory
from netguard.wire import apop

if TYPE_CHECKING:
    from tests.pop3.doubles import World


@pytest.mark.parametrize("hostname", ["", "a b", "x>", "mail=1"])
def test_unsafe_host_name(world: World, hostname: str) -> None:
    """A host name that cannot stand in a greeting is refused at the start."""
    with pytest.raises(ValueError, match="host name"):
        Pop3Factory(world.accounts, world.opener, reactor=world.clock, hostname=hostname)


def test_timestamps_are_random(world: World) -> None:
    """Each greeting has a nonce of its own, of at least 128 bits, from the source that was given."""
    asked: list[int] = []

    def source(octets: int) -> bytes:
        asked.append(octets)
        return bytes([len(asked)]) * octets

    settings = Pop3Factory(world.accounts, world.opener, reactor=world.clock, hostname="h", random=source).settings
    assert settings.stamp() == b"<" + b"01" * apop.NONCE_OCTETS + b"@h>"
    assert settings.stamp() == b"<" + b"02" * apop.NONCE_OCTETS + b"@h>"
    assert min(asked) * 8 >= 128


def test_the_key_stays_inside(world: World) -> None:
    """The key of pseudonyms is random, and no representation shows it."""
    one, two = world.factory().settings, world.factory().settings
    assert one.key != two.key
    assert one.key.reveal().hex() not in repr(one)


@dataclass
class Shown:
    """A transport with the certificate that came through it, as a test's TLS knows it."""

    certificate: x509.Certificate | None


def _certificate(shown: object) -> x509.Certificate | None:
    assert isinstance(shown, Shown)
    return shown.certificate


def test_external_is_offered_to_whom_it_can_let_in(world: World) -> None:
    """Who shows no certificate, one that names nobody, or one where nobody can tell, is not told of it."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    bare = x509.CertificateBuilder(x509.Name([]), x509.Name([]), key.public_key(), 1, now, now + timedelta(1))
    names = x509.SubjectAlternativeName([x509.RFC822Name("alice"), x509.DNSName("bob")])
    alice = bare.add_extension(names, critical=True).sign(key, SHA256())
    nobody = bare.sign(key, SHA256())

    def offered(certificate: x509.Certificate | None) -> bool:
        return "EXTERNAL" in world.factory().settings.inside_tls(Shown(certificate)).offered

    assert not offered(alice)
    world.terms = {"certificate_of": _certificate}
    settings = world.factory().settings
    assert [offered(each) for each in (alice, nobody, None)] == [True, False, False]
    assert settings.terms.identities(Shown(alice)) == ("alice",)
    world.terms["certificate_names"] = "dns"
    assert world.factory().settings.terms.identities(Shown(alice)) == ("bob",)
    world.terms["mechanisms"] = ("PLAIN",)
    assert world.factory().settings.inside_tls(Shown(alice)).offered == ("PLAIN",)


def test_what_the_accounts_cannot_answer_is_not_offered(world: World) -> None:
    """Whatever the operator enables."""
    world.accounts.mechanisms = ("PLAIN", "CRAM-MD5")
    settings = world.factory().settings
    assert settings.inside_tls(object()).offered == ("PLAIN",)
    assert settings.clear.offered == ()
