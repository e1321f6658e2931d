"""Promise 12: sessions encrypted by TLS; attacks on TLS and STLS of netguard-pop over real sockets."""

from __future__ import annotations

import re
import socket
import ssl
import struct
import warnings
from collections.abc import Iterator

import pytest

from tests.popserver import (
    PASSWORD_SECRET,
    PATIENCE,
    USER,
    Peer,
    Server,
    Site,
    assert_clean,
    serving,
    stored,
    trusting,
)

LOGIN = f"USER {USER}\r\nPASS {PASSWORD_SECRET}\r\n".encode()
HELLO = bytes.fromhex("16030100a5010000a10303") + bytes(32)
"""The beginning of a ClientHello that says it has 165 octets, and has 43."""
RECORD_HEADER = 5
RESET = struct.pack("ii", 1, 0)


@pytest.fixture(scope="module")
def pop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Site]]:
    """A server for all the attacks of this file: what one of them breaks is broken for the next."""
    site = Site.make(tmp_path_factory.mktemp("site"), {"hello": b"Subject: hello\n\nhello\n"})
    with serving(*site.both_ports, "--max-per-peer", "500", "--handshake", "1s", cwd=site.folder) as server:
        yield server, site


@pytest.fixture
def ports(pop: tuple[Server, Site]) -> Iterator[tuple[int, int]]:
    """The plain port and the one for TLS; whatever was done there, all still works afterwards, and the log is clean."""
    server, site = pop
    plain, tls = server.ports(2)
    yield plain, tls
    before = len(server.events("session"))
    with Peer(tls, trusting(site.pem)) as peer:
        peer.send(LOGIN + b"QUIT\r\n")
        assert peer.rest().endswith(b"+OK bye\r\n")
    server.wait_for("session", before + 1)
    with Peer(plain) as peer:
        assert peer.ask(b"STLS").startswith(b"+OK")
        peer.start_tls(trusting(site.pem))
        peer.send(LOGIN + b"QUIT\r\n")
        assert peer.rest().endswith(b"+OK bye\r\n")
    assert len(stored(site.maildir())) == 1
    assert "PRIVATE KEY" not in server.log
    assert_clean(server.log)


def only(pem: str, version: ssl.TLSVersion) -> ssl.SSLContext:
    """A client that speaks one version of TLS, however old."""
    context = ssl.create_default_context(cafile=pem)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # that is the point
        context.minimum_version = context.maximum_version = version
    return context


# What is spoken


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
@pytest.mark.parametrize("implicit", [False, True])
def test_old_versions_are_refused(
    version: ssl.TLSVersion, implicit: bool, pop: tuple[Server, Site], ports: tuple[int, int]
) -> None:
    """A client that speaks TLS 1.1 at most gets an alert, and no session."""
    context = only(str(pop[1].pem), version)
    with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version|unsupported.protocol|no protocols available"):
        _connect(ports, implicit, context)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("implicit", [False, True])
def test_present_versions_are_spoken(
    version: ssl.TLSVersion, implicit: bool, pop: tuple[Server, Site], ports: tuple[int, int]
) -> None:
    """TLS 1.2 and 1.3 are spoken, with forward secrecy and authenticated encryption."""
    context = only(str(pop[1].pem), version)
    context.set_ciphers("DEFAULT")
    with _connect(ports, implicit, context) as peer:
        assert isinstance(peer.socket, ssl.SSLSocket)
        cipher = peer.socket.cipher()
        assert cipher is not None
        assert re.search("GCM|CHACHA20", cipher[0])
        assert version is ssl.TLSVersion.TLSv1_3 or cipher[0].startswith("ECDHE")
        peer.send(LOGIN + b"STAT\r\nQUIT\r\n")
        assert peer.rest().endswith(b"+OK 1 25\r\n+OK bye\r\n")


def _connect(ports: tuple[int, int], implicit: bool, context: ssl.SSLContext) -> Peer:
    if implicit:
        return Peer(ports[1], context)
    peer = Peer(ports[0])
    assert peer.ask(b"STLS") == b"+OK begin TLS\r\n"
    try:
        peer.start_tls(context)
    except ssl.SSLError:
        peer.socket.close()
        raise
    return peer


@pytest.mark.parametrize("implicit", [False, True])
def test_weak_ciphers_are_refused(implicit: bool, pop: tuple[Server, Site], ports: tuple[int, int]) -> None:
    """A client that has only ciphers without forward secrecy or authentication gets no session."""
    context = only(str(pop[1].pem), ssl.TLSVersion.TLSv1_2)
    context.set_ciphers("AES128-SHA:AES256-SHA256:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError, match=r"(?i)handshake failure"):
        _connect(ports, implicit, context)


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize(
    ("offered", "chosen"), [(["pop3"], "pop3"), (["http/1.1", "pop3"], "pop3"), (["h2", "http/1.1"], None)]
)
def test_a_browser_that_was_led_here(
    offered: list[str], chosen: str | None, implicit: bool, pop: tuple[Server, Site], ports: tuple[int, int]
) -> None:
    """Only pop3 is ever agreed on; and a browser's request inside TLS brings back nothing of it (ALPACA)."""
    context = ssl.create_default_context(cafile=str(pop[1].pem))
    context.set_alpn_protocols(offered)
    with _connect(ports, implicit, context) as peer:
        assert isinstance(peer.socket, ssl.SSLSocket)
        assert peer.socket.selected_alpn_protocol() == chosen
        peer.send(b"GET /<script>alert(1)</script> HTTP/1.1\r\nHost: <b>\r\nCookie: a=b\r\n\r\n")
        assert peer.rest() == b"-ERR this is POP3, not HTTP\r\n"


def test_who_does_not_trust_it_leaves(pop: tuple[Server, Site], ports: tuple[int, int]) -> None:
    """A client that does not know the certificate, or wanted another name, ends the handshake; that is no error."""
    stranger = ssl.create_default_context()
    with pytest.raises(ssl.SSLCertVerificationError):
        _connect(ports, True, stranger)
    with (
        socket.create_connection(("127.0.0.1", ports[1]), PATIENCE) as plain,
        pytest.raises(ssl.SSLCertVerificationError, match=r"(?i)hostname"),
    ):
        trusting(pop[1].pem).wrap_socket(plain, server_hostname="mail.example.org")


# STLS


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    "injected", [b"NOOP\r\n", LOGIN, LOGIN + b"DELE 1\r\nQUIT\r\n", b"\r\n", b"x", b"USER alice\r\n" * 500]
)
def test_commands_behind_stls_are_not_obeyed(
    injected: bytes, together: bool, pop: tuple[Server, Site], ports: tuple[int, int]
) -> None:
    """What an attacker puts behind STLS is obeyed neither before nor inside TLS: it is an attack, and the end."""
    server, _ = pop
    before, cuts = len(server.events("malformed")), len(server.events("cut"))
    with Peer(ports[0]) as peer:
        if together:
            peer.send(b"STLS\r\n" + injected)
            assert peer.rest() == b""
        else:
            # In a segment of its own it meets the beginning of TLS, where it is no TLS.
            peer.send(b"STLS\r\n")
            assert peer.line() == b"+OK begin TLS\r\n"
            peer.send(injected)
            said = peer.rest()
            assert b"+OK" not in said
            assert b"-ERR" not in said
    if together:
        assert server.wait_for("malformed", before + 1)[-1]["problem"] == "data behind STLS"
    elif len(injected) >= RECORD_HEADER:
        assert server.wait_for("malformed", before + 1)[-1]["problem"] == "no TLS came where TLS should begin"
    else:  # too little to be judged; --handshake has ended it
        assert server.wait_for("cut", cuts + 1)[-1]["option"] == "handshake"
    assert len(stored(pop[1].maildir())) == 1


@pytest.mark.parametrize("injected", [b"\r\n", b"NOOP\r\n", LOGIN])
def test_what_is_put_before_the_clients_handshake_ends_it(
    injected: bytes, pop: tuple[Server, Site], ports: tuple[int, int]
) -> None:
    """Bytes that somebody on the way puts before an honest client's handshake end that, and are told."""
    server, site = pop
    before, sessions = len(server.events("malformed")), len(server.events("session"))
    with Peer(ports[0]) as peer:
        assert peer.ask(b"STLS") == b"+OK begin TLS\r\n"
        peer.send(injected)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            peer.start_tls(trusting(site.pem))
    assert server.wait_for("session", sessions + 1)[-1]["reason"] == "TLSFailed"
    assert server.wait_for("malformed", before + 1)[-1]["problem"] == "no TLS came where TLS should begin"


def test_a_name_from_before_stls_is_forgotten(pop: tuple[Server, Site], ports: tuple[int, int]) -> None:
    """A name that was given in clear, where an attacker could have given it, counts no more inside TLS."""
    with Peer(ports[0]) as peer:
        assert peer.ask(f"USER {USER}".encode()).startswith(b"-ERR [SYS/PERM]")
        assert peer.ask(b"STLS").startswith(b"+OK")
        peer.start_tls(trusting(pop[1].pem))
        assert peer.ask(f"PASS {PASSWORD_SECRET}".encode()) == b"-ERR USER first\r\n"


def test_stls_once_and_in_its_place(pop: tuple[Server, Site], ports: tuple[int, int]) -> None:
    """STLS takes no argument, is refused inside TLS and after a login, and is offered only where it is possible."""
    with Peer(ports[0]) as peer:
        assert peer.ask(b"STLS now").startswith(b"-ERR")
        assert peer.apop().startswith(b"+OK")
        assert peer.ask(b"STLS") == b"-ERR logged in already\r\n"
    with Peer(ports[0]) as peer:
        assert peer.ask(b"STLS").startswith(b"+OK")
        peer.start_tls(trusting(pop[1].pem))
        peer.send(b"CAPA\r\nSTLS\r\nQUIT\r\n")
        said = peer.rest()
    assert b"\r\nUSER\r\n" in said
    assert b"\r\nSTLS\r\n" not in said
    assert said.endswith(b"-ERR TLS is on already\r\n+OK bye\r\n")


def test_without_a_certificate(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A server without a certificate does not offer STLS, refuses it, and takes no password at all."""
    site = Site.make(tmp_path_factory.mktemp("site"), {})
    where = ("--listen", "tcp:0:interface=127.0.0.1")
    with serving(*site.options, *where, cwd=site.folder) as server, Peer(server.ports()[0]) as peer:
        assert peer.ask(b"STLS") == b"-ERR [SYS/PERM] TLS is not available here\r\n"
        peer.send(b"CAPA\r\n" + LOGIN + b"QUIT\r\n")
        said = peer.rest()
    assert b"STLS" not in said
    assert said.count(b"-ERR [SYS/PERM] a password is taken only inside TLS\r\n") == 2


# Handshakes that are none


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize(
    "junk",
    [
        b"CAPA\r\nQUIT\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        bytes(range(256)) * 64,
        b"\x16\x03\x01\xff\xff" + b"\0" * 70_000,
        b"\x80\x2e\x01\x00\x02",
        HELLO,
        b"\x16",
        b"",
    ],
    ids=["commands", "http", "bytes", "large record", "sslv2", "half a hello", "one byte", "nothing"],
)
def test_no_handshake(junk: bytes, implicit: bool, pop: tuple[Server, Site], ports: tuple[int, int]) -> None:
    """Where TLS should begin, anything else is answered by no more than an alert, and ends within --handshake."""
    with socket.create_connection(("127.0.0.1", ports[implicit]), PATIENCE) as client:
        if not implicit:
            assert client.recv(1000).startswith(b"+OK")
            client.sendall(b"STLS\r\n")
            assert client.recv(1000) == b"+OK begin TLS\r\n"
        try:
            client.sendall(junk)
            said = b""
            while more := client.recv(65_536):
                said += more
        except ConnectionError:  # cut in the middle of what was sent, or with some of it unread
            said = b""
    assert re.fullmatch(rb"(\x15\x03.\x00\x02..)?", said, re.DOTALL)


@pytest.mark.parametrize("implicit", [False, True])
def test_handshakes_that_are_broken_off(implicit: bool, pop: tuple[Server, Site], ports: tuple[int, int]) -> None:
    """A hundred clients that reset the connection in the middle of a handshake do no harm."""
    server, _ = pop
    for number in range(100):
        with socket.create_connection(("127.0.0.1", ports[implicit]), PATIENCE) as client:
            if not implicit:
                client.recv(1000)
                client.sendall(b"STLS\r\n")
                client.recv(1000)
            client.sendall(HELLO[: 1 + number % len(HELLO)])
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    server.wait_for("session")


def test_a_tls_client_on_the_plain_port(ports: tuple[int, int]) -> None:
    """A TLS hello on the plain port is known for what it is: it is answered once, and nothing of it comes back."""
    context = ssl.create_default_context()
    with socket.create_connection(("127.0.0.1", ports[0]), PATIENCE) as plain, pytest.raises(ssl.SSLError):
        context.wrap_socket(plain, server_hostname="localhost")
    for hello in (HELLO, HELLO + b"\r\n", HELLO[:2]):
        with Peer(ports[0]) as peer:
            peer.send(hello)
            assert peer.rest() == b"-ERR this is POP3 in clear, and TLS begins by STLS\r\n"


def test_a_browser_on_the_plain_port(ports: tuple[int, int]) -> None:
    """An HTTP request on the plain port is known for what it is, and ends; its words do not come back."""
    with Peer(ports[0]) as peer:
        peer.send(b"POST / HTTP/1.1\r\nHost: evil.example\r\nCookie: a=b\r\n\r\nUSER alice\r\n")
        said = peer.rest()
    assert said == b"-ERR this is POP3, not HTTP\r\n"


# Ends that are none


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("said", [b"DELE 1\r\n", b"DELE 1\r\nQUIT", b"DELE 1\r\nQUIT\r", b"DELE 1\r\nQUIT\n"])
def test_a_truncated_session_deletes_nothing(
    said: bytes, implicit: bool, pop: tuple[Server, Site], ports: tuple[int, int]
) -> None:
    """Who cuts the connection below TLS cannot make the server believe in a QUIT: nothing is removed."""
    server, site = pop
    before = len(server.events("session"))
    peer = _connect(ports, implicit, trusting(site.pem))
    peer.send(LOGIN)
    assert [peer.line(), peer.line()][1] == b"+OK logged in\r\n"
    peer.send(said)
    assert peer.line() == b"+OK deleted at QUIT\r\n"
    below = socket.socket(fileno=peer.socket.detach())
    below.shutdown(socket.SHUT_WR)  # as one in the middle can: TCP's end, without TLS's
    below.close()
    (session,) = server.wait_for("session", before + 1)[before:]
    assert session["deleted"] == 0
    assert len(stored(site.maildir())) == 1


def test_what_follows_the_end_of_tls_is_not_heard(pop: tuple[Server, Site], ports: tuple[int, int]) -> None:
    """Bytes in clear behind the end of TLS are no commands."""
    server, site = pop
    before = len(server.events("session"))
    peer = _connect(ports, False, trusting(site.pem))
    peer.send(LOGIN + b"DELE 1\r\n")
    assert [peer.line() for _ in range(3)][-1] == b"+OK deleted at QUIT\r\n"
    assert isinstance(peer.socket, ssl.SSLSocket)
    try:
        below = peer.socket.unwrap()
    except (OSError, ssl.SSLError):
        below = None  # the server may close at once, which is as good
        peer.socket.close()
    if below is not None:
        try:
            below.sendall(b"QUIT\r\n")
            assert below.recv(1000) == b""
        except ConnectionError:
            pass
        below.close()
    (session,) = server.wait_for("session", before + 1)[before:]
    assert session["deleted"] == 0
