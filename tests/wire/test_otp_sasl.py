"""The OTP mechanism, as a server does it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netguard.wire import otp, sasl
from netguard.wire.otp import State
from netguard.wire.otp_sasl import OtpServer
from netguard.wire.sasl import Challenge, Failure, FindOtp, SpendOtp, Step, Success, Why

PHRASE = b"this is a test"
STATE = State.begin("md5", PHRASE, "ke1234", 124)
RIGHT = "11d4c147e227c1f1"
WORDS = otp.to_words(bytes.fromhex(RIGHT))
AFTER = State("md5", 123, "ke1234", bytes.fromhex(RIGHT))
NEW = "md5 499 ke1235:3712dcb4aa5316c1"
BEGUN = State("md5", 499, "ke1235", bytes.fromhex("3712dcb4aa5316c1"))


def response(text: str, names: bytes = b"\0tim", state: State = STATE) -> Step:
    """What the server makes of a response to its challenge."""
    machine = OtpServer()
    assert isinstance(machine.begin(names), FindOtp)
    assert isinstance(machine.answer(state), Challenge)
    return machine.receive(text.encode())


def finished(text: str, names: bytes = b"\0tim", *, first: bool = True) -> tuple[Step, Step]:
    """The question about a response, and the outcome once it is answered."""
    machine = OtpServer()
    machine.begin(names)
    machine.answer(STATE)
    question = machine.receive(text.encode())
    return question, machine.answer(first)


def test_rfc_example() -> None:
    """Every message of RFC 2444's example for POP3 comes out."""
    machine = OtpServer()
    assert machine.begin(None) == Challenge(b"")
    assert machine.receive(b"\0tim") == FindOtp("tim")
    assert machine.answer(STATE) == Challenge(b"otp-md5 123 ke1234 ext")
    assert machine.receive(b"hex:11d4c147e227c1f1") == SpendOtp("tim", STATE, AFTER)
    assert machine.answer(True) == Success("tim")


@pytest.mark.parametrize(
    "text", [f"hex:{RIGHT}", "hex:11D4 c147 E227 c1f1", f"word:{WORDS}", f"word: {WORDS.lower()} "]
)
def test_every_way_of_writing_is_taken(text: str) -> None:
    """Hexadecimal and six words, in either case, with any spaces."""
    assert finished(text) == (SpendOtp("tim", STATE, AFTER), Success("tim"))


@pytest.mark.parametrize(
    "text",
    [
        f"init-hex:{RIGHT}:{NEW}",
        f"init-word:{WORDS}:md5 499 ke1235:RED HERD NOW BEAN PA BURG",
        "init-hex:11d4 c147 e227 c1f1:md5 499 KE1235:3712 DCB4 AA53 16C1",
    ],
)
def test_a_new_chain_is_begun_with_the_old_ones_next(text: str) -> None:
    """The examples of RFC 2243, with the one-time password of this chain."""
    assert finished(text) == (SpendOtp("tim", STATE, BEGUN), Success("tim"))


@pytest.mark.parametrize(
    "new",
    [
        "",
        NEW.replace("ke1235", "ke1234"),
        NEW.replace("ke1235", "KE1234"),
        NEW.replace("499", "1"),
        NEW.replace("499", "0"),
        NEW.replace("499", "-499"),
        NEW.replace("499", "10000"),
        NEW.replace("499", "٤٩٩"),
        NEW.replace("ke1235", "a" * 17),
        NEW.replace("ke1235", "a-b"),
        NEW.replace("md5", "md4"),
        NEW[:-1],
        NEW + ":",
        "md5 499 ke1235",
        "md5 499 ke1235:RED HERD NOW BEAN PA BURG",
    ],
)
def test_a_bad_new_chain_still_spends_the_password(new: str) -> None:
    """It was heard on the way, so it is spent; but nobody is logged in, and the old chain stays."""
    question, outcome = finished(f"init-hex:{RIGHT}:{new}")
    assert question == SpendOtp("tim", STATE, AFTER)
    assert outcome == Failure(Why.REFUSED, "a new chain that is malformed, or has the old seed")


@pytest.mark.parametrize("sequence", [2, 9999])
def test_bounds_of_a_new_chain(sequence: int) -> None:
    """The shortest has one one-time password left, the longest 9,998."""
    question, outcome = finished(f"init-hex:{RIGHT}:sha1 {sequence} seed:{'0' * 16}")
    assert question == SpendOtp("tim", STATE, State("sha1", sequence, "seed", bytes(8)))
    assert outcome == Success("tim")


def test_of_two_at_once_one_gets_in() -> None:
    """Who comes second with the same one-time password is told that it is wrong."""
    assert finished(f"hex:{RIGHT}", first=False)[1] == sasl.WRONG
    assert finished(f"init-hex:{RIGHT}:{NEW}", first=False)[1] == sasl.WRONG


def test_to_act_for_somebody_else_is_wrong_and_spends_the_password() -> None:
    """And it begins no new chain. One's own name is no other."""
    for text in (f"hex:{RIGHT}", f"init-hex:{RIGHT}:{NEW}"):
        assert finished(text, b"admin\0tim") == (SpendOtp("tim", STATE, AFTER), sasl.WRONG)
    assert finished(f"hex:{RIGHT}", b"tim\0tim")[1] == Success("tim")


@pytest.mark.parametrize("count", [122, 124, 0])
def test_a_password_out_of_turn_is_wrong(count: int) -> None:
    """That of another number, and of another phrase, spends nothing."""
    assert response("hex:" + otp.generate("md5", PHRASE, "ke1234", count).hex()) == sasl.WRONG
    assert response("init-hex:" + "0" * 16 + ":" + NEW) == sasl.WRONG


def test_nobody_is_wrong_at_the_end() -> None:
    """An unknown user gets a challenge like anybody else."""
    mock = otp.mock(bytes(32), "tim")
    assert response("hex:" + "0" * 16, state=mock) == sasl.WRONG


@pytest.mark.parametrize(
    "text",
    [
        "",
        RIGHT,
        WORDS,
        "hex",
        "hex:",
        f"HEX:{RIGHT}",
        f"word:{RIGHT}",
        f"hex:{WORDS}",
        f"hex:{RIGHT}:x",
        f"hex:{RIGHT}0",
        f"hex:{RIGHT}\0",
        f"hex:{RIGHT}é",
        f"init-:{RIGHT}",
        f"init-init-hex:{RIGHT}:{NEW}",
        f"otp:{RIGHT}",
        "hex:" + " " * 200 + RIGHT,
        "word:" + "A " * 500,
    ],
)
def test_a_malformed_response_is_refused(text: str) -> None:
    """What does not say how it is written, or is something else than it says, is no wrong password."""
    assert response(text) == sasl.malformed("not an extended response")


@pytest.mark.parametrize(
    "names",
    [
        b"",
        b"tim",
        b"\0",
        b"tim\0",
        b"\0tim\0",
        b"a\0b\0c",
        b"\0" + b"x" * 256,
        b"x" * 256 + b"\0tim",
        b"\0\xff",
        b"\xff\0tim",
        b"\0t\x07im",
    ],
)
def test_malformed_names_are_refused(names: bytes) -> None:
    """Two names parted by NUL, in UTF-8, of at most 255 octets each."""
    step = OtpServer().begin(names)
    assert isinstance(step, Failure)
    assert step.why is Why.MALFORMED


def test_longest_names() -> None:
    """255 octets are taken, and names are prepared."""
    assert OtpServer().begin(b"x" * 255 + b"\0" + b"y" * 255) == FindOtp("y" * 255)
    assert OtpServer().begin("\0ju\u0308rgen".encode()) == FindOtp("jürgen")


@given(st.binary(max_size=80))
def test_random_octets_are_refused(data: bytes) -> None:
    """In either message, they never raise and never log in."""
    assert isinstance(OtpServer().begin(data), FindOtp | Failure)
    machine = OtpServer()
    machine.begin(b"\0tim")
    machine.answer(STATE)
    assert isinstance(machine.receive(data), Failure)
