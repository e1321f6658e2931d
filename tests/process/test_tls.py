"""TLS contexts, over real connections on the loopback interface."""

from __future__ import annotations

import datetime as dt
import os
import socket
import ssl
import warnings
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from attrs import define, field, frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.threads import deferToThread

from netguard.process.tls import ServerTLS, TLSTrouble, server_tls

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

    Serve = Callable[..., Coroutine[Any, Any, "Seen"]]

HOST = "pop.example.org"


class Greeter(Protocol):
    """Says, inside TLS, which protocol was negotiated; begins TLS on request."""

    factory: Service
    transport: Any  # after startTLS it stays the TCP transport, whose handle is then OpenSSL's

    def dataReceived(self, data: bytes) -> None:
        """Begin TLS, or answer with what was negotiated."""
        if data == b"STLS\r\n":
            self.transport.write(b"+OK\r\n")
            self.transport.startTLS(self.factory.tls)
            return
        negotiated = self.transport.getHandle().get_alpn_proto_negotiated()
        self.transport.write(b"[%s]" % (negotiated or b"none"))
        self.transport.loseConnection()


class Service(Factory):
    """The server of one test.

    Args:
        tls: what its connections are made with.
    """

    noisy = False

    def __init__(self, tls: ServerTLS) -> None:
        self.tls = tls

    def buildProtocol(self, addr: object) -> Any:
        """One greeter a connection."""
        greeter = Greeter()
        greeter.factory = self
        return greeter


@frozen
class Seen:
    """What a client saw.

    Attributes:
        version: of TLS.
        alpn: what the client's side negotiated.
        answer: what the server's side says it did.
        serial: the serial number of the certificate that was shown.
    """

    version: str | None
    alpn: str | None
    answer: bytes
    serial: str


@define
class Client:
    """A client of the standard library.

    Attributes:
        authority: the certificate that it trusts.
        offers: the protocols it offers, or None for no ALPN.
        highest: the highest version that it speaks.
        stls: whether it begins in clear.
    """

    authority: bytes
    offers: list[str] | None = None
    highest: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED
    stls: bool = False
    _context: ssl.SSLContext = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._context = ssl.create_default_context(cadata=self.authority.decode())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # old versions are the point
            if self.highest <= ssl.TLSVersion.TLSv1_1:
                self._context.set_ciphers("ALL:@SECLEVEL=0")
                self._context.minimum_version = self.highest
            self._context.maximum_version = self.highest
        if self.offers is not None:
            self._context.set_alpn_protocols(self.offers)

    def visit(self, port: int) -> Seen:
        """Connect, ask, and read to the end (in a thread)."""
        with socket.create_connection(("127.0.0.1", port), timeout=20) as plain:
            if self.stls:
                plain.sendall(b"STLS\r\n")
                assert plain.recv(100) == b"+OK\r\n"
            with self._context.wrap_socket(plain, server_hostname=HOST) as secure:
                secure.sendall(b"?")
                answer = b""
                while chunk := secure.recv(100):
                    answer += chunk
                certificate: dict[str, Any] = secure.getpeercert() or {}
                return Seen(secure.version(), secure.selected_alpn_protocol(), answer, certificate["serialNumber"])


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Who vouches for this test's certificates."""
    return trustme.CA()


@pytest.fixture
def trusted(authority: trustme.CA) -> bytes:
    """What a client is told to trust."""
    return authority.cert_pem.bytes()


@pytest.fixture
def pem(authority: trustme.CA, tmp_path: Path) -> Path:
    """A PEM file with key, certificate and chain."""
    return write(tmp_path / "server.pem", authority.issue_cert(HOST).private_key_and_cert_chain_pem.bytes())


def write(path: Path, content: bytes, mode: int = 0o600) -> Path:
    """A file with this content and mode."""
    path.touch()
    path.chmod(mode)
    path.write_bytes(content)
    return path


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A function that starts a service on loopback and lets a client visit it."""
    from twisted.internet import reactor as installed

    reactor: Any = installed
    ports = []

    async def start(tls: ServerTLS, client: Client) -> Seen:
        service = Service(tls)
        if client.stls:
            port = reactor.listenTCP(0, service, interface="127.0.0.1")
        else:
            port = reactor.listenSSL(0, service, tls, interface="127.0.0.1")
        ports.append(port)
        return await deferToThread(client.visit, port.getHost().port)

    yield start
    for port in ports:
        port.stopListening()


@pytest.mark.parametrize(
    ("offers", "chosen"),
    [(None, None), (["h2"], None), (["pop3"], "pop3"), (["h2", "http/1.1", "pop3"], "pop3"), (["imap", "smtp"], None)],
)
@pytest.mark.parametrize("stls", [False, True])
async def test_alpn_is_chosen_when_offered_and_never_breaks_a_client(
    serve: Serve, pem: Path, trusted: bytes, offers: list[str] | None, chosen: str | None, stls: bool
) -> None:
    """A client that offers pop3 gets it; one that offers others, or nothing, connects without."""
    seen = await serve(server_tls(pem, alpn=(b"pop3",)), Client(trusted, offers, stls=stls))
    assert seen.alpn == chosen
    assert seen.answer == b"[%s]" % (chosen or "none").encode()


async def test_alpn_prefers_our_order(serve: Serve, pem: Path, trusted: bytes) -> None:
    """Of several that both know, the server's first is taken."""
    seen = await serve(server_tls(pem, alpn=(b"two", b"one")), Client(trusted, ["one", "two"]))
    assert seen.alpn == "two"


async def test_without_protocols_of_ours_every_client_connects(serve: Serve, pem: Path, trusted: bytes) -> None:
    """A service that knows nothing of ALPN does not break clients that do."""
    assert (await serve(server_tls(pem), Client(trusted, ["h2"]))).alpn is None


@pytest.mark.parametrize(
    ("highest", "version"), [(ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")]
)
async def test_tls_1_2_and_later_are_spoken(
    serve: Serve, pem: Path, trusted: bytes, highest: ssl.TLSVersion, version: str
) -> None:
    """Both current versions work."""
    assert (await serve(server_tls(pem), Client(trusted, highest=highest))).version == version


@pytest.mark.parametrize("highest", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
async def test_what_came_before_is_refused(serve: Serve, pem: Path, trusted: bytes, highest: ssl.TLSVersion) -> None:
    """TLS 1.0 and 1.1 end with the alert that says so, and without a traceback."""
    with pytest.raises(ssl.SSLError, match="PROTOCOL_VERSION"):
        await serve(server_tls(pem), Client(trusted, highest=highest))


@pytest.mark.parametrize(
    "before", [b"", b"A comment.\n", b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"]
)
def test_the_parts_of_a_file_may_stand_in_any_order(authority: trustme.CA, pem: Path, before: bytes) -> None:
    """Certificates before the key, a comment, and the parameters that `openssl ecparam` writes do no harm."""
    leaf = authority.issue_cert(HOST)
    certificates = b"".join(part.bytes() for part in leaf.cert_chain_pems)
    for order in (
        (certificates, before, leaf.private_key_pem.bytes()),
        (before, leaf.private_key_pem.bytes(), certificates),
    ):
        pem.write_bytes(b"".join(order))
        assert isinstance(server_tls(pem), ServerTLS)


async def test_the_whole_chain_is_shown(serve: Serve, authority: trustme.CA, trusted: bytes, tmp_path: Path) -> None:
    """A client that trusts only the root can verify through an intermediate authority."""
    leaf = authority.create_child_ca().issue_cert(HOST)
    pem = write(tmp_path / "chain.pem", leaf.private_key_and_cert_chain_pem.bytes())
    assert (await serve(server_tls(pem), Client(trusted))).answer == b"[none]"


async def test_certificate_and_key_may_lie_apart(
    serve: Serve, authority: trustme.CA, trusted: bytes, tmp_path: Path
) -> None:
    """As certificate managers lay them: a readable chain behind a link, and a private key."""
    leaf = authority.issue_cert(HOST)
    chain = write(tmp_path / "fullchain1.pem", b"".join(pem.bytes() for pem in leaf.cert_chain_pems), 0o644)
    (tmp_path / "fullchain.pem").symlink_to(chain)
    key = write(tmp_path / "privkey.pem", leaf.private_key_pem.bytes())
    assert (await serve(server_tls((tmp_path / "fullchain.pem", key)), Client(trusted))).answer == b"[none]"


async def test_a_reload_is_for_the_connections_that_follow(
    serve: Serve, authority: trustme.CA, trusted: bytes, pem: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A renewed file is used after a reload, not before; one that cannot be used changes nothing."""
    monkeypatch.chdir(pem.parent)
    tls = server_tls(pem.name, alpn=(b"pop3",))
    monkeypatch.chdir("/")
    client = Client(trusted, ["h2", "pop3"])
    first = await serve(tls, client)
    pem.write_bytes(authority.issue_cert(HOST).private_key_and_cert_chain_pem.bytes())
    assert (await serve(tls, client)).serial == first.serial
    tls.reload()
    second = await serve(tls, client)
    assert second.serial != first.serial
    assert second.alpn == "pop3"
    pem.write_bytes(b"half a fi")
    with pytest.raises(TLSTrouble):
        tls.reload()
    assert (await serve(tls, client)).serial == second.serial


def key_pem(key: PrivateKeyTypes, passphrase: bytes | None = None) -> bytes:
    """A private key as PEM."""
    how = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)


def refused(path: Path) -> str:
    """The one line with which a file is refused."""
    with pytest.raises(TLSTrouble) as trouble:
        server_tls(path)
    line = str(trouble.value)
    assert line.startswith(f"--tls {path}: ")
    assert "\n" not in line
    assert trouble.value.__cause__ is None
    return line


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    """A file that is not there, a directory, and a FIFO, which does not hang."""
    assert refused(tmp_path / "absent.pem").endswith("No such file or directory")
    assert refused(tmp_path).endswith("is not a regular file")
    os.mkfifo(tmp_path / "fifo", 0o600)
    assert refused(tmp_path / "fifo").endswith("is not a regular file")


def test_a_file_without_a_key_or_a_certificate_says_which(pem: Path, authority: trustme.CA) -> None:
    """Half a PEM file is told by the half that is missing."""
    leaf = authority.issue_cert(HOST)
    pem.write_bytes(leaf.cert_chain_pems[0].bytes())
    assert "there is no private key in it" in refused(pem)
    pem.write_bytes(leaf.private_key_pem.bytes())
    assert "there is no certificate in it" in refused(pem)
    pem.write_bytes(b"")
    assert "there is no" in refused(pem)


def test_a_key_of_another_certificate_is_refused(pem: Path, authority: trustme.CA) -> None:
    """Key and first certificate must belong together, and the line says what comes first."""
    one, other = authority.issue_cert(HOST), authority.issue_cert(HOST)
    pem.write_bytes(one.private_key_pem.bytes() + other.cert_chain_pems[0].bytes())
    assert "does not belong to the first certificate" in refused(pem)
    pem.write_bytes(one.private_key_pem.bytes() + authority.cert_pem.bytes() + one.cert_chain_pems[0].bytes())
    assert "the server's own certificate comes first" in refused(pem)


def test_a_damaged_key_or_certificate_is_told_apart(pem: Path, authority: trustme.CA) -> None:
    """A base64 that was cut names the half that is broken."""
    leaf = authority.issue_cert(HOST)
    key, certificate = leaf.private_key_pem.bytes(), leaf.cert_chain_pems[0].bytes()
    pem.write_bytes(key.replace(key[60:80], b"") + certificate)
    assert "its private key is damaged" in refused(pem)
    pem.write_bytes(key + certificate.replace(certificate[60:80], b""))
    assert "a certificate in it is damaged" in refused(pem)


def test_a_key_with_a_passphrase_is_refused(pem: Path, authority: trustme.CA) -> None:
    """A service has nobody who could type it, and the line names the way out."""
    locked = key_pem(ec.generate_private_key(ec.SECP256R1()), b"sesame")
    pem.write_bytes(locked + authority.cert_pem.bytes())
    line = refused(pem)
    assert "needs a passphrase" in line
    assert "openssl pkey" in line


def test_a_file_that_is_too_large_is_refused(pem: Path) -> None:
    """One octet above a mebibyte is no certificate; at a mebibyte it is read."""
    content = pem.read_bytes()
    pem.write_bytes(content + b"\n" * (1024 * 1024 - len(content)))
    assert isinstance(server_tls(pem), ServerTLS)
    pem.write_bytes(content + b"\n" * (1024 * 1024 - len(content) + 1))
    assert "larger than 1048576 octets" in refused(pem)


@pytest.mark.parametrize("mode", [0o400, 0o600, 0o440, 0o640])
def test_a_key_that_its_group_may_read_passes(pem: Path, mode: int) -> None:
    """That is how distributions share a key with services."""
    pem.chmod(mode)
    assert isinstance(server_tls(pem), ServerTLS)


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o601, 0o620, 0o660])
def test_a_key_that_others_may_read_or_write_is_refused(pem: Path, mode: int) -> None:
    """The line names the mode and the command that mends it."""
    pem.chmod(mode)
    line = refused(pem)
    assert f"mode {mode:04o}, at most 0640" in line
    assert line.endswith(f"run: chmod 600 {pem}")


@pytest.mark.parametrize(
    "make",
    [
        lambda: rsa.generate_private_key(65537, 2048),
        lambda: ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate,
    ],
)
def test_the_usual_kinds_of_key_are_taken(make: Callable[[], Any], tmp_path: Path) -> None:
    """RSA, elliptic curves and Ed25519."""
    key = make()
    pem = write(tmp_path / "server.pem", key_pem(key) + certificate_for(key))
    assert isinstance(server_tls(pem), ServerTLS)


def test_a_key_that_openssl_finds_too_weak_is_one_line(tmp_path: Path) -> None:
    """What the files hold may still be refused by the library's own rules."""
    key = rsa.generate_private_key(65537, 1024)  # noqa: S505 - weak on purpose
    pem = write(tmp_path / "server.pem", key_pem(key) + certificate_for(key))
    assert "OpenSSL refuses it: " in refused(pem)


def certificate_for(key: Any) -> bytes:
    """A self-signed certificate of a key."""
    now = dt.datetime.now(dt.UTC)
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, algorithm)
    )
    return made.public_bytes(Encoding.PEM)
