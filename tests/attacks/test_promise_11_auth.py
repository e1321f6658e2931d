"""Promise 11: no reusable password in clear, and none to be found out; SASL of netguard-pop over real sockets."""

from __future__ import annotations

import base64
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import TYPE_CHECKING

import pytest
import trustme
from cryptography import x509
from OpenSSL import SSL

from netguard.accounts.credentials import begin_chain
from netguard.accounts.totp import Totp
from netguard.wire import otp, sasl_lines
from netguard.wire.scram_client import ScramClient, ServerRefused
from tests.popsasl import ENTERED, REFUSED, Bound, give, line, nonce, plain, scram, vouched_for
from tests.popserver import USER, Peer, Server, Site, assert_clean, serving, trusting

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORD = "pass Jd5 hN9 cB3 yG6"
PHRASE = "a phrase for one-time passwords"
SECRET = b"twenty octets secret"
CLEARTEXT = b"-ERR [SYS/PERM] a password is taken only inside TLS\r\n"
MALFORMED = b"-ERR malformed response\r\n"


@pytest.fixture(scope="module")
def pop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Site]]:
    """A server for all the attacks of this file: what one of them breaks is broken for the next."""
    site = Site.make(tmp_path_factory.mktemp("site"), {"hello": b"Subject: hello\n\nhello\n"})
    give(site.accounts, USER, PASSWORD)
    site.add_user("carol")
    give(site.accounts, "carol", PASSWORD, otp=begin_chain(PHRASE, 200).stored)
    site.add_user("dave")
    give(site.accounts, "dave", PASSWORD, totp=str(Totp(SECRET)))
    authority, stranger = trustme.CA(), trustme.CA()
    authority.cert_pem.write_to_path(str(site.folder / "ca.pem"))
    vouched_for(stranger, site.folder / "stranger.pem", x509.RFC822Name(USER))
    vouched_for(authority, site.folder / "two.pem", x509.RFC822Name(USER), x509.RFC822Name("carol"))
    options = ("--max-per-peer", "500", "--tls-ca", str(site.folder / "ca.pem"))
    with serving(*site.both_ports, *options, cwd=site.folder) as server:
        yield server, site


@pytest.fixture
def ports(pop: tuple[Server, Site]) -> Iterator[tuple[int, int]]:
    """The plain port and the one for TLS; whatever was done there, SASL works afterwards, and the log is clean."""
    server, _ = pop
    plain_port, tls = server.ports(2)
    yield plain_port, tls
    before = len(server.events("session"))
    with Peer(plain_port) as peer:
        assert scram(peer, ScramClient(USER, PASSWORD.encode(), nonce())) == ENTERED
        assert peer.ask(b"QUIT") == b"+OK bye\r\n"
    server.wait_for("session", before + 1)
    assert_clean(server.log, PASSWORD, PHRASE)


@pytest.fixture
def inside(pop: tuple[Server, Site], ports: tuple[int, int]) -> Iterator[Peer]:
    """A client inside TLS."""
    with Peer(ports[1], trusting(pop[1].pem)) as peer:
        yield peer


def timed(peer: Peer, command: bytes) -> tuple[bytes, float]:
    """An answer, and the seconds that it took."""
    began = time.monotonic()
    return peer.ask(command), time.monotonic() - began


# What is sent


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "OAUTHBEARER", "EXTERNAL", "SCRAM-SHA-256-PLUS", "CRAM-MD5"])
def test_in_clear_only_what_may_be_heard(mechanism: str, ports: tuple[int, int]) -> None:
    """What would give a secret away, and what needs TLS, is neither listed nor taken, whatever was sent with it."""
    with Peer(ports[0]) as peer:
        peer.send(b"CAPA\r\nAUTH\r\n")
        listed = [*iter(peer.line, b".\r\n"), *iter(peer.line, b".\r\n")]
        assert not any(mechanism.encode() in each.split() for each in listed)
        right = line(f"\0{USER}\0{PASSWORD}".encode())
        assert peer.ask(f"AUTH {mechanism} ".encode() + right).startswith(b"-ERR")
        assert peer.ask(b"STAT") == b"-ERR log in first\r\n"


def test_byte_by_byte(pop: tuple[Server, Site], ports: tuple[int, int]) -> None:
    """Each octet in a segment of its own is the same session."""
    with Peer(ports[1], trusting(pop[1].pem)) as peer:
        peer.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for octet in plain(USER, PASSWORD) + b"\r\n":
            peer.send(bytes([octet]))
        assert peer.line() == ENTERED


@pytest.mark.parametrize("behind", [b"NOOP\r\nSTAT\r\n", b"QUIT\r\n"])
def test_what_is_sent_ahead_is_a_response(behind: bytes, inside: Peer) -> None:
    """AUTH ends a pipeline: the line behind it is read as a response, never as a command."""
    inside.send(b"NOOP\r\nAUTH PLAIN\r\n" + behind)
    assert [inside.line() for _ in range(3)] == [b"-ERR log in first\r\n", b"+ \r\n", MALFORMED]


def test_a_whole_login_in_one_segment(inside: Peer) -> None:
    """A client that knows what will be asked may send all of it; the answers come in order."""
    response = line(f"\0{USER}\0{PASSWORD}".encode())
    inside.send(b"CAPA\r\nAUTH PLAIN\r\n" + response + b"\r\nSTAT\r\nAUTH PLAIN\r\nQUIT\r\n")
    said = inside.rest()
    assert said.endswith(b".\r\n+ \r\n" + ENTERED + b"+OK 1 25\r\n-ERR logged in already\r\n+OK bye\r\n")


@pytest.mark.parametrize("octets", [sasl_lines.MAX_LINE, 100_000, 5_000_000])
def test_endless_lines(octets: int, inside: Peer) -> None:
    """A response that is too long is the last thing that is heard; so is a command that brings one."""
    inside.send(b"AUTH PLAIN\r\n")
    assert inside.line() == b"+ \r\n"
    try:
        inside.send(b"A" * octets)
        said = inside.rest()
    except OSError:  # it was closed in the middle of what we sent, and the answer with it
        said = b""
    assert said in (b"-ERR line too long\r\n", b"")


def test_an_initial_response_is_within_a_command(inside: Peer) -> None:
    """RFC 5034, section 4: who has more to say waits to be asked."""
    inside.send(b"AUTH PLAIN " + b"A" * 600 + b"\r\n")
    assert inside.rest() == b"-ERR line too long\r\n"


@pytest.mark.parametrize("lines", [b"AUTH PLAIN\r\n*\r\n", b"AUTH SCRAM-SHA-256\r\n*\r\n", b"AUTH GSSAPI\r\n"])
def test_beginning_and_giving_up_for_ever(lines: bytes, pop: tuple[Server, Site], inside: Peer) -> None:
    """It ends after ten times, and the log says why."""
    before = len(pop[0].events("session"))
    inside.send(lines * 1000)
    said = inside.rest()
    assert said.endswith(b"-ERR too many AUTH commands\r\n")
    assert said.count(b"-ERR") == 11
    inside.socket.close()
    pop[0].wait_for("session", before + 1)
    assert pop[0].events("session")[before]["reason"] == "too many AUTH commands"


def test_garbage_for_base64(pop: tuple[Server, Site], ports: tuple[int, int]) -> None:
    """Whatever comes in the middle of an exchange, the answers are ours, and nothing of it comes back."""
    random = Random(11)  # noqa: S311 - the same each time
    for number in range(60):
        mechanism = random.choice([b"PLAIN", b"SCRAM-SHA-256", b"OTP"])
        junk = random.choice([random.randbytes, lambda size: line(random.randbytes(size))])(random.randrange(1, 300))
        with Peer(ports[1], trusting(pop[1].pem)) as peer:
            peer.send(b"AUTH " + mechanism + b"\r\n" + junk.replace(b"\r\n", b"") + b"\r\nQUIT\r\nQUIT\r\n")
            said = peer.rest()
        assert re.fullmatch(rb"(\+ ?[A-Za-z0-9+/=]*\r\n|\+OK bye\r\n|-ERR [ -~]+\r\n)+", said), (number, junk, said)
        assert b"logged in\r\n" not in said


def test_disconnects_in_the_middle(pop: tuple[Server, Site], ports: tuple[int, int]) -> None:
    """At each line of each exchange; other logins are not disturbed (CVE-2019-11494, CVE-2025-59028)."""
    before = len(pop[0].events("session"))
    lines = [b"AUTH OTP", line(b"\0carol"), line(b"hex:0000000000000000")]
    for end in range(1, 4):
        for tail in (b"", b"A", b"\r\n"):
            with Peer(ports[0]) as peer:
                peer.send(b"\r\n".join(lines[:end]) + tail)
    pop[0].wait_for("session", before + 9)
    assert pop[0].events("error") == []


# What is proved


@pytest.mark.parametrize("name", [USER, "nobody"])
def test_a_wrong_password_costs_the_same_for_nobody(name: str, ports: tuple[int, int]) -> None:
    """SCRAM goes to its end for both, with the same iterations, and both are told at the same moment."""
    with Peer(ports[0]) as peer:
        client = ScramClient(name, b"wrong", nonce())
        challenge = peer.ask(b"AUTH SCRAM-SHA-256 " + line(client.first))
        first = base64.b64decode(challenge[2:])
        assert re.fullmatch(rb"r=.+,s=[A-Za-z0-9+/]{22}==,i=4096", first)
        said, seconds = timed(peer, line(client.receive(first)))
    assert said == REFUSED
    assert seconds > 1.9


def test_the_salt_of_nobody_stays(ports: tuple[int, int]) -> None:
    """Who asks twice gets the same twice, and another one for another name."""
    salts = []
    for name in ("nobody", "nobody", "noone", USER, USER):
        with Peer(ports[0]) as peer:
            said = peer.ask(b"AUTH SCRAM-SHA-256 " + line(ScramClient(name, b"x", nonce()).first))
            salts.append(base64.b64decode(said[2:]).split(b",")[1])
    assert (salts[0], salts[3]) == (salts[1], salts[4])
    assert len(set(salts)) == 3


def test_a_proof_is_good_for_one_exchange(ports: tuple[int, int]) -> None:
    """What was overheard of one login is of no use in another one, nor in the same connection."""
    first = ScramClient(USER, PASSWORD.encode(), b"overheard")
    with Peer(ports[0]) as peer:
        challenge = peer.ask(b"AUTH SCRAM-SHA-256 " + line(first.first))
        proof = line(first.receive(base64.b64decode(challenge[2:])))
        assert peer.ask(b"*") == b"-ERR cancelled\r\n"
        assert peer.ask(b"AUTH SCRAM-SHA-256 " + line(first.first)).startswith(b"+ ")
        assert peer.ask(proof) == MALFORMED
    with Peer(ports[0]) as peer:
        assert peer.ask(b"AUTH SCRAM-SHA-256 " + line(first.first)).startswith(b"+ ")
        assert peer.ask(proof) == MALFORMED


def test_who_is_in_the_middle_cannot_bind(pop: tuple[Server, Site], ports: tuple[int, int]) -> None:
    """A proof that was made for one TLS connection is refused in another, and the log tells that it came."""
    server, _ = pop
    before = len(server.events("malformed"))
    with Bound(ports[1]) as victim, Bound(ports[1]) as attacker:
        client = ScramClient(USER, PASSWORD.encode(), nonce(), binding=victim.exporter)
        said = scram(attacker, client, "SCRAM-SHA-256-PLUS")
    assert said == b"-ERR [SYS/PERM] channel binding does not match\r\n"
    assert server.wait_for("malformed", before + 1)[-1]["problem"] == "channel binding does not match"


def test_who_hides_plus_is_found(pop: tuple[Server, Site], inside: Peer) -> None:
    """A client that could have bound, and was not shown -PLUS, is told that somebody is in between."""
    server, _ = pop
    before = len(server.events("malformed"))
    said = inside.ask(b"AUTH SCRAM-SHA-256 " + line(ScramClient(USER, b"x", nonce(), can_bind=True).first))
    assert said == b"-ERR [SYS/PERM] SCRAM downgrade: the client was not shown -PLUS\r\n"
    assert "downgrade" in server.wait_for("malformed", before + 1)[-1]["problem"]


def test_without_tls_nothing_was_hidden(ports: tuple[int, int]) -> None:
    """The same client is right in clear, where there is nothing to bind to."""
    with Peer(ports[0]) as peer:
        assert scram(peer, ScramClient(USER, PASSWORD.encode(), nonce(), can_bind=True)) == ENTERED


@pytest.mark.parametrize("binding", ["tls-unique", "tls-exporter"])
def test_a_binding_that_the_connection_has_not(binding: str, ports: tuple[int, int]) -> None:
    """In TLS 1.2 there is the certificate alone."""
    with Bound(ports[1], SSL.TLS1_2_VERSION) as peer:
        client = ScramClient(USER, PASSWORD.encode(), nonce(), binding=(binding, bytes(32)))
        assert scram(peer, client, "SCRAM-SHA-256-PLUS") == b"-ERR [SYS/PERM] unsupported channel binding\r\n"


def test_a_server_that_cannot_prove_itself_is_no_server() -> None:
    """The client's side: whoever only plays the server is found out before anything else is said."""
    client = ScramClient(USER, b"x", b"n")
    client.receive(b"r=n123,s=c2FsdHNhbHQ=,i=4096")
    with pytest.raises(ServerRefused):
        client.receive(b"v=" + base64.b64encode(bytes(32)))


@pytest.mark.parametrize("authzid", ["carol", "root", "*"])
def test_nobody_acts_as_somebody_else(authzid: str, inside: Peer) -> None:
    """An authorisation identity is one's own or none; of that, only the right password hears, as of a wrong one."""
    assert inside.ask(plain(USER, PASSWORD, authzid)) == REFUSED
    client = ScramClient(USER, PASSWORD.encode(), nonce(), authzid=authzid)
    assert scram(inside, client) == REFUSED


def test_what_nobody_vouches_for_is_no_certificate(pop: tuple[Server, Site], ports: tuple[int, int]) -> None:
    """One of another authority ends the handshake; one that names two users names nobody, unless it is said which."""
    stranger = pop[1].folder / "stranger.pem"
    with pytest.raises((SSL.Error, AssertionError)):
        Bound(ports[1], SSL.TLS1_2_VERSION, shown=stranger)
    with Bound(ports[1], shown=pop[1].folder / "two.pem") as peer:
        assert peer.ask(b"AUTH EXTERNAL =") == REFUSED
        assert peer.ask(b"AUTH EXTERNAL " + line(b"dave")) == REFUSED
        assert peer.ask(b"AUTH EXTERNAL " + line(b"carol")) == ENTERED
    with Bound(ports[1]) as peer:
        assert peer.ask(b"AUTH EXTERNAL =") == b"-ERR this mechanism is not offered here\r\n"


def test_guesses_are_counted_whatever_brings_them(inside: Peer) -> None:
    """Three in a connection, of all mechanisms together."""
    assert inside.ask(plain(USER, "x")) == REFUSED
    inside.send(f"USER {USER}\r\nPASS y\r\n".encode())
    assert [inside.line(), inside.line()] == [b"+OK and the password\r\n", REFUSED]
    assert scram(inside, ScramClient("nobody", b"z", nonce())) == REFUSED
    assert inside.gone()


# What can be used once


def simultaneously(pop: tuple[Server, Site], name: str, secrets: list[str]) -> list[bytes]:
    """The answers to logins with USER and PASS whose passwords are sent at one moment."""
    server, site = pop
    peers = [Peer(server.ports(2)[1], trusting(site.pem)) for _ in secrets]
    try:
        for peer in peers:
            assert peer.ask(f"USER {name}".encode()).startswith(b"+OK")
        for peer, secret in zip(peers, secrets, strict=True):
            peer.send(f"PASS {secret}\r\n".encode())
        with ThreadPoolExecutor(len(peers)) as pool:
            return sorted(pool.map(Peer.line, peers))
    finally:
        for peer in peers:
            peer.socket.close()


def next_password(ports: tuple[int, int]) -> bytes:
    """What carol is asked for."""
    with Peer(ports[0]) as peer:
        asked = base64.b64decode(peer.ask(b"AUTH OTP " + line(b"\0carol"))[2:]).decode().split()
    return otp.generate("sha1", PHRASE.encode(), asked[2], int(asked[1]))


def test_a_one_time_password_is_used_once(pop: tuple[Server, Site], ports: tuple[int, int]) -> None:
    """Of four that bring it to PASS at one moment, one is let in; then it is a wrong one by SASL, too."""
    password = next_password(ports)
    answers = simultaneously(pop, "carol", [otp.to_words(password), otp.to_hex(password)] * 2)
    assert answers == [ENTERED] + [REFUSED] * 3
    with Peer(ports[0]) as peer:
        peer.ask(b"AUTH OTP " + line(b"\0carol"))
        assert peer.ask(line(b"hex:" + password.hex().encode())) == REFUSED
    assert next_password(ports) != password


def test_two_exchanges_at_once_share_one_password(ports: tuple[int, int]) -> None:
    """Both were asked for the same (RFC 2289, section 9: a race); the first to answer has it."""
    password = next_password(ports)
    with Peer(ports[0]) as one, Peer(ports[0]) as two:
        for peer in (one, two):
            assert peer.ask(b"AUTH OTP " + line(b"\0carol")).startswith(b"+ ")
        said = line(b"hex:" + password.hex().encode())
        assert [one.ask(said), two.ask(said)] == [ENTERED, REFUSED]


def test_a_code_of_an_app_is_used_once(pop: tuple[Server, Site], ports: tuple[int, int]) -> None:
    """Behind the password, whatever mechanism brings it; without it the password is none."""
    code = _code()
    answers = simultaneously(pop, "dave", [PASSWORD + code] * 3)
    assert answers == [ENTERED] + [REFUSED] * 2
    with Peer(ports[1], trusting(pop[1].pem)) as peer:
        assert peer.ask(plain("dave", PASSWORD + code)) == REFUSED
        assert peer.ask(plain("dave", PASSWORD)) == REFUSED
        assert scram(peer, ScramClient("dave", PASSWORD.encode(), nonce())) == REFUSED


def _code() -> str:
    """A code that is right now and for the next seconds."""
    from cryptography.hazmat.primitives.hashes import SHA1
    from cryptography.hazmat.primitives.twofactor.totp import TOTP

    return TOTP(SECRET, 6, SHA1(), 30).generate(int(time.time())).decode()  # noqa: S303 - what every app does


def test_what_was_used_stays_used(tmp_path_factory: pytest.TempPathFactory) -> None:
    """A server that is killed right behind its +OK knows afterwards that the password was used."""
    site = Site.make(tmp_path_factory.mktemp("site"), {})
    chain = begin_chain(PHRASE, 9)
    give(site.accounts, USER, PASSWORD, otp=chain.stored)
    words = [words for _, words in chain.passwords]
    for number, used in enumerate(words[:2]):
        server = Server.start(*site.both_ports, cwd=site.folder)
        try:
            with Peer(server.ports(2)[1], trusting(site.pem)) as peer:
                for old in words[:number]:
                    peer.send(f"USER {USER}\r\nPASS {old}\r\n".encode())
                    assert [peer.line(), peer.line()][1] == REFUSED
                peer.send(f"USER {USER}\r\nPASS {used}\r\n".encode())
                assert [peer.line(), peer.line()][1] == ENTERED
        finally:
            server.process.kill()
            server.process.wait()
            server.out.wait(lambda _, out=server.out: out.ended)  # type: ignore[misc]


# Before TLS


@pytest.mark.parametrize("name", [b"PLAIN", b"SCRAM-SHA-256", b"OTP"])
def test_an_exchange_does_not_go_over_the_switch(name: bytes, pop: tuple[Server, Site], ports: tuple[int, int]) -> None:
    """STLS inside an exchange is a response and no command; what is begun in clear is over inside TLS."""
    with Peer(ports[0]) as peer:
        said = peer.ask(b"AUTH " + name)
        if said.startswith(b"+ "):
            assert peer.ask(b"STLS") == MALFORMED
        else:
            assert said == CLEARTEXT
        assert peer.ask(b"STLS").startswith(b"+OK")
        peer.start_tls(trusting(pop[1].pem))
        assert peer.ask(line(f"\0{USER}\0{PASSWORD}".encode())) == b"-ERR unknown command\r\n"
        assert peer.ask(plain(USER, PASSWORD)) == ENTERED


@pytest.mark.parametrize(
    "injected", [plain("carol", PASSWORD), b"AUTH PLAIN", b"AUTH OTP " + line(b"\0carol"), b"AUTH"]
)
def test_what_was_put_behind_stls_logs_nobody_in(
    injected: bytes, pop: tuple[Server, Site], ports: tuple[int, int]
) -> None:
    """It is an attack, and the end."""
    before = len(pop[0].events("malformed"))
    with Peer(ports[0]) as peer:
        peer.send(b"STLS\r\n" + injected + b"\r\n")
        assert peer.rest() == b""
    assert pop[0].wait_for("malformed", before + 1)[-1]["problem"] == "data behind STLS"


def test_other_names_of_the_server_bind_as_well(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Where a name brings another certificate (SNI), that one is bound to, and not the first."""
    site = Site.make(tmp_path_factory.mktemp("site"), {})
    give(site.accounts, USER, PASSWORD)
    other = site.folder / "other.pem"
    trustme.CA().issue_cert("other.example").private_key_and_cert_chain_pem.write_to_path(str(other))
    other.chmod(0o600)
    with serving(*site.both_ports, "--tls", str(other), cwd=site.folder) as server:
        port = server.ports(2)[1]
        for name in ("localhost", "other.example"):
            with Bound(port, SSL.TLS1_2_VERSION, name=name) as peer:
                client = ScramClient(USER, PASSWORD.encode(), nonce(), binding=peer.end_point)
                assert scram(peer, client, "SCRAM-SHA-256-PLUS") == ENTERED
