"""SCRAM-SHA-256 and -PLUS, as a server does it."""

from __future__ import annotations

import re
from base64 import b64encode

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from netguard.wire import sasl, scram
from netguard.wire.sasl import Challenge, Failure, FindVerifier, Step, Success, Why
from netguard.wire.scram import ScramServer, Verifier
from netguard.wire.scram_client import ScramClient
from netguard.wire.strict_base64 import decode

# The example of RFC 7677, section 3.
SALT = decode(b"W22ZaJ0SNY7soEsUEjb6gQ==") or b""
CLIENT_NONCE, SERVER_NONCE = b"rOprNGfwEbeRWgbNEkqO", b"%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
PENCIL = Verifier.of(b"pencil", SALT, 4096)
FIRST = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
ANSWER = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
FINAL = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
PROVED = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

BINDINGS = {"tls-exporter": b"\x17" * 32, "tls-server-end-point": b"\x2a" * 48}


def server(*, offered_plus: bool = False, bindings: dict[str, bytes] | None = None) -> ScramServer:
    """A server with the nonce of the example."""
    return ScramServer(SERVER_NONCE, offered_plus=offered_plus, bindings=bindings)


def login(machine: ScramServer, client: ScramClient, verifier: Verifier = PENCIL) -> Step:
    """Let client and server talk until the server has an outcome."""
    step = machine.begin(client.first)
    if isinstance(step, FindVerifier):
        step = machine.answer(verifier)
    while isinstance(step, Challenge):
        step = machine.receive(client.receive(step.data))
    return step


def asked(first: bytes, *, offered_plus: bool = False) -> Step:
    """What the server makes of a client-first-message."""
    return server(offered_plus=offered_plus).begin(first)


def ready() -> ScramServer:
    """A server that waits for the client-final-message of the example."""
    machine = server()
    machine.begin(FIRST)
    assert machine.answer(PENCIL) == Challenge(ANSWER)
    return machine


def test_rfc_example() -> None:
    """Every message of the RFC's example comes out."""
    machine = server()
    assert machine.begin(FIRST) == FindVerifier("user")
    assert machine.answer(PENCIL) == Challenge(ANSWER)
    assert machine.receive(FINAL) == Challenge(PROVED)
    assert machine.receive(b"") == Success("user")


def test_the_initial_response_may_come_later() -> None:
    """Without one the client is asked for it by an empty challenge."""
    machine = server()
    assert machine.begin(None) == Challenge(b"")
    assert machine.receive(FIRST) == FindVerifier("user")


def test_a_verifier_is_written_and_read() -> None:
    """The form of RFC 5803 comes back as it went, and no repr shows the keys."""
    text = str(PENCIL)
    assert text.startswith("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$")
    assert Verifier.parse(text) == PENCIL
    assert not re.search(r"WG5d8oPm|wfPLwcE6|key=", repr(PENCIL))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pencil",
        "{SCRAM-SHA-256}4096,x,y,z",
        str(PENCIL) + "=",
        str(PENCIL) + "\n",
        str(PENCIL).replace("SHA-256", "SHA-1"),
        str(PENCIL).replace("4096", "4095"),
        str(PENCIL).replace("4096", "1000001"),
        str(PENCIL).replace("4096", "-4096"),
        str(PENCIL).replace("4096", "04096"),
        str(PENCIL).replace("W22ZaJ0SNY7soEsUEjb6gQ==", "W22ZaJ0SNY7soEsUEjb6gR=="),
        str(PENCIL).replace("W22ZaJ0SNY7soEsUEjb6gQ==", "AAAA"),
        str(PENCIL).replace("W22ZaJ0SNY7soEsUEjb6gQ==", "A" * 88),
        str(PENCIL).replace("qY=:", "qZ=:"),
        str(PENCIL)[:-2] + "V=",
    ],
)
def test_what_is_no_verifier_is_refused(text: str) -> None:
    """A row that was damaged, or asks for too little or too much work, is refused in words without its content."""
    with pytest.raises(ValueError, match="SCRAM") as refused:
        Verifier.parse(text)
    assert not re.search(r"W22Z|WG5d|AAAA|pencil", str(refused.value))


def test_bounds_of_a_verifier() -> None:
    """What stands just inside them is taken; keys of another length are not."""
    for salt, iterations in ((bytes(8), 4096), (bytes(64), 1_000_000)):
        made = Verifier.checked(salt, iterations, bytes(32), bytes(32))
        assert Verifier.parse(str(made)) == made
    for stored, served in ((31, 32), (32, 33)):
        with pytest.raises(ValueError, match="32 octets"):
            Verifier.checked(bytes(8), 4096, bytes(stored), bytes(served))


def test_a_password_can_be_checked_against_a_verifier() -> None:
    """For who sends the password inside TLS: the right one in any of its forms, and no other."""
    assert PENCIL.matches(b"pencil")
    assert not PENCIL.matches(b"pencil ")
    assert not PENCIL.matches(b"")
    assert Verifier.of("I\u00adX".encode(), SALT, 4096).matches("\u2168".encode())
    assert not Verifier(SALT, 4096, PENCIL.stored_key, PENCIL.server_key, mock=True).matches(b"pencil")


@pytest.mark.parametrize("name", ["user", "jürgen", "a,b=c", "x" * 255])
@pytest.mark.parametrize("binding", ["tls-exporter", "tls-server-end-point", ""])
def test_who_knows_the_password_gets_in(name: str, binding: str) -> None:
    """With and without binding, under any name, with an initial response or an identity of one's own."""
    bound = (binding, BINDINGS[binding]) if binding else None
    for authzid in ("", name):
        machine = server(offered_plus=True, bindings=BINDINGS if binding else None)
        assert machine.name == (scram.PLUS if binding else scram.MECHANISM)
        client = ScramClient(name, b"pencil", CLIENT_NONCE, binding=bound, authzid=authzid)
        assert login(machine, client) == Success(name)


def test_a_client_that_could_bind_may_tell_a_server_that_cannot() -> None:
    """The flag `y` is the truth where -PLUS was not offered."""
    assert login(server(), ScramClient("user", b"pencil", CLIENT_NONCE, can_bind=True)) == Success("user")


def test_a_downgrade_is_found() -> None:
    """Where -PLUS was offered, the flag `y` means that somebody took it out on the way."""
    client = ScramClient("user", b"pencil", CLIENT_NONCE, can_bind=True)
    step = login(server(offered_plus=True), client)
    assert step == Failure(Why.REFUSED, "SCRAM downgrade: the client was not shown -PLUS")


@pytest.mark.parametrize("wrong", [b"penci", b"pencil2", b""])
def test_a_wrong_password_is_wrong(wrong: bytes) -> None:
    """It fails at the end, like everything that is about credentials."""
    assert login(server(), ScramClient("user", wrong, CLIENT_NONCE)) == sasl.WRONG


def test_to_act_for_somebody_else_is_wrong() -> None:
    """Even with the right password, and the client does not learn why."""
    assert login(server(), ScramClient("user", b"pencil", CLIENT_NONCE, authzid="admin")) == sasl.WRONG


def test_nobody_cannot_be_told_from_somebody() -> None:
    """An unknown user gets the same salt at every try, another than others get, and fails at the end."""
    secret = bytes(32)
    mocks = [scram.mock(secret, name, 4096) for name in ("bob", "bob", "carol")]
    assert mocks[0] == mocks[1]
    assert len({mocks[0].salt, mocks[2].salt, scram.mock(b"\1" * 32, "bob", 4096).salt, SALT}) == 4
    assert len(mocks[0].salt) == scram.SALT_OCTETS
    assert Verifier.parse(str(mocks[0])).iterations == PENCIL.iterations
    assert login(server(), ScramClient("bob", b"pencil", CLIENT_NONCE), mocks[0]) == sasl.WRONG


def test_a_mock_is_wrong_even_for_who_knows_its_keys() -> None:
    """Whatever a proof says, nobody is nobody."""
    mock = Verifier(SALT, 4096, PENCIL.stored_key, PENCIL.server_key, mock=True)
    assert login(server(), ScramClient("user", b"pencil", CLIENT_NONCE), mock) == sasl.WRONG


@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"n",
        b"n,,",
        b"n,,n=user",
        b"n,,n=user,r=",
        b"n,,r=abc,n=user",
        b"n,,n=,r=abc",
        b"n,n=user,r=abc",
        b",,n=user,r=abc",
        b"x,,n=user,r=abc",
        b"N,,n=user,r=abc",
        b"n,a=,n=user,r=abc",
        b"n,user,n=user,r=abc",
        b"n,,m=x,n=user,r=abc",
        b"n,,n=user,r=abc,m=x",
        b"n,,n=user,r=abc,",
        b"n,,n=user,r=abc,x",
        b"n,,n=user,r=abc,x=",
        b"n,,n=user,r=abc,n=other",
        b"n,,n=user,r=abc,r=def",
        b"n,,n=us=er,r=abc",
        b"n,,n=us=2cer,r=abc",
        b"n,,n=user=,r=abc",
        b"n,,n=us\0er,r=abc",
        b"n,,n=us\xffer,r=abc",
        b"n,,n=us\x07er,r=abc",
        b"n,a=us\xffer,n=user,r=abc",
        "n,,n=\u00ad,r=abc".encode(),
        b"n,,n=user,r=a bc",
        b"n,,n=user,r=ab\x7f",
        b"n,,n=user,r=" + b"x" * 257,
        b"n,,n=" + b"x" * 256 + b",r=abc",
        b"n,,n=user,r=abc,x=" + b"y" * 2048,
        b" n,,n=user,r=abc",
        b"n,,n=user,r=abc\n",
        b"p=,,n=user,r=abc",
        b"p=tls-exporter,,n=user,r=abc",
    ],
)
def test_a_malformed_first_message_is_refused(first: bytes) -> None:
    """Order, alphabet, length and names are those of the RFC, or there is no exchange."""
    step = asked(first)
    assert isinstance(step, Failure)
    assert step.why is Why.MALFORMED


@pytest.mark.parametrize(
    "first",
    [
        b"n,,n=user,r=" + b"x" * 256,
        b"n,,n=user,r=abc,x=y",
        b"n,,n=user,r=a=b-c~!+.",
        b"n,,n=user,r=abc,t=" + b"y" * 2029,
    ],
)
def test_what_stands_just_inside_is_taken(first: bytes) -> None:
    """The longest nonce and message, every printable octet, and an extension that is not mandatory."""
    assert len(first) <= 2048
    assert asked(first) == FindVerifier("user")


def test_plus_needs_its_binding() -> None:
    """-PLUS without a binding is malformed, with one that this server has not it is refused, and said."""
    for flag in (b"n", b"y"):
        step = server(offered_plus=True, bindings=BINDINGS).begin(flag + FIRST[1:])
        assert step == sasl.malformed("-PLUS without channel binding")
    step = server(offered_plus=True, bindings=BINDINGS).begin(b"p=tls-unique" + FIRST[1:])
    assert step == Failure(Why.REFUSED, "unsupported channel binding")


def test_another_channel_is_refused() -> None:
    """The right password through a channel that somebody else ends here does not help."""
    stolen = ("tls-exporter", b"\x18" * 32)
    client = ScramClient("user", b"pencil", CLIENT_NONCE, binding=stolen)
    step = login(server(offered_plus=True, bindings=BINDINGS), client)
    assert step == Failure(Why.REFUSED, "channel binding does not match")


def test_a_header_that_changed_on_the_way_is_refused() -> None:
    """What the client says at the end about its beginning must be what it said."""
    other = b64encode(b"y,,")
    step = ready().receive(FINAL.replace(b"biws", other))
    assert step == Failure(Why.REFUSED, "channel binding does not match")


@pytest.mark.parametrize(
    "final",
    [
        b"",
        b"c=biws",
        FINAL[:-1],
        FINAL + b"=",
        FINAL + b",x=y",
        FINAL.replace(b"7AndVQ=", b"7AndVR="),
        FINAL.replace(b"p=dHzb", b"p="),
        FINAL.replace(b"p=dHzb", b"p=AAAAdHzb"),
        FINAL.replace(b",p=", b",m=x,p="),
        FINAL.replace(b",p=", b",p=AAAA,p="),
        FINAL.replace(b"c=biws,", b""),
        FINAL.replace(b"c=biws", b"c=b*ws"),
        FINAL.replace(b"k0,", b"k1,"),
        FINAL.replace(b"k0,", b","),
        FINAL.replace(b"rOpr", b""),
        FINAL.replace(b",p=", b",x=" + b"y" * 2048 + b",p="),
    ],
)
def test_a_malformed_final_message_is_refused(final: bytes) -> None:
    """Another nonce, a proof of another length and anything beside the grammar is no matter of credentials."""
    step = ready().receive(final)
    assert isinstance(step, Failure)
    assert step.why is Why.MALFORMED


def test_an_extension_is_part_of_what_is_signed() -> None:
    """One that was put in on the way makes the proof wrong."""
    assert ready().receive(FINAL.replace(b",p=", b",x=y,p=")) == sasl.WRONG


def test_the_last_response_is_empty() -> None:
    """Whoever has more to say there does not speak SCRAM."""
    machine = ready()
    machine.receive(FINAL)
    assert machine.receive(b"x") == sasl.malformed("data where none is due")


def test_one_proof_is_good_once() -> None:
    """A proof that was overheard is of no use to another exchange, whose nonce is another."""
    machine = ScramServer(b"another", offered_plus=False)
    machine.begin(FIRST)
    machine.answer(PENCIL)
    assert machine.receive(FINAL) == sasl.malformed("the nonce of another exchange")


@given(st.binary(max_size=80))
def test_any_first_message_is_a_question_or_malformed(message: bytes) -> None:
    """Random octets never raise, and nothing in them is believed unread."""
    step = asked(message, offered_plus=True)
    assert isinstance(step, FindVerifier | Failure)


@given(st.binary(max_size=80))
def test_any_final_message_is_refused(message: bytes) -> None:
    """Random octets never raise, and never log in."""
    assert isinstance(ready().receive(message), Failure)


@given(st.integers(0, len(FINAL) * 8 - 1))
def test_no_bit_of_the_final_message_may_change(at: int) -> None:
    """Whichever bit is flipped, nobody is let in."""
    flipped = (int.from_bytes(FINAL) ^ 1 << at).to_bytes(len(FINAL))
    assert isinstance(ready().receive(flipped), Failure)


@example(name="\xad", password="")
@given(name=st.text(min_size=1, max_size=20), password=st.text(max_size=20))
def test_any_name_and_password_that_can_be_prepared(name: str, password: str) -> None:
    """Client and server agree on every name and password; a name that cannot be is refused by the client."""
    try:
        client = ScramClient(name, password.encode("utf-8", "replace"), CLIENT_NONCE)
    except ValueError:
        return
    verifier = Verifier.of(password.encode("utf-8", "replace"), SALT, 4096)
    step = login(server(), client, verifier)
    assert isinstance(step, Success)


def test_a_name_of_which_nothing_is_left_is_refused_by_the_server() -> None:
    """A client that does not prepare names can send one: a soft hyphen alone (SASLprep maps it to nothing)."""
    step = server().receive(b"n,,n=\xc2\xad,r=" + CLIENT_NONCE)
    assert step == sasl.malformed("an empty name, or one too long")
