"""TLS contexts, over real connections on the loopback interface."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import warnings
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from attrs import define, field, frozen
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.internet.threads import deferToThread

from netguard.process.tls import TICKET_KEYS, ServerTLS, TLSTrouble, server_tls, verified_certificate
from tests.pemfiles import HOST, certificate_for, issued, key_pem, write

Serve = Callable[..., Coroutine[Any, Any, "Seen"]]


class Greeter(Protocol):
    """Says, inside TLS, which protocol was negotiated and who the client is; begins TLS on request."""

    factory: Service
    transport: Any  # after startTLS it stays the TCP transport, whose handle is then OpenSSL's

    def connectionMade(self) -> None:
        """Nobody has proved anything yet."""
        assert verified_certificate(self.transport) is None

    def dataReceived(self, data: bytes) -> None:
        """Begin TLS, or answer with what was negotiated."""
        if data == b"STLS\r\n":
            self.transport.write(b"+OK\r\n")
            self.transport.startTLS(self.factory.tls)
            assert verified_certificate(self.transport) is None
            return
        negotiated = self.transport.getHandle().get_alpn_proto_negotiated()
        certificate = verified_certificate(self.transport, self.factory.now)
        client = b"" if certificate is None else b" %x" % certificate.serial_number
        self.transport.write(b"[%s%s]" % (negotiated or b"none", client))
        self.transport.loseConnection()


class Service(Factory):
    """The server of one test.

    Args:
        tls: what its connections are made with.
        now: when certificates must be valid.
    """

    noisy = False

    def __init__(self, tls: ServerTLS, now: dt.datetime | None) -> None:
        self.tls = tls
        self.now = now

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
        certificate: the certificate that was shown.
        reused: whether the session was resumed.
    """

    version: str | None
    alpn: str | None
    answer: bytes
    certificate: dict[str, Any]
    reused: bool

    @property
    def serial(self) -> str:
        """The serial number of the certificate that was shown."""
        return str(self.certificate["serialNumber"])

    @property
    def names(self) -> set[str]:
        """The names of the certificate that was shown."""
        return {name for _, name in self.certificate["subjectAltName"]}


@define
class Client:
    """A client of the standard library, which resumes its last session.

    Attributes:
        authority: the certificate that it trusts.
        offers: the protocols it offers, or None for no ALPN.
        highest: the highest version that it speaks.
        stls: whether it begins in clear.
        name: the name that it asks for.
        identity: a PEM file with its own certificate and key, or None.
    """

    authority: bytes
    offers: list[str] | None = None
    highest: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED
    stls: bool = False
    name: str | None = HOST
    identity: Path | None = None
    context: ssl.SSLContext = field(init=False)
    _session: ssl.SSLSession | None = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        self.context = ssl.create_default_context(cadata=self.authority.decode())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # old versions are the point
            if self.highest <= ssl.TLSVersion.TLSv1_1:
                self.context.set_ciphers("ALL:@SECLEVEL=0")
                self.context.minimum_version = self.highest
            self.context.maximum_version = self.highest
        if self.offers is not None:
            self.context.set_alpn_protocols(self.offers)
        if self.identity is not None:
            self.context.load_cert_chain(self.identity)
        self.context.check_hostname = False  # what name is shown is what the tests ask

    def visit(self, port: int) -> Seen:
        """Connect, ask, and read to the end (in a thread)."""
        with socket.create_connection(("127.0.0.1", port), timeout=60) as plain:
            if self.stls:
                plain.sendall(b"STLS\r\n")
                assert plain.recv(100) == b"+OK\r\n"
            with self.context.wrap_socket(plain, server_hostname=self.name, session=self._session) as secure:
                secure.sendall(b"?")
                answer = b""
                while chunk := secure.recv(100):
                    answer += chunk
                certificate: dict[str, Any] = secure.getpeercert() or {}
                self._session = secure.session
                return Seen(
                    secure.version(),
                    secure.selected_alpn_protocol(),
                    answer,
                    certificate,
                    bool(secure.session_reused),
                )


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A function that starts a service on loopback and lets a client visit it."""
    from twisted.internet import reactor as installed

    reactor: Any = installed
    ports = []

    async def start(tls: ServerTLS, client: Client, now: dt.datetime | None = None) -> Seen:
        service = Service(tls, now)
        if client.stls:
            port = reactor.listenTCP(0, service, interface="127.0.0.1")
        else:
            port = reactor.listenSSL(0, service, tls, interface="127.0.0.1")
        ports.append(port)
        return await deferToThread(client.visit, port.getHost().port)

    yield start
    for port in ports:
        port.stopListening()


@pytest.fixture
def both(pem: Path, authority: trustme.CA, tmp_path: Path) -> tuple[Path, Path]:
    """Two PEM files, the second for another name."""
    return pem, issued(tmp_path / "other.pem", authority, "other.example.org")


# What is spoken


@pytest.mark.parametrize(
    ("offers", "chosen"),
    [(None, None), (["h2"], None), (["pop3"], "pop3"), (["h2", "http/1.1", "pop3"], "pop3"), (["imap", "smtp"], None)],
)
@pytest.mark.parametrize("stls", [False, True])
@pytest.mark.parametrize("name", [HOST, "other.example.org"])
async def test_alpn_is_chosen_when_offered_and_never_breaks_a_client(
    serve: Serve,
    both: tuple[Path, Path],
    trusted: bytes,
    offers: list[str] | None,
    chosen: str | None,
    stls: bool,
    name: str,
) -> None:
    """A client that offers pop3 gets it; one that offers others, or nothing, connects without; so by every name."""
    tls = server_tls(*both, alpn=(b"pop3",))
    seen = await serve(tls, Client(trusted, offers, stls=stls, name=name))
    assert seen.alpn == chosen
    assert seen.answer == b"[%s]" % (chosen or "none").encode()
    assert seen.names == {name}


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


@pytest.mark.parametrize("ciphers", ["ECDHE-ECDSA-AES128-SHA256", "AES128-GCM-SHA256", "DHE-RSA-AES256-GCM-SHA384"])
async def test_ciphers_that_are_not_of_today_are_refused(serve: Serve, pem: Path, trusted: bytes, ciphers: str) -> None:
    """Without forward secrecy by curves, or without authenticated encryption, there is no TLS 1.2."""
    client = Client(trusted, highest=ssl.TLSVersion.TLSv1_2)
    client.context.set_ciphers(ciphers)
    with pytest.raises(ssl.SSLError, match="HANDSHAKE_FAILURE"):
        await serve(server_tls(pem), client)


# What is shown


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
    assert (await serve(server_tls(tmp_path / "fullchain.pem", key), Client(trusted))).answer == b"[none]"


@pytest.mark.parametrize("highest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("mail.example.net", "mail.example.net"),
        ("a.example.net", "*.example.net"),
        ("127.0.0.1", HOST),
        ("stranger.example.com", HOST),
        (None, HOST),
    ],
)
async def test_a_client_gets_the_certificate_of_the_name_it_asks_for(
    serve: Serve,
    authority: trustme.CA,
    pem: Path,
    trusted: bytes,
    highest: ssl.TLSVersion,
    name: str | None,
    shown: str,
) -> None:
    """By its own names or a wildcard; who asks for no name, or for one that is nobody's, gets the first."""
    others = [
        issued(pem.with_name(str(at)), authority, name) for at, name in enumerate(("*.example.net", "mail.example.net"))
    ]
    tls = server_tls(pem, *others)
    for stls in (False, True):
        assert (await serve(tls, Client(trusted, name=name, stls=stls, highest=highest))).names == {shown}


def test_ten_thousand_names_are_not_kept(both: tuple[Path, Path]) -> None:
    """What clients ask for leaves nothing behind (CVE-2017-15130)."""
    tls = server_tls(*both)
    names = tls._loaded.names
    for number in range(10_000):
        assert names.find(b"%d.example.com" % number) is None
    assert names == tls._loaded.names
    assert len(names.patterns) == 2


async def test_a_reload_is_for_the_connections_that_follow(
    serve: Serve, authority: trustme.CA, trusted: bytes, both: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Renewed files are used after a reload, not before; when one of them cannot be used, none changes."""
    pem, other = both
    monkeypatch.chdir(pem.parent)
    tls = server_tls(pem.name, other.name, alpn=(b"pop3",))
    monkeypatch.chdir("/")
    client, second = Client(trusted, ["h2", "pop3"]), Client(trusted, name="other.example.org")
    before = await serve(tls, client), await serve(tls, second)
    issued(pem, authority)
    issued(other, authority, "other.example.org", "new.example.org")
    assert (await serve(tls, client)).serial == before[0].serial
    tls.reload()
    after = await serve(tls, client), await serve(tls, second)
    assert after[0].serial != before[0].serial
    assert after[0].alpn == "pop3"
    assert after[1].names == {"other.example.org", "new.example.org"}
    issued(pem, authority)
    other.write_bytes(b"half a fi")
    with pytest.raises(TLSTrouble):
        tls.reload()
    assert (await serve(tls, client)).serial == after[0].serial
    assert (await serve(tls, second)).serial == after[1].serial


# Sessions


@pytest.mark.parametrize("stls", [False, True])
@pytest.mark.parametrize("highest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("name", [HOST, "other.example.org"])
async def test_a_session_is_resumed_until_its_key_is_changed(
    serve: Serve, both: tuple[Path, Path], trusted: bytes, highest: ssl.TLSVersion, stls: bool, name: str
) -> None:
    """A client that comes again need not begin anew; after half a day, or a reload, it must, and can."""
    clock = Clock()
    tls = server_tls(*both, seconds=clock.seconds)
    client = Client(trusted, highest=highest, stls=stls, name=name)
    reused = []
    for change in (
        None,
        None,
        lambda: clock.advance(TICKET_KEYS - 1),
        lambda: clock.advance(1),
        None,
        tls.reload,
        None,
    ):
        if change is not None:
            change()
        seen = await serve(tls, client)
        assert seen.names == {name}
        reused.append(seen.reused)
    assert reused == [False, True, True, False, True, False, True]


# Clients with certificates


@pytest.fixture
def people() -> trustme.CA:
    """Who vouches for clients."""
    return trustme.CA()


@pytest.fixture
def client_ca(people: trustme.CA, tmp_path: Path) -> Path:
    """The file that says so."""
    return write(tmp_path / "people.pem", people.cert_pem.bytes())


@pytest.fixture
def alice(people: trustme.CA, tmp_path: Path) -> Path:
    """A client's certificate and key."""
    return issued(tmp_path / "alice.pem", people, "alice@example.org")


def serial_of(pem: Path) -> bytes:
    """What the server says of a client that has this certificate."""
    return b" %x" % x509.load_pem_x509_certificate(pem.read_bytes()).serial_number


@pytest.mark.parametrize("stls", [False, True])
@pytest.mark.parametrize("highest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("name", [HOST, "other.example.org"])
async def test_a_client_may_have_a_certificate(
    serve: Serve,
    alice: Path,
    client_ca: Path,
    both: tuple[Path, Path],
    trusted: bytes,
    highest: ssl.TLSVersion,
    stls: bool,
    name: str,
) -> None:
    """Who has one is known by it, at first and when the session is resumed; who has none comes in all the same."""
    tls = server_tls(*both, client_ca=client_ca)
    assert tls.asks_clients
    client = Client(trusted, identity=alice, stls=stls, highest=highest, name=name)
    for reused in (False, True):
        seen = await serve(tls, client)
        assert seen.answer == b"[none%s]" % serial_of(alice)
        assert seen.reused is reused
    assert (await serve(tls, Client(trusted, stls=stls, highest=highest, name=name))).answer == b"[none]"


@pytest.mark.parametrize("highest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_certificate_that_nobody_vouches_for_ends_the_handshake(
    serve: Serve, authority: trustme.CA, client_ca: Path, pem: Path, trusted: bytes, highest: ssl.TLSVersion
) -> None:
    """Also one that the authority of the server's own certificate has signed, and one of its own."""
    key = ec.generate_private_key(ec.SECP256R1())
    for identity in (
        issued(pem.with_name("mallory"), authority, "alice@example.org"),
        write(pem.with_name("self"), key_pem(key) + certificate_for(key)),
    ):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await serve(server_tls(pem, client_ca=client_ca), Client(trusted, identity=identity, highest=highest))


async def test_a_certificate_that_is_over_counts_no_more(
    serve: Serve, alice: Path, client_ca: Path, pem: Path, trusted: bytes
) -> None:
    """A resumed session does not outlive the certificate that it began with."""
    tls, client = server_tls(pem, client_ca=client_ca), Client(trusted, identity=alice)
    for now in (dt.datetime(3150, 1, 1, tzinfo=dt.UTC), dt.datetime(1999, 1, 1, tzinfo=dt.UTC)):
        assert (await serve(tls, client, now)).answer == b"[none]"
    assert (await serve(tls, client)).answer == b"[none%s]" % serial_of(alice)


async def test_who_is_not_asked_has_no_certificate(serve: Serve, alice: Path, pem: Path, trusted: bytes) -> None:
    """Without authorities no client is asked, and nothing but a connection of ours has a verified certificate."""
    tls = server_tls(pem)
    assert not tls.asks_clients
    assert (await serve(tls, Client(trusted, identity=alice))).answer == b"[none]"
    assert verified_certificate(StringTransport()) is None


async def test_a_reload_is_for_the_authorities_too(
    serve: Serve, alice: Path, client_ca: Path, pem: Path, trusted: bytes
) -> None:
    """Who is vouched for no more is let in no more, not by an old session either."""
    tls, client = server_tls(pem, client_ca=client_ca), Client(trusted, identity=alice)
    assert (await serve(tls, client)).answer == b"[none%s]" % serial_of(alice)
    write(client_ca, b"-----BEGIN CERTIFICATE-----\n")
    with pytest.raises(TLSTrouble, match=r"^--tls-ca .*people\.pem:1: what begins here has no end"):
        tls.reload()
    assert (await serve(tls, client)).reused
    write(client_ca, trustme.CA().cert_pem.bytes())
    tls.reload()
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await serve(tls, client)


# Kinds of keys


@pytest.mark.parametrize(
    "make",
    [
        lambda: rsa.generate_private_key(65537, 2048),
        lambda: ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate,
    ],
    ids=["rsa", "ec", "ed25519"],
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
    with pytest.raises(TLSTrouble) as trouble:
        server_tls(pem)
    assert str(trouble.value).startswith(f"--tls {pem}: OpenSSL refuses it: ")
    assert "\n" not in str(trouble.value)
