"""Which mechanisms a connection is offered, and the small ones themselves."""

from __future__ import annotations

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netguard.wire import mechanisms, sasl, scram
from netguard.wire.mechanisms import (
    Circumstances,
    CramMd5Server,
    ExternalServer,
    LoginServer,
    OAuthBearerServer,
    PlainServer,
)
from netguard.wire.sasl import (
    Challenge,
    CheckCertificate,
    CheckCram,
    CheckPassword,
    CheckToken,
    Failure,
    FindOtp,
    FindVerifier,
    Mechanism,
    Step,
    Success,
    Why,
)

BINDINGS = {"tls-exporter": b"\x17" * 32}
EVERYTHING = Circumstances(mechanisms.ALL, secure=True, bindings=BINDINGS, certificate=True)


def started(name: str, circumstances: Circumstances = EVERYTHING) -> Mechanism | None:
    """A mechanism, with octets that are not random."""
    return circumstances.start(name, lambda count: b"\x0f" * count, "mail.example")


# What is offered


def test_in_clear_nothing_that_gives_a_password_away() -> None:
    """Outside TLS SCRAM and one-time passwords are left, and by default no CRAM-MD5."""
    assert Circumstances().offered == ("SCRAM-SHA-256", "OTP")
    assert Circumstances(mechanisms.ALL, certificate=True).offered == ("SCRAM-SHA-256", "OTP", "CRAM-MD5")


def test_inside_tls_what_can_be_used() -> None:
    """Each mechanism shows when what it needs is there, the best first."""
    assert Circumstances(secure=True).offered == ("SCRAM-SHA-256", "OAUTHBEARER", "OTP", "PLAIN")
    bound = Circumstances(secure=True, bindings=BINDINGS)
    assert bound.offered == ("SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "OAUTHBEARER", "OTP", "PLAIN")
    assert "EXTERNAL" in Circumstances(secure=True, certificate=True).offered
    assert EVERYTHING.offered == mechanisms.ALL


def test_the_operator_decides() -> None:
    """What is not enabled is neither offered nor begun."""
    only = Circumstances(("PLAIN", "LOGIN"), secure=True, bindings=BINDINGS)
    assert only.offered == ("PLAIN", "LOGIN")
    assert started("SCRAM-SHA-256", only) is None
    assert Circumstances(()).offered == ()


@pytest.mark.parametrize("name", mechanisms.ALL)
def test_every_mechanism_can_be_begun(name: str) -> None:
    """By its name in capitals, when it is offered, and under no other name."""
    made = started(name)
    assert made is not None
    assert made.name == name
    assert started(name, Circumstances(())) is None
    assert started(name.lower()) is None


@pytest.mark.parametrize("name", ["", "NTLM", "DIGEST-MD5", "SCRAM-SHA-1", "PLAIN "])
def test_others_are_not(name: str) -> None:
    """An unknown mechanism is none."""
    assert started(name) is None


def test_scram_knows_what_was_offered() -> None:
    """The downgrade is found where -PLUS was offered, and only there; the nonce has 144 random bits."""
    first = b"y,,n=user,r=abc"
    offered, alone = started("SCRAM-SHA-256"), started("SCRAM-SHA-256", Circumstances())
    assert offered is not None
    assert alone is not None
    assert offered.begin(first) == Failure(Why.REFUSED, "SCRAM downgrade: the client was not shown -PLUS")
    assert alone.begin(first) == FindVerifier("user")
    answer = alone.answer(scram.mock(bytes(32), "user", 4096))
    assert isinstance(answer, Challenge)
    assert answer.data.startswith(b"r=abc" + b"Dw8P" * 6 + b",s=")


def test_scram_plus_binds_to_this_channel() -> None:
    """-PLUS takes the bindings that were given, and no others."""
    plus = started("SCRAM-SHA-256-PLUS")
    assert plus is not None
    assert plus.begin(b"p=tls-exporter,,n=user,r=abc") == FindVerifier("user")


# PLAIN


@pytest.mark.parametrize(
    ("message", "name"),
    [
        (b"\0tim\0tanstaaftanstaaf", "tim"),  # RFC 4616's example
        (b"tim\0tim\0tanstaaftanstaaf", "tim"),
        ("\0ju\u0308rgen\0tanstaaftanstaaf".encode(), "jürgen"),
        ("ju\u0308rgen\0jürgen\0tanstaaftanstaaf".encode(), "jürgen"),
        (b"\0" + b"x" * 255 + b"\0tanstaaftanstaaf", "x" * 255),
    ],
)
def test_plain(message: bytes, name: str) -> None:
    """Name and password are asked about, and who they belong to is let in."""
    machine = PlainServer()
    assert machine.begin(message) == CheckPassword(name.encode(), b"tanstaaftanstaaf")
    assert machine.answer(name) == Success(name)


def test_plain_with_a_wrong_password() -> None:
    """Nobody is let in, and the longest password is asked about."""
    machine = PlainServer()
    assert machine.begin(b"\0tim\0" + b"\xff" * 1024) == CheckPassword(b"tim", b"\xff" * 1024)
    assert machine.answer(None) == sasl.WRONG


def test_plain_for_somebody_else() -> None:
    """The password is checked all the same, and nobody is let in."""
    machine = PlainServer()
    assert machine.begin(b"admin\0tim\0tanstaaf") == CheckPassword(b"tim", b"tanstaaf")
    assert machine.answer("tim") == sasl.WRONG


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\0",
        b"\0\0",
        b"\0tim",
        b"\0tim\0",
        b"\0\0secret",
        b"tim\0secret",
        b"\0tim\0secret\0",
        b"a\0b\0c\0d",
        b"\0" + b"x" * 256 + b"\0secret",
        b"x" * 256 + b"\0tim\0secret",
        b"\0tim\0" + b"x" * 1025,
        b"\0\xff\0secret",
        b"\xff\0tim\0secret",
        b"\0t\x07m\0secret",
    ],
)
def test_malformed_plain(message: bytes) -> None:
    """Fewer or more parts, empty ones, other text and what is too long are no wrong password."""
    step = PlainServer().begin(message)
    assert isinstance(step, Failure)
    assert step.why is Why.MALFORMED


# LOGIN


@pytest.mark.parametrize("initial", [None, b"", b"tim"])
def test_login(initial: bytes | None) -> None:
    """Name and password are asked for one after the other; the name may come along."""
    machine = LoginServer()
    step = machine.begin(initial)
    if not initial:
        assert step == Challenge(b"Username:")
        step = machine.receive(b"tim")
    assert step == Challenge(b"Password:")
    assert machine.receive(b"tanstaaf") == CheckPassword(b"tim", b"tanstaaf")
    assert machine.answer("tim") == Success("tim")


@pytest.mark.parametrize("name", [b"\0", b"x" * 256, b"t\0m"])
def test_malformed_login_name(name: bytes) -> None:
    """NUL and what is too long are no name; neither is nothing."""
    assert LoginServer().begin(name) == sasl.malformed("not a name")
    machine = LoginServer()
    machine.begin(None)
    assert machine.receive(b"") == sasl.malformed("not a name")


@pytest.mark.parametrize("password", [b"", b"\0", b"x" * 1025])
def test_malformed_login_password(password: bytes) -> None:
    """Nor are they a password."""
    machine = LoginServer()
    machine.begin(b"tim")
    assert machine.receive(password) == sasl.malformed("not a password")


def test_wrong_login() -> None:
    """A wrong password is wrong."""
    machine = LoginServer()
    machine.begin(b"tim")
    machine.receive(b"wrong")
    assert machine.answer(None) == sasl.WRONG


# CRAM-MD5

STAMP = b"<1896.697170952@postoffice.reston.mci.net>"
DIGEST = b"b913a602c7eda7a495b4e6e7334d3890"


def test_cram_md5() -> None:
    """The example of RFC 2195 comes out."""
    assert hmac.digest(b"tanstaaftanstaaf", STAMP, "md5").hex().encode() == DIGEST
    machine = CramMd5Server(STAMP)
    assert machine.begin(None) == Challenge(STAMP)
    assert machine.receive(b"tim " + DIGEST) == CheckCram(b"tim", STAMP, DIGEST)
    assert machine.answer("tim") == Success("tim")


def test_cram_md5_challenges() -> None:
    """128 random bits and the host's name, in angle brackets."""
    machine = started("CRAM-MD5")
    assert machine is not None
    assert machine.begin(None) == Challenge(b"<" + b"0f" * 16 + b"@mail.example>")


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"tim",
        b" " + DIGEST,
        DIGEST,
        b"tim " + DIGEST.upper(),
        b"tim " + DIGEST[1:],
        b"tim " + DIGEST + b" ",
        b"t\0m " + DIGEST,
        b"x" * 256 + b" " + DIGEST,
    ],
)
def test_malformed_cram_md5(response: bytes) -> None:
    """A name, a space and 32 lower-case digits, or nothing is asked."""
    machine = CramMd5Server(STAMP)
    machine.begin(None)
    assert machine.receive(response) == sasl.malformed("not a name and a digest")


def test_cram_md5_the_rest() -> None:
    """A name may have spaces, a wrong digest is wrong, and there is nothing to say first."""
    machine = CramMd5Server(STAMP)
    machine.begin(None)
    assert machine.receive(b"tim two " + DIGEST) == CheckCram(b"tim two", STAMP, DIGEST)
    assert machine.answer(None) == sasl.WRONG
    assert CramMd5Server(STAMP).begin(b"") == sasl.malformed("initial response where none is due")


# EXTERNAL


@pytest.mark.parametrize(
    ("wanted", "found", "outcome"),
    [
        (b"", "tim", Success("tim")),
        (b"tim", "tim", Success("tim")),
        ("ju\u0308rgen".encode(), "jürgen", Success("jürgen")),
        (b"admin", "tim", sasl.WRONG),
        (b"", None, sasl.WRONG),
        (b"tim", None, sasl.WRONG),
    ],
)
def test_external(wanted: bytes, found: str | None, outcome: Step) -> None:
    """The certificate decides; a wish may only repeat it."""
    machine = ExternalServer()
    assert isinstance(machine.begin(wanted), CheckCertificate)
    assert machine.answer(found) == outcome


@pytest.mark.parametrize("wanted", [b"\xff", b"t\0m", b"x" * 256])
def test_malformed_external(wanted: bytes) -> None:
    """Other text and what is too long are no name."""
    step = ExternalServer().begin(wanted)
    assert isinstance(step, Failure)
    assert step.why is Why.MALFORMED
    assert ExternalServer().begin(b"x" * 255) == CheckCertificate("x" * 255)


# OAUTHBEARER

# RFC 7628, section 4.1.
BEARER = (
    b"n,a=user@example.com,\x01host=server.example.com\x01port=143\x01"
    b"auth=Bearer vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg==\x01\x01"
)
TOKEN = "vF9dft4qmTc2Nvb3RlckBhbHRhdmlzdGEuY29tCg=="


def test_oauthbearer() -> None:
    """The RFC's example is read, and who the token belongs to is let in."""
    machine = OAuthBearerServer()
    assert machine.begin(BEARER) == CheckToken("user@example.com", TOKEN, "server.example.com", 143)
    assert machine.answer("user@example.com") == Success("user@example.com")


@pytest.mark.parametrize("found", [None, "somebody@example.com"])
def test_oauthbearer_fails_as_the_rfc_says(found: str | None) -> None:
    """The client is told in JSON, owes one octet, and whatever it sends then, it is not let in."""
    for last in (b"\x01", b"", b"x"):
        machine = OAuthBearerServer()
        machine.begin(BEARER)
        step = machine.answer(found)
        assert step == Challenge(b'{"status":"invalid_token","schemes":"bearer"}')
        assert machine.receive(last) == sasl.WRONG


@pytest.mark.parametrize(
    ("message", "question"),
    [
        (b"n,,\x01auth=Bearer abc\x01\x01", CheckToken("", "abc")),
        (b"y,,\x01auth=bearer  abc\x01\x01", CheckToken("", "abc")),
        (b"n,a=a=2Cb=3Dc,\x01auth=Bearer abc\x01port=0\x01\x01", CheckToken("a,b=c", "abc")),
        (b"n,,\x01auth=Bearer abc\x01port=65535\x01x=y\x01\x01", CheckToken("", "abc", port=65535)),
    ],
)
def test_what_oauthbearer_may_leave_out(message: bytes, question: CheckToken) -> None:
    """Only the token is needed; unknown pairs are ignored."""
    assert OAuthBearerServer().begin(message) == question


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x01",
        b"\x01\x01",
        b"n,,",
        b"n,,\x01\x01",
        b"n,,\x01auth=Bearer abc\x01",
        b"n,,\x01auth=Bearer abc\x01\x01x",
        b"n,,\x01auth=Bearer abc\x01\x01\x01",
        b"n,,\x01auth=Bearer \x01\x01",
        b"n,,\x01auth=Basic abc\x01\x01",
        b"n,,\x01auth=Bearer a c\x01\x01",
        b"n,,\x01auth=Bearer \xff\x01\x01",
        b"n,,\x01host=h\x01\x01",
        b"n,,\x01auth=Bearer abc\x01auth=Bearer abd\x01\x01",
        b"n,,\x01auth=Bearer abc\x01port=65536\x01\x01",
        b"n,,\x01auth=Bearer abc\x01port=-1\x01\x01",
        b"n,,\x01auth=Bearer abc\x01port=123456\x01\x01",
        b"n,,\x01auth=Bearer abc\x01port=\x01\x01",
        b"n,,\x01auth=Bearer abc\x01noequal\x01\x01",
        b"p=tls-exporter,,\x01auth=Bearer abc\x01\x01",
        b"x,,\x01auth=Bearer abc\x01\x01",
        b"n,a=\xff,\x01auth=Bearer abc\x01\x01",
        b"n,a=\x07,\x01auth=Bearer abc\x01\x01",
        b"n,a==2c,\x01auth=Bearer abc\x01\x01",
        b"n,,\x01auth=Bearer " + b"x" * 8192 + b"\x01\x01",
    ],
)
def test_malformed_oauthbearer(message: bytes) -> None:
    """Nothing is asked about what is not a token in the RFC's form."""
    step = OAuthBearerServer().begin(message)
    assert isinstance(step, Failure)
    assert step.why is Why.MALFORMED


@given(st.sampled_from(mechanisms.ALL), st.lists(st.binary(max_size=40), min_size=1, max_size=3))
def test_random_octets_never_raise(name: str, messages: list[bytes]) -> None:
    """Whatever a client sends to whichever mechanism, it ends in one of the four things a mechanism says."""
    machine = started(name)
    assert machine is not None
    step = machine.begin(messages[0])
    for message in messages[1:]:
        if isinstance(step, FindVerifier):
            step = machine.answer(scram.mock(bytes(32), step.name, 4096))
        elif isinstance(step, FindOtp | Failure):
            break
        elif not isinstance(step, Challenge):
            step = machine.answer(None)
        else:
            step = machine.receive(message)
    assert isinstance(step, (Challenge, Failure, *sasl.QUESTIONS))
