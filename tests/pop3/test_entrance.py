"""The logins of one connection: when a refusal may be known, and who hears of it."""

from __future__ import annotations

import base64
import hmac
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netguard.guards.login_timeout import LoginTimeout
from netguard.pop3.entrance import seconds_left
from netguard.testing import connect
from netguard.wire import otp, sasl, scram
from netguard.wire.scram_client import ScramClient

if TYPE_CHECKING:
    from netguard.guard import Misdeed
    from tests.pop3.doubles import Client, World

REFUSED = b"-ERR [AUTH] user unknown or secret wrong\r\n"
ENTERED = b"+OK logged in\r\n"


def plain(name: str, password: str) -> bytes:
    """The command that logs in by PLAIN."""
    return b"AUTH PLAIN " + base64.b64encode(f"\0{name}\0{password}".encode())


def line_of(message: str) -> bytes:
    """A message of SASL as it travels."""
    return base64.b64encode(message.encode())


def respond(client: Client, challenge: bytes, login: ScramClient) -> bytes:
    """Answer one challenge."""
    return client.say(base64.b64encode(login.receive(base64.b64decode(challenge[2:]))))


def scram_login(client: Client, name: str, password: bytes) -> bytes:
    """Log in by SCRAM; returns the last answer."""
    login = ScramClient(name, password, b"fyko+d2lbbFgONRv9qkxdawL")
    said = client.say(b"AUTH SCRAM-SHA-256 " + base64.b64encode(login.first))
    while said.startswith(b"+ "):
        said = respond(client, said, login)
    return said


@pytest.mark.parametrize(
    ("elapsed", "period", "left"),
    [(0.0, 2.0, 2.0), (0.5, 2.0, 1.5), (2.0, 2.0, 2.0), (2.5, 2.0, 1.5), (7.0, 2.0, 1.0), (3.0, 0.0, 0.0)],
)
def test_seconds_left(elapsed: float, period: float, left: float) -> None:
    """A failure is answered at the next multiple of the period; with none, at once."""
    assert seconds_left(elapsed, period) == pytest.approx(left)


# Who is right


def test_plain_inside_tls(world: World) -> None:
    """One line, one answer; the record says how."""
    client = world.connect(secure=True)
    assert client.say(plain("alice", "wonder land")) == ENTERED
    assert (client.session.record.user, client.session.record.mechanism) == ("alice", "plain")
    assert world.opener.opened == ["alice"]


def test_scram_in_clear(world: World) -> None:
    """The server proves itself, too, before the last answer."""
    client = world.connect()
    assert scram_login(client, "alice", b"wonder land") == ENTERED
    assert client.session.record.mechanism == "scram-sha-256"


def test_otp(world: World) -> None:
    """What is answered is spent before the answer."""
    client = world.connect()
    assert client.say(b"AUTH OTP " + base64.b64encode(b"\0alice")) == (
        b"+ " + base64.b64encode(b"otp-sha1 99 seed1 ext") + b"\r\n"
    )
    words = otp.to_words(otp.generate("sha1", b"a pass phrase", "seed1", 99))
    assert client.say(base64.b64encode(b"word:" + words.encode())) == ENTERED
    assert world.accounts.chains["alice"].sequence == 99


def test_cram_md5_for_who_asks_for_it(world: World) -> None:
    """It is off unless it is named."""
    assert world.connect().say(b"AUTH CRAM-MD5").startswith(b"-ERR this mechanism is not offered")
    world.terms = {"mechanisms": ("CRAM-MD5",)}
    client = world.connect()
    challenge = base64.b64decode(client.say(b"AUTH CRAM-MD5")[2:])
    assert challenge.endswith(b"@mail.example>")
    digest = hmac.digest(b"wonder land", challenge, "md5").hex().encode()
    assert client.say(base64.b64encode(b"alice " + digest)) == ENTERED


def test_bearer_token(world: World) -> None:
    """A wrong one is told in JSON first (RFC 7628); the client answers, and then it is refused."""
    message = "n,a={},\x01auth=Bearer {}\x01\x01"
    client = world.connect(secure=True)
    right = base64.b64encode(message.format("alice", "token-of-alice").encode())
    assert client.say(b"AUTH OAUTHBEARER " + right) == ENTERED
    client = world.connect(secure=True)
    wrong = base64.b64encode(message.format("alice", "token-of-bob").encode())
    assert client.say(b"AUTH OAUTHBEARER " + wrong) == b""
    assert b"invalid_token" in base64.b64decode(client.wait(2)[2:])
    assert client.say(b"AQ==") == b""
    assert client.wait(2) == REFUSED


def test_a_certificate(world: World) -> None:
    """Whose it is, the accounts are asked; with a name, it must be that one."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(x509.Name([]), x509.Name([]), key.public_key(), 1, now, now + timedelta(1))
    names = x509.SubjectAlternativeName([x509.RFC822Name("alice"), x509.RFC822Name("stranger")])
    alice = made.add_extension(names, critical=True).sign(key, SHA256())
    world.terms = {"certificate_of": lambda _: alice}
    assert world.connect(secure=True).say(b"AUTH EXTERNAL =") == ENTERED
    world.mailbox.release()
    assert world.connect(secure=True).say(b"AUTH EXTERNAL", b"YWxpY2U=") == b"+ \r\n" + ENTERED
    client = world.connect(secure=True)
    assert client.say(b"AUTH EXTERNAL " + base64.b64encode(b"bob")) == b""
    assert client.wait(2) == REFUSED


# Who is wrong


@pytest.mark.parametrize("name", ["alice", "nobody", "../alice", "a" * 200])
def test_failures_of_plain_are_alike(world: World, name: str) -> None:
    """The same text, at the same moment, after one question."""
    client = world.connect(secure=True)
    assert client.say(plain(name, "wrong")) == b""
    assert client.wait(1.999) == b""
    assert client.wait(0.001) == REFUSED
    assert len(world.accounts.questions) == 1
    assert world.opener.opened == []


@pytest.mark.parametrize("name", ["alice", "nobody"])
def test_failures_of_scram_are_alike(world: World, name: str) -> None:
    """Both get a salt and a number of iterations, both fail at the end, and both wait from there."""
    client = world.connect()
    login = ScramClient(name, b"wrong", b"fyko+d2lbbFgONRv9qkxdawL")
    challenge = client.say(b"AUTH SCRAM-SHA-256 " + base64.b64encode(login.first))
    assert base64.b64decode(challenge[2:]).endswith(b",i=4096")
    assert client.wait(1.5) == b""
    assert respond(client, challenge, login) == b""
    assert client.wait(1.999) == b""
    assert client.wait(0.001) == REFUSED


def test_a_slow_check_is_answered_at_the_next_multiple(world: World) -> None:
    """Counted from the line that was answered wrong, all questions included."""
    world.held.slow = True
    client = world.connect(secure=True)
    client.say(plain("nobody", "x"))
    client.wait(2.7)
    world.held.go()
    assert client.wait(1.29) == b""
    assert client.wait(0.02) == REFUSED


def test_an_account_that_has_gone_meanwhile(world: World) -> None:
    """Between the proof and the mailbox."""
    world.held.slow = True
    client = world.connect(secure=True)
    client.say(plain("bob", "builder"))
    del world.accounts.secrets[b"bob"]
    world.held.go_all()
    assert client.wait(2) == REFUSED


def test_accounts_that_cannot_be_asked(world: World) -> None:
    """Trouble is told as such, at the moment of any failure; the exchange is over, and the session goes on."""
    world.accounts.failure = ConnectionError("disk gone")
    client = world.connect(secure=True)
    assert client.say(plain("alice", "wonder land")) == b""
    assert client.wait(2) == b"-ERR [SYS/TEMP] out of order, try again later\r\n"
    world.accounts.failure = None
    assert client.say(plain("alice", "wonder land")) == ENTERED


def test_a_failed_login_swallows_nothing(world: World) -> None:
    """What came behind it is obeyed after it."""
    client = world.connect(secure=True)
    client.say(plain("alice", "x"), b"NOOP", plain("alice", "wonder land"), b"STAT")
    assert client.wait(2) == REFUSED + b"-ERR log in first\r\n" + ENTERED + b"+OK 3 350\r\n"


def test_failed_logins_are_bounded(world: World) -> None:
    """Of all kinds together."""
    client = world.connect(secure=True)
    for command in ([plain("alice", "x")], [b"USER alice", b"PASS x"]):
        client.say(*command)
        assert client.wait(2).endswith(REFUSED)
    assert scram_login(client, "alice", b"x") == b""
    assert client.wait(2) == REFUSED
    assert client.wire.disconnecting
    assert client.session.record.denied == 3


def test_a_mailbox_in_use(world: World) -> None:
    """Is told at once, and is no failure of the client's."""
    world.opener.in_use.add("alice")
    client = world.connect(secure=True)
    for _ in range(5):
        assert client.say(plain("alice", "wonder land")).startswith(b"-ERR [IN-USE]")


# What guards are told


@pytest.mark.parametrize(
    ("secure", "commands", "misdeeds"),
    [
        (True, [plain("alice", "x")], ["failed-login"]),
        (True, [plain("alice", "wonder land")], []),
        (True, [b"AUTH PLAIN", b"*"], []),
        (True, [b"AUTH NTLM"], []),
        (True, [b"AUTH OAUTHBEARER " + line_of("n,,\x01auth=Bearer x\x01\x01"), b"*"], ["failed-login"]),
        (True, [b"AUTH PLAIN", b"!"], ["malformed"]),
        (False, [plain("alice", "x")], []),
    ],
)
def test_misdeeds(world: World, secure: bool, commands: list[bytes], misdeeds: list[str]) -> None:
    """A guess counts as one by USER and PASS does; what a client only does not know is none."""
    told: list[Misdeed] = []
    factory = LoginTimeout("1h").wrap(world.factory(), world.clock)
    factory.service.when_misdeed(lambda _, each: told.append(each))
    peer = connect(factory)
    assert peer.transport is not None
    if secure:
        peer.transport.startTLS(None)
    peer.feed(b"".join(command + b"\r\n" for command in commands))
    peer.advance(2.1)
    assert [each.kind for each in told] == misdeeds


def test_the_same_secret_is_the_same_misdeed_whatever_brings_it(world: World) -> None:
    """A mail program that tries PLAIN, then USER and PASS, with an old password, has guessed once."""
    told: list[Misdeed] = []
    factory = LoginTimeout("1h").wrap(world.factory(), world.clock)
    factory.service.when_misdeed(lambda _, each: told.append(each))
    peer = connect(factory)
    assert peer.transport is not None
    peer.transport.startTLS(None)
    peer.feed(plain("alice", "old") + b"\r\n")
    peer.advance(2.1)
    peer.feed(b"USER alice\r\nPASS old\r\n")
    peer.advance(2.1)
    assert told[0].once == told[1].once is not None


# Who goes away


@pytest.mark.parametrize("steps", range(4))
def test_a_client_that_goes_away(world: World, steps: int) -> None:
    """At whatever moment of a login: no timer and no mailbox is left, and nothing is told as an error."""
    world.held.slow = True
    client = world.connect()
    login = ScramClient("alice", b"wonder land", b"fyko+d2lbbFgONRv9qkxdawL")
    client.say(b"AUTH SCRAM-SHA-256 " + base64.b64encode(login.first))
    if steps > 0:
        world.held.go()
        challenge = client.wire.take()
        if steps > 1:
            challenge = respond(client, challenge, login)
            login.receive(base64.b64decode(challenge[2:]))
            if steps > 2:
                client.say(b"")
    client.go_away()
    world.held.go_all()
    assert world.opener.in_use == set()
    assert world.clock.getDelayedCalls() == []
    assert world.reported("error") == []


def test_a_client_that_guesses_and_goes_away_has_spent_its_guess(world: World) -> None:
    """A one-time password that was right is spent also when nobody waits for the answer."""
    world.held.slow = True
    client = world.connect()
    client.say(b"AUTH OTP " + base64.b64encode(b"\0alice"))
    world.held.go()
    password = otp.to_hex(otp.generate("sha1", b"a pass phrase", "seed1", 99))
    client.say(base64.b64encode(b"hex:" + password.encode()))
    assert isinstance(world.accounts.questions[-1], sasl.SpendOtp)
    client.go_away()
    world.held.go_all()
    assert world.opener.opened == []


def test_who_else_uses_the_same_one_time_password(world: World) -> None:
    """Of two at the same moment one is let in, and the other is told what a wrong one is told."""
    clients = [world.connect(), world.connect()]
    world.held.slow = True
    for client in clients:
        client.say(b"AUTH OTP " + base64.b64encode(b"\0alice"))
    world.held.go_all()
    password = otp.to_hex(otp.generate("sha1", b"a pass phrase", "seed1", 99))
    for client in clients:
        client.say(base64.b64encode(b"hex:" + password.encode()))
    world.held.go_all()
    world.clock.advance(2)
    assert sorted(client.wire.take().splitlines(keepends=True)[-1] for client in clients) == [ENTERED, REFUSED]


def test_verifiers_of_scram_are_no_passwords(world: World) -> None:
    """The double stores what the real store does: nothing from which one could log in."""
    client = world.connect()
    verifier = scram.Verifier.of(b"wonder land", b"s" * 16, 4096)
    assert scram_login(client, "alice", verifier.stored_key) == b""
    assert client.wait(2) == REFUSED


# Properties

LINES = st.lists(
    st.sampled_from(
        [
            *(b"AUTH", b"AUTH PLAIN", b"AUTH PLAIN =", b"AUTH LOGIN", b"AUTH OTP", b"AUTH OAUTHBEARER", b"AUTH NTLM"),
            *(plain("alice", "wonder land"), plain("alice", "x"), plain("nobody", "x")),
            *(line_of("\0alice\0wonder land"), line_of("alice"), line_of("wonder land"), line_of("\0alice")),
            *(b"AUTH OTP " + line_of("\0alice"), b"AUTH OTP " + line_of("\0nobody")),
            line_of("hex:" + otp.to_hex(otp.generate("sha1", b"a pass phrase", "seed1", 99))),
            b"AUTH OAUTHBEARER " + line_of("n,,\x01auth=Bearer token-of-alice\x01\x01"),
            b"AUTH OAUTHBEARER " + line_of("n,,\x01auth=Bearer x\x01\x01"),
            *(
                b"*",
                b"",
                b"!",
                b"AQ==",
                b"\0",
                b"USER alice",
                b"PASS wonder land",
                b"STAT",
                b"CAPA",
                b"QUIT",
                b"\xff" * 600,
            ),
        ]
    ),
    max_size=12,
)


def finish(world: World, client: Client) -> bytes:
    """All that is answered until nothing is under way."""
    said = b""
    for _ in range(200):
        world.held.go_all()
        said += client.wire.take() or client.wait(2)
    return said


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(LINES, st.lists(st.integers(0, 600), max_size=6), st.booleans(), st.data())
def test_answers_do_not_depend_on_segments_or_speed(
    world: World, lines: list[bytes], places: list[int], slow: bool, data: st.DataObject
) -> None:
    """However the bytes of logins are cut, and however slow the accounts are, the answers are the same."""
    stream = b"".join(each + b"\r\n" for each in lines)
    clients = []
    for late in (False, slow):
        fresh = type(world)()
        fresh.terms = {"mechanisms": ("PLAIN", "LOGIN", "OTP", "OAUTHBEARER")}
        fresh.held.slow = late
        clients.append((fresh, fresh.connect(secure=True)))
    (one, whole), (other, parts) = clients
    whole.session.dataReceived(stream)
    edges = sorted({0, len(stream), *(place % (len(stream) + 1) for place in places)})
    for begin, end in pairwise(edges):
        parts.session.dataReceived(stream[begin:end])
        if slow and other.held.waiting and data.draw(st.booleans()):
            other.held.go()
    assert finish(other, parts) == finish(one, whole)
    assert parts.wire.disconnecting == whole.wire.disconnecting
    for client in (whole, parts):
        client.go_away()
    assert one.reported("error") == other.reported("error") == []
    assert one.opener.in_use == other.opener.in_use == set()
