"""SASL on lines: an exchange between base64 and its driver."""

from __future__ import annotations

from base64 import b64encode

from hypothesis import given
from hypothesis import strategies as st

from netguard.wire import sasl
from netguard.wire.sasl import CheckCertificate, Failure, Success, Why
from netguard.wire.sasl_lines import Exchange, decode_initial, encode
from netguard.wire.strict_base64 import decode
from tests.ladder import Ladder


@given(st.binary(max_size=100))
def test_a_challenge_is_one_line(data: bytes) -> None:
    """It begins with `+ ` and stands for exactly what it was made of."""
    line = encode(data)
    assert line.startswith(b"+ ")
    assert line.endswith(b"\r\n")
    assert decode(line[2:-2]) == data


def test_an_empty_challenge_keeps_its_space() -> None:
    """RFC 5034 writes it so, and clients look for it."""
    assert encode(b"") == b"+ \r\n"


def test_an_initial_response_may_be_empty() -> None:
    """`=` is how it is written; a missing one is not the same."""
    assert decode_initial(b"=") == b""
    assert decode_initial(b"Zm9v") == b"foo"
    assert decode_initial(b"") is None


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
