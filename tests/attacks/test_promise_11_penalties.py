"""Promise 11: who guesses passwords is refused for a while, and nobody else is; on netguard-pop over real sockets."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from netguard.wire.scram_client import ScramClient
from tests.popsasl import nonce, plain, scram
from tests.popserver import PASSWORD_SECRET, PATIENCE, USER, Peer, Server, Site, serving, trusting

WRONG = b"-ERR [AUTH] user unknown or secret wrong\r\n"
TOO_MANY = 11
"""So many failed logins are more than netguard-pop tolerates by default."""


@pytest.fixture(scope="module")
def pop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Site]]:
    """A server with netguard-pop's own penalties; each test comes from addresses of its own."""
    site = Site.make(tmp_path_factory.mktemp("site"), {"hello": b"Subject: hello\n\nhello\n"})
    with serving(*site.both_ports, "--max-per-peer", "500", cwd=site.folder) as server:
        yield server, site


def guess(pop: tuple[Server, Site], source: str, passwords: list[str], user: str = USER) -> list[bytes]:
    """Try passwords, each in a connection of its own, all at once; answers what was answered."""
    server, site = pop
    port = server.ports(2)[1]

    def one(password: str) -> bytes:
        with Peer(port, trusting(site.pem), source) as peer:
            peer.ask(f"USER {user}".encode())
            return peer.ask(f"PASS {password}".encode())

    with ThreadPoolExecutor(len(passwords)) as pool:
        return list(pool.map(one, passwords))


def refused(port: int, source: str) -> bool:
    """Whether nobody who comes from there is let in: the connection ends without a word."""
    try:
        with socket.create_connection(("127.0.0.1", port), PATIENCE, (source, 0)) as peer:
            return peer.recv(1) == b""
    except ConnectionResetError:  # where TLS is around the guards; it may come while we still connect
        return True


def told(server: Server, name: str, source: str) -> dict[str, Any]:
    """The one event of that name about that address, once it is there."""
    about: dict[str, Any] = {"client.address": source}
    (event,) = server.wait_for(name, **about)
    return event


def logs_in(pop: tuple[Server, Site], source: str) -> bool:
    """Whether the right password opens the mailbox, from there."""
    return guess(pop, source, [PASSWORD_SECRET]) == [b"+OK logged in\r\n"]


def test_who_guesses_is_refused_and_the_user_is_not(pop: tuple[Server, Site]) -> None:
    """Guesses from one address end at the door, on every port; the same user logs in from another meanwhile."""
    server, _ = pop
    answers = guess(pop, "127.0.0.2", [f"guess {each}" for each in range(TOO_MANY)])
    assert set(answers) == {WRONG}
    assert all(refused(port, "127.0.0.2") for port in server.ports(2))
    assert logs_in(pop, "127.0.0.3")
    assert logs_in(pop, "127.0.0.1")
    event = told(server, "penalised", "127.0.0.2")
    assert (event["kinds"], event["duration"], event["times"]) == ("failed-login", 60, 1)
    event = server.wait_for("refused", 2)[0]
    assert event["client.address"] == "127.0.0.2"
    assert (event["guard"], event["option"], event["limit"]) == ("Penalties", "penalty", "10/10m")
    assert "guess" not in server.log


def test_a_mail_program_with_an_old_password_is_not_penalised(pop: tuple[Server, Site]) -> None:
    """However often it tries the same one; from the same address, others log in."""
    server, _ = pop
    for _ in range(2):
        assert set(guess(pop, "127.0.0.4", ["the old one"] * TOO_MANY)) == {WRONG}
    assert not [each for each in server.events("penalised") if each["client.address"] == "127.0.0.4"]
    assert logs_in(pop, "127.0.0.4")


def test_trying_one_password_on_many_users_is_guessing(pop: tuple[Server, Site]) -> None:
    """The same password for another name is another guess; that the names are unknown changes nothing."""
    server, site = pop
    port = server.ports(2)[1]

    def one(name: str) -> bytes:
        with Peer(port, trusting(site.pem), "127.0.0.5") as peer:
            peer.ask(f"USER {name}".encode())
            return peer.ask(b"PASS Password1")

    with ThreadPoolExecutor(TOO_MANY) as pool:
        assert set(pool.map(one, [f"user{each}" for each in range(TOO_MANY)])) == {WRONG}
    assert refused(port, "127.0.0.5")


def test_guessing_without_waiting_for_the_answer_is_guessing(pop: tuple[Server, Site]) -> None:
    """A right password is answered at once, so who hears nothing soon could hang up, and know."""
    server, site = pop
    port = server.ports(2)[1]
    for each in range(TOO_MANY):
        with Peer(port, trusting(site.pem), "127.0.0.6") as peer:
            peer.send(f"USER {USER}\r\nPASS guess {each}\r\n".encode())
            assert peer.line() == b"+OK and the password\r\n"
    told(server, "penalised", "127.0.0.6")
    assert refused(port, "127.0.0.6")


def test_garbage_is_a_misdeed_too(pop: tuple[Server, Site]) -> None:
    """Less than a guess, for honest clients try commands that may not be there; but there is an end to it."""
    server, _ = pop
    plain, _ = server.ports(2)
    for _ in range(16):
        with Peer(plain, None, "127.0.0.7") as peer:
            peer.send(b"\x00\xff\r\n" * 3)
            assert peer.rest().count(b"-ERR") == 3
    assert not refused(plain, "127.0.0.7")
    for _ in range(2):
        with Peer(plain, None, "127.0.0.7") as peer:
            peer.send(b"\x00\xff\r\n" * 3)
            peer.rest()
    assert refused(plain, "127.0.0.7")
    assert told(server, "penalised", "127.0.0.7")["kinds"] == "malformed"


def test_a_refusal_is_told_in_pop3(tmp_path_factory: pytest.TempPathFactory) -> None:
    """With a text of the operator's: a mail program shows it, and knows that it is not for ever."""
    site = Site.make(tmp_path_factory.mktemp("told"))
    options = ("--penalty", "1/10m", "--refusal", "text:too many mistakes from your address")
    with serving(*site.both_ports, *options, cwd=site.folder) as server:
        guess((server, site), "127.0.0.2", ["guess 1", "guess 2"])
        with Peer(server.ports(2)[0], None, "127.0.0.2") as peer:
            assert peer.greeting == b"-ERR [SYS/TEMP] too many mistakes from your address\r\n"
            assert peer.gone()
        with Peer(server.ports(2)[0], None, "127.0.0.3") as peer:
            assert peer.greeting.startswith(b"+OK")


def test_guesses_by_sasl_are_guesses(pop: tuple[Server, Site]) -> None:
    """Each proof of SCRAM, and each password that PLAIN brings; an old password is one guess, whatever brings it."""
    server, site = pop
    clear, tls = server.ports(2)

    def prove(number: int) -> bytes:
        with Peer(clear, source="127.0.7.1") as peer:
            return scram(peer, ScramClient(USER, f"guess {number}".encode(), nonce()))

    def send(source: str, password: str) -> bytes:
        with Peer(tls, trusting(site.pem), source) as peer:
            return peer.ask(plain(USER, password))

    with ThreadPoolExecutor(TOO_MANY) as pool:
        assert set(pool.map(prove, range(TOO_MANY))) == {WRONG}
        different = [f"guess {number}" for number in range(TOO_MANY)]
        assert set(pool.map(send, ["127.0.7.2"] * TOO_MANY, different)) == {WRONG}
        assert set(pool.map(send, ["127.0.7.3"] * TOO_MANY, ["old"] * TOO_MANY)) == {WRONG}
    assert guess(pop, "127.0.7.3", ["old"] * 3) == [WRONG] * 3
    for source in ("127.0.7.1", "127.0.7.2"):
        assert told(server, "penalised", source)["kinds"] == "failed-login"
        assert refused(clear, source)
    assert not refused(clear, "127.0.7.3")
