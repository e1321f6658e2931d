"""APOP: the timestamp in the greeting, the form of the command, and the digest."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netguard.wire import apop

# The example of RFC 1939, section 7.
STAMP = b"<1896.697170952@dbc.mtview.ca.us>"
SECRET = b"tanstaaf"
DIGEST = b"c4c9334bac560ecc979e58001b3e22fb"


def test_rfc_example() -> None:
    """The digest of the RFC's example comes out."""
    assert apop.digest(STAMP, SECRET) == DIGEST


def test_right_digest_matches() -> None:
    """The right digest is accepted."""
    assert apop.matches(STAMP, SECRET, DIGEST)


@pytest.mark.parametrize("wrong", [b"", DIGEST[:-1], DIGEST.upper(), DIGEST + b"0", b"\xff" * 32, b"0" * 32])
def test_wrong_digest_does_not_match(wrong: bytes) -> None:
    """Any other digest, of any length and with any bytes, is refused without an exception."""
    assert not apop.matches(STAMP, SECRET, wrong)


def test_brackets_belong_to_the_digest() -> None:
    """The angle brackets are part of what is digested."""
    assert apop.digest(STAMP[1:-1], SECRET) != DIGEST


def test_timestamp_has_only_safe_characters() -> None:
    """A greeting's timestamp has only letters, digits, dot, underscore and hyphen around one @."""
    stamp = apop.timestamp(bytes(range(240, 256)), "mail-1.Example_net")
    assert re.fullmatch(rb"<[A-Za-z0-9._-]+@[A-Za-z0-9._-]+>", stamp)
    assert stamp == b"<f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff@mail-1.Example_net>"


def test_timestamp_carries_the_whole_nonce() -> None:
    """Two nonces that differ in one bit give two timestamps."""
    assert apop.timestamp(bytes(16), "h") != apop.timestamp(bytes(15) + b"\1", "h")


def test_short_nonce_is_refused() -> None:
    """Fewer than 128 random bits are refused; 128 are accepted."""
    with pytest.raises(ValueError, match="at least 16"):
        apop.timestamp(bytes(15), "h")
    assert apop.timestamp(bytes(16), "h")


@pytest.mark.parametrize("host", ["", "a b", "h>", "<h", "h@i", "h=i", "h\r\n", "h\n", "ä", "[::1]", "x" * 256])
def test_unsafe_host_is_refused(host: str) -> None:
    """A host name that would break a client's reading of the greeting is refused."""
    with pytest.raises(ValueError, match="A-Z a-z 0-9"):
        apop.timestamp(bytes(16), host)


def test_longest_host() -> None:
    """A host name of 255 characters is accepted."""
    assert apop.timestamp(bytes(16), "x" * 255)


def test_argument_is_name_and_digest() -> None:
    """A name, one space and a digest are told apart."""
    assert apop.parse(b"mrose " + DIGEST) == (b"mrose", DIGEST)


@pytest.mark.parametrize(
    "argument",
    [
        b"",
        b"mrose",
        b"mrose ",
        b" " + DIGEST,
        DIGEST,
        b"mrose  " + DIGEST,
        b"mrose " + DIGEST + b" ",
        b"mrose " + DIGEST + b"\n",
        b"mrose " + DIGEST.upper(),
        b"mrose " + DIGEST[1:],
        b"mrose " + DIGEST + b"0",
        b"mrose\t" + DIGEST,
        b"m rose " + DIGEST,
        b"mrose " + b"g" * 32,
    ],
)
def test_other_forms_are_refused(argument: bytes) -> None:
    """Missing, doubled, padded, upper-case or non-hexadecimal parts are refused."""
    assert apop.parse(argument) is None


@given(st.binary(max_size=80))
def test_parse_never_raises(argument: bytes) -> None:
    """Any bytes at all are either a name and a digest or None, and nothing is invented."""
    found = apop.parse(argument)
    assert found is None or b" ".join(found) == argument
