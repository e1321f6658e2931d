"""Base64: what was encoded, and nothing else."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netguard.wire.sasl_lines import decode_initial
from netguard.wire.strict_base64 import decode


@given(st.binary(max_size=100))
def test_what_is_encoded_is_decoded(data: bytes) -> None:
    """By the encoder that everybody has."""
    assert decode(b64encode(data)) == data


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
    assert decode(line) is None
    if line != b"=":
        assert decode_initial(line) is None


@given(st.binary(max_size=60))
def test_only_the_one_right_way_is_decoded(line: bytes) -> None:
    """Whatever is decoded would be encoded in just that way."""
    data = decode(line)
    assert data is None or b64encode(data) == line
