"""GNU SASL's own client logs in: it says the messages of a mechanism, and the test carries them into POP3 and back."""

from __future__ import annotations

import base64
import os
import re
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import trustme
from cryptography import x509

from tests.popsasl import ENTERED, REFUSED, Bound, give, line, vouched_for
from tests.popserver import APOP_SECRET, USER, Peer, Site, environment, serving
from tests.programs import needs

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = needs("gsasl")

PASSWORD = "pass Jd5 hN9 cB3 yG6 ñ"
MECHANISMS = "scram-sha-256-plus,scram-sha-256,external,cram-md5,plain,login"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """An operator's files; alice has a password, an APOP secret and a certificate."""
    site = Site.make(tmp_path_factory.mktemp("site"), {"hello": b"Subject: hello\n\nhello\n"})
    give(site.accounts, USER, PASSWORD)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(site.folder / "ca.pem"))
    vouched_for(authority, site.folder / "alice.pem", x509.RFC822Name(USER))
    return site


@pytest.fixture(scope="module")
def ports(site: Site) -> Iterator[tuple[int, int]]:
    """Where a server that takes every mechanism listens: in clear, and inside TLS."""
    options = ("--mechanisms", MECHANISMS, "--tls-ca", str(site.folder / "ca.pem"))
    with serving(*site.both_ports, *options, cwd=site.folder) as server:
        plain, tls = server.ports(2)
        yield plain, tls


class Gsasl:
    """A client that is running.

    Args:
        program: its process.
        binding: what it is told of its TLS when it asks, in base64.
    """

    def __init__(self, program: subprocess.Popen[bytes], binding: bytes) -> None:
        self._program = program
        self._binding = binding

    def tell(self, text: bytes) -> None:
        """Type a line."""
        assert self._program.stdin is not None
        self._program.stdin.write(text + b"\n")

    def message(self) -> bytes:
        """Its next message; none once it is content with the server."""
        assert self._program.stdout is not None
        heard = b""
        while (said := re.search(rb"Output from client:\n(.*)\n|\(server trusted\)", heard)) is None:
            chunk = os.read(self._program.stdout.fileno(), 4096)
            assert chunk, heard
            heard += chunk
            if heard.endswith(b" channel binding: "):
                self.tell(self._binding if b"tls-exporter" in heard.splitlines()[-1] else b"")
                heard += b"\n"
        return said[1] or b""

    def log_in(self, peer: Peer, mechanism: str) -> bytes:
        """Carry its messages to the server, and back; returns the server's last answer."""
        message = self.message()
        answer = peer.ask(f"AUTH {mechanism}".encode())
        while True:
            server_began = not message and answer != b"+ \r\n" and mechanism == "CRAM-MD5"
            answer = answer if server_began else peer.ask(message)
            if not answer.startswith(b"+ "):
                return answer
            self.tell(answer[2:-2])
            message = self.message()


@contextmanager
def gsasl(mechanism: str, password: str, *, binding: bytes = b"", name: str = USER) -> Iterator[Gsasl]:
    """GNU SASL's client for the time of a block."""
    # With an empty authorisation identity it sends "a=" in SCRAM, which RFC 5802 does not allow.
    words = ["gsasl", "--client", "--mechanism", mechanism, "--authentication-id", name, "--authorization-id", name]
    with subprocess.Popen(
        [*words, "--password", password],
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
    ) as program:
        try:
            yield Gsasl(program, base64.b64encode(binding))
        finally:
            program.kill()


def secret_of(mechanism: str) -> str:
    """What alice logs in with."""
    return APOP_SECRET if mechanism == "CRAM-MD5" else PASSWORD


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "CRAM-MD5"])
def test_it_logs_in_without_tls(mechanism: str, ports: tuple[int, int]) -> None:
    """By what sends no secret; a wrong one is refused, and so is somebody whom nobody knows."""
    for name, secret, answer in (
        (USER, secret_of(mechanism), ENTERED),
        (USER, "wrong", REFUSED),
        ("nobody", secret_of(mechanism), REFUSED),
    ):
        with Peer(ports[0]) as peer, gsasl(mechanism, secret, name=name) as client:
            assert client.log_in(peer, mechanism) == answer


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS", "CRAM-MD5"])
def test_it_logs_in_inside_tls(mechanism: str, ports: tuple[int, int]) -> None:
    """Bound to the TLS of the connection where the mechanism binds."""
    for secret, answer in ((secret_of(mechanism), ENTERED), ("wrong", REFUSED)):
        with Bound(ports[1]) as peer:
            binding = peer.exporter[1] if mechanism.endswith("-PLUS") else b""
            with gsasl(mechanism, secret, binding=binding) as client:
                assert client.log_in(peer, mechanism) == answer


def test_its_certificate_is_enough(ports: tuple[int, int], site: Site) -> None:
    """For its own name and no other, and where there is one."""
    for name, answer in ((USER, ENTERED), ("", ENTERED), ("bob", REFUSED)):
        with Bound(ports[1], shown=site.folder / "alice.pem") as peer, gsasl("EXTERNAL", "", name=name) as client:
            assert client.log_in(peer, "EXTERNAL") == answer
    with Bound(ports[1]) as peer, gsasl("EXTERNAL", "") as client:
        assert client.message() == line(USER.encode())
        assert peer.ask(b"AUTH EXTERNAL").startswith(b"-ERR")


def test_what_it_binds_to_another_connection_is_refused(ports: tuple[int, int]) -> None:
    """Who stands between two TLS connections cannot pass its login on."""
    with (
        Bound(ports[1]) as peer,
        Bound(ports[1]) as other,
        gsasl("SCRAM-SHA-256-PLUS", PASSWORD, binding=other.exporter[1]) as client,
    ):
        assert client.log_in(peer, "SCRAM-SHA-256-PLUS").startswith(b"-ERR [SYS/PERM] channel binding")
