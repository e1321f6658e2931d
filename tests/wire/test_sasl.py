"""SASL on lines: base64, questions, and the one way to drive every mechanism."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netguard.wire import sasl
from netguard.wire.sasl import Challenge, CheckCertificate, Exchange, Failure, Mechanism, Step, Success, Why


class Ladder(Mechanism):
    """Asks for one word after the other: takes `up`, asks whose it is, and is done at `top`."""

    def __init__(self) -> None:
        super().__init__("LADDER", self._word)

    def _word(self, word: bytes) -> Step:
        if word == b"up":
            return self._challenge(b"higher", self._word)
        if word == b"ask":
            return self._ask(CheckCertificate("bob"), self._known)
        return Success("bob") if word == b"top" else sasl.WRONG

    def _known(self, name: str | None) -> Step:
        return self._challenge(b"", self._word) if name else sasl.malformed("nobody")


@given(st.binary(max_size=100))
def test_what_is_encoded_is_decoded(data: bytes) -> None:
    """A challenge is a line that begins with `+ ` and stands for exactly what it was made of."""
    line = sasl.encode(data)
    assert line.startswith(b"+ ")
    assert line.endswith(b"\r\n")
    assert sasl.decode(line[2:-2]) == data


def test_an_empty_challenge_keeps_its_space() -> None:
    """RFC 5034 writes it so, and clients look for it."""
    assert sasl.encode(b"") == b"+ \r\n"


@pytest.mark.parametrize(
    "line",
    [
        b"Zg",
        b"Zg=",
        b"Zg===",
        b"Zh==",  # bits left over
        b"Zm9=",
        b"=",
        b"==",
        b"====",
        b"Zg==Zg==",
        b" Zg==",
        b"Zg== ",
        b"Z g==",
        b"Zg==\n",
        b"Zm9v\r",
        b"Zm9v\0",
        b"Zm9-",
        b"Zm9_",
        b"Zm9\xff",
        b"*",
        b"Zm9v*",
    ],
)
def test_what_is_not_exactly_base64_is_refused(line: bytes) -> None:
    """White space, other alphabets, wrong padding and bits left over are no base64."""
    assert sasl.decode(line) is None
    if line != b"=":
        assert sasl.decode_initial(line) is None


@given(st.binary(max_size=60))
def test_only_the_one_right_way_is_decoded(line: bytes) -> None:
    """Whatever is decoded would be encoded in just that way."""
    data = sasl.decode(line)
    assert data is None or b64encode(data) == line


def test_an_initial_response_may_be_empty() -> None:
    """`=` is how it is written; a missing one is not the same."""
    assert sasl.decode_initial(b"=") == b""
    assert sasl.decode_initial(b"Zm9v") == b"foo"
    assert sasl.decode_initial(b"") is None


def test_one_acts_as_oneself_only() -> None:
    """An empty wish, and one's own name, are allowed; another's is not."""
    assert sasl.same("", "bob")
    assert sasl.same("bob", "bob")
    assert not sasl.same("alice", "bob")
    assert not sasl.same("Bob", "bob")


def test_an_exchange_goes_by_lines() -> None:
    """Challenges come as lines, questions and outcomes as they are."""
    exchange = Exchange(Ladder())
    assert exchange.mechanism == "LADDER"
    assert exchange.begin(None) == b"+ \r\n"
    assert exchange.receive(b64encode(b"up")) == b"+ aGlnaGVy\r\n"
    assert exchange.receive(b64encode(b"ask")) == CheckCertificate("bob")
    assert exchange.answer("bob") == b"+ \r\n"
    assert exchange.receive(b64encode(b"top")) == Success("bob")


def test_an_initial_response_is_the_first_message() -> None:
    """It saves a round trip and changes nothing else."""
    assert Exchange(Ladder()).begin(b64encode(b"top")) == Success("bob")
    assert Exchange(Ladder()).begin(b64encode(b"up")) == b"+ aGlnaGVy\r\n"
    assert Exchange(Ladder()).begin(b"=") == sasl.WRONG


def test_a_question_may_be_answered_with_nobody() -> None:
    """What that means is the mechanism's to say."""
    exchange = Exchange(Ladder())
    assert exchange.begin(b64encode(b"ask")) == CheckCertificate("bob")
    assert exchange.answer(None) == Failure(Why.MALFORMED, "nobody")


def test_the_client_may_cancel() -> None:
    """A line of `*` is the end, and is no wrong password."""
    exchange = Exchange(Ladder())
    exchange.begin(None)
    assert exchange.receive(b"*") == Failure(Why.CANCELLED, "the client cancelled")


def test_what_is_not_base64_ends_it() -> None:
    """In the command and in a response alike, and it is no wrong password either."""
    assert Exchange(Ladder()).begin(b"Zg") == Failure(Why.MALFORMED, "initial response is not base64")
    exchange = Exchange(Ladder())
    exchange.begin(None)
    assert exchange.receive(b"Z g==") == Failure(Why.MALFORMED, "response is not base64")


def test_who_answers_without_being_asked_is_told() -> None:
    """A step that is not due is a defect of the driver's, whatever the client did."""
    mechanism = Ladder()
    with pytest.raises(sasl.MechanismMisused, match="LADDER asked nothing"):
        mechanism.answer(None)
    assert mechanism.begin(b"ask") == CheckCertificate("bob")
    with pytest.raises(sasl.MechanismMisused, match="LADDER waits for no response"):
        mechanism.receive(b"up")
    assert mechanism.answer("bob") == Challenge(b"")
    assert mechanism.receive(b"top") == Success("bob")
    with pytest.raises(sasl.MechanismMisused):
        mechanism.receive(b"top")


def test_no_representation_shows_a_secret() -> None:
    """Questions are data, and data gets printed."""
    shown = repr(sasl.CheckPassword(b"bob", b"tanstaaf")) + repr(sasl.CheckToken("bob", "tanstaaf"))
    assert "tanstaaf" not in shown
    assert "bob" in shown
    assert set(sasl.QUESTIONS) == set(sasl.Question.__args__)
