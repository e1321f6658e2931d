"""Promise 11: no reusable password in clear, and none to be found out; on netguard-pop over real sockets."""

from __future__ import annotations

import hashlib
import poplib
import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

import pytest
from attrs import define, field

from netguard.wire import apop
from tests.popserver import (
    APOP_SECRET,
    PASSWORD_SECRET,
    PATIENCE,
    USER,
    Peer,
    Server,
    Site,
    assert_clean,
    serving,
    trusting,
)

WRONG = b"-ERR [AUTH] user unknown or secret wrong\r\n"
CLEARTEXT = b"-ERR [SYS/PERM] a password is taken only inside TLS\r\n"
MANY = 12


@pytest.fixture(scope="module")
def pop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Site]]:
    """A server for all the attacks of this file: what one of them breaks is broken for the next."""
    site = Site.make(tmp_path_factory.mktemp("site"), {"hello": b"Subject: hello\n\nhello\n"})
    with serving(*site.both_ports, "--max-per-peer", "500", cwd=site.folder) as server:
        yield server, site


@pytest.fixture
def plain(pop: tuple[Server, Site]) -> Iterator[int]:
    """The plain port; whatever was done there, the log is clean afterwards, and the server serves."""
    server, _ = pop
    port = server.ports(2)[0]
    yield port
    with Peer(port) as peer:
        assert peer.apop().startswith(b"+OK")
        assert peer.ask(b"QUIT") == b"+OK bye\r\n"
    assert_clean(server.log)


@pytest.fixture
def inside(pop: tuple[Server, Site], plain: int) -> Iterator[Peer]:
    """A client that is inside TLS."""
    server, site = pop
    with Peer(server.ports(2)[1], trusting(site.pem)) as peer:
        yield peer


# In clear


@pytest.mark.parametrize(
    "said",
    [
        f"USER {USER}\r\nPASS {PASSWORD_SECRET}\r\n",
        f"user {USER}\r\npass {PASSWORD_SECRET}\r\n",
        f"USER {USER}\r\nPASS {APOP_SECRET}\r\n",
        f"USER nobody\r\nPASS {PASSWORD_SECRET}\r\n",
        f"PASS {PASSWORD_SECRET}\r\nPASS {PASSWORD_SECRET}\r\n",
    ],
)
def test_a_password_in_clear_is_refused(said: str, plain: int) -> None:
    """Outside of TLS a right password is refused like a wrong one, at once, and the client stays where it was."""
    with Peer(plain) as peer:
        peer.send(said.encode())
        assert [peer.line(), peer.line()] == [CLEARTEXT] * 2
        assert peer.ask(b"STAT") == b"-ERR log in first\r\n"


def test_a_password_in_clear_is_not_asked_for(plain: int) -> None:
    """Outside of TLS USER is refused, so that no honest client goes on to PASS, and CAPA does not offer it."""
    with Peer(plain) as peer:
        assert peer.ask(f"USER {USER}".encode()) == CLEARTEXT
        peer.send(b"CAPA\r\nQUIT\r\n")
        offered = peer.rest().split(b"\r\n")
    assert b"STLS" in offered
    assert b"USER" not in offered
    assert [each for each in offered if each.startswith(b"SASL")] == [b"SASL SCRAM-SHA-256 OTP"]


def test_after_a_login_in_clear_too(plain: int) -> None:
    """Once logged in by APOP, a client is still not asked for a password."""
    with Peer(plain) as peer:
        assert peer.apop().startswith(b"+OK")
        assert peer.ask(f"USER {USER}".encode()).startswith(b"-ERR")
        assert peer.ask(f"PASS {PASSWORD_SECRET}".encode()).startswith(b"-ERR")
        peer.send(b"CAPA\r\nQUIT\r\n")
        assert b"\r\nUSER\r\n" not in peer.rest()


@define
class Wiretap:
    """Stands between a client and a server, and keeps every byte that passes.

    Args:
        target: the server's port.
    """

    target: int
    heard: bytearray = field(factory=bytearray)
    _listener: socket.socket = field(factory=lambda: socket.create_server(("127.0.0.1", 0)))
    _threads: list[Thread] = field(factory=list)

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Pass one connection on."""
        thread = Thread(target=self._pass_on, daemon=True)
        thread.start()
        yield
        thread.join(PATIENCE)
        assert not thread.is_alive()
        self._listener.close()

    def _pass_on(self) -> None:
        client, _ = self._listener.accept()
        with client, socket.create_connection(("127.0.0.1", self.target), PATIENCE) as server:
            back = Thread(target=self._copy, args=(server, client), daemon=True)
            back.start()
            self._copy(client, server)
            back.join(PATIENCE)

    def _copy(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65_536):
                self.heard += data
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


@pytest.mark.parametrize("how", ["apop", "stls", "tls"])
def test_who_listens_in_learns_nothing_to_use(how: str, pop: tuple[Server, Site], plain: int) -> None:
    """What passes on the wire in a login by a real client holds no secret; and an APOP digest works only once."""
    server, site = pop
    tap = Wiretap(server.ports(2)[how == "tls"])
    with tap.listening():
        if how == "tls":
            box: poplib.POP3 = poplib.POP3_SSL("localhost", tap.port, timeout=PATIENCE, context=trusting(site.pem))
        else:
            box = poplib.POP3("localhost", tap.port, timeout=PATIENCE)
        if how == "apop":
            box.apop(USER, APOP_SECRET)
        else:
            if how == "stls":
                box.stls(trusting(site.pem))
            box.user(USER)
            box.pass_(PASSWORD_SECRET)
        assert box.stat()[0] == 1
        box.quit()
    assert tap.heard
    for secret in (APOP_SECRET, PASSWORD_SECRET):
        assert secret.encode() not in tap.heard
    if how == "apop":
        (login,) = re.findall(rb"APOP [^\r]+", tap.heard)
        with Peer(plain) as thief:
            assert thief.ask(login) == WRONG


def test_timestamps_cannot_be_foreseen(plain: int) -> None:
    """Every greeting has another timestamp, of 128 random bits or more, in characters that all clients take."""
    stamps = set()
    for _ in range(100):
        with Peer(plain) as peer:
            (stamp,) = re.findall(rb"\A\+OK [^<>]*<([A-Za-z0-9._-]+@[A-Za-z0-9._-]+)>\r\n\Z", peer.greeting)
            stamps.add(stamp)
    assert len(stamps) == 100
    nonces = [bytes.fromhex(stamp.split(b"@")[0].decode()) for stamp in stamps]
    assert {len(nonce) for nonce in nonces} == {apop.NONCE_OCTETS}
    # Each of the 128 bits takes both values in 100 samples, or the randomness has failed at odds of 2**-92.
    bits = [int.from_bytes(nonce) for nonce in nonces]
    assert all(len({each >> at & 1 for each in bits}) == 2 for at in range(128))


def test_one_try_on_one_timestamp(plain: int) -> None:
    """After a wrong digest the right one is refused in that connection, so a timestamp serves one guess."""
    with Peer(plain) as peer:
        assert peer.apop(secret="a guess") == WRONG
        assert peer.apop() == b"-ERR APOP can be tried once in a connection\r\n"


@pytest.mark.parametrize("spoil", [str.upper, lambda digest: digest[:-1], lambda digest: digest + "0", lambda _: ""])
def test_digests_of_another_form(spoil: object, plain: int) -> None:
    """A digest in capitals, cut or extended is no digest, even if it is right."""
    with Peer(plain) as peer:
        stamp = peer.greeting[peer.greeting.index(b"<") : -2]
        digest = apop.digest(stamp, APOP_SECRET.encode()).decode()
        assert callable(spoil)
        assert peer.ask(f"APOP {USER} {spoil(digest)}".encode()).startswith(b"-ERR")
        assert peer.ask(b"STAT") == b"-ERR log in first\r\n"


# Found out by asking


def failed_login(port: int, site: Site, name: bytes, secret: bytes, *, tls: bool) -> tuple[bytes, float]:
    """Try to log in; returns all that was answered, and the seconds that the answer took."""
    with Peer(port, trusting(site.pem) if tls else None) as peer:
        if tls:
            assert peer.ask(b"USER " + name) == b"+OK and the password\r\n"
            said = b"PASS " + secret
        else:
            stamp = peer.greeting[peer.greeting.index(b"<") : -2]
            said = b"APOP " + name + b" " + apop.digest(stamp, secret)
        began = time.monotonic()
        answer = peer.ask(said)
        took = time.monotonic() - began
        return answer + peer.ask(b"NOOP"), took


@pytest.mark.parametrize("tls", [False, True])
def test_users_cannot_be_enumerated(tls: bool, pop: tuple[Server, Site], plain: int) -> None:
    """An unknown user gets the same bytes as a wrong secret, and neither an answer before the fixed two seconds."""
    server, site = pop
    port = server.ports(2)[tls]
    names = [USER.encode(), b"nobody", b"ALICE", "älice".encode(), b"\xff\xfe", b"%s%n%x", b"../alice", b"a" * 200]
    with ThreadPoolExecutor(len(names)) as pool:
        results = list(pool.map(lambda name: failed_login(port, site, name, b"wrong", tls=tls), names))
    assert {answer for answer, _ in results} == {WRONG + b"-ERR log in first\r\n"}
    assert min(took for _, took in results) >= 2


def test_guesses_in_one_connection_are_counted(inside: Peer) -> None:
    """After three wrong passwords the connection ends, and each was answered after two seconds only."""
    began = time.monotonic()
    for _ in range(3):
        inside.ask(f"USER {USER}".encode())
        assert inside.ask(b"PASS guess") == WRONG
    assert inside.gone()
    assert time.monotonic() - began >= 6


def test_many_guesses_do_not_keep_others_waiting(pop: tuple[Server, Site], plain: int) -> None:
    """While many guess in parallel, somebody with the right secret logs in without waiting for them."""
    server, site = pop
    tls = server.ports(2)[1]
    with ThreadPoolExecutor(MANY + 1) as pool:
        guesses = [pool.submit(failed_login, tls, site, b"nobody", b"guess", tls=True) for _ in range(MANY)]
        with Peer(plain) as peer:
            assert peer.apop().startswith(b"+OK")
            assert not all(guess.done() for guess in guesses)
            assert peer.ask(b"QUIT") == b"+OK bye\r\n"
        assert {guess.result()[0] for guess in guesses} == {WRONG + b"-ERR log in first\r\n"}


# Found in what is left lying about


def test_names_that_may_be_passwords(pop: tuple[Server, Site], inside: Peer) -> None:
    """A password typed where the name belongs is neither in the log nor in an answer; only a pseudonym is."""
    server, _ = pop
    slip = b"Slip-of-the-keyboard-77"
    assert slip not in inside.ask(b"USER " + slip)
    assert inside.ask(b"PASS again") == WRONG
    assert inside.ask(b"QUIT") == b"+OK bye\r\n"
    inside.socket.close()
    session = server.wait_for("session", denied=1, reason="quit")[-1]
    assert re.fullmatch("[0-9a-f]{16}", session["claimed"])
    assert_clean(server.log, slip.decode())


@pytest.mark.parametrize(
    "said",
    [
        b"PASS \x1b]0;gone\x07\xff\xfe\x00 tail",
        b"\x1b[2J" * 50,
        b"USER " + b"x" * 600,
        b"APOP " + b"\x9b" * 100 + b" " + b"0" * 32,
        b"USER \xe2\x80\xae" + PASSWORD_SECRET.encode()[::-1],
        b"USER a\rPASS b",
    ],
)
def test_nothing_is_reflected(said: bytes, inside: Peer) -> None:
    """Control bytes, overlong and misplaced words come back in no answer, and stand raw in no log."""
    inside.send(said + b"\r\nQUIT\r\n")
    answers = inside.rest()
    assert re.fullmatch(rb"([+-][ -~]*\r\n)+", answers)
    assert not any(word in answers for word in said.split() if len(word) > 4)


def test_no_secret_in_the_process_or_its_files(pop: tuple[Server, Site], plain: int) -> None:
    """The server's command line holds no secret, the accounts file no password, and nobody else may read that file."""
    server, site = pop
    shown = Path(f"/proc/{server.process.pid}/cmdline").read_bytes()
    assert APOP_SECRET.encode() not in shown
    assert PASSWORD_SECRET.encode() not in shown
    content = site.accounts.read_bytes()
    assert b"$argon2id$" in content
    assert PASSWORD_SECRET.encode() not in content
    for algorithm in ("md5", "sha1", "sha256"):
        assert hashlib.new(algorithm, PASSWORD_SECRET.encode()).hexdigest().encode() not in content
    assert [each for each in site.folder.glob("accounts*") if each.stat().st_mode & 0o077] == []
